//! The `latent` codec: images and columns of images through a model.
//!
//! An **image** is one stream of the entropy coder: which wrapping it has, where the model has more than one; its latent;
//! its samples. A **record** on its own is that stream, which must end with an empty state; or, where that is smaller or the
//! value is no image of the model's shape, a zstd frame, which its magic tells apart. A **column** is
//!
//! ```text
//! 0 | exceptions | images        exceptions: values that are no images, or that the model does not fit
//! 1 | lengths | zstd frame
//! ```
//!
//! whichever is smaller. `FORMAT.md` has every bit.

use std::sync::Arc;

use super::{Latent, LatentModel, raise};
use crate::codec::{Algorithm, Codec, CodecError, Column, ColumnCodec, ColumnRef, ModelId};
use crate::engine::{Around, Kernel, Name, Planes, Scratch};
use crate::entropy::{Decoder, Encoder};
use crate::frame::{Reader, put_varint};
use crate::model::plain::{Plain, ZSTD_MAGIC};
use crate::payload::image::{MAX_FILTER, Opened, Wrapping};

/// States of a column's stream.
const LANES: usize = 2;

/// The first byte of a column.
const MODELLED: u8 = 0;
const PLAIN: u8 = 1;

/// Raw bits of a row's filter.
const FILTER_BITS: u32 = 3;

/// Codes with one model. Memory is taken at first use and kept.
pub struct LatentCodec {
    model: Arc<LatentModel>,
    images: Images,
    encoder: Encoder,
    plain: Plain,
    coded: Vec<u8>,
    other: Vec<u8>,
    misfits: u64,
}

/// Takes images through a model.
struct Images {
    kernel: Kernel,
    scratch: Scratch,
    planes: Planes,
    opened: Opened,
    hidden: Vec<u8>,
    latent: Vec<i16>,
    raised: Vec<u8>,
}

fn corrupt(detail: impl std::fmt::Display) -> CodecError {
    CodecError::Corrupt { algorithm: Algorithm::Latent, detail: detail.to_string() }
}

impl Images {
    /// Gives a value to the encoder; `false`, and nothing is given, when it is no image of the model's shape. `weigh` sees
    /// each sample and the name of its distribution.
    fn encode(
        &mut self,
        model: &LatentModel,
        value: &[u8],
        encoder: &mut Encoder,
        mut weigh: impl FnMut(Name, u8, Around<'_>),
    ) -> bool {
        let mut wrappings = model.wrappings.iter();
        let Some(wrapping) = wrappings.position(|one| one.open(value, model.shape, &mut self.opened)) else {
            return false;
        };
        encoder.push_raw(wrapping as u64, wrapping_bits(model));
        self.opened.filters.iter().for_each(|filter| encoder.push_raw(u64::from(*filter), FILTER_BITS));
        if let Some(latent) = &model.latent {
            let [first, second] = &latent.encoder;
            let limit = i16::from(latent.limit);
            first.relu(self.kernel, &self.opened.samples, &mut self.scratch, &mut self.hidden);
            second.signed(self.kernel, &self.hidden, limit, &mut self.scratch, &mut self.latent);
            for (number, table) in self.latent.iter().zip(&latent.tables) {
                table.encode((number + limit) as u16, encoder);
            }
            self.generate(model, latent);
        }
        model.nets.encode(self.kernel, &mut self.planes, &self.opened.samples, |name, sample, around| {
            model.samples.encode(name, sample, around, encoder);
            weigh(name, sample, around);
        });
        true
    }

    /// Appends the next value of a stream.
    fn decode<const LANES: usize>(
        &mut self,
        model: &LatentModel,
        decoder: &mut Decoder<'_, LANES>,
        limit: usize,
        output: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let wrapping = decoder.raw(wrapping_bits(model)) as usize;
        let wrapping =
            model.wrappings.get(wrapping).ok_or_else(|| corrupt("an image has a wrapping that is not there"))?;
        if model.shape.samples() > limit && !matches!(wrapping, Wrapping::Png(_)) {
            return Err(CodecError::LimitExceeded { limit });
        }
        self.opened.filters.clear();
        for _ in 0..wrapping.filters(model.shape) {
            let filter = decoder.raw(FILTER_BITS) as u8;
            if filter > MAX_FILTER {
                return Err(corrupt("a row of an image has a filter that is not there"));
            }
            self.opened.filters.push(filter);
        }
        if let Some(latent) = &model.latent {
            let limit = i16::from(latent.limit);
            self.latent.clear();
            self.latent.extend(latent.tables.iter().map(|table| table.decode(decoder) as i16 - limit));
            self.generate(model, latent);
        }
        self.opened.samples.resize(model.shape.samples(), 0);
        // By value: a decoder whose address is given away cannot live in registers.
        let mut local = *decoder;
        model.nets.decode(self.kernel, &mut self.planes, &mut self.opened.samples, |name, around| {
            model.samples.decode(name, around, &mut local)
        });
        *decoder = local;
        let start = output.len();
        wrapping.wrap(&self.opened, model.shape, output);
        if output.len() - start > limit {
            output.truncate(start);
            return Err(CodecError::LimitExceeded { limit });
        }
        Ok(())
    }

    /// Makes the features of what `self.latent` holds.
    fn generate(&mut self, model: &LatentModel, latent: &Latent) {
        if let Some(features) = &model.features {
            return self.planes.features.clone_from(features);
        }
        let [first, second] = &latent.generator;
        raise(&self.latent, &mut self.raised);
        first.relu(self.kernel, &self.raised, &mut self.scratch, &mut self.hidden);
        second.relu(self.kernel, &self.hidden, &mut self.scratch, &mut self.planes.features);
    }
}

/// Raw bits that say which wrapping an image has.
fn wrapping_bits(model: &LatentModel) -> u32 {
    model.wrappings.len().next_power_of_two().ilog2()
}

impl LatentCodec {
    /// A codec that codes with this model, and with the fastest kernel of this processor.
    pub fn new(model: Arc<LatentModel>) -> Self {
        Self::with_kernel(model, Kernel::best())
    }

    /// A codec that codes with this model and kernel. The bytes do not depend on it.
    ///
    /// # Panics
    ///
    /// When it codes, if the processor does not have the kernel.
    pub fn with_kernel(model: Arc<LatentModel>, kernel: Kernel) -> Self {
        Self {
            model,
            images: Images {
                kernel,
                scratch: Scratch::default(),
                planes: Planes::default(),
                opened: Opened::default(),
                hidden: Vec::new(),
                latent: Vec::new(),
                raised: Vec::new(),
            },
            encoder: Encoder::default(),
            plain: Plain::new(Algorithm::Latent),
            coded: Vec::new(),
            other: Vec::new(),
            misfits: 0,
        }
    }

    /// Names and samples of an image, in the order of coding.
    #[cfg(test)]
    pub(super) fn names_of(&mut self, value: &[u8]) -> Vec<(Name, u8)> {
        let model = Arc::clone(&self.model);
        let mut seen = Vec::new();
        assert!(self.images.encode(&model, value, &mut self.encoder, |name, sample, _| seen.push((name, sample))));
        seen
    }

    /// Codes a column with the model, but for values that it does not fit: so many.
    pub(super) fn encode_modelled(&mut self, values: ColumnRef<'_>, output: &mut Vec<u8>) -> Result<u64, CodecError> {
        let model = Arc::clone(&self.model);
        self.encoder.clear();
        self.other.clear();
        let (mut exceptions, mut places, mut next) = (0, Vec::new(), 0);
        for (number, value) in values_of(values).enumerate() {
            let given = self.encoder.len();
            let mut bits = 0;
            let is_image = self.images.encode(&model, value, &mut self.encoder, |name, sample, around| {
                bits += u64::from(model.samples.least_bits(name, sample, around));
            });
            if is_image && bits <= 8 * value.len() as u64 {
                continue;
            }
            self.encoder.truncate(given);
            put_varint((number - next) as u64, &mut places);
            put_varint(value.len() as u64, &mut places);
            self.other.extend_from_slice(value);
            (exceptions, next) = (exceptions + 1, number + 1);
        }
        output.push(MODELLED);
        put_varint(exceptions, output);
        if exceptions > 0 {
            output.extend_from_slice(&places);
            self.coded.clear();
            self.plain.write(&self.other, &mut self.coded)?;
            put_varint(self.coded.len() as u64, output);
            output.extend_from_slice(&self.coded);
        }
        self.encoder.finish::<LANES>(output);
        Ok(exceptions)
    }

    fn encode_plain(&mut self, values: ColumnRef<'_>, output: &mut Vec<u8>) -> Result<(), CodecError> {
        output.push(PLAIN);
        self.plain.write_column(values, output).map(drop)
    }

    fn decode_modelled(
        &mut self,
        mut rest: Reader<'_>,
        count: usize,
        limit: usize,
        column: &mut Column,
    ) -> Result<(), CodecError> {
        let model = Arc::clone(&self.model);
        let over = || CodecError::LimitExceeded { limit };
        let exceptions = rest.varint()?;
        let (mut places, mut next, mut all) = (Vec::new(), 0u64, 0u64);
        for _ in 0..exceptions {
            let number = next.saturating_add(rest.varint()?);
            if number >= count as u64 {
                return Err(corrupt("an exception is of a value that is not there"));
            }
            let length = rest.varint()?;
            all = all.checked_add(length).filter(|all| *all <= limit as u64).ok_or_else(over)?;
            places.push((number, length as usize));
            next = number + 1;
        }
        self.other.clear();
        if exceptions > 0 {
            let frame = usize::try_from(rest.varint()?).unwrap_or(usize::MAX);
            self.plain.read(rest.take(frame)?, all as usize, &mut self.other)?;
            if self.other.len() as u64 != all {
                return Err(corrupt("its exceptions have other lengths than they say"));
            }
        }
        let mut decoder = Decoder::<LANES>::new(rest.rest()).map_err(corrupt)?;
        let (start, mut taken) = (column.bytes.len(), 0);
        let mut places = places.into_iter().peekable();
        for number in 0..count as u64 {
            let left = limit - (column.bytes.len() - start);
            match places.next_if(|(place, _)| *place == number) {
                Some((_, length)) if length > left => return Err(over()),
                Some((_, length)) => {
                    column.bytes.extend_from_slice(&self.other[taken..taken + length]);
                    taken += length;
                }
                None => self.images.decode(&model, &mut decoder, left, &mut column.bytes)?,
            }
            column.ends.push(column.bytes.len() as u32);
        }
        decoder.finish().map_err(corrupt)
    }
}

/// The values of a column.
fn values_of(values: ColumnRef<'_>) -> impl Iterator<Item = &[u8]> {
    let starts = std::iter::once(0).chain(values.ends.iter().copied());
    starts.zip(values.ends).map(move |(start, end)| &values.bytes[start as usize..*end as usize])
}

impl Codec for LatentCodec {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Latent
    }

    fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), CodecError> {
        let model = Arc::clone(&self.model);
        let start = output.len();
        self.encoder.clear();
        if self.images.encode(&model, input, &mut self.encoder, |_, _, _| {}) {
            self.encoder.finish::<1>(output);
            let written = output.len() - start;
            let mistakable = output[start..].starts_with(&ZSTD_MAGIC);
            // zstd hardly makes a quarter of an image that is worth a model.
            if !mistakable && written <= input.len() / 4 {
                return Ok(());
            }
            self.coded.clear();
            self.plain.write(input, &mut self.coded).inspect_err(|_| output.truncate(start))?;
            if mistakable || self.coded.len() < written {
                output.truncate(start);
                output.extend_from_slice(&self.coded);
                self.misfits += 1;
            }
            return Ok(());
        }
        self.misfits += 1;
        self.plain.write(input, output)
    }

    fn decode(&mut self, input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
        if input.starts_with(&ZSTD_MAGIC) {
            return self.plain.read(input, limit, output);
        }
        let model = Arc::clone(&self.model);
        let start = output.len();
        let mut decoder = Decoder::<1>::new(input).map_err(corrupt)?;
        self.images
            .decode(&model, &mut decoder, limit, output)
            .and_then(|()| decoder.finish().map_err(corrupt))
            .inspect_err(|_| output.truncate(start))
    }

    fn columns(&mut self) -> Option<&mut dyn ColumnCodec> {
        Some(self)
    }

    fn model(&self) -> Option<ModelId> {
        Some(self.model.id())
    }

    fn take_misfits(&mut self) -> u64 {
        std::mem::take(&mut self.misfits)
    }
}

impl ColumnCodec for LatentCodec {
    fn encode_column(&mut self, values: ColumnRef<'_>, output: &mut Vec<u8>) -> Result<(), CodecError> {
        let start = output.len();
        let mut misfits = self.encode_modelled(values, output).inspect_err(|_| output.truncate(start))?;
        let written = output.len() - start;
        if written > values.bytes.len() / 4 {
            let modelled = output.split_off(start);
            self.encode_plain(values, output).inspect_err(|_| output.truncate(start))?;
            if modelled.len() <= output.len() - start {
                output.truncate(start);
                output.extend_from_slice(&modelled);
            } else {
                misfits = values.ends.len() as u64;
            }
        }
        self.misfits += misfits;
        Ok(())
    }

    fn decode_column(
        &mut self,
        input: &[u8],
        count: usize,
        limit: usize,
        column: &mut Column,
    ) -> Result<(), CodecError> {
        let limit = limit.min(u32::MAX as usize);
        let mut rest = Reader::new(input, 0);
        match rest.byte()? {
            MODELLED => self.decode_modelled(rest, count, limit, column),
            PLAIN => self.plain.read_column(rest, count, limit, column),
            _ => Err(corrupt("its column is coded in no way that there is")),
        }
    }
}
