//! Models from somebody who means harm, and what must hold for each of them. The seeded test and the fuzz target under
//! `tests/fuzz` share it.

use std::sync::Arc;

use arbitrary::Arbitrary;
use latentd::codec::block::{BlockReader, DecodeLimits, RowSink, Rows};
use latentd::codec::{Codec, Column, ModelSource, NoModels, ZstdCodec};
use latentd::frame::{Reader, put_varint};
use latentd::model::columns::{MAX_FRAMING_BYTES, MAX_PARTS_BYTES, MAX_TEXT_BYTES};
use latentd::model::{ColumnsCodec, ColumnsModel};
use latentd::record::{Record, RecordRef};

/// Golden models, and a block of records that were coded with each.
const GOLDEN: [(&[u8], &[u8]); 4] = [
    (include_bytes!("../golden/v1/columns/records.model"), include_bytes!("../golden/v1/columns/block-alone.bin")),
    (include_bytes!("../golden/v1/columns/blocks.model"), include_bytes!("../golden/v1/columns/block-strange.bin")),
    (
        include_bytes!("../golden/v1/columns/places-alone.model"),
        include_bytes!("../golden/v1/columns/places-block-alone.bin"),
    ),
    (include_bytes!("../golden/v1/columns/places.model"), include_bytes!("../golden/v1/columns/places-block.bin")),
];

/// Bytes of tables for each byte of a model, as `ColumnsModel::parse` has it.
pub const TABLES: usize = 128;

/// Bytes that decoding makes here.
pub const LIMIT: usize = 16 << 10;

/// What is tried: an artefact, and bytes that are said to have been coded with it.
#[derive(Debug, Arbitrary)]
pub struct ModelAttack<'a> {
    artefact: Artefact<'a>,
    coded: Coded<'a>,
}

#[derive(Debug, Arbitrary)]
enum Artefact<'a> {
    /// A golden model whose unpacked parts were changed.
    Changed { golden: u8, changes: Vec<Change<'a>> },
    /// A golden model of which some bytes are others.
    Damaged { golden: u8, at: u16, by: &'a [u8] },
    /// Any bytes behind the magic.
    Any { version: u8, bytes: &'a [u8] },
}

#[derive(Debug, Arbitrary)]
struct Change<'a> {
    /// Which section, and where in it, both counted round.
    section: u8,
    at: u16,
    how: How<'a>,
}

#[derive(Debug, Arbitrary)]
enum How<'a> {
    Byte(u8),
    /// A number in the place of the one that is there, or of part of it.
    Number(u64),
    Insert(&'a [u8]),
    Remove(u8),
    /// Bytes of another place.
    Copy {
        from: u16,
        length: u8,
    },
}

#[derive(Debug, Arbitrary)]
enum Coded<'a> {
    /// Any bytes, as a record, a column of values, and the framing of a block.
    Any { bytes: &'a [u8], framing: &'a [u8], count: u8 },
    /// What the model itself makes of records, some bytes of it being others.
    Damaged { at: u16, by: &'a [u8] },
    /// What the model itself makes of records, which must come back.
    Honest,
}

/// How far an attack came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// The model was refused.
    Nowhere,
    /// What was coded was refused.
    Open,
    /// Records came out.
    Through,
}

fn spoil(bytes: &mut [u8], at: u16, by: &[u8]) {
    let at = usize::from(at) % bytes.len().max(1);
    bytes[at..].iter_mut().zip(by).for_each(|(byte, by)| *byte = *by);
}

impl Change<'_> {
    fn apply(&self, sections: &mut [Vec<u8>]) {
        let section = usize::from(self.section) % sections.len();
        let bytes = &mut sections[section];
        let at = usize::from(self.at) % (bytes.len() + 1);
        match self.how {
            How::Byte(byte) => bytes.iter_mut().skip(at).take(1).for_each(|known| *known = byte),
            How::Number(number) => {
                let mut written = Vec::new();
                put_varint(number, &mut written);
                let end = bytes[at..].iter().position(|byte| *byte < 0x80).map_or(at, |last| at + last + 1);
                drop(bytes.splice(at..end, written));
            }
            How::Insert(inserted) => drop(bytes.splice(at..at, inserted.iter().copied())),
            How::Remove(length) => drop(bytes.drain(at..(at + usize::from(length)).min(bytes.len()))),
            How::Copy { from, length } => {
                let from = usize::from(from) % (bytes.len() + 1);
                let copied = bytes[from..(from + usize::from(length)).min(bytes.len())].to_vec();
                let end = (at + copied.len()).min(bytes.len());
                drop(bytes.splice(at..end, copied));
            }
        }
    }
}

/// The sections of an artefact of ours, unpacked.
fn sections(artefact: &[u8]) -> Vec<Vec<u8>> {
    let mut input = Reader::new(artefact, 5);
    let mut sections = Vec::new();
    while input.left() > 0 {
        let size = input.varint().expect("a golden model is whole") as usize;
        let packed = input.varint().expect("a golden model is whole") as usize;
        let mut section = Vec::new();
        let packed = input.take(packed).expect("a golden model is whole");
        zstd().decode(packed, size, &mut section).expect("a golden model is packed with zstd");
        sections.push(section);
    }
    sections
}

fn pack(head: &[u8], sections: &[Vec<u8>]) -> Vec<u8> {
    let mut artefact = head.to_vec();
    for section in sections {
        let mut packed = Vec::new();
        zstd().encode(section, &mut packed).expect("zstd codes anything");
        put_varint(section.len() as u64, &mut artefact);
        put_varint(packed.len() as u64, &mut artefact);
        artefact.extend_from_slice(&packed);
    }
    artefact
}

fn zstd() -> ZstdCodec {
    let models: Arc<dyn ModelSource> = Arc::new(NoModels);
    ZstdCodec::new(1, &models)
}

/// A golden model, counted round, and its block.
fn golden(number: u8) -> (&'static [u8], &'static [u8]) {
    GOLDEN[usize::from(number) % GOLDEN.len()]
}

impl ModelAttack<'_> {
    /// The artefact's bytes, and the most memory that reading it may take: what is unpacked, and so many bytes of tables
    /// for each byte of that.
    pub fn artefact(&self) -> (Vec<u8>, usize) {
        let size = |sections: &[Vec<u8>]| sections.iter().map(Vec::len).sum::<usize>();
        // What is damaged may claim more than it has, and still has what it had.
        let claimed = MAX_PARTS_BYTES + MAX_TEXT_BYTES + MAX_FRAMING_BYTES;
        match &self.artefact {
            Artefact::Changed { golden: number, changes } => {
                let (golden, _) = golden(*number);
                let mut sections = sections(golden);
                changes.iter().for_each(|change| change.apply(&mut sections));
                (pack(&golden[..5], &sections), (1 + TABLES) * size(&sections))
            }
            Artefact::Damaged { golden: number, at, by } => {
                let (golden, _) = golden(*number);
                let mut artefact = golden.to_vec();
                spoil(&mut artefact, *at, by);
                (artefact, claimed + TABLES * size(&sections(golden)))
            }
            Artefact::Any { version, bytes } => {
                ([&b"\x91LCM"[..], &[1 + *version % 4], bytes].concat(), claimed + TABLES * bytes.len())
            }
        }
    }

    /// The records that are coded where the model codes some itself.
    fn records(&self) -> Vec<Record> {
        let number = match self.artefact {
            Artefact::Changed { golden, .. } | Artefact::Damaged { golden, .. } => golden,
            Artefact::Any { .. } => 0,
        };
        let (artefact, block) = golden(number);
        let model = ColumnsModel::parse(artefact).expect("a golden model is one");
        let mut reader = BlockReader::default();
        let mut codec = ColumnsCodec::new(Arc::new(model));
        reader.decode_with(block, &mut codec, &DecodeLimits::UNLIMITED).expect("a golden block is one");
        reader.records().map(|record| record.to_owned()).collect()
    }

    /// Bytes that are said to have been coded with a model that was opened.
    pub fn coded(&self, model: &Arc<ColumnsModel>) -> Streams {
        match &self.coded {
            Coded::Any { bytes, framing, count } => Streams {
                record: bytes.to_vec(),
                values: bytes.to_vec(),
                framing: Some(framing.to_vec()),
                count: usize::from(*count),
                held: None,
            },
            Coded::Damaged { at, by } => {
                let mut streams = Streams::of(model, self.records());
                spoil(&mut streams.record, *at, by);
                spoil(&mut streams.values, *at, by);
                streams.framing.iter_mut().for_each(|framing| spoil(framing, *at, by));
                Streams { held: None, ..streams }
            }
            Coded::Honest => Streams::of(model, self.records()),
        }
    }

    /// Does all of it, and fails if anything comes out that must not.
    pub fn judge(&self) -> Came {
        let (artefact, _) = self.artefact();
        let Ok(model) = ColumnsModel::parse(&artefact) else { return Came::Nowhere };
        let model = Arc::new(model);
        let streams = self.coded(&model);
        streams.decode(&mut ColumnsCodec::new(model))
    }
}

/// What a model's codec is given to decode.
pub struct Streams {
    record: Vec<u8>,
    values: Vec<u8>,
    framing: Option<Vec<u8>>,
    count: usize,
    /// The records that must come out.
    held: Option<Vec<Record>>,
}

impl Streams {
    /// What a model makes of records: of the first value, of all values, and of what stands beside these.
    fn of(model: &Arc<ColumnsModel>, records: Vec<Record>) -> Self {
        let mut codec = ColumnsCodec::new(Arc::clone(model));
        let (mut rows, mut column) = (Rows::default(), Column::default());
        records.iter().for_each(|record| rows.push(&record.as_ref()));
        let values: Vec<&[u8]> = records.iter().filter_map(|record| record.value.as_deref()).collect();
        values.iter().for_each(|value| column.push(value));
        let (mut record, mut framing, mut values) = (Vec::new(), Vec::new(), Vec::new());
        codec.encode(column.get(0).unwrap_or_default(), &mut record).expect("any record is coded");
        let framed = match codec.blocks() {
            Some(blocks) => blocks.encode_block(&rows, column.as_ref(), &mut framing, &mut values),
            None => {
                let columns = codec.columns().expect("`columns` takes columns");
                columns.encode_column(column.as_ref(), &mut values).map(|()| false)
            }
        };
        let framing = framed.expect("any records are coded").then_some(framing);
        Self { record, values, framing, count: records.len(), held: Some(records) }
    }

    /// Decodes all of it, and fails if anything comes out that must not.
    pub fn decode(&self, codec: &mut ColumnsCodec) -> Came {
        let mut record = Vec::new();
        let first = codec.decode(&self.record, LIMIT, &mut record);
        assert!(record.len() <= LIMIT && (first.is_ok() || record.is_empty()), "{} bytes of a record", record.len());
        let values = self.held.as_ref().map_or(self.count, |held| held.iter().filter(|r| r.value.is_some()).count());
        let mut column = Column::default();
        let columns = codec.columns().expect("`columns` takes columns");
        let second = columns.decode_column(&self.values, values, LIMIT, &mut column);
        let fits = column.bytes.len() <= LIMIT && column.len() == values;
        assert!(fits || second.is_err(), "{} bytes of {} values", column.bytes.len(), column.len());
        let mut rows = Rows::default();
        let third = match (codec.blocks(), &self.framing) {
            (Some(blocks), Some(framing)) => {
                Some(blocks.decode_block(framing, &self.values, self.count, &mut RowSink::new(&mut rows, LIMIT)))
            }
            _ => None,
        };
        assert!(rows.len() <= self.count && rows.payload_bytes() <= LIMIT + names(&rows), "{} rows", rows.len());
        if let Some(held) = &self.held {
            let values: Vec<&[u8]> = held.iter().filter_map(|record| record.value.as_deref()).collect();
            first.as_ref().expect("what a model has coded it decodes");
            second.as_ref().expect("what a model has coded it decodes");
            assert_eq!(Some(&record[..]), values.first().copied());
            assert!((0..values.len()).all(|i| column.get(i) == Some(values[i])) && column.len() == values.len());
            if let Some(third) = &third {
                third.as_ref().expect("what a model has coded it decodes");
                assert_eq!(rows.records().map(|record| record.to_owned()).collect::<Vec<_>>(), *held);
            }
        }
        match first.is_ok() || second.is_ok() || third.is_some_and(|third| third.is_ok()) {
            true => Came::Through,
            false => Came::Open,
        }
    }
}

/// Bytes of the names of all headers, which are kept once each.
fn names(rows: &Rows) -> usize {
    let of = |record: RecordRef<'_>| record.headers.iter().map(|header| header.name.len()).sum::<usize>();
    rows.records().map(of).sum()
}

/// A model of as many columns as there may be, about each of which it says as little as it may, with counts of mantissas or
/// without; and the bytes of its parts.
pub fn of_many_small_columns(mantissas: bool) -> (Vec<u8>, usize) {
    const SLOTS: u64 = 2048;
    // Bucket 3 has one bit below the leading one.
    let buckets: &[u8] = if mantissas { &[1, 3, 0, 0] } else { &[0] };
    let mut parts = Vec::new();
    put_varint(SLOTS, &mut parts);
    // No name, and the rest of the record as values.
    (0..SLOTS).for_each(|_| parts.extend_from_slice(&[0, 3]));
    // One edge to the next slot, and in the end one to the end, with a comma.
    for state in 1..=SLOTS + 1 {
        parts.push(1);
        put_varint(if state > SLOTS { 0 } else { state }, &mut parts);
        parts.extend_from_slice(b"\x01,");
    }
    // Not alone, no counts of records, no lengths, no key; registers.
    parts.extend_from_slice(&[0; 5]);
    (0..2 * (2 * SLOTS + 1)).for_each(|_| parts.push(0));
    // Text without texts, buckets, no lengths, no contexts, and of each of five symbols a count; choices of two.
    (0..SLOTS).for_each(|_| parts.extend_from_slice(&[&[0; 2], buckets, &[0; 7]].concat()));
    (0..=SLOTS).for_each(|_| parts.extend_from_slice(&[0; 3]));
    // Bytes of text: three levels without a distribution, and a count of each.
    parts.extend_from_slice(&[0; 3 + 256]);
    let size = parts.len();
    (pack(b"\x91LCM\x01", &[parts, Vec::new()]), size)
}
