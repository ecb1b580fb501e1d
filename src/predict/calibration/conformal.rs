//! Prediction sets that hold the true class with a stated probability, whatever the model is worth: split
//! conformal prediction.
//!
//! A labelled row's score is how improbable its class was held, `1 - p_truth` (Sadinle et al. 2019). Of the n
//! scores of calibration rows the `⌈(n+1)(1-α)⌉`-th smallest is the threshold, and a new row's set has the
//! classes whose `1 - p` is not above it. Where rows are exchangeable the set holds the truth with a
//! probability of at least `1-α`. Class by class (Vovk 2012) each class has a threshold of its own, from its
//! own rows, and the promise holds for each.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Beta, ContinuousCDF as _};

use crate::error::{CalibrationError, Result};
use crate::predict::report::{Prediction, SetCoverage, SetsReport};

/// Thresholds for prediction sets.
///
/// ```
/// use cloze::predict::calibration::Conformal;
/// use cloze::predict::report::Prediction;
/// let prediction = |p: f64| Prediction { probabilities: vec![p, 1.0 - p] };
/// // Nine rows of class 0, scores .1 to .9. With α = .2 the ⌈10 · .8⌉ = 8th smallest is .8.
/// let rows: Vec<(Prediction, usize)> = (1..=9).map(|score| (prediction(1.0 - f64::from(score) / 10.0), 0)).collect();
/// let labels = ["a".to_owned(), "b".to_owned()];
/// let conformal = Conformal::fit(&rows, &labels, 0.2, false).unwrap();
/// assert!((conformal.thresholds[0] - 0.8).abs() < 1e-12);
/// assert_eq!(conformal.set(&prediction(0.7)), [0, 1]); // .3 and .7
/// assert_eq!(conformal.set(&prediction(0.9)), [0]); // .1 and .9
/// // 1 - α = .95 needs 19 rows.
/// assert!(Conformal::fit(&rows, &labels, 0.05, false).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conformal {
    /// α: the share of rows whose set may lack the truth.
    pub alpha: f64,
    /// Whether each class has a threshold of its own.
    pub by_class: bool,
    /// One for each class.
    pub thresholds: Vec<f64>,
    /// The rows that they come from.
    pub rows: u64,
}

impl Conformal {
    /// The thresholds from rows and their true classes. An error if they are too few: see
    /// [`Conformal::check`].
    pub fn fit(
        rows: &[(Prediction, usize)],
        labels: &[String],
        alpha: f64,
        by_class: bool,
    ) -> Result<Conformal> {
        Conformal::check(rows.iter().map(|(_, truth)| *truth), labels, alpha, by_class)?;
        let threshold = |class: Option<usize>| {
            let rows = rows.iter().filter(|(_, truth)| class.is_none_or(|class| class == *truth));
            let mut scores: Vec<f64> =
                rows.map(|(prediction, truth)| 1.0 - prediction.probabilities[*truth]).collect();
            scores.sort_by(f64::total_cmp);
            scores[place(scores.len(), alpha) - 1]
        };
        let thresholds = match by_class {
            true => (0..labels.len()).map(|class| threshold(Some(class))).collect(),
            false => vec![threshold(None); labels.len()],
        };
        Ok(Conformal { alpha, by_class, thresholds, rows: rows.len() as u64 })
    }

    /// Refuses rows of these classes that are too few for α; the error names the class where it is one's own
    /// rows that are.
    pub fn check(
        truths: impl Iterator<Item = usize>,
        labels: &[String],
        alpha: f64,
        by_class: bool,
    ) -> Result<()> {
        let mut rows = vec![0; labels.len()];
        truths.for_each(|class| rows[class] += 1);
        let groups: Vec<(usize, Option<&String>)> = match by_class {
            true => rows.into_iter().zip(labels.iter().map(Some)).collect(),
            false => vec![(rows.iter().sum(), None)],
        };
        match groups.into_iter().find(|(found, _)| place(*found, alpha) > *found) {
            Some((found, class)) => {
                let needed = Conformal::rows_needed(alpha);
                Err(CalibrationError::ConformalTooFew { alpha, found, needed, class: class.cloned() }.into())
            }
            None => Ok(()),
        }
    }

    /// Which of so many scores, sorted, is the threshold for α, from 1: `⌈(n+1)(1-α)⌉`.
    pub(crate) fn place(rows: usize, alpha: f64) -> usize {
        place(rows, alpha)
    }

    /// The fewest rows from which a threshold for α comes: with fewer `⌈(n+1)(1-α)⌉` is beyond them.
    pub(super) fn rows_needed(alpha: f64) -> usize {
        // It is about 1/α - 1; one below that for rounding. Counting from 1 would take hours where α is tiny.
        let below = (1.0 / alpha - 2.0).clamp(1.0, 1e18) as usize;
        (below..).find(|&rows| place(rows, alpha) <= rows).unwrap_or(usize::MAX)
    }

    /// The classes that a row may have, in class order.
    pub fn set(&self, prediction: &Prediction) -> Vec<usize> {
        let within = |class: &usize| 1.0 - prediction.probabilities[*class] <= self.thresholds[*class];
        (0..self.thresholds.len()).filter(within).collect()
    }
}

/// `⌈(n+1)(1-α)⌉`, meant exactly: 10 · (1 - .2) is 8.
fn place(rows: usize, alpha: f64) -> usize {
    ((rows + 1) as f64 * (1.0 - alpha) - 1e-9).ceil().max(1.0) as usize
}

/// How often the truth is in the set, and how large sets are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// Rows.
    pub rows: u64,
    /// Rows whose set has no class.
    pub empty: u64,
    /// Classes in all sets together.
    pub classes: u64,
    /// Labelled rows.
    pub labelled: u64,
    /// Labelled rows whose set has their class.
    pub covered: u64,
    /// The same two class by class: labelled, covered.
    pub by_class: Vec<[u64; 2]>,
}

impl Coverage {
    /// Nothing counted yet.
    pub fn new(classes: usize) -> Coverage {
        Coverage { by_class: vec![[0; 2]; classes], ..Coverage::default() }
    }

    /// Counts the rows of another too, of as many classes.
    pub fn merge(&mut self, other: &Coverage) {
        self.rows += other.rows;
        self.empty += other.empty;
        self.classes += other.classes;
        self.labelled += other.labelled;
        self.covered += other.covered;
        for (own, other) in self.by_class.iter_mut().zip(&other.by_class) {
            own.iter_mut().zip(other).for_each(|(own, other)| *own += other);
        }
    }

    /// Counts a row.
    pub fn add(&mut self, set: &[usize], truth: Option<usize>) {
        self.rows += 1;
        self.empty += u64::from(set.is_empty());
        self.classes += set.len() as u64;
        if let Some(truth) = truth {
            let covered = u64::from(set.contains(&truth));
            self.labelled += 1;
            self.covered += covered;
            self.by_class[truth][0] += 1;
            self.by_class[truth][1] += covered;
        }
    }

    /// What was counted, for the report.
    pub fn report(&self, conformal: &Conformal, labels: &[String]) -> SetsReport {
        let coverage = |labelled: u64, covered: u64| {
            let share = || covered as f64 / labelled as f64;
            (labelled > 0).then(|| SetCoverage {
                rows: labelled,
                covered,
                share: share(),
                interval_95: Coverage::interval(covered, labelled),
            })
        };
        let of_rows = |count: u64| count as f64 / self.rows.max(1) as f64;
        SetsReport {
            alpha: conformal.alpha,
            by_class: conformal.by_class,
            fitted_rows: conformal.rows,
            mean_size: of_rows(self.classes),
            empty: of_rows(self.empty),
            coverage: coverage(self.labelled, self.covered),
            classes: labels
                .iter()
                .cloned()
                .zip(self.by_class.iter().map(|[labelled, covered]| coverage(*labelled, *covered)))
                .collect(),
        }
    }

    /// The exact binomial 95 % interval of a share (Clopper & Pearson 1934).
    ///
    /// ```
    /// use cloze::predict::calibration::Coverage;
    /// // scipy.stats.binomtest(8, 10).proportion_ci()
    /// let [low, high] = Coverage::interval(8, 10);
    /// assert!((low - 0.443_904_5).abs() < 1e-6 && (high - 0.974_789_3).abs() < 1e-6);
    /// assert_eq!(Coverage::interval(10, 10)[1], 1.0);
    /// ```
    pub fn interval(part: u64, whole: u64) -> [f64; 2] {
        let (hits, misses) = (part as f64, whole.saturating_sub(part) as f64);
        let quantile = |one: f64, other: f64, share: f64| {
            Beta::new(one, other).map_or(0.0, |beta| beta.inverse_cdf(share))
        };
        let low = if part == 0 { 0.0 } else { quantile(hits, misses + 1.0, 0.025) };
        let high = if part >= whole { 1.0 } else { quantile(hits + 1.0, misses, 0.975) };
        [low, high]
    }
}
