//! The entropy coder: everything comes back, in as few bytes as it can, and no bytes do harm.

#![allow(clippy::unwrap_used, reason = "what cannot be had fails the test, in helpers too")]

#[path = "entropy/golden.rs"]
mod golden;
#[path = "entropy/message.rs"]
mod message;
mod tools;

#[path = "format/allocations.rs"]
mod allocations;

use std::sync::Arc;

use allocations::measured;
use constriction::stream::Decode;
use constriction::stream::model::ContiguousCategoricalEntropyModel;
use constriction::stream::stack::DefaultAnsCoder;
use latentd::entropy::{Decoder, Encoder, EntropyError, MAX_SYMBOLS, Table};
use latentd::frame::{Reader, put_varint};
use message::{Item, Message, below, shapes};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Calls a generic function with every usual number of lanes, and with some that are not.
macro_rules! with_all_lanes {
    ($function:ident($($argument:expr),*)) => {{
        $function::<1>($($argument),*);
        $function::<2>($($argument),*);
        $function::<3>($($argument),*);
        $function::<4>($($argument),*);
        $function::<8>($($argument),*);
        $function::<16>($($argument),*);
    }};
}

fn comes_back<const LANES: usize>(message: &Message) {
    let stream = message.encode::<LANES>();
    let (items, end) = message.decode::<LANES>(&stream).unwrap();
    assert!(items == message.items, "{LANES} lanes");
    assert_eq!(end, Ok(()), "{LANES} lanes");
    // About a bit for a state that fills from nothing; up to a byte that is not full; six bits for each further lane.
    let overhead = stream.len() as f64 - message.information() / 8.0;
    assert!(overhead < 1.6 + 0.75 * (LANES - 1) as f64, "{LANES} lanes: {overhead} bytes over the information");
}

#[test]
fn tables_of_every_shape_give_back_every_symbol() {
    for table in shapes() {
        let message = Message::random(std::slice::from_ref(table), 3000, 0, 1);
        with_all_lanes!(comes_back(&message));
    }
}

#[test]
fn every_symbol_of_the_largest_alphabet_comes_back() {
    let items = (0..=u16::MAX).map(|symbol| Item::Symbol(0, symbol)).collect();
    let message = Message { tables: vec![Arc::new(Table::from_frequencies(&[1; 1 << 16], 16).unwrap())], items };
    with_all_lanes!(comes_back(&message));
    assert_eq!(message.encode::<1>().len(), 2 << 16);
}

#[test]
fn many_symbols_at_once_are_the_same_as_one_by_one() {
    fn check<const LANES: usize>(table: &Table, message: &Message) {
        let symbols: Vec<u16> = message
            .items
            .iter()
            .map(|item| match item {
                Item::Symbol(_, symbol) => *symbol,
                Item::Raw(..) => unreachable!("there are no raw bits in it"),
            })
            .collect();
        let mut encoder = Encoder::default();
        // The first lane has its turn at any place.
        for odd in [0, 1, LANES / 2, LANES - 1] {
            table.encode_all(&symbols[..odd], &mut encoder);
            table.encode_all(&symbols[odd..], &mut encoder);
            let mut stream = Vec::new();
            encoder.finish::<LANES>(&mut stream);
            assert_eq!(stream, message.encode::<LANES>());
            let mut decoder = Decoder::<LANES>::new(&stream).unwrap();
            let mut decoded = vec![0; symbols.len()];
            table.decode_all(&mut decoder, &mut decoded[..odd]);
            table.decode_all(&mut decoder, &mut decoded[odd..]);
            assert_eq!(decoded, symbols);
            decoder.finish().unwrap();
        }
    }
    for table in shapes() {
        for len in [16, 17, 1000] {
            let message = Message::random(std::slice::from_ref(table), len, 0, 5);
            with_all_lanes!(check(table, &message));
        }
    }
}

proptest! {
    #[test]
    fn mixtures_of_tables_and_raw_bits_come_back(len in 0..400usize, raw in 0..=256u32, seed: u64, from in 0..8usize) {
        let some: Vec<_> = shapes().iter().skip(from).step_by(7).cloned().collect();
        let message = Message::random(&some, len, raw, seed);
        with_all_lanes!(comes_back(&message));
    }

    #[test]
    fn tables_come_from_any_counts_and_come_back_from_bytes(
        counts in prop::collection::vec(prop_oneof![Just(0), 1..9u32, any::<u32>()], 1..300), bits in 1..=16u32, behind: u8,
    ) {
        let codable = counts.iter().filter(|count| **count > 0).count();
        match Table::from_counts(&counts, bits) {
            Err(error) => {
                prop_assert!(codable == 0 || codable > 1 << bits);
                let shape = matches!(error, EntropyError::Shape { .. });
                prop_assert!(shape);
            }
            Ok(table) => {
                let frequencies: Vec<u32> = table.frequencies().collect();
                prop_assert_eq!(frequencies.iter().sum::<u32>(), 1 << bits);
                for (count, frequency) in counts.iter().zip(&frequencies) {
                    prop_assert_eq!(*count > 0, *frequency > 0);
                }
                let mut bytes = Vec::new();
                table.write(&mut bytes);
                let len = bytes.len();
                bytes.push(behind);
                let mut reader = Reader::new(&bytes, 0);
                let read = Table::read(&mut reader, counts.len()).unwrap();
                prop_assert_eq!(reader.at(), len);
                prop_assert_eq!(read.frequencies().collect::<Vec<_>>(), frequencies);
                prop_assert_eq!(read.bits(), bits);
                for cut in 0..len {
                    let cut = Table::read(&mut Reader::new(&bytes[..cut], 0), counts.len());
                    prop_assert!(matches!(cut, Err(EntropyError::Truncated)), "{:?}", cut);
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_a_table_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), limit in 0..2000usize) {
        let mut reader = Reader::new(&bytes, 0);
        if let Ok(table) = Table::read(&mut reader, limit) {
            prop_assert!(table.symbols() <= limit);
            prop_assert_eq!(table.frequencies().sum::<u32>(), 1 << table.bits());
            let mut again = Vec::new();
            table.write(&mut again);
            let read = Table::read(&mut Reader::new(&again, 0), limit).unwrap();
            prop_assert!(read.frequencies().eq(table.frequencies()));
            prop_assert!(again.len() <= reader.at());
        }
    }

    #[test]
    fn any_bytes_decode_to_something(bytes in prop::collection::vec(any::<u8>(), 0..200), seed: u64) {
        fn check<const LANES: usize>(message: &Message, bytes: &[u8]) {
            if let Ok((items, Ok(()))) = message.decode::<LANES>(bytes) {
                // What ends well is what an encoder writes.
                let again = Message { tables: message.tables.clone(), items };
                assert_eq!(again.encode::<LANES>(), bytes, "{LANES} lanes");
            }
        }
        let message = Message::random(shapes(), 300, 64, seed);
        with_all_lanes!(check(&message, &bytes));
    }
}

#[test]
fn a_large_stream_is_within_a_thousandth_of_its_entropy() {
    fn check<const LANES: usize>(message: &Message) {
        let size = message.encode::<LANES>().len() as f64;
        let entropy = message.information() / 8.0;
        assert!(size < entropy * 1.001 + LANES as f64, "{LANES} lanes: {size} bytes for {entropy}");
    }
    for table in shapes() {
        // Without the rare symbols that a random message has too many of, so that the table's entropy is the message's.
        let mut message = Message { tables: vec![table.clone()], items: vec![] };
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let slots: Vec<u16> = (0..=u16::MAX)
            .take(table.symbols())
            .zip(table.frequencies())
            .flat_map(|(symbol, frequency)| std::iter::repeat_n(symbol, frequency as usize))
            .collect();
        message.items =
            (0..120_000).map(|_| Item::Symbol(0, slots[below(&mut random, slots.len() as u32) as usize])).collect();
        with_all_lanes!(check(&message));
    }
}

/// Tables as fields of records have them.
fn fields() -> Vec<Arc<Table>> {
    let table = |(bits, factor): (u32, f64)| {
        let counts: Vec<u32> = (0..60).map(|i| (1e9 * factor.powi(i)).ceil() as u32).collect();
        Arc::new(Table::from_counts(&counts, bits).unwrap())
    };
    [(14, 0.5), (14, 0.8), (14, 0.95), (12, 0.9), (16, 0.7)].map(table).to_vec()
}

#[test]
fn a_small_record_takes_a_third_of_a_byte_more_than_its_information() {
    let tables = fields();
    let (mut over, mut most) = (0.0, 0f64);
    const RECORDS: u32 = 4000;
    for seed in 0..RECORDS {
        let message = Message::random(&tables, 1 + seed as usize % 24, 8, u64::from(seed));
        let overhead = message.encode::<1>().len() as f64 - message.information() / 8.0;
        over += overhead;
        most = most.max(overhead);
    }
    let mean = over / f64::from(RECORDS);
    println!("{mean:.3} bytes over the information in the mean, {most:.3} at most");
    assert!(mean < 0.35 && most < 1.25, "{mean} {most}");
}

#[test]
fn a_lane_takes_less_than_a_byte() {
    fn overhead<const LANES: usize>(messages: &[Message]) -> f64 {
        let over = messages.iter().map(|message| message.encode::<LANES>().len() as f64 - message.information() / 8.0);
        over.sum::<f64>() / messages.len() as f64
    }
    let messages: Vec<Message> = (0..500).map(|seed| Message::random(&shapes()[8..], 200, 8, seed)).collect();
    let one = overhead::<1>(&messages);
    println!("1 lane: {one:.2} bytes over the information");
    let more = [(2, overhead::<2>(&messages)), (4, overhead::<4>(&messages)), (8, overhead::<8>(&messages))];
    for (lanes, over) in more {
        println!("{lanes} lanes: {over:.2} bytes over the information");
        assert!(over - one < 0.8 * f64::from(lanes - 1), "{lanes} lanes: {over}, one lane: {one}");
    }
}

#[test]
fn what_costs_nothing_takes_no_bytes() {
    let certain = Arc::new(Table::from_frequencies(&[0, 1 << 12], 12).unwrap());
    let message = Message { tables: vec![certain], items: vec![Item::Symbol(0, 1); 1000] };
    assert!(message.encode::<1>().is_empty());
    assert!(message.encode::<4>().is_empty());
    with_all_lanes!(comes_back(&message));
    with_all_lanes!(comes_back(&Message { tables: vec![], items: vec![] }));
}

#[test]
fn a_stream_is_no_longer_than_that_of_constriction() {
    const BITS: usize = 12;
    for factor in [0.5f64, 0.9, 0.96, 0.99, 1.0] {
        let counts: Vec<u32> = (0..256).map(|i| (1e9 * factor.powi(i)).ceil() as u32).collect();
        let table = Arc::new(Table::from_counts(&counts, BITS as u32).unwrap());
        let model = ContiguousCategoricalEntropyModel::<u32, Vec<u32>, BITS>::from_nonzero_fixed_point_probabilities(
            table.frequencies(),
            false,
        )
        .unwrap();
        for len in [1, 10, 100, 1000, 100_000] {
            let message = Message::random(std::slice::from_ref(&table), len, 0, len as u64);
            let symbols: Vec<usize> = message
                .items
                .iter()
                .map(|item| match item {
                    Item::Symbol(_, symbol) => usize::from(*symbol),
                    Item::Raw(..) => unreachable!("there are no raw bits in it"),
                })
                .collect();
            let mut coder = DefaultAnsCoder::new();
            coder.encode_iid_symbols_reverse(&symbols, &model).unwrap();
            // Its last word is padded to 32 bits; what counts is without the padding.
            let theirs = coder.num_valid_bits().div_ceil(8);
            let ours = message.encode::<1>().len();
            assert!(ours <= theirs + 1, "{factor} {len}: {ours} bytes, constriction has {theirs}");
            assert!(message.encode::<4>().len() <= theirs + 4, "{factor} {len}");
            let decoded: Vec<usize> = coder.decode_iid_symbols(len, &model).map(Result::unwrap).collect();
            assert_eq!(decoded, symbols);
        }
    }
}

/// Cuts and flips of a stream: each is an error or gives other symbols. The share of flips that is no error is below
/// `missed`.
fn damage<const LANES: usize>(message: &Message, missed: f64) {
    let stream = message.encode::<LANES>();
    for cut in 0..stream.len() {
        if let Ok((items, Ok(()))) = message.decode::<LANES>(&stream[..cut]) {
            assert!(items != message.items, "{LANES} lanes, cut at {cut}");
        }
    }
    let mut unnoticed = 0;
    for bit in 0..8 * stream.len() {
        let mut flipped = stream.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok((items, Ok(()))) = message.decode::<LANES>(&flipped) {
            assert!(items != message.items, "{LANES} lanes, bit {bit}");
            unnoticed += 1;
        }
    }
    let share = f64::from(unnoticed) / (8 * stream.len()).max(1) as f64;
    println!("{LANES} lanes, {} bytes: {:.1} % of flips are no error", stream.len(), 100.0 * share);
    assert!(share <= missed, "{LANES} lanes: {share}");
}

#[test]
fn damage_is_an_error_or_other_symbols() {
    for (len, seed) in [(3, 1), (20, 2), (200, 3), (900, 4)] {
        let message = Message::random(&shapes()[8..], len, 16, seed);
        with_all_lanes!(damage(&message, 1.0));
        // Where each symbol moves the next one's state, most damage is found at the end; here less than a tenth is not.
        let message = Message::random(&fields(), len, 0, seed);
        with_all_lanes!(damage(&message, if len < 900 { 1.0 } else { 0.1 }));
    }
}

#[test]
fn a_stream_decoded_for_more_or_fewer_symbols_than_it_has_is_not_at_its_end() {
    let table = Arc::new(Table::from_counts(&[5, 4, 3, 2], 12).unwrap());
    let message = Message::random(&[table], 1000, 0, 9);
    let stream = message.encode::<2>();
    let few = Message { items: message.items[..990].to_vec(), ..message.clone() };
    assert!(few.decode::<2>(&stream).unwrap().1.is_err());
    let mut behind = stream.clone();
    behind.extend([1, 2, 3, 4]);
    assert!(message.decode::<2>(&behind).is_err() || message.decode::<2>(&behind).unwrap().1.is_err());
}

#[test]
fn a_hostile_table_is_refused_before_there_is_room_made_for_it() {
    let read = |bytes: &[u8], limit| measured(|| Table::read(&mut Reader::new(bytes, 0), limit));
    // 65,536 symbols in a few bytes: a run of zeroes, and the last symbol takes all.
    let mut bytes = Vec::new();
    let mut sparse = vec![0; MAX_SYMBOLS];
    sparse[MAX_SYMBOLS - 1] = 1 << 16;
    Table::from_frequencies(&sparse, 16).unwrap().write(&mut bytes);
    assert!(bytes.len() < 12);
    let (refused, allocated) = read(&bytes, 1000);
    assert_eq!(refused.unwrap_err(), EntropyError::LimitExceeded { limit: 1000, needed: MAX_SYMBOLS });
    assert_eq!(allocated.peak, 0);
    let (table, allocated) = read(&bytes, MAX_SYMBOLS);
    assert_eq!(table.unwrap().symbols(), MAX_SYMBOLS);
    assert!(allocated.peak <= 100 * MAX_SYMBOLS, "{allocated:?}");
    // Any number of symbols, over the cap of all tables.
    for symbols in [MAX_SYMBOLS as u64 + 1, u64::from(u32::MAX), u64::MAX] {
        let mut bytes = vec![0x0f];
        put_varint(symbols, &mut bytes);
        let (refused, allocated) = read(&bytes, usize::MAX);
        assert!(matches!(refused, Err(EntropyError::LimitExceeded { .. })));
        assert_eq!(allocated.peak, 0);
    }
}

#[test]
fn a_table_that_no_writer_makes_is_corrupt() {
    let cases: [(&[u8], &str); 6] = [
        (&[0x00, 0], "no symbols"),
        (&[0x00, 0x80, 0], "no varint"),
        // One bit and three symbols: a frequency of 3 of 2 (gamma 00100).
        (&[0x00, 3, 0b0010_0000], "too many"),
        // Five bits and three symbols: a zero (gamma 1), and with it two more (gamma 011).
        (&[0x04, 3, 0b1011_0000], "ends in zeroes"),
        (&[0x0f, 3, 0, 0, 0, 0, 0, 0], "over 65,536"),
        // One bit and two symbols: a frequency of 1 (gamma 010), and padding that is not zero.
        (&[0x00, 2, 0b0100_0001], "padding"),
    ];
    for (bytes, what) in cases {
        match Table::read(&mut Reader::new(bytes, 0), 10) {
            Err(EntropyError::Corrupt { what: said }) => assert!(said.contains(what), "{said} / {what}"),
            other => panic!("{what}: {other:?}"),
        }
    }
    assert_eq!(
        Table::read(&mut Reader::new(&[0x00, 2, 0b0100_0000], 0), 2).unwrap().frequencies().collect::<Vec<_>>(),
        [1, 1]
    );
}

#[test]
fn shapes_that_no_table_has_are_refused() {
    for (counts, bits) in [(&[][..], 8), (&[0, 0], 8), (&[1, 1, 1], 1), (&[1, 1], 0), (&[1, 1], 17), (&[1; 65_537], 16)]
    {
        assert!(matches!(Table::from_counts(counts, bits), Err(EntropyError::Shape { .. })), "{} {bits}", counts.len());
    }
    for (frequencies, bits) in [(&[][..], 8), (&[255], 8), (&[u32::MAX, 1, 256], 8), (&[1, 1, 1, 1], 1)] {
        assert!(matches!(Table::from_frequencies(frequencies, bits), Err(EntropyError::Shape { .. })));
    }
}

#[test]
fn the_likeliest_symbol_has_the_first_slots_and_the_others_follow_in_order() {
    let table = Table::from_frequencies(&[0, 1, 7, 8, 0, 16], 5).unwrap();
    let intervals: Vec<_> =
        (0..7).map(|symbol| table.interval(symbol).map(|interval| (interval.start(), interval.frequency()))).collect();
    assert_eq!(intervals, [None, Some((16, 1)), Some((17, 7)), Some((24, 8)), None, Some((0, 16)), None]);
}

#[test]
fn random_bits_draw_the_symbols_as_often_as_their_table_says() {
    // One model, two uses: decoding random bytes draws from the table.
    let table = Table::from_frequencies(&[8, 4, 2, 1, 1], 4).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut bytes = vec![0; 1 << 17];
    random.fill_bytes(&mut bytes);
    let mut decoder = Decoder::<1>::new(&bytes).unwrap();
    let mut drawn = [0u32; 5];
    for _ in 0..400_000 {
        drawn[usize::from(table.decode(&mut decoder))] += 1;
    }
    for (count, frequency) in drawn.into_iter().zip(table.frequencies()) {
        let expected = 400_000.0 * f64::from(frequency) / 16.0;
        assert!((f64::from(count) - expected).abs() < 5.0 * expected.sqrt(), "{drawn:?}");
    }
}
