//! Searching for label words and patterns, with how sure the choice is.

pub mod pattern;
pub mod words;

use rand::seq::SliceRandom as _;
use serde::Serialize;

use crate::predict::report::{Evaluation, Prediction, Tally};
use crate::seed;
use crate::study::compare::PairedBootstrap;

/// Shuffles of the labels in a permutation test.
const PERMUTATIONS: usize = 10_000;

/// A difference of candidates is taken for one where its p value is below.
pub const SEPARATED: f64 = 0.05;

/// A candidate with how it did on rows.
#[derive(Debug, Clone, Serialize)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// What it is, in words.
    pub about: String,
    /// What it is ordered by where no row has a label.
    pub score: Option<f64>,
    /// The 95 % interval of the score over rows.
    pub score_95: Option<[f64; 2]>,
    /// The 95 % interval over rows of the first's score less this one.
    pub first_less_95: Option<[f64; 2]>,
    /// On labelled rows that it was not found on.
    pub evaluation: Option<Evaluation>,
    /// The classes that it says of these.
    #[serde(skip)]
    pub said: Vec<usize>,
}

impl Candidate {
    /// A candidate by what it says of labelled rows.
    pub fn of(
        name: String,
        about: String,
        said: &[Prediction],
        truths: &[usize],
        labels: &[String],
    ) -> Candidate {
        let mut tally = Tally::new(labels.iter().cloned());
        said.iter().zip(truths).for_each(|(said, truth)| tally.add(said, Some(*truth)));
        Candidate {
            name,
            about,
            score: None,
            score_95: None,
            first_less_95: None,
            evaluation: tally.evaluate(),
            said: said.iter().map(Prediction::class).collect(),
        }
    }

    /// Which rows are right.
    pub fn right(&self, truths: &[usize]) -> Vec<bool> {
        self.said.iter().zip(truths).map(|(said, truth)| said == truth).collect()
    }

    /// The share of rows that are right.
    pub fn accuracy(&self) -> Option<f64> {
        self.evaluation.as_ref().map(|evaluation| evaluation.accuracy)
    }
}

/// How sure a choice is.
#[derive(Debug, Clone, Serialize)]
pub struct Certainty {
    /// The share of shuffles of the labels under which some candidate is right as often as the first is, or
    /// more (Ojala & Garriga 2010): of many candidates the best looks good by chance.
    pub p_chance: f64,
    /// The first less the second, on the same rows.
    pub over_second: Option<PairedBootstrap>,
    /// What was chosen on other rows each time less what was there before, on the same rows.
    pub over_given: Option<PairedBootstrap>,
}

impl Certainty {
    /// Whether the first does better than the second beyond chance.
    pub fn is_separated(&self) -> bool {
        self.over_second.as_ref().is_some_and(|found| found.difference > 0.0 && found.p_value < SEPARATED)
    }
}

/// The share of shuffles of the truths, the truths themselves counted as one, with which some candidate
/// agrees at least as often as the best does with the truths. `said` has what each candidate says of each
/// row.
///
/// ```
/// // By hand: all four right; of the 6 ways to deal two and two labels one is the truth itself, so about one sixth.
/// let p = cloze::study::search::permutation_test(&[&[0, 0, 1, 1]], &[0, 0, 1, 1], 7);
/// assert!((p - 1.0 / 6.0).abs() < 0.02);
/// // With the opposite beside it two of the 6 are found by one of the two.
/// let p = cloze::study::search::permutation_test(&[&[0, 0, 1, 1], &[1, 1, 0, 0]], &[0, 0, 1, 1], 7);
/// assert!((p - 2.0 / 6.0).abs() < 0.02);
/// ```
pub fn permutation_test(said: &[&[usize]], truths: &[usize], seed: u64) -> f64 {
    let agree = |truths: &[usize]| {
        said.iter()
            .map(|said| said.iter().zip(truths).filter(|(said, truth)| said == truth).count())
            .max()
            .unwrap_or(0)
    };
    let found = agree(truths);
    let mut random = seed::generator(seed, "permutation test");
    let mut shuffled = truths.to_vec();
    let as_often = (0..PERMUTATIONS)
        .filter(|_| {
            shuffled.shuffle(&mut random);
            agree(&shuffled) >= found
        })
        .count();
    (1 + as_often) as f64 / (1 + PERMUTATIONS) as f64
}
