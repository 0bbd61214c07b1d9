//! Wire bytes: the frame header, the primitive encodings that the block container is made of, and Kafka's own record
//! batch, which is the rival that every saving is measured against.
//!
//! Nothing here knows a codec: bytes are coded by whoever calls. `FORMAT.md` describes every bit of it.

mod batch_sizer;
mod bits;
mod digest;
mod error;
mod header;
mod integers;
mod kafka_batch;
mod varint;

pub use batch_sizer::{BatchSizer, BatchTotals};
pub use bits::{Bit, BitDecoder, BitEncoder};
pub use digest::{Digest, checksum, record_checksum};
pub use error::FrameError;
pub use header::{
    CHECKSUM_AT, FrameHeader, Guard, HEADER_LEN, Kind, MAGIC, RESERVED_CODEC_BYTE, SHORT_CODEC, SHORT_MAGIC,
    SHORTEST_MAGIC, VERSION, starts_like_a_frame,
};
pub use integers::{IntegerDecoder, IntegerEncoder, IntegerModels, UnknownShape};
pub use kafka_batch::{BATCH_HEADER_LEN, BatchCompression, RecordBatch, record_len};
pub use varint::{Reader, put_signed, put_varint, unzigzag, varint_len, zigzag};
