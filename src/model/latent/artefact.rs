//! A model as bytes: a safetensors file, written by training, read without trust.
//!
//! Layers are tensors as they are; the many frequencies of samples are packed with zstd. What is no tensor stands in the
//! file's metadata, under one key, as JSON. `FORMAT.md` has every tensor.

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::{Autoencoder, LatentError, LatentParts, MAX_LIMIT, MAX_TABLES, MAX_WRAPPINGS, OTHERS, Peaks, SampleTables};
use crate::engine::{CausalNet, Dense, MAX_NEIGHBOURS, Neighbour, OUTPUTS, Output};
use crate::frame::SHORTEST_MAGIC;
use crate::model::form::Form;
use crate::model::tensors::{Caps, Draft, File, Flaw, Tensors, numbers};
use crate::payload::image::{Shape, Wrapping};

/// Most bytes of an artefact.
pub const MAX_ARTEFACT_BYTES: usize = 64 << 20;

/// Most bytes of an artefact and of its header.
const CAPS: Caps = Caps { file: MAX_ARTEFACT_BYTES, header: 64 << 10 };

/// The format's version, without peaks and with them.
const VERSIONS: [u32; 2] = [2, 3];

/// The tensor that says nothing, and that makes the model's id begin as those do that short frames name.
const SALT: &str = "salt";

/// What is no tensor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outline {
    version: u32,
    height: usize,
    width: usize,
    channels: usize,
    /// The largest latent number; absent where there is no latent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<u8>,
    positions: u16,
    scales: u16,
    /// Only in version 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peaks: Option<PeakForm>,
    wrappings: Vec<Form>,
}

/// The highest values, whose frequencies are a tensor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeakForm {
    threshold: u8,
    near: usize,
}

/// Writes an artefact. Its id begins with [`SHORTEST_MAGIC`].
pub(super) fn write(parts: &LatentParts) -> Vec<u8> {
    let (shape, tables) = (parts.shape(), parts.tables());
    let outline = Outline {
        version: VERSIONS[usize::from(tables.peaks().is_some())],
        height: shape.height(),
        width: shape.width(),
        channels: shape.channels(),
        limit: parts.autoencoder().map(|autoencoder| autoencoder.limit),
        positions: tables.positions(),
        scales: tables.scales(),
        peaks: tables.peaks().map(|peaks| PeakForm { threshold: peaks.threshold(), near: peaks.near() }),
        wrappings: parts.wrappings().iter().map(Form::from).collect(),
    };
    let mut draft = Draft::default();
    if let Some(autoencoder) = parts.autoencoder() {
        for (name, layers) in [("encoder", &autoencoder.encoder), ("generator", &autoencoder.generator)] {
            for (number, layer) in layers.iter().enumerate() {
                put_layer(&format!("{name}.{number}"), layer, &mut draft);
            }
        }
        let shape = [autoencoder.latents(), autoencoder.levels()];
        draft.put("latents", Dtype::U16, shape, bytes(&autoencoder.frequencies));
    }
    for (number, net) in parts.nets().iter().enumerate() {
        let near = net.neighbours().iter().flat_map(|near| [near.channel, near.row, near.column]);
        let near: Vec<u8> = near.map(i8::cast_unsigned).collect();
        draft.put(format!("net.{number}.neighbours"), Dtype::I8, [net.neighbours().len(), 3], near);
        put_layer(&format!("net.{number}.hidden"), net.hidden(), &mut draft);
        put_output(&format!("net.{number}.output"), net.output(), &mut draft);
    }
    draft.put("zeroes", Dtype::U16, [tables.zeroes().len()], bytes(tables.zeroes()));
    draft.packed("tables", &bytes(tables.frequencies()));
    if let Some(peaks) = tables.peaks() {
        draft.packed("peaks", &bytes(peaks.frequencies()));
    }
    draft.put(SALT, Dtype::U8, [size_of::<u16>()], vec![0; size_of::<u16>()]);
    salted(draft.finish(&outline))
}

/// Numbers of 16 bits.
fn bytes(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// A file with the first salt, of those from its own on, that makes its id begin with [`SHORTEST_MAGIC`].
fn salted(mut file: Vec<u8>) -> Vec<u8> {
    let Some(place) = place_of_salt(&file) else { return file };
    let mut before = blake3::Hasher::new();
    before.update(&file[..place.start]);
    let first = u16::from_le_bytes([file[place.start], file[place.start + 1]]);
    // One in 256 does: that none of all does is less likely than that a memory fails.
    for salt in (0..=u16::MAX).map(|more| first.wrapping_add(more)) {
        file[place.clone()].copy_from_slice(&salt.to_le_bytes());
        if before.clone().update(&file[place.start..]).finalize().as_bytes()[0] == SHORTEST_MAGIC {
            break;
        }
    }
    file
}

/// The same model with another id that begins as well; none where it has no salt.
pub(super) fn resalted(artefact: &[u8]) -> Option<Vec<u8>> {
    let place = place_of_salt(artefact)?;
    let mut file = artefact.to_vec();
    let salt = u16::from_le_bytes([file[place.start], file[place.start + 1]]).wrapping_add(1);
    file[place].copy_from_slice(&salt.to_le_bytes());
    Some(salted(file))
}

/// Where a file's salt lies.
fn place_of_salt(file: &[u8]) -> Option<std::ops::Range<usize>> {
    let (header, metadata) = SafeTensors::read_metadata(file).ok()?;
    let (start, end) = metadata.info(SALT)?.data_offsets;
    // Behind the header's length, and the header.
    let [start, end] = [start, end].map(|at| size_of::<u64>() + header + at);
    (end.checked_sub(start)? == size_of::<u16>() && end <= file.len()).then_some(start..end)
}

fn put_layer(name: &str, layer: &Dense, draft: &mut Draft<'_>) {
    let outputs = layer.outputs();
    let mut put =
        |what: &str, dtype, shape: &[usize], bytes: Vec<u8>| draft.put(format!("{name}.{what}"), dtype, shape, bytes);
    let weights = layer.weights().iter().map(|weight| weight.cast_unsigned()).collect();
    put("weight", Dtype::I8, &[outputs, layer.inputs()], weights);
    put("bias", Dtype::I32, &[outputs], layer.bias().iter().flat_map(|bias| bias.to_le_bytes()).collect());
    put("exponent", Dtype::U8, &[outputs], layer.exponent().to_vec());
}

fn put_output(name: &str, layer: &Output, draft: &mut Draft<'_>) {
    let mut put =
        |what: &str, dtype, shape: &[usize], bytes: Vec<u8>| draft.put(format!("{name}.{what}"), dtype, shape, bytes);
    let weights = layer.weights().into_iter().flatten().flat_map(|weight| weight.to_le_bytes()).collect();
    put("weight", Dtype::I16, &[OUTPUTS, layer.inputs()], weights);
    put("bias", Dtype::I32, &[OUTPUTS], layer.bias().iter().flat_map(|bias| bias.to_le_bytes()).collect());
    put("exponent", Dtype::U8, &[OUTPUTS], layer.exponent().to_vec());
}

impl From<Flaw> for LatentError {
    fn from(flaw: Flaw) -> Self {
        Self::invalid(flaw)
    }
}

/// Reads an artefact.
pub(super) fn read(artefact: &[u8]) -> Result<LatentParts, LatentError> {
    let file = File::open(artefact, CAPS)?;
    check_version(&file)?;
    let (outline, file): (Outline, _) = (file.outline()?, Layers(file.tensors()?));

    let shape = Shape::new(outline.height, outline.width, outline.channels)?;
    let autoencoder = match outline.limit {
        Some(limit) if limit <= MAX_LIMIT => Some(Autoencoder {
            encoder: [file.layer("encoder.0")?, file.layer("encoder.1")?],
            generator: [file.layer("generator.0")?, file.layer("generator.1")?],
            limit,
            frequencies: numbers(file.0.get("latents", Dtype::U16, 2)?.data(), u16::from_le_bytes),
        }),
        Some(_) => return Err(LatentError::invalid("the limit of its latents is over 127")),
        None => None,
    };
    let nets: Result<Vec<CausalNet>, LatentError> = (0..shape.channels()).map(|channel| file.net(channel)).collect();
    let tables = usize::from(outline.positions) * usize::from(outline.scales);
    if tables > MAX_TABLES {
        return Err(LatentError::invalid(format_args!("it has {tables} tables, over the cap of {MAX_TABLES}")));
    }
    let zeroes = numbers(file.0.get("zeroes", Dtype::U16, 1)?.data(), u16::from_le_bytes);
    let frequencies = file.packed("tables", tables * OTHERS)?;
    let peaks = match &outline.peaks {
        Some(PeakForm { threshold, near }) => {
            let (values, contexts) = Peaks::size(*threshold, *near)?;
            Some(Peaks::new(*threshold, *near, file.packed("peaks", contexts * values)?)?)
        }
        None => None,
    };
    if (outline.version == VERSIONS[0]) != peaks.is_none() {
        return Err(LatentError::invalid("models of version 3 have peaks, and those of version 2 have none"));
    }
    let tables = SampleTables::new(outline.positions, outline.scales, zeroes, frequencies)?.with_peaks(peaks);
    if outline.wrappings.len() > MAX_WRAPPINGS {
        return Err(LatentError::invalid("it has more than 16 wrappings"));
    }
    let wrappings: Option<Vec<Wrapping>> = outline.wrappings.iter().map(Form::wrapping).collect();
    let wrappings = wrappings.ok_or_else(|| LatentError::invalid("a header is not of bytes"))?;
    LatentParts::new(shape, autoencoder, nets?, tables)?.with_wrappings(wrappings)
}

/// A later version is told apart before its fields are looked at.
fn check_version(file: &File<'_>) -> Result<(), LatentError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = file.outline()?;
    if VERSIONS.contains(&version) { Ok(()) } else { Err(LatentError::Version { version: version.to_string() }) }
}

/// A file's tensors, by layers.
struct Layers<'a>(Tensors<'a>);

impl<'a> Layers<'a> {
    /// Numbers of 16 bits in a zstd frame, so many at most.
    fn packed(&self, name: &str, most: usize) -> Result<Vec<u16>, LatentError> {
        Ok(numbers(&self.0.unpacked(name, 2 * most)?, u16::from_le_bytes))
    }

    fn signed(tensor: &TensorView<'a>) -> impl Iterator<Item = i8> {
        tensor.data().iter().map(|byte| byte.cast_signed())
    }

    fn layer(&self, name: &str) -> Result<Dense, LatentError> {
        let weights = self.0.get(&format!("{name}.weight"), Dtype::I8, 2)?;
        let bias = self.0.get(&format!("{name}.bias"), Dtype::I32, 1)?;
        let bias = numbers(bias.data(), i32::from_le_bytes);
        let exponent = self.0.get(&format!("{name}.exponent"), Dtype::U8, 1)?.data().to_vec();
        Ok(Dense::new(weights.shape()[1], Self::signed(&weights).collect(), bias, exponent)?)
    }

    fn net(&self, channel: usize) -> Result<CausalNet, LatentError> {
        let near = self.0.get(&format!("net.{channel}.neighbours"), Dtype::I8, 2)?;
        if near.shape()[0] > MAX_NEIGHBOURS || near.shape()[1] != 3 {
            return Err(LatentError::invalid("a net's neighbours are not up to 64 triples"));
        }
        let near: Vec<i8> = Self::signed(&near).collect();
        let near = near.as_chunks::<3>().0.iter();
        let near = near.map(|&[channel, row, column]| Neighbour { channel, row, column }).collect();
        let hidden = self.layer(&format!("net.{channel}.hidden"))?;
        Ok(CausalNet::new(near, hidden, self.output(&format!("net.{channel}.output"))?)?)
    }

    fn output(&self, name: &str) -> Result<Output, LatentError> {
        let weights = self.0.get(&format!("{name}.weight"), Dtype::I16, 2)?;
        let bias = self.0.get(&format!("{name}.bias"), Dtype::I32, 1)?;
        let exponent = self.0.get(&format!("{name}.exponent"), Dtype::U8, 1)?;
        let (&[OUTPUTS, inputs], Some(bias), Some(exponent)) =
            (weights.shape(), bias.data().as_chunks::<4>().0.as_array(), exponent.data().as_array())
        else {
            return Err(LatentError::invalid(format_args!("`{name}` does not have three outputs")));
        };
        let rows: Vec<i16> = numbers(weights.data(), i16::from_le_bytes);
        let rows = std::array::from_fn(|row| rows[row * inputs..][..inputs].to_vec());
        Ok(Output::new(rows, bias.map(i32::from_le_bytes), *exponent)?)
    }
}
