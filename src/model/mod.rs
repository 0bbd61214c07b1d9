//! What is learned from a topic, as data: the artefact's bytes, the manifest that describes them, the samples they are
//! learned from, and the comparison that decides whether they replace what is in use.
//!
//! Pure: no I/O, no clock, no random generator of its own. Loading a model executes nothing and trusts nothing.

pub mod classical;
pub mod columns;
pub mod dictionary;
pub mod generator;
pub mod images;
pub mod latent;
pub mod manifest;
pub mod mixture;
pub mod package;
pub mod perceptron;
pub mod reservoir;
pub mod rows;
pub mod split;

mod challenge;
pub(crate) mod chance;
mod clock;
mod form;
mod generators;
mod learned;
mod monitor;
mod plain;
mod tensors;
mod wrapped;

pub use challenge::{Decision, KAFKA, Keep, MIN_HOLDOUT, MIN_SAVING, OnLog, Rival, Saving, Sizes, Verdict, judge};
pub use classical::{ClassicalError, ClassicalImages};
pub use columns::{ColumnsCodec, ColumnsError, ColumnsGenerator, ColumnsModel};
pub use dictionary::{Dictionary, DictionaryError};
pub use generator::{Condition, DrawError, Generator, ImageGenerator};
pub use generators::{GeneratorError, is_generative, is_of_images, open_generator, open_image_generator, shape_of};
pub use images::{ImagesError, ImagesModel, ImagesParts};
pub use latent::{LatentCodec, LatentError, LatentModel, LatentParts};
pub use learned::Learned;
pub use manifest::{CurvePoint, Family, Manifest, ManifestError, Span};
pub use monitor::{Monitor, Phase, Progress, Start};
pub use reservoir::{Kept, Reservoir, Sample, Snapshot};
pub use rows::{ClassicalRows, RowsDecoder, RowsError, RowsModel};
pub use split::Split;
pub use wrapped::{WrappedError, with_wrapping};
