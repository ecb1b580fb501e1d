//! Agreement beyond what chance alone would bring.

use std::collections::BTreeMap;

/// Cohen's κ (1960) of two labellers: the class that each gave to a row, row by row. `(agreed − expected) /
/// (1 − expected)`, in which rows are expected to agree that would if each drew classes as often as before,
/// but blindly. None where both gave one and the same class to all rows, or there are none.
///
/// ```
/// use cloze::numbers::kappa::cohen_kappa;
/// // sklearn.metrics.cohen_kappa_score([0, 0, 1, 1, 2, 2, 0, 1], [0, 1, 1, 1, 2, 0, 0, 2])
/// let one = [0, 0, 1, 1, 2, 2, 0, 1];
/// let other = [0, 1, 1, 1, 2, 0, 0, 2];
/// let rows: Vec<(usize, usize)> = one.into_iter().zip(other).collect();
/// assert!((cohen_kappa(&rows).unwrap() - 0.428_571_428_571).abs() < 1e-9);
/// assert_eq!(cohen_kappa(&[(1, 1), (1, 1)]), None);
/// ```
#[allow(clippy::cast_precision_loss)] // Rows that people labelled.
pub fn cohen_kappa(rows: &[(usize, usize)]) -> Option<f64> {
    let count = rows.len() as f64;
    let agreed = rows.iter().filter(|(one, other)| one == other).count() as f64 / count;
    let (mut ones, mut others) = (BTreeMap::<usize, f64>::new(), BTreeMap::<usize, f64>::new());
    for (one, other) in rows {
        *ones.entry(*one).or_default() += 1.0;
        *others.entry(*other).or_default() += 1.0;
    }
    let both = ones.iter().map(|(class, times)| times * others.get(class).unwrap_or(&0.0));
    let expected = both.sum::<f64>() / (count * count);
    // Not a number where there are no rows.
    (expected < 1.0).then(|| (agreed - expected) / (1.0 - expected))
}
