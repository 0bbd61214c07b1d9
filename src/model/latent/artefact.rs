//! A model as bytes: a safetensors file, written by training, read without trust.
//!
//! Layers are tensors as they are; the many frequencies of samples are packed with zstd. What is no tensor stands in the
//! file's metadata, under one key, as JSON. `FORMAT.md` has every tensor.

use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::{Autoencoder, LatentError, LatentParts, MAX_LIMIT, MAX_TABLES, MAX_WRAPPINGS, OTHERS, Peaks, SampleTables};
use crate::engine::{CausalNet, Dense, MAX_NEIGHBOURS, Neighbour, OUTPUTS, Output};
use crate::frame::SHORTEST_MAGIC;
use crate::model::form::Form;
use crate::payload::image::{Shape, Wrapping};

/// Most bytes of an artefact.
pub const MAX_ARTEFACT_BYTES: usize = 64 << 20;

/// Most bytes of a file's header: names, shapes, places and metadata.
const MAX_HEADER_BYTES: u64 = 64 << 10;

/// The metadata's key.
const KEY: &str = "latentd";

/// The format's version, without peaks and with them.
const VERSIONS: [u32; 2] = [2, 3];

/// The tensor that says nothing, and that makes the model's id begin as those do that short frames name.
const SALT: &str = "salt";

/// zstd's level for tables: they are written once.
const LEVEL: i32 = 19;

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

/// A tensor on its way into a file.
struct Out {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
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
    let outline = serde_json::to_string(&outline).expect("numbers and texts are JSON");
    let mut tensors = Vec::new();
    if let Some(autoencoder) = parts.autoencoder() {
        for (name, layers) in [("encoder", &autoencoder.encoder), ("generator", &autoencoder.generator)] {
            for (number, layer) in layers.iter().enumerate() {
                put_layer(&format!("{name}.{number}"), layer, &mut tensors);
            }
        }
        let shape = vec![autoencoder.latents(), autoencoder.levels()];
        let bytes = autoencoder.frequencies.iter().flat_map(|frequency| frequency.to_le_bytes()).collect();
        tensors.push(Out { name: "latents".to_owned(), dtype: Dtype::U16, shape, bytes });
    }
    for (number, net) in parts.nets().iter().enumerate() {
        let near = net.neighbours().iter().flat_map(|near| [near.channel, near.row, near.column]);
        let bytes: Vec<u8> = near.map(i8::cast_unsigned).collect();
        let shape = vec![net.neighbours().len(), 3];
        tensors.push(Out { name: format!("net.{number}.neighbours"), dtype: Dtype::I8, shape, bytes });
        put_layer(&format!("net.{number}.hidden"), net.hidden(), &mut tensors);
        put_output(&format!("net.{number}.output"), net.output(), &mut tensors);
    }
    let bytes = tables.zeroes().iter().flat_map(|frequency| frequency.to_le_bytes()).collect();
    tensors.push(Out { name: "zeroes".to_owned(), dtype: Dtype::U16, shape: vec![tables.zeroes().len()], bytes });
    tensors.push(packed("tables", tables.frequencies()));
    tensors.extend(tables.peaks().map(|peaks| packed("peaks", peaks.frequencies())));
    let salt = vec![0; size_of::<u16>()];
    tensors.push(Out { name: SALT.to_owned(), dtype: Dtype::U8, shape: vec![salt.len()], bytes: salt });
    let views = tensors.iter().map(|tensor| {
        let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes);
        (tensor.name.as_str(), view.expect("each tensor has the bytes of its shape"))
    });
    let metadata = HashMap::from([(KEY.to_owned(), outline)]);
    salted(safetensors::serialize(views, Some(metadata)).expect("tensors of a few megabytes fit a file"))
}

/// Many numbers of 16 bits.
fn packed(name: &str, numbers: &[u16]) -> Out {
    let raw: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let bytes = zstd::bulk::compress(&raw, LEVEL).expect("zstd has a level 19, and memory for a few megabytes");
    Out { name: name.to_owned(), dtype: Dtype::U8, shape: vec![bytes.len()], bytes }
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

fn put_layer(name: &str, layer: &Dense, tensors: &mut Vec<Out>) {
    let outputs = layer.outputs();
    let mut put =
        |what: &str, dtype, shape, bytes| tensors.push(Out { name: format!("{name}.{what}"), dtype, shape, bytes });
    let weights = layer.weights().iter().map(|weight| weight.cast_unsigned()).collect();
    put("weight", Dtype::I8, vec![outputs, layer.inputs()], weights);
    put("bias", Dtype::I32, vec![outputs], layer.bias().iter().flat_map(|bias| bias.to_le_bytes()).collect());
    put("exponent", Dtype::U8, vec![outputs], layer.exponent().to_vec());
}

fn put_output(name: &str, layer: &Output, tensors: &mut Vec<Out>) {
    let mut put =
        |what: &str, dtype, shape, bytes| tensors.push(Out { name: format!("{name}.{what}"), dtype, shape, bytes });
    let weights = layer.weights().into_iter().flatten().flat_map(|weight| weight.to_le_bytes()).collect();
    put("weight", Dtype::I16, vec![OUTPUTS, layer.inputs()], weights);
    put("bias", Dtype::I32, vec![OUTPUTS], layer.bias().iter().flat_map(|bias| bias.to_le_bytes()).collect());
    put("exponent", Dtype::U8, vec![OUTPUTS], layer.exponent().to_vec());
}

/// Reads an artefact.
pub(super) fn read(artefact: &[u8]) -> Result<LatentParts, LatentError> {
    if artefact.len() > MAX_ARTEFACT_BYTES {
        let size = artefact.len();
        return Err(LatentError::invalid(format_args!("it has {size} bytes, over the cap of {MAX_ARTEFACT_BYTES}")));
    }
    // The header is parsed whole, so that its length is looked at first.
    let header = artefact.first_chunk().map(|length| u64::from_le_bytes(*length));
    if header.is_none_or(|length| length > MAX_HEADER_BYTES) {
        return Err(LatentError::invalid("it does not begin like a safetensors file with a header of 64 KiB at most"));
    }
    let (_, metadata) = SafeTensors::read_metadata(artefact).map_err(LatentError::invalid)?;
    let outline = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
    let outline = outline.ok_or_else(|| LatentError::invalid("its metadata has no key `latentd`"))?;
    check_version(outline)?;
    let outline: Outline = serde_json::from_str(outline).map_err(LatentError::invalid)?;
    let file = Tensors(SafeTensors::deserialize(artefact).map_err(LatentError::invalid)?);

    let shape = Shape::new(outline.height, outline.width, outline.channels)?;
    let autoencoder = match outline.limit {
        Some(limit) if limit <= MAX_LIMIT => Some(Autoencoder {
            encoder: [file.layer("encoder.0")?, file.layer("encoder.1")?],
            generator: [file.layer("generator.0")?, file.layer("generator.1")?],
            limit,
            frequencies: numbers(file.get("latents", Dtype::U16, 2)?.data()),
        }),
        Some(_) => return Err(LatentError::invalid("the limit of its latents is over 127")),
        None => None,
    };
    let nets: Result<Vec<CausalNet>, LatentError> = (0..shape.channels()).map(|channel| file.net(channel)).collect();
    let tables = usize::from(outline.positions) * usize::from(outline.scales);
    if tables > MAX_TABLES {
        return Err(LatentError::invalid(format_args!("it has {tables} tables, over the cap of {MAX_TABLES}")));
    }
    let zeroes = numbers(file.get("zeroes", Dtype::U16, 1)?.data());
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
fn check_version(outline: &str) -> Result<(), LatentError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_str(outline).map_err(LatentError::invalid)?;
    if VERSIONS.contains(&version) { Ok(()) } else { Err(LatentError::Version { version: version.to_string() }) }
}

/// Numbers of 16 bits.
fn numbers(bytes: &[u8]) -> Vec<u16> {
    bytes.as_chunks::<2>().0.iter().map(|number| u16::from_le_bytes(*number)).collect()
}

/// A file's tensors.
struct Tensors<'a>(SafeTensors<'a>);

impl<'a> Tensors<'a> {
    /// A tensor of this type and rank.
    fn get(&self, name: &str, dtype: Dtype, rank: usize) -> Result<TensorView<'a>, LatentError> {
        let tensor =
            self.0.tensor(name).map_err(|_| LatentError::invalid(format_args!("it has no tensor `{name}`")))?;
        match tensor.dtype() == dtype && tensor.shape().len() == rank {
            true => Ok(tensor),
            false => Err(LatentError::invalid(format_args!("its tensor `{name}` is of another type or rank"))),
        }
    }

    /// Numbers of 16 bits in a zstd frame, so many at most.
    fn packed(&self, name: &str, most: usize) -> Result<Vec<u16>, LatentError> {
        let raw = zstd::bulk::decompress(self.get(name, Dtype::U8, 1)?.data(), 2 * most);
        let raw =
            raw.map_err(|error| LatentError::invalid(format_args!("its tensor `{name}` does not unpack: {error}")))?;
        Ok(numbers(&raw))
    }

    fn signed(tensor: &TensorView<'a>) -> impl Iterator<Item = i8> {
        tensor.data().iter().map(|byte| byte.cast_signed())
    }

    fn layer(&self, name: &str) -> Result<Dense, LatentError> {
        let weights = self.get(&format!("{name}.weight"), Dtype::I8, 2)?;
        let bias = self.get(&format!("{name}.bias"), Dtype::I32, 1)?;
        let bias = bias.data().as_chunks::<4>().0.iter().map(|bias| i32::from_le_bytes(*bias)).collect();
        let exponent = self.get(&format!("{name}.exponent"), Dtype::U8, 1)?.data().to_vec();
        Ok(Dense::new(weights.shape()[1], Self::signed(&weights).collect(), bias, exponent)?)
    }

    fn net(&self, channel: usize) -> Result<CausalNet, LatentError> {
        let near = self.get(&format!("net.{channel}.neighbours"), Dtype::I8, 2)?;
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
        let weights = self.get(&format!("{name}.weight"), Dtype::I16, 2)?;
        let bias = self.get(&format!("{name}.bias"), Dtype::I32, 1)?;
        let exponent = self.get(&format!("{name}.exponent"), Dtype::U8, 1)?;
        let (&[OUTPUTS, inputs], Some(bias), Some(exponent)) =
            (weights.shape(), bias.data().as_chunks::<4>().0.as_array(), exponent.data().as_array())
        else {
            return Err(LatentError::invalid(format_args!("`{name}` does not have three outputs")));
        };
        let rows: Vec<i16> =
            weights.data().as_chunks::<2>().0.iter().map(|weight| i16::from_le_bytes(*weight)).collect();
        let rows = std::array::from_fn(|row| rows[row * inputs..][..inputs].to_vec());
        Ok(Output::new(rows, bias.map(i32::from_le_bytes), *exponent)?)
    }
}
