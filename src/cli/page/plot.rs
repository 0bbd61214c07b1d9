//! Plots as SVG, to stand in a page.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::model::CurvePoint;
use crate::quality::{Bins, Gate, Overlay};

/// What is real, what is generated, and what is neither.
const REAL: RGBColor = RGBColor(0x4c, 0x5c, 0x6f);
const GENERATED: RGBColor = RGBColor(0xd9, 0x6c, 0x2c);
const LINE: RGBColor = RGBColor(0xb8, 0xc0, 0xc8);
const TEXT: RGBColor = RGBColor(0x33, 0x3b, 0x44);

/// Sides of a small plot, in pixels.
const SMALL: (u32, u32) = (300, 170);
/// Sides of the learning curve.
const WIDE: (u32, u32) = (760, 260);

/// Share of a curve's beginning that sets no scale: there the loss falls from far above.
const BEGINNING: usize = 20;

type Drawing<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Draws a picture of that size. What cannot be drawn (a range of no width, numbers that are none) is no picture.
fn picture(size: (u32, u32), draw: impl FnOnce(&Drawing<'_>) -> Option<()>) -> Option<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&area)?;
        area.present().ok()?;
    }
    Some(svg)
}

fn font(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&TEXT)
}

/// How a training went: bits or loss over CPU seconds, of what was learned from and of what validated.
pub fn curve(points: &[CurvePoint]) -> Option<String> {
    let (first, last) = points.first().zip(points.last()).filter(|_| points.len() >= 4)?;
    let seconds = first.cpu_seconds..last.cpu_seconds;
    let settled = points[points.len() / BEGINNING..].iter().map(|point| point.loss);
    let high = settled.fold(f64::MIN, f64::max);
    let low = points.iter().flat_map(|point| [Some(point.loss), point.validation]).flatten().fold(f64::MAX, f64::min);
    if !(seconds.start < seconds.end && low < high) {
        return None;
    }
    let below = |value: f64| value.min(high);
    picture(WIDE, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(34)
            .y_label_area_size(56)
            .build_cartesian_2d(seconds, low..high)
            .ok()?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(LINE.mix(0.4))
            .axis_style(LINE)
            .label_style(font(12))
            .x_desc("CPU seconds")
            .draw()
            .ok()?;
        let losses = points.iter().map(|point| (point.cpu_seconds, below(point.loss)));
        let validated = points.iter().filter_map(|point| Some((point.cpu_seconds, below(point.validation?))));
        chart.draw_series(LineSeries::new(losses, REAL.stroke_width(1))).ok()?;
        chart.draw_series(LineSeries::new(validated, GENERATED.stroke_width(2))).ok()?;
        Some(())
    })
}

/// A column of held-out records, filled, and of generated ones, drawn over it.
pub fn overlay(overlay: &Overlay) -> Option<String> {
    let bins = overlay.real.len().min(overlay.generated.len());
    let most = overlay.real.iter().chain(&overlay.generated).copied().fold(0.0, f64::max);
    if bins == 0 || most <= 0.0 {
        return None;
    }
    match &overlay.bins {
        Bins::Labels(labels) => categories(overlay, labels, bins, most),
        Bins::Numbers { first, step } => histogram(overlay, (*first, *step), bins, most),
    }
}

/// A row for each category, with two bars.
fn categories(overlay: &Overlay, labels: &[String], bins: usize, most: f64) -> Option<String> {
    let (row, left, right) = (19, 128, 46);
    let size = (SMALL.0, (bins as u32 * row + 8).max(60));
    picture(size, |area| {
        let width = f64::from(size.0 - left - right);
        for (place, label) in (0..bins).zip(labels.iter().map(String::as_str).chain(std::iter::repeat(""))) {
            let top = 4 + place as i32 * row as i32;
            let fits: String = label.chars().take(20).collect();
            let ends = font(11).pos(Pos::new(HPos::Right, VPos::Center));
            area.draw(&Text::new(fits, (left as i32 - 6, top + 8), ends)).ok()?;
            for (values, from, colour) in [(&overlay.real, 1, REAL), (&overlay.generated, 9, GENERATED)] {
                let end = left as i32 + (width * values[place] / most).round() as i32;
                let bar = [(left as i32, top + from), (end.max(left as i32 + 1), top + from + 7)];
                area.draw(&Rectangle::new(bar, colour.filled())).ok()?;
            }
            let said = format!("{:.1} %", 100.0 * overlay.real[place]);
            let place = (left as i32 + width as i32 + 4, top + 8);
            area.draw(&Text::new(said, place, font(10).pos(Pos::new(HPos::Left, VPos::Center)))).ok()?;
        }
        Some(())
    })
}

/// Steps: filled for real records, a line for generated ones.
fn histogram(overlay: &Overlay, (first, step): (f64, f64), bins: usize, most: f64) -> Option<String> {
    let end = first + step * bins as f64;
    if !first.is_finite() || !step.is_finite() || first >= end {
        return None;
    }
    picture(SMALL, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(18)
            .x_label_area_size(22)
            .build_cartesian_2d(first..end, 0.0..most * 1.05)
            .ok()?;
        chart
            .configure_mesh()
            .disable_mesh()
            .disable_y_axis()
            .axis_style(LINE)
            .x_labels(5)
            .x_label_formatter(&|at| number(*at, step))
            .label_style(font(11))
            .draw()
            .ok()?;
        let at = |bin: usize| first + step * bin as f64;
        let bar =
            |bin: usize| Rectangle::new([(at(bin), 0.0), (at(bin + 1), overlay.real[bin])], REAL.mix(0.45).filled());
        chart.draw_series((0..bins).map(bar)).ok()?;
        let steps =
            (0..bins).flat_map(|bin| [(at(bin), overlay.generated[bin]), (at(bin + 1), overlay.generated[bin])]);
        chart.draw_series(LineSeries::new(steps, GENERATED.stroke_width(2))).ok()?;
        Some(())
    })
}

/// A number on an axis whose bins are so wide.
fn number(value: f64, step: f64) -> String {
    let digits = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let size = value.abs();
    if size >= 1e7 {
        return format!("{value:.1e}");
    }
    format!("{value:.digits$}")
}

/// A gate over the judgements of a model, oldest first, with the threshold of the newest.
pub fn history(gates: &[(f64, &Gate)]) -> Option<String> {
    let values = gates.iter().map(|(_, gate)| gate.value).filter(|value| value.is_finite());
    let threshold = gates.last().and_then(|(_, gate)| gate.threshold());
    let (low, high) =
        values.chain(threshold).fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    let (from, to) = (gates.first()?.0, gates.last()?.0);
    if gates.len() < 2 || from >= to || low > high {
        return None;
    }
    let room = ((high - low) * 0.1).max(1e-3);
    picture(SMALL, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .x_label_area_size(22)
            .y_label_area_size(44)
            .build_cartesian_2d(from..to, low - room..high + room)
            .ok()?;
        chart
            .configure_mesh()
            .disable_mesh()
            .axis_style(LINE)
            .x_labels(4)
            .y_labels(4)
            .x_label_formatter(&|at| format!("{at:.0} min"))
            .y_label_formatter(&|at| format!("{at:.3}"))
            .label_style(font(11))
            .draw()
            .ok()?;
        if let Some(threshold) = threshold {
            chart.draw_series(LineSeries::new([(from, threshold), (to, threshold)], LINE.stroke_width(1))).ok()?;
        }
        let line = gates.iter().map(|(at, gate)| (*at, gate.value));
        chart.draw_series(LineSeries::new(line, GENERATED.stroke_width(2))).ok()?;
        Some(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        let labels = Bins::Labels(vec!["a & b".to_owned(), "c".to_owned()]);
        let shown =
            overlay(&Overlay { name: "x".to_owned(), bins: labels, real: vec![0.9, 0.1], generated: vec![0.3, 0.7] });
        let shown = shown.unwrap();
        let widths: Vec<i32> = shown
            .split("<rect ")
            .skip(1)
            .map(|rect| rect.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect();
        // Row by row: real, generated.
        assert_eq!(widths, [126, 42, 14, 98], "{shown}");
        assert!(shown.contains("a &amp; b") && shown.contains("90.0 %"), "{shown}");
    }

    #[test]
    fn what_has_no_extent_is_no_plot() {
        let flat = vec![CurvePoint { step: 1, cpu_seconds: 1.0, loss: 1.0, validation: None }; 9];
        assert_eq!(curve(&flat), None);
        let point =
            |step: u32| CurvePoint { step, cpu_seconds: step.into(), loss: 9.0 / f64::from(step), validation: None };
        assert!(curve(&(1..30).map(point).collect::<Vec<_>>()).unwrap().contains("<polyline"));
        let nothing = |bins| Overlay { name: String::new(), bins, real: Vec::new(), generated: Vec::new() };
        assert_eq!(overlay(&nothing(Bins::Labels(Vec::new()))), None);
        assert_eq!(overlay(&nothing(Bins::Numbers { first: 0.0, step: 1.0 })), None);
        assert_eq!(history(&[]), None);
    }

    #[test]
    fn numbers_on_an_axis_have_the_digits_that_tell_bins_apart() {
        assert_eq!([number(20.0, 2.0), number(0.15, 0.05), number(2e9, 1e8)], ["20", "0.15", "2.0e9"]);
    }
}
