//! Kafka's own compression, as a producer with `compression.type=zstd` compresses a batch: the rival of all that is written here.

/// Kafka's default level for zstd.
const LEVEL: i32 = 3;

/// Uncompressed bytes of a busy Java producer's batch: its `batch.size` of 16 KiB counts compressed bytes.
pub const BATCH_BYTES: usize = 128 << 10;

/// Appends the compressed records of a batch.
pub type Compress = Box<dyn FnMut(&[u8], &mut Vec<u8>) -> Result<(), String> + Send>;

/// A plain zstd frame of each batch. The context is made once.
pub fn compressor() -> Compress {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL);
    Box::new(move |plain, coded| {
        let compressor = compressor.as_mut().map_err(|error| error.to_string())?;
        let frame = compressor.compress(plain).map_err(|error| error.to_string())?;
        coded.extend_from_slice(&frame);
        Ok(())
    })
}
