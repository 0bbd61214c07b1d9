//! How alike columns, and pairs of columns, of two tables are distributed: the definitions of SDMetrics (DataCebo, version
//! 0.32), each 1 where they are the same and 0 where they have nothing in common.

use super::table::{Values, sorted};

/// Bins that a column of numbers is cut into beside one of codes; `num_discrete_bins` of SDMetrics.
const BINS: usize = 10;

/// `KSComplement`: 1 - sup |F - G|, the Kolmogorov-Smirnov statistic of the numbers that there are; `None` where a side has
/// none.
pub(super) fn ks_complement(real: &[f64], other: &[f64]) -> Option<f64> {
    let (real, other) = (sorted(real), sorted(other));
    if real.is_empty() || other.is_empty() {
        return None;
    }
    let (mut i, mut j, mut most) = (0, 0, 0.0f64);
    while i < real.len() && j < other.len() {
        let at = real[i].min(other[j]);
        while i < real.len() && real[i] <= at {
            i += 1;
        }
        while j < other.len() && other[j] <= at {
            j += 1;
        }
        most = most.max((i as f64 / real.len() as f64 - j as f64 / other.len() as f64).abs());
    }
    Some(1.0 - most)
}

/// `TVComplement`: 1 - ½ Σ |p - q| over the codes below `values`, which are those of values and not of NULL; `None` where a
/// side has none.
pub(super) fn tv_complement(real: &[u32], other: &[u32], values: u32) -> Option<f64> {
    let frequencies = |codes: &[u32]| {
        let mut counts = vec![0u32; values as usize];
        codes.iter().filter(|code| **code < values).for_each(|code| counts[*code as usize] += 1);
        let all: u32 = counts.iter().sum();
        (all > 0).then(|| counts.into_iter().map(|count| f64::from(count) / f64::from(all)).collect::<Vec<_>>())
    };
    let (real, other) = (frequencies(real)?, frequencies(other)?);
    Some(1.0 - 0.5 * real.iter().zip(&other).map(|(p, q)| (p - q).abs()).sum::<f64>())
}

/// `CorrelationSimilarity`: 1 - ½ |r - s| of Pearson's coefficients over the rows that have both numbers; `None` where a
/// side's numbers do not vary.
pub(super) fn correlation_similarity(real: [&[f64]; 2], other: [&[f64]; 2]) -> Option<f64> {
    Some(1.0 - (pearson(real[0], real[1])? - pearson(other[0], other[1])?).abs() / 2.0)
}

fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let pairs = || a.iter().zip(b).filter(|(a, b)| !a.is_nan() && !b.is_nan());
    let count = pairs().count().max(1) as f64;
    let mean = |sum: f64| sum / count;
    let (x, y) = (mean(pairs().map(|(a, _)| a).sum()), mean(pairs().map(|(_, b)| b).sum()));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (a, b) in pairs() {
        xx += (a - x) * (a - x);
        yy += (b - y) * (b - y);
        xy += (a - x) * (b - y);
    }
    let r = xy / (xx.sqrt() * yy.sqrt());
    r.is_finite().then_some(r)
}

/// `ContingencySimilarity`: 1 - ½ Σ |p - q| over all pairs of codes, those of NULL too. Codes are few.
pub(super) fn contingency_similarity(real: [&[u32]; 2], other: [&[u32]; 2]) -> Option<f64> {
    if real[0].is_empty() || other[0].is_empty() {
        return None;
    }
    let most = |place: usize| real[place].iter().chain(other[place]).max().map_or(0, |most| *most as usize + 1);
    let (height, width) = (most(0), most(1));
    let frequencies = |[a, b]: [&[u32]; 2]| {
        let mut counts = vec![0u32; height * width];
        a.iter().zip(b).for_each(|(a, b)| counts[*a as usize * width + *b as usize] += 1);
        let rows = a.len() as f64;
        counts.into_iter().map(move |count| f64::from(count) / rows)
    };
    Some(1.0 - 0.5 * frequencies(real).zip(frequencies(other)).map(|(p, q)| (p - q).abs()).sum::<f64>())
}

/// Numbers of two tables as codes of ten bins between the least and the greatest real one, the first and the last open; a
/// missing number is a code of its own.
fn binned(real: &[f64], other: &[f64]) -> Option<[Vec<u32>; 2]> {
    let numbers = || real.iter().copied().filter(|number| !number.is_nan());
    let (least, most) = (numbers().reduce(f64::min)?, numbers().reduce(f64::max)?);
    // As `numpy.histogram_bin_edges` has it, so that one value has bins around it.
    let (least, most) = if least == most { (least - 0.5, most + 0.5) } else { (least, most) };
    let width = (most - least) / BINS as f64;
    let edges: Vec<f64> = (1..BINS).map(|edge| least + width * edge as f64).collect();
    let code = |number: &f64| {
        if number.is_nan() { BINS as u32 } else { edges.partition_point(|edge| *edge <= *number) as u32 }
    };
    Some([real, other].map(|numbers| numbers.iter().map(code).collect()))
}

/// How alike the pairs of two columns are: by correlation where both are numbers, else by contingency.
pub(super) fn pair_similarity(real: [&Values; 2], other: [&Values; 2]) -> Option<f64> {
    match (real, other) {
        ([Values::Numbers(a), Values::Numbers(b)], [Values::Numbers(c), Values::Numbers(d)]) => {
            correlation_similarity([a, b], [c, d])
        }
        ([Values::Codes(a), Values::Codes(b)], [Values::Codes(c), Values::Codes(d)]) => {
            contingency_similarity([a, b], [c, d])
        }
        ([Values::Numbers(a), Values::Codes(b)], [Values::Numbers(c), Values::Codes(d)])
        | ([Values::Codes(b), Values::Numbers(a)], [Values::Codes(d), Values::Numbers(c)]) => {
            let [a, c] = binned(a, c)?;
            contingency_similarity([&a, b], [&c, d])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_are_alike_and_others_are_not() {
        let numbers = [3.0, 1.0, 2.0, f64::NAN];
        assert_eq!(ks_complement(&numbers, &numbers), Some(1.0));
        assert_eq!(ks_complement(&numbers, &[9.0]), Some(0.0));
        assert_eq!(ks_complement(&numbers, &[f64::NAN]), None);
        // F and G differ most between 1 and 2: 1/3 against 1/2... and from 2 on: 2/3 against 1.
        assert!((ks_complement(&numbers, &[1.0, 2.0]).unwrap() - (1.0 - 1.0 / 3.0)).abs() < 1e-12);
        assert_eq!(tv_complement(&[0, 0, 1, 9], &[0, 1, 1, 1], 3), Some(1.0 - (2.0 / 3.0 - 0.25)));
        assert_eq!(tv_complement(&[9], &[0], 3), None);
        let (a, b, c) = ([1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [6.0, 4.0, 2.0]);
        assert!((correlation_similarity([&a, &b], [&a, &b]).unwrap() - 1.0).abs() < 1e-12);
        assert!(correlation_similarity([&a, &b], [&a, &c]).unwrap().abs() < 1e-12);
        assert_eq!(correlation_similarity([&a, &[1.0; 3]], [&a, &c]), None);
        assert_eq!(contingency_similarity([&[0, 1], &[0, 1]], [&[0, 1], &[1, 0]]), Some(0.0));
        assert_eq!(contingency_similarity([&[0, 1], &[0, 1]], [&[1, 0], &[1, 0]]), Some(1.0));
    }

    #[test]
    fn numbers_beside_codes_are_cut_at_the_edges_of_real_ones() {
        let [real, other] = binned(&[0.0, 10.0, 1.0, f64::NAN], &[-5.0, 0.99, 9.0, 99.0]).unwrap();
        assert_eq!(real, [0, 9, 1, 10]);
        assert_eq!(other, [0, 0, 9, 9]);
    }
}
