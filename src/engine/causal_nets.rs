//! The nets of an image's channels, evaluated for many samples at a time.

use std::ops::Range;

use super::kernels::{self, Place};
use super::net::{Frame, NetLayout};
use super::{CausalNet, Kernel, Name};

/// Bytes behind the last feature that a load may touch.
const PADDING: usize = 8;

/// The causal nets of an image's channels.
///
/// A decoder knows a sample's distribution only when it has the samples that the net looks at. In the order of rows, that is one
/// sample at a time. Here samples are coded in *fronts*: those with the same `column + skew * row`, where `skew` is the
/// least number with which every neighbour lies in an earlier front. A front of a 28x28 image has up to ten samples
/// whose distributions do not wait for one another. Channels follow one another.
#[derive(Clone, Debug)]
pub struct CausalNets {
    frame: Frame,
    channels: Vec<Channel>,
    features: usize,
}

#[derive(Clone, Debug)]
struct Channel {
    net: NetLayout,
    /// Samples in the order of coding.
    places: Vec<Place>,
    /// The number of each among all samples, in planar order.
    samples: Vec<u32>,
    /// Where each front ends.
    ends: Vec<u32>,
    /// The name of each sample whose neighbours are all 0, if features are the same for all images.
    empty: Option<Vec<Name>>,
}

/// The samples before one, 0 outside of the image.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    bytes: &'a [u8],
    at: usize,
    stride: usize,
}

impl<'a> Around<'a> {
    /// In the middle of three rows of three zeroes.
    #[cfg(test)]
    pub fn of_zeroes(bytes: &'a [u8; 9]) -> Self {
        Self { bytes, at: 4, stride: 3 }
    }

    /// The sample of the same channel so many rows and columns away: one that the sample's net looks at.
    #[inline(always)]
    pub fn at(self, row: i8, column: i8) -> u8 {
        let away = isize::from(row) * self.stride as isize + isize::from(column);
        self.bytes[self.at.wrapping_add_signed(away)]
    }
}

/// Samples that are evaluated together at most.
const TOGETHER: usize = 64;

/// An image in memory as nets look at it, and its features; reused from image to image.
#[derive(Clone, Debug, Default)]
pub struct Planes {
    bytes: Vec<u8>,
    /// Features of all samples, `[samples, features]`.
    pub features: Vec<u8>,
    names: Vec<Name>,
    waiting: Waiting,
}

/// Samples that wait to be evaluated together.
#[derive(Clone, Debug)]
struct Waiting {
    places: [Place; TOGETHER],
    /// Which name each asks for.
    at: [u16; TOGETHER],
    found: [Name; TOGETHER],
}

impl Default for Waiting {
    fn default() -> Self {
        let nowhere = Place { at: 0, features: 0 };
        Self { places: [nowhere; TOGETHER], at: [0; TOGETHER], found: [Name(0); TOGETHER] }
    }
}

impl CausalNets {
    /// The nets of an image of this size, one for each channel, with so many positions and scales.
    pub fn new(height: usize, width: usize, nets: &[CausalNet], positions: u16, scales: u16) -> Self {
        let frame = Frame::new(height, width, nets);
        let features = nets.first().map_or(0, CausalNet::features);
        let channels = nets.iter().enumerate().map(|(channel, net)| {
            let mut order: Vec<(usize, usize)> =
                (0..height).flat_map(|row| (0..width).map(move |column| (row, column))).collect();
            let skew = skew(net);
            let front = |(row, column): (usize, usize)| column + skew * row;
            order.sort_by_key(|sample| (front(*sample), sample.0));
            let number = |(row, column)| (channel * height + row) * width + column;
            let place = |sample: &(usize, usize)| Place {
                at: frame.at(channel, sample.0, sample.1) as u32,
                features: (number(*sample) * features) as u32,
            };
            let mut ends: Vec<u32> =
                (1..order.len()).filter(|at| front(order[*at]) != front(order[at - 1])).map(|at| at as u32).collect();
            ends.push(order.len() as u32);
            Channel {
                net: NetLayout::new(net, &frame, positions, scales),
                places: order.iter().map(place).collect(),
                samples: order.iter().map(|sample| number(*sample) as u32).collect(),
                ends,
                empty: None,
            }
        });
        Self { frame, channels: channels.collect(), features }
    }

    /// These nets where all images have these features, `[samples, features]`. Then a sample whose neighbours are all 0, as most
    /// of a background is, has the same name in each image, and is not evaluated again.
    ///
    /// # Panics
    ///
    /// If there are fewer features.
    pub fn with_features(mut self, features: &[u8]) -> Self {
        let mut planes = Planes { features: features.to_vec(), ..Planes::default() };
        self.begin(&mut planes);
        for channel in &mut self.channels {
            let mut names = vec![Name(0); channel.places.len()];
            let Planes { bytes, features, waiting, .. } = &mut planes;
            channel.names(Kernel::Portable, bytes, features, 0..names.len(), waiting, &mut names);
            channel.empty = Some(names);
        }
        self
    }

    /// Encodes an image: `put` is given each sample, the name of its distribution and what lies around it, in the order of coding.
    /// [`Planes::features`] are the image's.
    ///
    /// # Panics
    ///
    /// If there are more or fewer samples or features, or the processor does not have the kernel.
    #[inline]
    pub fn encode(&self, kernel: Kernel, planes: &mut Planes, image: &[u8], mut put: impl FnMut(Name, u8, Around<'_>)) {
        self.begin(planes);
        let (height, width) = (self.frame.height, self.frame.width);
        assert_eq!(image.len(), height * width * self.channels.len(), "an image has as many samples as its shape");
        for (number, row) in image.chunks_exact(width).enumerate() {
            let at = self.frame.at(number / height, number % height, 0);
            planes.bytes[at..at + width].copy_from_slice(row);
        }
        planes.names.resize(height * width, Name(0));
        for channel in &self.channels {
            let Planes { bytes, features, names, waiting } = &mut *planes;
            channel.names(kernel, bytes, features, 0..names.len(), waiting, names);
            for ((sample, place), name) in channel.samples.iter().zip(&channel.places).zip(names) {
                let around = Around { bytes, at: place.at as usize, stride: self.frame.stride() };
                put(*name, image[*sample as usize], around);
            }
        }
    }

    /// Decodes an image: `next` gives a sample for the name of its distribution and what lies around it, in the order of coding.
    /// [`Planes::features`] are the image's.
    ///
    /// # Panics
    ///
    /// If there are more or fewer samples or features, or the processor does not have the kernel.
    #[inline]
    pub fn decode(
        &self,
        kernel: Kernel,
        planes: &mut Planes,
        image: &mut [u8],
        mut next: impl FnMut(Name, Around<'_>) -> u8,
    ) {
        self.begin(planes);
        let samples = self.frame.height * self.frame.width * self.channels.len();
        assert_eq!(image.len(), samples, "an image has as many samples as its shape");
        planes.names.resize(self.frame.height * self.frame.width, Name(0));
        for channel in &self.channels {
            let mut start = 0;
            for end in &channel.ends {
                let front = start..*end as usize;
                let places = &channel.places[front.clone()];
                let names = &mut planes.names[..places.len()];
                channel.names(kernel, &planes.bytes, &planes.features, front.clone(), &mut planes.waiting, names);
                for ((place, sample), name) in places.iter().zip(&channel.samples[front]).zip(names) {
                    let around = Around { bytes: &planes.bytes, at: place.at as usize, stride: self.frame.stride() };
                    let value = next(*name, around);
                    planes.bytes[place.at as usize] = value;
                    image[*sample as usize] = value;
                }
                start = *end as usize;
            }
        }
    }

    /// Makes room. Margins stay zeroes: nothing is ever written there.
    fn begin(&self, planes: &mut Planes) {
        let features = self.features * self.frame.height * self.frame.width * self.channels.len();
        assert!(planes.features.len() >= features, "each sample has its features");
        planes.features.truncate(features);
        planes.features.resize(features + PADDING, 0);
        if planes.bytes.len() != self.frame.bytes() {
            planes.bytes.clear();
            planes.bytes.resize(self.frame.bytes(), 0);
        }
    }
}

impl Channel {
    /// The names of these samples, counted in the order of coding.
    #[inline(always)]
    fn names(
        &self,
        kernel: Kernel,
        planes: &[u8],
        features: &[u8],
        samples: Range<usize>,
        waiting: &mut Waiting,
        names: &mut [Name],
    ) {
        let places = &self.places[samples.clone()];
        let Some(empty) = &self.empty else {
            return kernels::names(kernel, &self.net, planes, features, places, names);
        };
        names.copy_from_slice(&empty[samples]);
        let Waiting { places: waits, at: asks, found } = waiting;
        let mut flush = |waits: &[Place], asks: &[u16]| {
            let found = &mut found[..waits.len()];
            kernels::names(kernel, &self.net, planes, features, waits, found);
            asks.iter().zip(found).for_each(|(at, name)| names[usize::from(*at)] = *name);
        };
        let mut count = 0;
        for (at, place) in (0..).zip(places) {
            // Without a branch: where strokes begin and end is as good as random.
            (waits[count], asks[count]) = (*place, at);
            let seen = self.net.spans.iter().fold(0, |seen, span| seen | span.of(planes, place.at));
            count += usize::from(seen != 0);
            if count == TOGETHER {
                flush(waits, asks);
                count = 0;
            }
        }
        if count > 0 {
            flush(&waits[..count], &asks[..count]);
        }
    }
}

/// The least skew of fronts with which all neighbours of the same channel lie in earlier ones.
fn skew(net: &CausalNet) -> usize {
    let above = net.neighbours().iter().filter(|near| near.channel == 0 && near.row < 0 && near.column >= 0);
    above.map(|near| near.column as usize / near.row.unsigned_abs() as usize + 1).max().unwrap_or(0)
}
