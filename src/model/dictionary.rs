//! A zstd dictionary as a model: trained from samples, named by its content, read without trust.
//!
//! zstd frames name their dictionary by a number of 32 bits at bytes 4 to 8 of the dictionary. It is set here to a
//! value derived from the content, so that the same samples make the same artefact and two dictionaries of one registry
//! hardly ever share a number (one pair in two billion); where they do, [`Dictionary::with_salt`] derives another.
//! The numbers lie in 32768..2^31, which RFC 8878 leaves to everybody.

use zstd::dict::{DecoderDictionary, EncoderDictionary};

use crate::codec::ModelId;

/// Smallest dictionary that zstd trains.
pub const MIN_BYTES: usize = 256;

/// Largest dictionary that is trained or read. zstd's own advice is about 100 KiB; every coder digests a dictionary
/// into tables several times its size, so that this caps what a hostile artefact can make a process allocate.
pub const MAX_BYTES: usize = 8 << 20;

/// Fewest samples that a dictionary is trained from. zstd trains on three quarters of the samples and chooses its
/// parameters on the rest; with fewer than this the rest says nothing.
pub const MIN_SAMPLES: usize = 16;

/// Most bytes of samples per byte of dictionary that training looks at. zstd's advice is 100; what is beyond is thinned
/// out evenly, because it costs time and changes little.
const SAMPLE_BYTES_PER_BYTE: usize = 100;

const MAGIC: [u8; 4] = [0x37, 0xa4, 0x30, 0xec];
const ID: std::ops::Range<usize> = 4..8;
const FIRST_ID: u32 = 1 << 15;
const LAST_ID: u32 = (1 << 31) - 1;

/// A zstd dictionary that zstd accepts.
#[derive(Clone, PartialEq, Eq)]
pub struct Dictionary {
    artefact: Vec<u8>,
    id: u32,
}

/// Why there is no dictionary.
#[derive(Debug, thiserror::Error)]
pub enum DictionaryError {
    /// There is too little to learn from yet.
    #[error("{samples} samples of {bytes} bytes are too few to learn a dictionary from: {needed}")]
    TooFewSamples {
        /// Samples that are not empty.
        samples: usize,
        /// Their bytes.
        bytes: usize,
        /// What it takes.
        needed: String,
    },
    /// The size asked for is out of range.
    #[error("a dictionary of {bytes} bytes cannot be made: sizes are {MIN_BYTES} to {MAX_BYTES} bytes")]
    BadSize {
        /// What was asked for.
        bytes: usize,
    },
    /// zstd found nothing in the samples that a dictionary could hold.
    #[error("zstd could not train a dictionary from {samples} samples of {bytes} bytes: {detail}")]
    Untrainable {
        /// Samples that were used.
        samples: usize,
        /// Their bytes.
        bytes: usize,
        /// What zstd said.
        detail: String,
    },
    /// The bytes are no dictionary that zstd accepts.
    #[error("this is no zstd dictionary: {detail}")]
    Invalid {
        /// What is wrong.
        detail: String,
    },
    /// zstd refused to code with it.
    #[error("zstd cannot code with this dictionary at level {level}: {detail}")]
    Coder {
        /// The level.
        level: i32,
        /// What zstd said.
        detail: String,
    },
}

impl Dictionary {
    /// Trains a dictionary of at most `bytes` bytes from what the codec will be handed: record values in the `record`
    /// layout, value columns of blocks in the `block` layout. The same samples in the same order make the same bytes.
    ///
    /// Takes about a CPU second for a dictionary of 100 KiB.
    pub fn train(samples: &[&[u8]], bytes: usize) -> Result<Self, DictionaryError> {
        if !(MIN_BYTES..=MAX_BYTES).contains(&bytes) {
            return Err(DictionaryError::BadSize { bytes });
        }
        let samples: Vec<&[u8]> = samples.iter().copied().filter(|sample| !sample.is_empty()).collect();
        let total: usize = samples.iter().map(|sample| sample.len()).sum();
        if samples.len() < MIN_SAMPLES || total < bytes {
            let needed = format!("it takes {MIN_SAMPLES} samples that hold at least the {bytes} bytes asked for");
            return Err(DictionaryError::TooFewSamples { samples: samples.len(), bytes: total, needed });
        }
        let (content, sizes) = thin_out(&samples, total, bytes.saturating_mul(SAMPLE_BYTES_PER_BYTE));
        let artefact = zstd::dict::from_continuous(&content, &sizes, bytes).map_err(|error| {
            DictionaryError::Untrainable { samples: sizes.len(), bytes: content.len(), detail: error.to_string() }
        })?;
        Ok(Self::parse(&artefact)?.with_salt(0))
    }

    /// Reads a dictionary that comes from anywhere, and checks that zstd can code with it.
    pub fn parse(artefact: &[u8]) -> Result<Self, DictionaryError> {
        let invalid = |detail: String| DictionaryError::Invalid { detail };
        if artefact.len() > MAX_BYTES {
            return Err(invalid(format!("it holds {} bytes, over the cap of {MAX_BYTES}", artefact.len())));
        }
        if artefact.len() < ID.end || !artefact.starts_with(&MAGIC) {
            return Err(invalid("it does not begin with the magic 37 a4 30 ec and an id".to_owned()));
        }
        let id = u32::from_le_bytes([artefact[4], artefact[5], artefact[6], artefact[7]]);
        if id == 0 {
            return Err(invalid("its id is 0, which a frame cannot name".to_owned()));
        }
        // Both sides are tried, because they check different things; the level does not matter to that.
        DecoderDictionary::try_copy(artefact).map_err(|error| invalid(error.to_string()))?;
        EncoderDictionary::try_copy(artefact, 1).map_err(|error| invalid(error.to_string()))?;
        Ok(Self { artefact: artefact.to_vec(), id })
    }

    /// The same dictionary under another number, for when its own is taken. Salt 0 is the number that training gives.
    ///
    /// The number is 32768 + n mod (2^31 - 32768), where n is the first eight bytes, little endian, of BLAKE3 over the
    /// dictionary with its number zeroed followed by the salt in four bytes, little endian.
    pub fn with_salt(mut self, salt: u32) -> Self {
        self.artefact[ID].fill(0);
        let hash = blake3::Hasher::new().update(&self.artefact).update(&salt.to_le_bytes()).finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        let range = u64::from(LAST_ID - FIRST_ID + 1);
        let id = FIRST_ID + u32::try_from(u64::from_le_bytes(first) % range).expect("the range is below 2^31");
        self.artefact[ID].copy_from_slice(&id.to_le_bytes());
        self.id = id;
        self
    }

    /// The number that zstd frames name it by.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its bytes, as `zstd -D` takes them.
    pub fn artefact(&self) -> &[u8] {
        &self.artefact
    }

    /// Its content address.
    pub fn model_id(&self) -> ModelId {
        ModelId::of(&self.artefact)
    }

    /// The dictionary digested for encoding at a level; made once, shared by coders.
    pub fn encoder(&self, level: i32) -> Result<EncoderDictionary<'static>, DictionaryError> {
        EncoderDictionary::try_copy(&self.artefact, level)
            .map_err(|error| DictionaryError::Coder { level, detail: error.to_string() })
    }

    /// The dictionary digested for decoding; made once, shared by coders.
    pub fn decoder(&self) -> Result<DecoderDictionary<'static>, DictionaryError> {
        DecoderDictionary::try_copy(&self.artefact)
            .map_err(|error| DictionaryError::Invalid { detail: error.to_string() })
    }
}

impl std::fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dictionary {{ id: {}, bytes: {} }}", self.id, self.artefact.len())
    }
}

/// Samples laid end to end, evenly thinned out to at most `limit` bytes (but never below [`MIN_SAMPLES`]).
fn thin_out(samples: &[&[u8]], total: usize, limit: usize) -> (Vec<u8>, Vec<usize>) {
    let keep = if total <= limit {
        samples.len()
    } else {
        let share = limit as u128 * samples.len() as u128 / total as u128;
        (share as usize).clamp(MIN_SAMPLES, samples.len())
    };
    let chosen = || (0..keep).map(|i| samples[(i as u128 * samples.len() as u128 / keep as u128) as usize]);
    let mut content = Vec::with_capacity(chosen().map(<[u8]>::len).sum());
    let mut sizes = Vec::with_capacity(keep);
    for sample in chosen() {
        content.extend_from_slice(sample);
        sizes.push(sample.len());
    }
    (content, sizes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lines of JSON as a service would log them, `offset` onwards.
    pub(crate) fn lines(offset: usize, count: usize) -> Vec<Vec<u8>> {
        let carriers = ["United Air Lines", "Delta Air Lines", "JetBlue Airways", "American Airlines"];
        (offset..offset + count)
            .map(|i| {
                let n = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
                format!(
                    r#"{{"carrier":"{}","flight":{},"origin":"EWR","destination":"{}","delay_minutes":{},"tail_number":"N{:05X}"}}"#,
                    carriers[(n % 4) as usize],
                    n % 6000,
                    ["ORD", "LAX", "BOS", "ATL", "MCO"][(n >> 8) as usize % 5],
                    n % 240,
                    n % 0xfffff,
                )
                .into_bytes()
            })
            .collect()
    }

    pub(crate) fn refs(lines: &[Vec<u8>]) -> Vec<&[u8]> {
        lines.iter().map(Vec::as_slice).collect()
    }

    #[test]
    fn the_same_samples_make_the_same_dictionary() {
        let lines = lines(0, 2000);
        let one = Dictionary::train(&refs(&lines), 4096).unwrap();
        let two = Dictionary::train(&refs(&lines), 4096).unwrap();
        assert_eq!(one, two);
        assert_eq!(Dictionary::parse(one.artefact()).unwrap(), one);
        assert_eq!(one.model_id(), ModelId::of(one.artefact()));
    }

    #[test]
    fn frames_name_the_dictionary_and_decode_with_it_alone() {
        let dictionary = Dictionary::train(&refs(&lines(0, 2000)), 4096).unwrap();
        assert!((FIRST_ID..=LAST_ID).contains(&dictionary.id()));
        assert_eq!(zstd::zstd_safe::get_dict_id_from_dict(dictionary.artefact()).unwrap().get(), dictionary.id());
        let line = &lines(5000, 1)[0];
        let encoder = dictionary.encoder(3).unwrap();
        let frame = zstd::bulk::Compressor::with_prepared_dictionary(&encoder).unwrap().compress(line).unwrap();
        assert!(frame.len() * 2 < line.len());
        assert_eq!(zstd::zstd_safe::get_dict_id_from_frame(&frame).unwrap().get(), dictionary.id());
        let decoder = dictionary.decoder().unwrap();
        let mut with = zstd::bulk::Decompressor::with_prepared_dictionary(&decoder).unwrap();
        assert_eq!(&with.decompress(&frame, line.len()).unwrap(), line);
        assert!(zstd::bulk::decompress(&frame, line.len()).is_err());
    }

    #[test]
    fn a_salt_gives_another_number_and_nothing_else() {
        let dictionary = Dictionary::train(&refs(&lines(0, 2000)), 4096).unwrap();
        let salted = dictionary.clone().with_salt(1);
        assert_ne!(salted.id(), dictionary.id());
        assert_ne!(salted.model_id(), dictionary.model_id());
        assert_eq!(salted.artefact()[ID.end..], dictionary.artefact()[ID.end..]);
        assert_eq!(salted.with_salt(0), dictionary);
    }

    #[test]
    fn too_few_samples_are_an_error_that_says_how_many_it_takes() {
        for samples in [lines(0, MIN_SAMPLES - 1), lines(0, 20), vec![Vec::new(); 5000]] {
            let error = Dictionary::train(&refs(&samples), 64 << 10).unwrap_err();
            assert!(matches!(error, DictionaryError::TooFewSamples { .. }), "{error}");
        }
        let lines = lines(0, 2000);
        assert!(matches!(Dictionary::train(&refs(&lines), 100), Err(DictionaryError::BadSize { .. })));
        assert!(matches!(Dictionary::train(&refs(&lines), usize::MAX), Err(DictionaryError::BadSize { .. })));
    }

    #[test]
    fn samples_without_anything_in_common_are_an_error_or_a_dictionary_but_no_panic() {
        use rand_chacha::rand_core::{Rng, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        for length in [1, 3, 7, 8, 40, 5000] {
            let noise: Vec<Vec<u8>> = (0..400)
                .map(|_| {
                    let mut bytes = vec![0; length];
                    rng.fill_bytes(&mut bytes);
                    bytes
                })
                .collect();
            for size in [256, 4096] {
                let _ = Dictionary::train(&refs(&noise), size).map(|dictionary| dictionary.encoder(19).unwrap());
            }
        }
    }

    #[test]
    fn thinning_out_keeps_samples_from_the_whole_span() {
        let lines = lines(0, 1000);
        let refs = refs(&lines);
        let total: usize = refs.iter().map(|line| line.len()).sum();
        let (content, sizes) = thin_out(&refs, total, total / 10);
        assert!((95..=105).contains(&sizes.len()), "{}", sizes.len());
        assert!(content.starts_with(refs[0]));
        assert_eq!(content.len(), sizes.iter().sum::<usize>());
        assert_eq!(thin_out(&refs, total, total).1.len(), 1000);
        assert_eq!(thin_out(&refs, total, 1).1.len(), MIN_SAMPLES);
    }

    #[test]
    fn an_artefact_that_is_no_dictionary_is_refused() {
        let good = Dictionary::train(&refs(&lines(0, 2000)), 4096).unwrap();
        for length in 0..300 {
            assert!(Dictionary::parse(&good.artefact()[..length.min(100)]).is_err(), "{length}");
        }
        let mut zero = good.artefact().to_vec();
        zero[ID].fill(0);
        assert!(Dictionary::parse(&zero).is_err());
        assert!(Dictionary::parse(b"").is_err());
        assert!(Dictionary::parse(b"plain text that zstd would take as raw content").is_err());
        assert!(Dictionary::parse(&vec![0; MAX_BYTES + 1]).is_err());
    }

    proptest! {
        #[test]
        fn a_damaged_dictionary_is_refused_or_codes_without_a_panic(at in 0usize..4096, value: u8) {
            use std::sync::OnceLock;
            static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
            let good = GOOD.get_or_init(|| Dictionary::train(&refs(&lines(0, 2000)), 4096).unwrap().artefact().to_vec());
            let mut damaged = good.clone();
            let at = at % damaged.len().min(600);
            damaged[at] = value;
            if let Ok(dictionary) = Dictionary::parse(&damaged) {
                let line = &lines(7, 1)[0];
                for level in [1, 3, 19] {
                    let Ok(encoder) = dictionary.encoder(level) else { continue };
                    let mut compressor = zstd::bulk::Compressor::with_prepared_dictionary(&encoder).unwrap();
                    let Ok(frame) = compressor.compress(line) else { continue };
                    let decoder = dictionary.decoder().unwrap();
                    let mut with = zstd::bulk::Decompressor::with_prepared_dictionary(&decoder).unwrap();
                    prop_assert_eq!(&with.decompress(&frame, line.len()).unwrap(), line);
                }
            }
        }
    }
}
