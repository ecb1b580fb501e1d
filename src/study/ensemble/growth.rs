//! iPET's train sets: each generation learns from rows that others labelled, and from more of them than the
//! one before.
//!
//! Schick & Schütze (2021, section 3.4): generation g learns from `N · dᵍ` rows, N the labelled ones among
//! them and d the factor of growth; the rest are rows that a random share of the other members labelled, with
//! as many of each class as the train rows have in proportion. Which of the rows of a class is a matter of
//! [`Draw`].

use rand::Rng;
use rand_distr::Exp1;
use serde::{Deserialize, Serialize};

use crate::predict::report::Prediction;
use crate::seed;

/// Where members without training say some class too seldom: rows that are likeliest of a class, of which its
/// rows are drawn (PET's paper, section 3.4).
pub const LIKELIEST: usize = 100;

/// Which rows the next generation is given of those that others labelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Draw {
    /// Drawn by chance, a row the likelier the surer its label is (PET): see [`proportional`].
    #[default]
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Proportional,
    /// Those of which the labels are surest: see [`surest`]. Runs of 0.1.0 have it so.
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Surest,
}

impl Draw {
    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Draw::Proportional => "proportional",
            Draw::Surest => "surest",
        }
    }
}

/// Labelled rows of each class that are taken for there being none: what the first generation of an
/// experiment without labels starts from, divided by the factor of growth (PET's code: 10 examples in all;
/// here for each class, so that no class is without).
pub const FROM_NOTHING: usize = 10;

/// How many rows of each class a generation is given by others, from how many labelled rows of each class
/// there are: `n · (dᵍ - 1)`, and without labelled rows `10 · dᵍ⁻¹`. Generations count from 0, which is given
/// none.
///
/// ```
/// use cloze::study::ensemble::growth::wanted;
/// assert_eq!(wanted(&[10, 20], 5.0, 1), [40, 80]);
/// assert_eq!(wanted(&[10, 20], 5.0, 2), [240, 480]);
/// assert_eq!(wanted(&[0, 0], 5.0, 1), [10, 10]);
/// assert_eq!(wanted(&[0, 0], 5.0, 2), [50, 50]);
/// assert_eq!(wanted(&[3, 0], 5.0, 0), [0, 0]);
/// ```
pub fn wanted(labelled: &[usize], growth: f64, generation: usize) -> Vec<usize> {
    let Some(earlier) = generation.checked_sub(1) else { return vec![0; labelled.len()] };
    let power = |generation: usize| growth.powi(i32::try_from(generation).unwrap_or(i32::MAX));
    let count = |rows: f64| rows.round() as usize;
    if labelled.iter().all(|rows| *rows == 0) {
        return vec![count(FROM_NOTHING as f64 * power(earlier)); labelled.len()];
    }
    labelled.iter().map(|rows| count(*rows as f64 * (power(generation) - 1.0))).collect()
}

/// Which of the other members label rows for a member, as indices into their names: a random `share` of them,
/// two at least where there are two, so that no single one decides alone. Each is drawn by a number that
/// comes of the member's own seed and its name, so the order of the names changes nothing.
///
/// ```
/// use cloze::study::ensemble::growth::annotators;
/// let drawn = annotators(&["a", "b", "c", "d"], 0.5, 7);
/// assert_eq!(drawn.len(), 2);
/// let turned: Vec<usize> = annotators(&["d", "c", "b", "a"], 0.5, 7).into_iter().map(|place| 3 - place).rev().collect();
/// assert_eq!(drawn, turned);
/// assert_eq!(annotators(&["a", "b", "c"], 0.1, 7).len(), 2);
/// assert_eq!(annotators(&["a"], 0.5, 7), [0]);
/// ```
pub fn annotators(others: &[&str], share: f64, seed: u64) -> Vec<usize> {
    let count = ((others.len() as f64 * share).round() as usize).max(2).min(others.len());
    let mut drawn: Vec<usize> = (0..others.len()).collect();
    drawn.sort_by_cached_key(|&other| {
        seed::generator(seed, &format!("annotator {}", others[other])).r#gen::<u64>()
    });
    drawn.truncate(count);
    drawn.sort_unstable();
    drawn
}

/// A row that others labelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labelled {
    /// The row.
    pub row: usize,
    /// The class that it was given.
    pub class: usize,
}

/// Takes so many of the `free` rows of each class, those first of which the labels are surest; of rows that
/// are as sure the first. Where `strict`, a row counts for its likeliest class alone; else, for labels of
/// members without training, which say some class too seldom, the rows are taken for which a class is
/// likeliest, and each row once (PET's code takes the 100 likeliest there).
///
/// ```
/// use cloze::study::ensemble::growth::{Labelled, surest};
/// use cloze::predict::report::Prediction;
/// let rows = [[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]].map(|p| Prediction { probabilities: p.to_vec() });
/// assert_eq!(surest(&rows, vec![true; 4], &[1, 2], true), [Labelled { row: 0, class: 0 }, Labelled { row: 3, class: 1 }]);
/// let all = surest(&rows, vec![true; 4], &[1, 2], false);
/// assert_eq!(all, [Labelled { row: 0, class: 0 }, Labelled { row: 3, class: 1 }, Labelled { row: 1, class: 1 }]);
/// assert_eq!(surest(&rows, vec![false, true, true, false], &[1, 2], true), [Labelled { row: 2, class: 0 }]);
/// ```
pub fn surest(
    predictions: &[Prediction],
    mut free: Vec<bool>,
    wanted: &[usize],
    strict: bool,
) -> Vec<Labelled> {
    let mut offers: Vec<(f64, Labelled)> = Vec::new();
    for (row, prediction) in predictions.iter().enumerate() {
        let classes = if strict {
            prediction.class()..prediction.class() + 1
        } else {
            0..prediction.probabilities.len()
        };
        offers.extend(classes.map(|class| (prediction.probabilities[class], Labelled { row, class })));
    }
    // Stable: of equals the first stays first.
    offers.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut left = wanted.to_vec();
    let mut taken: Vec<Labelled> = Vec::new();
    for (_, offer) in offers {
        if left[offer.class] > 0 && free[offer.row] {
            left[offer.class] -= 1;
            free[offer.row] = false;
            taken.push(offer);
        }
    }
    taken.sort_by_key(|labelled| labelled.class);
    taken
}

/// Draws so many of the `free` rows of each class, without replacement, each draw by chance in proportion to
/// the probabilities of the class for the rows that are left (PET's `generate_ipet_train_set`).
///
/// Where `strict`, the rows of a class are those of which it is the likeliest class; where these are too few,
/// each of them stands there as often as it takes, so that a row may be given more than once. Else, for
/// labels of members without training, they are the 100 rows for which the class is likeliest, or as many as
/// are wanted, and a row may be given in two classes. A class without any row is given none.
///
/// Draws of that kind are the smallest of exponentially distributed numbers with the probabilities as rates
/// (Efraimidis & Spirakis 2006): one number for each row, in the rows' order.
///
/// ```
/// use cloze::study::ensemble::growth::{Labelled, proportional};
/// use cloze::predict::report::Prediction;
/// let rows = [[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]].map(|p| Prediction { probabilities: p.to_vec() });
/// let generator = || cloze::seed::generator(7, "rows");
/// let drawn = proportional(&rows, &[true; 4], &[2, 3], true, &mut generator());
/// assert_eq!(drawn.iter().map(|labelled| labelled.class).collect::<Vec<_>>(), [0, 0, 1, 1, 1]);
/// assert_ne!(drawn[0].row, drawn[1].row);
/// // The only row of its class, topped up.
/// assert_eq!(drawn[2..], [Labelled { row: 3, class: 1 }; 3]);
/// assert_eq!(drawn, proportional(&rows, &[true; 4], &[2, 3], true, &mut generator()));
/// // Nobody says the class of rows that are left.
/// assert_eq!(proportional(&rows, &[true, true, true, false], &[0, 1], true, &mut generator()), []);
/// ```
pub fn proportional(
    predictions: &[Prediction],
    free: &[bool],
    wanted: &[usize],
    strict: bool,
    generator: &mut impl Rng,
) -> Vec<Labelled> {
    let mut taken = Vec::new();
    for (class, &wanted) in wanted.iter().enumerate() {
        let of_class = |row: usize| predictions[row].probabilities[class];
        let mut pool: Vec<usize> = (0..predictions.len()).filter(|&row| free[row]).collect();
        if strict {
            pool.retain(|&row| predictions[row].class() == class);
        } else {
            // Stable: of equals the first stays first.
            pool.sort_by(|&one, &other| of_class(other).total_cmp(&of_class(one)));
            pool.truncate(LIKELIEST.max(wanted));
            pool.sort_unstable();
        }
        let copies = if pool.is_empty() { 0 } else { wanted.div_ceil(pool.len()).max(1) };
        let each = pool.iter().flat_map(|&row| std::iter::repeat_n(row, copies));
        let mut keyed: Vec<(f64, usize)> =
            each.map(|row| (generator.sample::<f64, _>(Exp1) / of_class(row), row)).collect();
        keyed.sort_by(|one, other| one.0.total_cmp(&other.0));
        taken.extend(keyed.into_iter().take(wanted).map(|(_, row)| Labelled { row, class }));
    }
    taken
}
