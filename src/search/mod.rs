//! Searching for label words and patterns, with how sure the choice is.

pub mod pattern;
pub mod words;

use rand::seq::SliceRandom as _;
use serde::Serialize;

use crate::compare::PairedBootstrap;
use crate::report::{Evaluation, Prediction, Tally};
use crate::seed;

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
    /// On labelled rows that it was not found on.
    pub evaluation: Option<Evaluation>,
    /// Which of these are right.
    #[serde(skip)]
    pub right: Vec<bool>,
}

impl Candidate {
    /// A candidate by what it says of labelled rows.
    pub fn of(name: String, about: String, said: &[Prediction], truths: &[usize], labels: &[String]) -> Candidate {
        let mut tally = Tally::new(labels.iter().cloned());
        said.iter().zip(truths).for_each(|(said, truth)| tally.add(said, Some(*truth)));
        let right = said.iter().zip(truths).map(|(said, truth)| said.class() == *truth).collect();
        Candidate { name, about, score: None, evaluation: tally.evaluate(), right }
    }

    /// The share of rows that are right.
    pub fn accuracy(&self) -> Option<f64> {
        self.evaluation.as_ref().map(|evaluation| evaluation.accuracy)
    }
}

/// How sure a choice is.
#[derive(Debug, Clone, Serialize)]
pub struct Certainty {
    /// The share of shuffles of the labels under which the first is right as often or more (Ojala & Garriga 2010): against chance.
    pub p_chance: f64,
    /// The first less the second, on the same rows.
    pub over_second: Option<PairedBootstrap>,
    /// The first less what was there before, on the same rows.
    pub over_given: Option<PairedBootstrap>,
}

impl Certainty {
    /// Whether the first does better than the second beyond chance.
    pub fn is_separated(&self) -> bool {
        self.over_second.as_ref().is_some_and(|found| found.difference > 0.0 && found.p_value < SEPARATED)
    }
}

/// The share of shuffles of the truths, the truths themselves counted as one, that agree with what is said at least as often.
///
/// ```
/// // By hand: all four right; of the 6 ways to deal two and two labels one is the truth itself, so about one sixth.
/// let p = cloze::search::permutation_test(&[0, 0, 1, 1], &[0, 0, 1, 1], 7);
/// assert!((p - 1.0 / 6.0).abs() < 0.02);
/// ```
pub fn permutation_test(said: &[usize], truths: &[usize], seed: u64) -> f64 {
    let agree = |truths: &[usize]| said.iter().zip(truths).filter(|(said, truth)| said == truth).count();
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
