//! From a codec's name to the codec.

use std::sync::Arc;

use super::{
    Algorithm, BrotliCodec, Bzip2Codec, Codec, CodecError, CodecSpec, DeflateCodec, GzipCodec, HuffmanCodec,
    IdentityCodec, Lz4Codec, LzwCodec, ModelSource, XzCodec, ZstdCodec, ZstdDictCodec,
};

/// Makes a codec. Its contexts are made at first use, so a codec that only decodes costs no encoder.
///
/// `models` is where dictionaries that frames name are looked for. `zstd-dict` made here has no dictionary of its own
/// and writes plain frames; [`ZstdDictCodec::with_dictionary`] makes one that has. Those of [`Algorithm::LEARNED`] are
/// made by [`LearnedCodecs::open`](super::LearnedCodecs::open), and are an error here.
pub fn build(spec: CodecSpec, models: &Arc<dyn ModelSource>) -> Result<Box<dyn Codec>, CodecError> {
    let level = spec.level();
    let unsigned = level.unsigned_abs();
    Ok(match spec.algorithm() {
        Algorithm::Identity => Box::new(IdentityCodec),
        Algorithm::Zlib => Box::new(DeflateCodec::zlib(unsigned)),
        Algorithm::Deflate => Box::new(DeflateCodec::raw(unsigned)),
        Algorithm::Gzip => Box::new(GzipCodec::new(unsigned)),
        Algorithm::Zstd => Box::new(ZstdCodec::new(level, models)),
        Algorithm::ZstdDict => Box::new(ZstdDictCodec::new(level, models)),
        Algorithm::Lzw => Box::new(LzwCodec::new()),
        Algorithm::Brotli => Box::new(BrotliCodec::new(level)),
        Algorithm::Lz4 => Box::new(Lz4Codec::new(level)),
        Algorithm::Xz => Box::new(XzCodec::new(unsigned)),
        Algorithm::Bzip2 => Box::new(Bzip2Codec::new(unsigned)),
        Algorithm::Huffman => Box::new(HuffmanCodec::new()),
        algorithm @ (Algorithm::Columns | Algorithm::Latent) => {
            let detail = "it is made of a model: `LearnedCodecs::open`".to_owned();
            return Err(CodecError::Coder { algorithm, detail });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::NoModels;

    #[test]
    fn every_codec_that_is_built_gives_its_input_back() {
        let models: Arc<dyn ModelSource> = Arc::new(NoModels);
        for algorithm in Algorithm::ALL {
            let mut codec = build(CodecSpec::new(algorithm), &models).unwrap();
            for input in [&b""[..], b"x", b"abcabcabcabcabcabcabcabc", &[0; 100_000]] {
                let mut coded = b"before".to_vec();
                codec.encode(input, &mut coded).unwrap();
                let mut decoded = b"before".to_vec();
                codec.decode(&coded[6..], input.len(), &mut decoded).unwrap();
                assert_eq!(&decoded[6..], input, "{algorithm}");
                let before = decoded.clone();
                codec.decode(&coded[6..coded.len() - usize::from(coded.len() > 6)], input.len(), &mut decoded).ok();
                assert!(decoded.starts_with(&before));
            }
        }
    }
}
