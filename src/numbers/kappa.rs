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

/// Fleiss' κ (1971): the agreement of several who each put every thing into a class, beyond chance; 1 is full,
/// 0 is what chance brings. None where nothing was put anywhere, or all was put into one class.
///
/// ```
/// // Fleiss' own kind of example: ten things, fourteen who judge, five classes.
/// let counts = [
///     [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
///     [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
/// ];
/// let counts: Vec<Vec<u64>> = counts.iter().map(|row| row.to_vec()).collect();
/// assert!((cloze::numbers::kappa::fleiss_kappa(&counts).unwrap() - 0.20993).abs() < 1e-5);
/// ```
///
/// # Shapes
/// N things, C classes: how many put each thing into each class `[N,C]`, as many for every thing, two at least
///
/// # Panics
/// Where not all things were judged by as many.
pub fn fleiss_kappa(counts: &[Vec<u64>]) -> Option<f64> {
    let first = counts.first()?;
    let judges: u64 = first.iter().sum();
    assert!(counts.iter().all(|row| row.iter().sum::<u64>() == judges), "things with fewer judges");
    let (things, pairs) = (counts.len() as f64, (judges * judges.saturating_sub(1)) as f64);
    if pairs == 0.0 {
        return None;
    }
    let agreed: u64 = counts.iter().flatten().map(|count| count * count.saturating_sub(1)).sum();
    let observed = agreed as f64 / (things * pairs);
    let share =
        |class: usize| counts.iter().map(|row| row[class]).sum::<u64>() as f64 / (things * judges as f64);
    let by_chance: f64 = (0..first.len()).map(|class| share(class).powi(2)).sum();
    (by_chance < 1.0).then(|| (observed - by_chance) / (1.0 - by_chance))
}
