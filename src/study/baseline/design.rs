//! Rows as a linear classifier sees them: N rows of D numbers each, of which it wants products alone.

use ndarray::{Array2, ArrayView2, Axis};

use super::tf_idf::SparseRow;

/// N rows of D numbers. Tables of weights and of rows' scores are lists with a row's or a number's C classes
/// side by side.
pub(super) trait Design: Sized {
    /// N
    fn rows(&self) -> usize;
    /// D
    fn width(&self) -> usize;
    /// `X·W`: `[D,C]` → `[N,C]`
    fn times(&self, weights: &[f64], classes: usize) -> Vec<f64>;
    /// `Xᵀ·E`: `[N,C]` → `[D,C]`
    fn back(&self, excess: &[f64], classes: usize) -> Vec<f64>;
    /// Some of the rows.
    fn pick(&self, rows: &[usize]) -> Self;
}

/// Rows that are nearly all zeros.
pub(super) struct Sparse {
    pub rows: Vec<SparseRow>,
    pub width: usize,
}

impl Design for Sparse {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn times(&self, weights: &[f64], classes: usize) -> Vec<f64> {
        let mut found = vec![0.0; self.rows.len() * classes];
        for (row, scores) in self.rows.iter().zip(found.chunks_mut(classes)) {
            for (number, value) in row {
                let of_number = &weights[number * classes..(number + 1) * classes];
                scores.iter_mut().zip(of_number).for_each(|(score, weight)| *score += value * weight);
            }
        }
        found
    }

    fn back(&self, excess: &[f64], classes: usize) -> Vec<f64> {
        let mut found = vec![0.0; self.width * classes];
        for (row, excess) in self.rows.iter().zip(excess.chunks(classes)) {
            for (number, value) in row {
                let of_number = &mut found[number * classes..(number + 1) * classes];
                of_number.iter_mut().zip(excess).for_each(|(sum, excess)| *sum += value * excess);
            }
        }
        found
    }

    fn pick(&self, rows: &[usize]) -> Sparse {
        Sparse { rows: rows.iter().map(|row| self.rows[*row].clone()).collect(), width: self.width }
    }
}

/// Rows of which all numbers count, `[N,D]`.
pub(super) struct Dense(Array2<f64>);

impl Dense {
    /// Of rows of one width.
    pub(super) fn of(rows: &[impl AsRef<[f32]>], width: usize) -> Dense {
        let mut all = Array2::zeros([rows.len(), width]);
        for (mut place, row) in all.rows_mut().into_iter().zip(rows) {
            place.iter_mut().zip(row.as_ref()).for_each(|(place, value)| *place = f64::from(*value));
        }
        Dense(all)
    }
}

impl Design for Dense {
    fn rows(&self) -> usize {
        self.0.nrows()
    }

    fn width(&self) -> usize {
        self.0.ncols()
    }

    fn times(&self, weights: &[f64], classes: usize) -> Vec<f64> {
        self.0.dot(&table(weights, classes)).iter().copied().collect()
    }

    fn back(&self, excess: &[f64], classes: usize) -> Vec<f64> {
        self.0.t().dot(&table(excess, classes)).iter().copied().collect()
    }

    fn pick(&self, rows: &[usize]) -> Dense {
        Dense(self.0.select(Axis(0), rows))
    }
}

/// A list as a table of so many columns.
fn table(values: &[f64], columns: usize) -> ArrayView2<'_, f64> {
    ArrayView2::from_shape((values.len() / columns, columns), values)
        .unwrap_or_else(|error| unreachable!("a list of whole rows: {error}"))
}
