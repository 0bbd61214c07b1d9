//! How fast the entropy coder is: symbols a second and clocks a symbol, both ways, by alphabet and number of lanes.
//!
//! `cargo bench --bench entropy`, or `cargo bench --bench entropy -- skewed` for one alphabet. Clocks are what
//! `/proc/cpuinfo` says the processor makes a second (on a virtual machine the nominal frequency, not the boosted one),
//! divided by symbols a second.

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use latentd::entropy::{Decoder, Encoder, Table};
use latentd::frame::Reader;

/// Symbols of a stream.
const SYMBOLS: usize = 1 << 16;

/// Streams that are coded by turns: so many that no branch predictor learns them by heart.
const STREAMS: usize = 16;

/// Symbols that are drawn from tables, so that these fit them exactly.
struct Alphabet {
    name: &'static str,
    tables: Vec<Table>,
    streams: Vec<Vec<u16>>,
}

impl Alphabet {
    fn new(name: &'static str, bits: u32, counts: &[Vec<u32>]) -> Self {
        let tables: Vec<Table> =
            counts.iter().map(|counts| Table::from_counts(counts, bits).expect("the shape is valid")).collect();
        let mut seed = 0u64;
        let mut draw = |table: &Table| {
            // SplitMix64 (Steele, Lea and Flood 2014).
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            let slot = ((mixed ^ mixed >> 31) >> (64 - bits)) as u32;
            let holds = |symbol: &u16| {
                table
                    .interval(*symbol)
                    .is_some_and(|interval| slot.wrapping_sub(interval.start()) < interval.frequency())
            };
            (0..=u16::MAX).find(holds).expect("the intervals hold all slots")
        };
        let streams = (0..STREAMS).map(|_| tables.iter().cycle().take(SYMBOLS).map(&mut draw).collect()).collect();
        Self { name, tables, streams }
    }

    /// Bits a symbol.
    fn entropy(&self) -> f64 {
        let bits = self.tables.iter().cycle().zip(&self.streams[0]).map(|(table, symbol)| {
            let interval = table.interval(*symbol).expect("drawn symbols can be coded");
            f64::from(interval.bits()) - f64::from(interval.frequency()).log2()
        });
        bits.sum::<f64>() / SYMBOLS as f64
    }

    /// With a table for all symbols, or by turns.
    fn encode<const LANES: usize>(&self, symbols: &[u16], encoder: &mut Encoder, stream: &mut Vec<u8>) {
        if let [table] = &self.tables[..] {
            table.encode_all(symbols, encoder);
        } else {
            for row in symbols.chunks(self.tables.len()) {
                for (table, symbol) in self.tables.iter().zip(row) {
                    table.encode(*symbol, encoder);
                }
            }
        }
        stream.clear();
        encoder.finish::<LANES>(stream);
    }

    fn decode<const LANES: usize>(&self, stream: &[u8], symbols: &mut [u16]) {
        let mut decoder = Decoder::<LANES>::new(stream).expect("the stream is whole");
        if let [table] = &self.tables[..] {
            table.decode_all(&mut decoder, symbols);
        } else {
            for row in symbols.chunks_mut(self.tables.len()) {
                for (table, symbol) in self.tables.iter().zip(row) {
                    *symbol = table.decode(&mut decoder);
                }
            }
        }
        decoder.finish().expect("the stream ends");
    }
}

/// Frequencies that fall by the same factor.
fn geometric(symbols: u32, factor: f64) -> Vec<u32> {
    (0..symbols).map(|i| (1e9 * factor.powi(i as i32)).ceil() as u32).collect()
}

/// Twenty tables of 3 to 1,200 symbols by turns, as a record of fields has them.
fn fields() -> Alphabet {
    let counts = (1..=20).map(|field| geometric(3 * field * field, 1.0 - 1.0 / f64::from(field)));
    Alphabet::new("fields, 20 tables by turns, 14 bits", 14, &counts.collect::<Vec<_>>())
}

fn alphabets() -> Vec<Alphabet> {
    vec![
        Alphabet::new("uniform, 256 symbols, 12 bits", 12, &[vec![1; 256]]),
        Alphabet::new("skewed, 256 symbols, 12 bits", 12, &[geometric(256, 0.96)]),
        Alphabet::new("skewed, 256 symbols, 14 bits", 14, &[geometric(256, 0.96)]),
        Alphabet::new("steep, 256 symbols, 14 bits", 14, &[geometric(256, 0.5)]),
        Alphabet::new("large, 20000 symbols, 16 bits", 16, &[geometric(20_000, 0.9995)]),
        fields(),
    ]
}

fn megahertz() -> Option<f64> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("cpu MHz"))?;
    line.split(':').nth(1)?.trim().parse().ok()
}

/// The median pass.
fn median(mut pass: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..20 * STREAMS)
        .map(|_| {
            let start = Instant::now();
            pass();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

/// Prints a row the first time that it is asked to, and lets criterion measure and compare.
fn bench(group: &mut BenchmarkGroup<'_, WallTime>, direction: &str, lanes: usize, mut pass: impl FnMut()) {
    let mut printed = false;
    group.bench_function(format!("{direction}/{lanes}"), |bencher| {
        if !std::mem::replace(&mut printed, true) {
            let rate = SYMBOLS as f64 / median(&mut pass).as_secs_f64();
            let clocks = megahertz().map_or(String::new(), |mhz| format!(", {:.1} clocks a symbol", mhz * 1e6 / rate));
            println!("{lanes} lanes, {direction}: {:.0} million symbols/s{clocks}", rate / 1e6);
        }
        bencher.iter(&mut pass);
    });
}

fn measure<const LANES: usize>(group: &mut BenchmarkGroup<'_, WallTime>, alphabet: &Alphabet) {
    let mut encoder = Encoder::default();
    let mut stream = Vec::new();
    let mut turns = alphabet.streams.iter().cycle();
    let mut next = || turns.next().expect("a cycle has no end");
    bench(group, "encode", LANES, || alphabet.encode::<LANES>(next(), &mut encoder, black_box(&mut stream)));
    let coded: Vec<Vec<u8>> = (alphabet.streams.iter())
        .map(|symbols| {
            let mut coded = Vec::new();
            alphabet.encode::<LANES>(symbols, &mut encoder, &mut coded);
            coded
        })
        .collect();
    let mut turns = coded.iter().cycle();
    let mut next = || turns.next().expect("a cycle has no end");
    let mut symbols = vec![0; SYMBOLS];
    bench(group, "decode", LANES, || alphabet.decode::<LANES>(next(), black_box(&mut symbols)));
}

/// Every row of fields as a record of its own.
fn records(criterion: &mut Criterion) {
    let alphabet = fields();
    let rows = || alphabet.streams.iter().flat_map(|symbols| symbols.chunks_exact(alphabet.tables.len()));
    let mut group = criterion.benchmark_group("records of 20 fields");
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(500));
    group.throughput(Throughput::Elements(SYMBOLS as u64));
    let mut encoder = Encoder::default();
    let mut stream = Vec::new();
    let mut turns = rows().cycle();
    let records = SYMBOLS / alphabet.tables.len();
    bench(&mut group, "encode", 1, || {
        for row in turns.by_ref().take(records) {
            alphabet.encode::<1>(row, &mut encoder, black_box(&mut stream));
        }
    });
    let coded: Vec<Vec<u8>> = rows()
        .map(|row| {
            let mut coded = Vec::new();
            alphabet.encode::<1>(row, &mut encoder, &mut coded);
            coded
        })
        .collect();
    println!("{:.2} bytes a record", coded.iter().map(Vec::len).sum::<usize>() as f64 / coded.len() as f64);
    let mut turns = coded.iter().cycle();
    let mut symbols = vec![0; alphabet.tables.len()];
    bench(&mut group, "decode", 1, || {
        for coded in turns.by_ref().take(records) {
            alphabet.decode::<1>(coded, black_box(&mut symbols));
        }
    });
    group.finish();
}

fn entropy(criterion: &mut Criterion) {
    for alphabet in alphabets() {
        let mut group = criterion.benchmark_group(alphabet.name);
        group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(500));
        group.throughput(Throughput::Elements(SYMBOLS as u64));
        println!("{}: {:.2} bits a symbol", alphabet.name, alphabet.entropy());
        measure::<1>(&mut group, &alphabet);
        measure::<2>(&mut group, &alphabet);
        measure::<4>(&mut group, &alphabet);
        measure::<8>(&mut group, &alphabet);
        group.finish();
    }
}

/// Making, writing and reading tables, for each of their symbols.
fn tables(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tables");
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(500));
    for (symbols, bits) in [(8, 14), (64, 14), (256, 14), (20_000, 16)] {
        let counts = geometric(symbols, 1.0 - 8.0 / f64::from(symbols + 8));
        let table = Table::from_counts(&counts, bits).expect("the shape is valid");
        let mut bytes = Vec::new();
        table.write(&mut bytes);
        println!("{symbols} symbols, {bits} bits: {} bytes", bytes.len());
        group.throughput(Throughput::Elements(u64::from(symbols)));
        group.bench_function(format!("from_counts/{symbols}"), |bencher| {
            bencher.iter(|| Table::from_counts(black_box(&counts), bits));
        });
        group.bench_function(format!("read/{symbols}"), |bencher| {
            bencher.iter(|| Table::read(&mut Reader::new(black_box(&bytes), 0), symbols as usize));
        });
    }
    group.finish();
}

criterion_group!(benches, entropy, records, tables);
criterion_main!(benches);
