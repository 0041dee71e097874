//! 8-bit weights: symmetric, one scale per row, rounded half to even.
use super::weights::Matrix;

/// A matrix in 8 bits: row `r` is `data[r] * scales[r]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantized {
    /// One scale per row.
    pub scales: Vec<f32>,
    /// The rows, one after the other, between -127 and 127.
    pub data: Vec<i8>,
}

/// Quantises each row by its own largest magnitude. The error of a value is at most half its row's
/// scale.
pub fn by_row(matrix: &Matrix) -> Quantized {
    let mut scales = Vec::with_capacity(matrix.rows);
    let mut data = Vec::with_capacity(matrix.data.len());
    for row in matrix.data.chunks_exact(matrix.columns) {
        let largest = row.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        // A row of zeros needs some scale; a scale below the normal range would overflow below.
        let scale = (largest / 127.0).max(f32::MIN_POSITIVE);
        scales.push(scale);
        data.extend(row.iter().map(|v| (v / scale).round_ties_even().clamp(-127.0, 127.0) as i8));
    }
    Quantized { scales, data }
}

impl Quantized {
    /// The values around `zero` as `[columns, rows]`, the order in which a matrix is multiplied from
    /// the right.
    pub fn transposed_data(&self, zero: u8) -> Vec<u8> {
        let rows = self.scales.len();
        let columns = self.data.len() / rows.max(1);
        let mut data = Vec::with_capacity(self.data.len());
        for column in 0..columns {
            data.extend(
                (0..rows).map(|row| zero.wrapping_add_signed(self.data[row * columns + column])),
            );
        }
        data
    }
}
