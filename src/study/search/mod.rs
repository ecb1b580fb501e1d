//! Searching for label words and patterns, with how sure the choice is.

mod basis;
mod page;
pub mod pattern;
mod pattern_search;
mod triggers;
mod word_search;
pub mod words;

use rand::seq::SliceRandom as _;
use serde::Serialize;

use crate::predict::report::{Evaluation, Prediction, Tally};
use crate::seed;
use crate::study::compare::PairedDifference;

pub use basis::{LabelledFile, SearchFiles};
pub use pattern_search::{FoundPattern, PatternOptions, PatternSearch};
pub use triggers::{FoundTriggers, Measure, TriggerOptions, TriggerRows, TriggerSearch, likeliest};
pub use word_search::{FoundWords, WordOptions, WordSearch};

/// Shuffles of the labels in a permutation test.
const PERMUTATIONS: usize = 10_000;

/// A difference of candidates is taken for one where its p value is below.
pub const SEPARATED: f64 = 0.05;

/// How the names of patterns begin that a model wrote.
pub const WRITTEN: &str = "written-";

/// What a search does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // Numbers of rows and of patterns.
pub enum SearchStep {
    /// The model is asked about labelled rows.
    Asking { rows: usize, patterns: usize },
    /// Words are looked for on labelled rows, and in each fold on the others.
    LookingForWords { rows: usize },
    /// The model writes patterns for labelled rows.
    Writing { rows: usize },
    /// Words are looked for at the places of a pattern, on so many rows.
    Triggers { rows: usize, places: usize },
    /// Rows without labels are scored, and those with labels.
    Scoring { rows: usize, patterns: usize },
}

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
    pub over_second: Option<PairedDifference>,
    /// What was chosen on other rows each time less what was there before, on the same rows.
    pub over_given: Option<PairedDifference>,
}

impl Certainty {
    /// Whether the first does better than the second beyond chance.
    pub fn is_separated(&self) -> bool {
        self.over_second.as_ref().is_some_and(|found| found.difference > 0.0 && found.p_value < SEPARATED)
    }
}

/// A test of answers against chance, not of the search: candidates are not sought anew among shuffled labels.
///
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

/// The candidates of a search with their measures.
#[derive(Debug, Clone, Serialize)]
pub struct SearchReport {
    /// The version of this format.
    pub version: u64,
    /// Rows with a label.
    pub labelled_rows: usize,
    /// The candidates as they came.
    pub candidates: Vec<Candidate>,
    /// How sure the winner is; none without labelled rows.
    pub certainty: Option<Certainty>,
    /// The accuracy of choosing by cross-validation, from 0 to 1, on rows that had no part in the choice.
    pub accuracy_of_choosing: Option<f64>,
    /// The candidates' indices from the best to the worst.
    #[serde(skip)]
    pub order: Vec<usize>,
    /// The index of what was found. What was given to compare with never wins a search for words.
    #[serde(skip)]
    pub winner: usize,
}

impl SearchReport {
    /// `chosen` is what was chosen on other rows each time, where the first candidate is what was given.
    fn of(
        candidates: Vec<Candidate>,
        order: Vec<usize>,
        winner: usize,
        chosen: Option<&Chosen>,
        truths: &[usize],
        seed: u64,
        accuracy_of_choosing: Option<f64>,
    ) -> SearchReport {
        let certainty = certainty(&candidates, &order, winner, chosen, truths, seed);
        let labelled_rows = truths.len();
        SearchReport { version: 1, labelled_rows, candidates, certainty, accuracy_of_choosing, order, winner }
    }
}

/// The candidates' indices from the best to the worst; equals in their order.
fn ranking(candidates: &[Candidate], by: impl Fn(&Candidate) -> Option<f64>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&one, &other| {
        by(&candidates[other]).unwrap_or_default().total_cmp(&by(&candidates[one]).unwrap_or_default())
    });
    order
}

/// How sure the winner is; nothing without labelled rows.
fn certainty(
    candidates: &[Candidate],
    order: &[usize],
    winner: usize,
    chosen: Option<&Chosen>,
    truths: &[usize],
    seed: u64,
) -> Option<Certainty> {
    candidates[winner].evaluation.as_ref()?;
    // What was given, the first where anything was chosen, was not looked for.
    let searched = usize::from(chosen.is_some());
    let said: Vec<&[usize]> =
        candidates[searched..].iter().map(|candidate| candidate.said.as_slice()).collect();
    let right = |index: usize| candidates[index].right(truths);
    let second = order.iter().copied().find(|&other| other != winner && other >= searched);
    Some(Certainty {
        p_chance: permutation_test(&said, truths, seed),
        over_second: second.and_then(|second| PairedDifference::of(&[right(winner)], &[right(second)])),
        over_given: chosen
            .and_then(|chosen| PairedDifference::of(std::slice::from_ref(&chosen.right), &[right(0)])),
    })
}

/// Rows that were each answered by what other rows chose.
struct Chosen {
    right: Vec<bool>,
    accuracy: f64,
}

impl Chosen {
    fn of(said: &[Prediction], truths: &[usize]) -> Chosen {
        let right: Vec<bool> = said.iter().zip(truths).map(|(said, truth)| said.class() == *truth).collect();
        let accuracy = right.iter().filter(|right| **right).count() as f64 / right.len().max(1) as f64;
        Chosen { right, accuracy }
    }
}
