//! Sets of labels that hold all of a row's labels with a stated probability: split conformal prediction (as
//! [`crate::predict::calibration::Conformal`], the outer sets of Cauchois et al. 2021).
//!
//! A labelled row's score is how improbable the least probable of its labels was held; a row without a label
//! has none that a set could lack.

use serde::Serialize;

use crate::error::Result;
use crate::predict::calibration::{Conformal, Coverage};
use crate::predict::report::SetCoverage;

/// A threshold for sets of labels.
///
/// ```
/// use cloze::predict::multi_label::sets::LabelSetsConformal;
/// // Nine rows with one label, scores .1 to .9. With α = .2 the ⌈10 · .8⌉ = 8th smallest is .8.
/// let truths = vec![vec![true, false]; 9];
/// let probabilities: Vec<Vec<f64>> = (1..=9).map(|score| vec![1.0 - f64::from(score) / 10.0, 0.5]).collect();
/// let sets = LabelSetsConformal::fit(0.2, &truths, &probabilities)?;
/// assert!((sets.threshold - 0.8).abs() < 1e-12);
/// assert_eq!(sets.set(&[0.3, 0.1]), [true, false]);
/// assert!(LabelSetsConformal::fit(0.05, &truths, &probabilities).is_err());
/// # Ok::<(), cloze::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelSetsConformal {
    /// α: the share of rows whose set may lack one of their labels.
    pub alpha: f64,
    /// A set has the labels whose `1 - p` is not above it.
    pub threshold: f64,
    /// The rows that it comes from.
    pub rows: u64,
}

impl LabelSetsConformal {
    /// The threshold from rows and their labels.
    ///
    /// # Shapes
    /// `[N,L]`, `[N,L]`
    pub fn fit(alpha: f64, truths: &[Vec<bool>], probabilities: &[Vec<f64>]) -> Result<LabelSetsConformal> {
        LabelSetsConformal::check(alpha, truths.len())?;
        let score = |(truth, own): (&Vec<bool>, &Vec<f64>)| {
            let of_labels = truth.iter().zip(own).filter(|(truth, _)| **truth).map(|(_, own)| 1.0 - own);
            of_labels.fold(0.0, f64::max)
        };
        let mut scores: Vec<f64> = truths.iter().zip(probabilities).map(score).collect();
        scores.sort_by(f64::total_cmp);
        let threshold = scores[Conformal::place(scores.len(), alpha) - 1];
        Ok(LabelSetsConformal { alpha, threshold, rows: scores.len() as u64 })
    }

    /// Refuses rows that are too few for α.
    pub fn check(alpha: f64, rows: usize) -> Result<()> {
        // All rows are of one class to it.
        Conformal::check(std::iter::repeat_n(0, rows), &[String::new()], alpha, false)
    }

    /// Which labels a row may have.
    pub fn set(&self, probabilities: &[f64]) -> Vec<bool> {
        probabilities.iter().map(|own| 1.0 - own <= self.threshold).collect()
    }
}

/// How often sets hold all labels of a row, and how large they are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelSetsReport {
    /// What they come from.
    pub fitted: LabelSetsConformal,
    /// The mean number of labels in a set.
    pub mean_size: f64,
    /// The share of labelled rows whose set has all of their labels.
    pub coverage: Option<SetCoverage>,
}

/// What is counted of sets.
#[derive(Debug, Clone, Default)]
pub struct SetCounts {
    rows: u64,
    labels: u64,
    labelled: u64,
    covered: u64,
}

impl SetCounts {
    /// Counts a row.
    pub fn add(&mut self, set: &[bool], truth: Option<&[bool]>) {
        self.rows += 1;
        self.labels += set.iter().filter(|has| **has).count() as u64;
        if let Some(truth) = truth {
            self.labelled += 1;
            self.covered += u64::from(truth.iter().zip(set).all(|(truth, has)| *has || !*truth));
        }
    }

    /// What was counted.
    pub fn report(&self, fitted: &LabelSetsConformal) -> LabelSetsReport {
        let coverage = (self.labelled > 0).then(|| SetCoverage {
            rows: self.labelled,
            covered: self.covered,
            share: self.covered as f64 / self.labelled as f64,
            interval_95: Coverage::interval(self.covered, self.labelled),
        });
        let mean_size = self.labels as f64 / self.rows.max(1) as f64;
        LabelSetsReport { fitted: fitted.clone(), mean_size, coverage }
    }
}
