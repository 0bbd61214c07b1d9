//! Eigenvalues of a symmetric matrix: Jacobi's rotations, in cyclic order (Golub and Van Loan, *Matrix Computations*, 8.5).

/// Rounds over all pairs; for hundreds of rows ten are enough.
const MOST_ROUNDS: usize = 60;

/// Eigenvalues and eigenvectors of a symmetric matrix.
#[derive(Debug)]
pub(super) struct Eigen {
    pub values: Vec<f64>,
    /// `[side, side]`: a column for each value.
    pub vectors: Vec<f64>,
}

impl Eigen {
    /// Of `matrix: [side, side]`.
    pub fn of(mut matrix: Vec<f64>, side: usize) -> Self {
        let mut vectors = vec![0.0; side * side];
        (0..side).for_each(|place| vectors[place * side + place] = 1.0);
        let size: f64 = matrix.iter().map(|value| value * value).sum();
        for _ in 0..MOST_ROUNDS {
            let pairs = (0..side).flat_map(|row| (row + 1..side).map(move |column| (row, column)));
            let off: f64 = pairs.clone().map(|(row, column)| matrix[row * side + column].powi(2)).sum();
            if off <= size * 1e-26 {
                break;
            }
            pairs.for_each(|(row, column)| rotate(&mut matrix, &mut vectors, side, row, column));
        }
        Self { values: (0..side).map(|place| matrix[place * side + place]).collect(), vectors }
    }

    /// The matrix of the square roots of these values; those that rounding made negative are 0.
    pub fn root(&self) -> Vec<f64> {
        let side = self.values.len();
        let mut root = vec![0.0; side * side];
        for (place, value) in self.values.iter().enumerate() {
            let length = value.max(0.0).sqrt();
            for row in 0..side {
                let weight = self.vectors[row * side + place] * length;
                for column in 0..side {
                    root[row * side + column] += weight * self.vectors[column * side + place];
                }
            }
        }
        root
    }
}

/// Turns the plane of two rows so that what they share becomes 0.
fn rotate(matrix: &mut [f64], vectors: &mut [f64], side: usize, p: usize, q: usize) {
    let shared = matrix[p * side + q];
    if shared == 0.0 {
        return;
    }
    let slope = (matrix[q * side + q] - matrix[p * side + p]) / (2.0 * shared);
    let tangent = slope.signum() / (slope.abs() + (slope * slope + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    let turn = |values: &mut [f64], a: usize, b: usize| {
        let (x, y) = (values[a], values[b]);
        (values[a], values[b]) = (cosine * x - sine * y, sine * x + cosine * y);
    };
    (0..side).for_each(|place| turn(matrix, place * side + p, place * side + q));
    (0..side).for_each(|place| turn(matrix, p * side + place, q * side + place));
    (0..side).for_each(|place| turn(vectors, place * side + p, place * side + q));
}
