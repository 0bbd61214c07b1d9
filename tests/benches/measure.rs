//! How codecs are measured without the daemon: by the CPU time of the one thread, the fastest of some rounds, every byte compared.

#![allow(dead_code, reason = "every benchmark uses its own part of this file")]

use std::time::Duration;

use latentd::codec::{Codec, Column, ColumnCodec};

/// CPU time of this thread.
pub fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Repeats until so much time has passed; gives the time of the fastest round in seconds.
pub fn fastest(at_least: Duration, mut round: impl FnMut()) -> f64 {
    let begun = cpu();
    let mut best = f64::MAX;
    while cpu() - begun < at_least || best == f64::MAX {
        let start = cpu();
        round();
        best = best.min((cpu() - start).as_secs_f64());
    }
    best
}

/// What a codec took: bytes, and seconds both ways.
pub struct Measured {
    pub bytes: usize,
    pub encode: f64,
    pub decode: f64,
}

/// Columns of values.
pub fn columns(codec: &mut dyn ColumnCodec, blocks: &[Column], at_least: Duration) -> Measured {
    let mut coded: Vec<Vec<u8>> = vec![Vec::new(); blocks.len()];
    let encode = fastest(at_least, || {
        for (block, coded) in blocks.iter().zip(&mut coded) {
            coded.clear();
            codec.encode_column(block.as_ref(), coded).expect("blocks are coded");
        }
    });
    let mut decoded = Column::default();
    let mut back = |block: &Column, coded: &[u8], decoded: &mut Column| {
        decoded.clear();
        codec.decode_column(coded, block.len(), block.bytes.len(), decoded).expect("what was coded is decoded");
    };
    let decode = fastest(at_least, || {
        blocks.iter().zip(&coded).for_each(|(block, coded)| back(block, coded, &mut decoded));
    });
    for (block, coded) in blocks.iter().zip(&coded) {
        back(block, coded, &mut decoded);
        assert!(decoded == *block, "a block comes back");
    }
    Measured { bytes: coded.iter().map(Vec::len).sum(), encode, decode }
}

/// Records one by one.
pub fn records<R: AsRef<[u8]>>(codec: &mut dyn Codec, records: &[R], at_least: Duration) -> Measured {
    let mut coded: Vec<Vec<u8>> = vec![Vec::new(); records.len()];
    let encode = fastest(at_least, || {
        for (record, coded) in records.iter().zip(&mut coded) {
            coded.clear();
            codec.encode(record.as_ref(), coded).expect("records are coded");
        }
    });
    let mut decoded = Vec::new();
    let mut back = |record: &[u8], coded: &[u8], decoded: &mut Vec<u8>| {
        decoded.clear();
        codec.decode(coded, record.len(), decoded).expect("what was coded is decoded");
    };
    let decode = fastest(at_least, || {
        records.iter().zip(&coded).for_each(|(record, coded)| back(record.as_ref(), coded, &mut decoded));
    });
    for (record, coded) in records.iter().zip(&coded) {
        back(record.as_ref(), coded, &mut decoded);
        assert!(decoded == record.as_ref(), "a record comes back");
    }
    Measured { bytes: coded.iter().map(Vec::len).sum(), encode, decode }
}
