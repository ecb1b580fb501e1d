//! Robustness: the same rows under changes that a person would not mind, and what becomes of their labels
//! (Sclar et al. 2023 for models that write).

pub mod changes;
mod measure;
mod page;
mod variations;

use std::path::Path;

use serde::Serialize;

use crate::error::Result;
use crate::predict::report::{Prediction, Spread, TrainedOn};
use crate::study::compare::PairedDifference;
use crate::text::table::{Cell, Column, Destination, Holds, TableWriter};

pub use measure::Robustness;

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The rows' words.
    Rows,
    /// The patterns' words.
    Patterns,
    /// The label words.
    LabelWords,
    /// The pattern itself, by another.
    Paraphrase,
}

impl Target {
    /// Its name, where there is little room.
    fn name(self) -> &'static str {
        match self {
            Target::Rows => "rows",
            Target::Patterns => "pattern",
            Target::LabelWords => "label words",
            Target::Paraphrase => "another pattern",
        }
    }
}

/// A change with what is said under it; nothing where the model sees no difference.
pub struct Changed {
    /// Of what.
    pub target: Target,
    /// Its name.
    pub name: String,
    /// Each row's prediction.
    pub said: Option<Vec<Prediction>>,
}

/// What becomes of rows under changes.
#[derive(Debug, Clone, Serialize)]
pub struct RobustnessReport {
    /// The version of this format.
    pub version: u64,
    /// Rows.
    pub rows: usize,
    /// Those with a label.
    pub labelled: usize,
    /// Those that the run was trained on, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trained_on: Option<TrainedOn>,
    /// The accuracy without a change.
    pub accuracy: Option<f64>,
    /// Each change that the model sees.
    pub changes: Vec<ChangeReport>,
    /// Changes that are none to this model: it reads the same tokens.
    pub unseen: Vec<String>,
    /// What is not changed because of what was learned, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// The accuracies over no change and all changes.
    pub spread: Option<Spread>,
    /// The share of labelled rows that are right whatever is changed.
    pub always_right: Option<f64>,
    /// The share of rows whose label no change flips.
    pub steady: f64,
    /// Row by row.
    #[serde(skip)]
    pub by_row: Vec<RowReport>,
}

/// A change, and what it does.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)]
pub struct ChangeReport {
    pub target: Target,
    pub name: String,
    /// The accuracy under it.
    pub accuracy: Option<f64>,
    /// This less the accuracy without a change.
    pub difference: Option<PairedDifference>,
    /// The share of rows whose label it flips.
    pub flips: f64,
    /// The mean over rows and classes of how much the probabilities differ.
    pub probability_change: f64,
}

/// A row under all changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowReport {
    /// Its number in the file, from 1.
    pub record: u64,
    /// Its class without a change.
    pub class: usize,
    /// How many changes flip it, class by class.
    pub flips: Vec<usize>,
}

impl RowReport {
    /// How many changes flip it.
    pub fn flipped(&self) -> usize {
        self.flips.iter().sum()
    }
}

impl RobustnessReport {
    /// What becomes of rows, which have these numbers: `plain` is what is said without a change, `truths` the
    /// rows' classes where they are known.
    ///
    /// ```
    /// use cloze::predict::report::Prediction;
    /// use cloze::study::robustness::{Changed, RobustnessReport, Target};
    /// let say = |rows: [f64; 3]| rows.map(|first| Prediction { probabilities: vec![first, 1.0 - first] }).to_vec();
    /// let change = |name: &str, said| Changed { target: Target::Rows, name: name.to_owned(), said };
    /// let changed = vec![change("a", Some(say([0.9, 0.2, 0.6]))), change("b", Some(say([0.4, 0.2, 0.4]))), change("c", None)];
    /// let report = RobustnessReport::new(&[1, 2, 3], &say([0.9, 0.2, 0.4]), &[Some(0), Some(1), Some(0)], changed);
    /// // By hand: right without a change 2 of 3, under a 3 of 3, under b 1 of 3; only the second row is never flipped.
    /// assert_eq!((report.accuracy, report.changes[0].accuracy, report.changes[1].accuracy), (Some(2.0 / 3.0), Some(1.0), Some(1.0 / 3.0)));
    /// assert_eq!((report.changes[0].flips, report.steady, report.always_right), (1.0 / 3.0, 1.0 / 3.0, Some(1.0 / 3.0)));
    /// // Only the third row's probabilities change, by .2 each, of 6 probabilities in all.
    /// assert!((report.changes[0].probability_change - 0.4 / 6.0).abs() < 1e-12);
    /// assert_eq!(report.unseen, ["c (rows)"]);
    /// ```
    pub fn new(
        records: &[u64],
        plain: &[Prediction],
        truths: &[Option<usize>],
        changed: Vec<Changed>,
    ) -> RobustnessReport {
        let classes = plain.first().map_or(0, |prediction| prediction.probabilities.len());
        let right = |said: &[Prediction]| -> Vec<bool> {
            said.iter().zip(truths).filter_map(|(said, truth)| Some(said.class() == (*truth)?)).collect()
        };
        let share = |which: &[bool]| {
            (!which.is_empty()).then(|| which.iter().filter(|is| **is).count() as f64 / which.len() as f64)
        };
        let plainly_right = right(plain);
        let row = |(record, said): (&u64, &Prediction)| RowReport {
            record: *record,
            class: said.class(),
            flips: vec![0; classes],
        };
        let mut by_row: Vec<RowReport> = records.iter().zip(plain).map(row).collect();
        let (mut always, mut changes, mut unseen) = (plainly_right.clone(), Vec::new(), Vec::new());
        for Changed { target, name, said } in changed {
            let Some(said) = said else {
                unseen.push(format!("{name} ({})", target.name()));
                continue;
            };
            let own = right(&said);
            always.iter_mut().zip(&own).for_each(|(always, own)| *always &= own);
            let mut flips = 0;
            for (row, said) in by_row.iter_mut().zip(&said) {
                if said.class() != row.class {
                    row.flips[said.class()] += 1;
                    flips += 1;
                }
            }
            let differences = said
                .iter()
                .zip(plain)
                .flat_map(|(one, other)| one.probabilities.iter().zip(&other.probabilities));
            let difference: f64 = differences.map(|(one, other)| (one - other).abs()).sum();
            changes.push(ChangeReport {
                target,
                name,
                accuracy: share(&own),
                difference: PairedDifference::of(&[own], std::slice::from_ref(&plainly_right)),
                flips: f64::from(flips) / plain.len() as f64,
                probability_change: difference / (plain.len() * classes) as f64,
            });
        }
        let accuracy = share(&plainly_right);
        let accuracies: Vec<f64> =
            accuracy.into_iter().chain(changes.iter().filter_map(|change| change.accuracy)).collect();
        RobustnessReport {
            version: 1,
            rows: plain.len(),
            labelled: plainly_right.len(),
            trained_on: None,
            accuracy,
            unseen,
            left_out: Vec::new(),
            spread: Spread::of(&accuracies),
            always_right: share(&always),
            steady: by_row.iter().filter(|row| row.flipped() == 0).count() as f64 / plain.len() as f64,
            changes,
            by_row,
        }
    }
    /// Writes each row with how often it flips, and to which class, as CSV; `labels` are the classes'.
    pub fn write_rows(&self, path: &Path, labels: &[String]) -> Result<()> {
        let mut header = vec![Column::new("row", Holds::Whole)];
        header.push(Column::new("predicted", Holds::Word(labels.to_vec())));
        let counts = ["flips", "changes"].map(str::to_owned).into_iter();
        let counts = counts.chain(labels.iter().map(|label| format!("flips_to_{label}")));
        header.extend(counts.map(|name| Column::new(name, Holds::Whole)));
        let mut table = TableWriter::create(Destination::create(path)?, &header)?;
        for row in &self.by_row {
            let counts = [row.flipped(), self.changes.len()].into_iter().chain(row.flips.iter().copied());
            let counts = counts.map(|count| Cell::Number(count.to_string()));
            let row = [Cell::Number(row.record.to_string()), Cell::Text(labels[row.class].clone())];
            table.write(&row.into_iter().chain(counts).collect::<Vec<_>>())?;
        }
        table.finish()?.commit()
    }
}
