//! The bytes themselves, under the same cap as everything else.

use super::{Algorithm, Codec, CodecError};

/// Copies.
pub struct IdentityCodec;

impl Codec for IdentityCodec {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Identity
    }

    fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), CodecError> {
        output.extend_from_slice(input);
        Ok(())
    }

    fn decode(&mut self, input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
        if input.len() > limit {
            return Err(CodecError::LimitExceeded { limit });
        }
        output.extend_from_slice(input);
        Ok(())
    }
}
