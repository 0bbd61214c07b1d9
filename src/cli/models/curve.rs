//! How a training went, drawn in a terminal.

use textplots::{Chart, Plot, Shape};

use crate::model::CurvePoint;

/// Width and height in dots; a character is two by four of them.
const WIDTH: u32 = 140;
const HEIGHT: u32 = 48;

/// Share of the curve's beginning that sets no scale: there the loss falls from far above.
const BEGINNING: usize = 20;

/// The curve of a training: bits for each sample over CPU seconds, of what it learned from and of what validated. `None`
/// where there are too few points.
pub fn draw(curve: &[CurvePoint]) -> Option<String> {
    let (first, last) = curve.first().zip(curve.last()).filter(|_| curve.len() >= 4)?;
    let at = |value: f64, point: &CurvePoint| (point.cpu_seconds as f32, value as f32);
    let highest = curve[curve.len() / BEGINNING..].iter().map(|point| point.loss).fold(f64::MIN, f64::max);
    let low = curve.iter().flat_map(|point| [Some(point.loss), point.validation]).flatten().fold(f64::MAX, f64::min);
    let below = |value: f64| value.min(highest);
    let losses: Vec<(f32, f32)> = curve.iter().map(|point| at(below(point.loss), point)).collect();
    let validated: Vec<(f32, f32)> =
        curve.iter().filter_map(|point| Some(at(below(point.validation?), point))).collect();
    let (from, to) = (first.cpu_seconds as f32, last.cpu_seconds as f32);
    if from >= to || low >= highest {
        return None;
    }
    let mut chart = Chart::new_with_y_range(WIDTH, HEIGHT, from, to, low as f32, highest as f32);
    let (losses, validated) = (Shape::Lines(&losses), Shape::Steps(&validated));
    let chart = chart.lineplot(&losses).lineplot(&validated);
    chart.axis();
    chart.figures();
    Some(chart.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_that_falls_is_drawn_from_the_upper_left_to_the_lower_right() {
        let points: Vec<CurvePoint> = (1..100u32)
            .map(|step| {
                let loss = 1.0 + 5.0 / f64::from(step);
                let validation = (step > 10).then_some(loss + 0.01);
                CurvePoint { step, cpu_seconds: f64::from(step) / 2.0, loss, validation }
            })
            .collect();
        let drawn = draw(&points).unwrap();
        let dots = |line: &str| line.chars().filter(|one| ('\u{2801}'..='\u{28ff}').contains(one)).count();
        let fullest = drawn.lines().enumerate().max_by_key(|(_, line)| dots(line)).unwrap();
        assert!(fullest.0 > drawn.lines().count() / 2 && dots(fullest.1) > 30, "{drawn}");
        assert!(drawn.lines().next().unwrap().trim_end().ends_with("2.0"), "{drawn}");
        assert_eq!(draw(&points[..3]), None);
        let flat = vec![CurvePoint { step: 1, cpu_seconds: 1.0, loss: 1.0, validation: None }; 9];
        assert_eq!(draw(&flat), None);
    }
}
