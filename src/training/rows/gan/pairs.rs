//! How far drawn rows are from real ones, of which no likelihood tells: pairs of codes.

use crate::training::rows::batches::Rows;

/// Shares of each pair of two variables' codes among real rows.
#[derive(Debug)]
pub(super) struct Pairs {
    /// By pair of heads: how many codes the second has, and the shares, `[codes, codes]`.
    shares: Vec<(usize, usize, usize, Vec<f32>)>,
    heads: usize,
}

/// Most pairs that are looked at; the first of them where there are more.
const MOST: usize = 200;

impl Pairs {
    /// Of the rows that are learned from.
    pub fn of(rows: &Rows<'_>) -> Self {
        let sizes: Vec<usize> = rows.heads().iter().map(|(_, codes)| *codes as usize).collect();
        let heads = sizes.len();
        // A variable alone is a pair with itself.
        let pairs = (0..heads).flat_map(|a| (a..heads).map(move |b| (a, b))).take(MOST);
        let own = rows.own();
        let shares = pairs.map(|(a, b)| (a, b, sizes[b], counted(&own, heads, [a, b], [sizes[a], sizes[b]])));
        Self { shares: shares.collect(), heads }
    }

    /// The mean over pairs of half the sum of shares' differences (*total variation*), of `drawn: [rows, heads]`: 0 to 1.
    pub fn distance(&self, drawn: &[i64]) -> f64 {
        let distance = |(a, b, size, shares): &(usize, usize, usize, Vec<f32>)| {
            let own = counted(drawn, self.heads, [*a, *b], [shares.len() / size, *size]);
            own.iter().zip(shares).map(|(own, real)| f64::from((own - real).abs())).sum::<f64>() / 2.0
        };
        self.shares.iter().map(distance).sum::<f64>() / self.shares.len().max(1) as f64
    }
}

fn counted(rows: &[i64], heads: usize, [a, b]: [usize; 2], sizes: [usize; 2]) -> Vec<f32> {
    let mut shares = vec![0f32; sizes[0] * sizes[1]];
    let one = heads as f32 / rows.len() as f32;
    rows.chunks_exact(heads).for_each(|row| shares[row[a] as usize * sizes[1] + row[b] as usize] += one);
    shares
}
