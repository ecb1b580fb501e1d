//! Labels that may be wrong: confident learning (Northcutt et al. 2021).
//!
//! A logistic regression on a model's states says how probable each label of a row is that it has not learned
//! (five parts, each left out once). A label is in doubt where another one is likelier, and as probable as it is
//! on average in the rows that have it.

use rand::seq::SliceRandom as _;

use crate::predict::report::Prediction;
use crate::seed;
use crate::study::baseline::logistic_regression_on_vectors;

/// Parts of the rows, each answered by what the others teach.
const PARTS: usize = 5;

/// As in scikit-learn, unless it is chosen: there are too few rows to choose it for each part.
const C: f64 = 1.0;

/// A row whose label is in doubt.
#[derive(Debug, Clone, PartialEq)]
pub struct InDoubt {
    /// Which of the rows.
    pub row: usize,
    /// The class that is likelier.
    pub likelier: usize,
    /// How probable its own class is.
    pub share: f64,
}

/// The probabilities of each row's classes by a regression on the other parts' rows.
///
/// # Shapes
/// N rows: vectors N · `[D]`, classes below `count` → N · `[C]`
pub fn out_of_fold(vectors: &[Vec<f32>], classes: &[usize], count: usize, seed: u64) -> Vec<Prediction> {
    let mut order: Vec<usize> = (0..vectors.len()).collect();
    order.shuffle(&mut seed::generator(seed, "parts of labelled rows"));
    // Each class's rows are dealt out in turn.
    order.sort_by_key(|&row| classes[row]);
    let mut part = vec![0; vectors.len()];
    order.iter().enumerate().for_each(|(place, &row)| part[row] = place % PARTS);
    let mut found = vec![Prediction { probabilities: Vec::new() }; vectors.len()];
    for left_out in 0..PARTS {
        let of = |is_left_out: bool| {
            (0..vectors.len()).filter(|&row| (part[row] == left_out) == is_left_out).collect::<Vec<_>>()
        };
        let train: Vec<(Vec<f32>, usize)> =
            of(false).into_iter().map(|row| (vectors[row].clone(), classes[row])).collect();
        let asked = of(true);
        let test: Vec<Vec<f32>> = asked.iter().map(|&row| vectors[row].clone()).collect();
        let said = logistic_regression_on_vectors(&train, &test, count, Some(C));
        asked.into_iter().zip(said.predictions).for_each(|(row, said)| found[row] = said);
    }
    found
}

/// The rows whose class is in doubt, by what a model says that has not learned them; the most doubtful first.
///
/// ```
/// use cloze::label::in_doubt;
/// use cloze::predict::report::Prediction;
/// // Class 0 is .8 and .6 and .1 probable in its rows, .5 on average; class 1 .9 and .7, .8 on average.
/// let said = [0.8, 0.6, 0.1, 0.1, 0.3].map(|first| Prediction { probabilities: vec![first, 1.0 - first] });
/// let found = in_doubt(&said, &[0, 0, 0, 1, 1]);
/// assert_eq!(found.len(), 1);
/// assert_eq!((found[0].row, found[0].likelier, found[0].share), (2, 1, 0.1));
/// ```
///
/// # Shapes
/// N · `[C]`, N classes
pub fn in_doubt(said: &[Prediction], classes: &[usize]) -> Vec<InDoubt> {
    let count = said.first().map_or(0, |said| said.probabilities.len());
    let usual = |class: usize| {
        let own: Vec<f64> = said
            .iter()
            .zip(classes)
            .filter(|(_, own)| **own == class)
            .map(|(said, _)| said.probabilities[class])
            .collect();
        // A class without rows is nobody's likelier label.
        if own.is_empty() { f64::INFINITY } else { own.iter().sum::<f64>() / own.len() as f64 }
    };
    let usual: Vec<f64> = (0..count).map(usual).collect();
    let doubted = |(row, (said, &class)): (usize, (&Prediction, &usize))| {
        let reaches = (0..count).filter(|&other| said.probabilities[other] >= usual[other]);
        let likelier =
            reaches.max_by(|one, other| said.probabilities[*one].total_cmp(&said.probabilities[*other]))?;
        (said.probabilities[likelier] > said.probabilities[class]).then(|| InDoubt {
            row,
            likelier,
            share: said.probabilities[class],
        })
    };
    let mut found: Vec<InDoubt> = said.iter().zip(classes).enumerate().filter_map(doubted).collect();
    found.sort_by(|one, other| one.share.total_cmp(&other.share));
    found
}
