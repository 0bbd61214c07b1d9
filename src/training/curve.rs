//! How a training went: its loss, step by step, in few points.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::CurvePoint;

/// Most points of a curve.
pub const MAX_POINTS: usize = 256;

/// Points of the same number of steps each; when there are too many, two become one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Curve {
    points: Vec<CurvePoint>,
    /// Steps of a point.
    stride: u32,
    /// The sum of the losses since the last point, and their number.
    sum: f64,
    count: u32,
}

impl Default for Curve {
    fn default() -> Self {
        Self { points: Vec::new(), stride: 1, sum: 0.0, count: 0 }
    }
}

impl Curve {
    /// Adds a step. A loss that is no number is none.
    pub fn add(&mut self, step: u32, cpu: Duration, loss: f64, validation: Option<f64>) {
        if !loss.is_finite() {
            return;
        }
        (self.sum, self.count) = (self.sum + loss, self.count + 1);
        if self.count < self.stride {
            return;
        }
        if self.points.len() == MAX_POINTS {
            let merged = self.points.chunks(2).map(|pair| {
                let loss = pair.iter().map(|point| point.loss).sum::<f64>() / pair.len() as f64;
                CurvePoint { loss, ..pair[pair.len() - 1] }
            });
            self.points = merged.collect();
            self.stride = self.stride.saturating_mul(2);
        } else {
            let loss = self.sum / f64::from(self.count);
            self.points.push(CurvePoint { step, cpu_seconds: cpu.as_secs_f64(), loss, validation });
            (self.sum, self.count) = (0.0, 0);
        }
    }

    /// All points; the last may have fewer steps than the others.
    pub fn finish(mut self, step: u32, cpu: Duration, validation: Option<f64>) -> Vec<CurvePoint> {
        if self.count > 0 && self.points.last().is_none_or(|last| last.step < step) {
            let loss = self.sum / f64::from(self.count);
            self.points.push(CurvePoint { step, cpu_seconds: cpu.as_secs_f64(), loss, validation });
        }
        self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_has_few_points_whatever_its_steps_and_loses_none_of_their_losses() {
        for steps in [1u32, 5, 256, 257, 258, 1000, 4321] {
            let mut curve = Curve::default();
            for step in 1..=steps {
                curve.add(step, Duration::from_secs(step.into()), f64::from(step), Some(0.5));
            }
            curve.add(steps, Duration::ZERO, f64::NAN, None);
            let points = curve.finish(steps, Duration::from_secs(steps.into()), Some(0.5));
            assert!(points.len() <= MAX_POINTS + 1 && points.len() >= (steps as usize).min(MAX_POINTS / 2));
            assert!(points.windows(2).all(|pair| pair[0].step < pair[1].step));
            assert_eq!(points.last().unwrap().step, steps);
            let ends = std::iter::once(0).chain(points.iter().map(|point| point.step));
            let sum: f64 =
                points.iter().zip(ends).map(|(point, before)| point.loss * f64::from(point.step - before)).sum();
            let all = f64::from(steps) * f64::from(steps + 1) / 2.0;
            assert!((sum - all).abs() < 1e-6 * all, "{steps}: {sum} {all}");
        }
    }
}
