//! What is counted of rows with several labels each, and the report made of it.

use serde::Serialize;

use super::LabelsAnswer;
use super::sets::{LabelSetsConformal, LabelSetsReport, SetCounts};
use super::thresholds::Thresholds;
use super::way::Way;
use crate::numbers::multi_label::MultiLabelMetrics;
use crate::predict::report::{LabelCount, Run, TrainedOn};

/// What was found of rows with several labels each.
#[derive(Debug, Clone, Serialize)]
pub struct MultiLabelReport {
    /// The version of this format.
    pub version: u64,
    /// What was run.
    pub run: Run,
    /// How labels were asked for.
    pub way: Way,
    /// Each label's threshold; none where it is never given.
    pub thresholds: Vec<(String, Option<f64>)>,
    /// What the thresholds were fitted on, if on anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thresholds_fitted_on: Option<String>,
    /// Rows read.
    pub rows: u64,
    /// Rows whose labels are known; only these are evaluated.
    pub labelled: u64,
    /// Rows that were left out: they could not be read, or had an unknown label.
    pub left_out_rows: u64,
    /// Rows of which some pattern had to cut a part.
    pub truncated_rows: u64,
    /// Rows that thresholds or sets were fitted on, if there are any among these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibrated_on: Option<TrainedOn>,
    /// Rows without any label given.
    pub without_label: u64,
    /// Seconds from the first row read to the last row written.
    pub seconds: f64,
    /// Rows a second in that time.
    pub rows_per_second: f64,
    /// How many rows each label was given to.
    pub predicted: Vec<LabelCount>,
    /// The measures.
    pub evaluation: Option<MultiLabelMetrics>,
    /// Sets of labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sets: Option<LabelSetsReport>,
}

/// A row with its answer.
pub struct Answered<'a> {
    /// The answer.
    pub answer: &'a LabelsAnswer,
    /// Which labels it has, if that is known.
    pub truth: Option<&'a [bool]>,
    /// Whether it had to be cut.
    pub truncated: bool,
}

/// What is counted.
#[derive(Debug, Clone)]
pub struct Counts {
    labels: Vec<String>,
    rows: u64,
    truncated: u64,
    without_label: u64,
    given: Vec<u64>,
    truths: Vec<Vec<bool>>,
    said: Vec<Vec<bool>>,
    probabilities: Vec<Vec<f64>>,
    sets: SetCounts,
    /// Rows that were left out.
    pub left_out_rows: u64,
}

impl Counts {
    /// Nothing counted yet.
    pub fn new(labels: &[String]) -> Counts {
        Counts {
            labels: labels.to_vec(),
            rows: 0,
            truncated: 0,
            without_label: 0,
            given: vec![0; labels.len()],
            truths: Vec::new(),
            said: Vec::new(),
            probabilities: Vec::new(),
            sets: SetCounts::default(),
            left_out_rows: 0,
        }
    }

    /// Counts a row.
    pub fn add(&mut self, row: &Answered<'_>) {
        let LabelsAnswer { probabilities, given, set } = row.answer;
        self.rows += 1;
        self.truncated += u64::from(row.truncated);
        self.without_label += u64::from(!given.contains(&true));
        self.given.iter_mut().zip(given).for_each(|(count, given)| *count += u64::from(*given));
        if let Some(set) = set {
            self.sets.add(set, row.truth);
        }
        if let Some(truth) = row.truth {
            self.truths.push(truth.to_vec());
            self.said.push(given.clone());
            self.probabilities.push(probabilities.clone());
        }
    }

    /// The measures over the rows whose labels are known.
    pub fn evaluate(&self) -> Option<MultiLabelMetrics> {
        MultiLabelMetrics::of(&self.labels, &self.truths, &self.said, &self.probabilities)
    }

    /// The report.
    pub fn report(
        &self,
        run: Run,
        way: Way,
        thresholds: &Thresholds,
        conformal: Option<&LabelSetsConformal>,
        seconds: f64,
    ) -> MultiLabelReport {
        let count = |(label, rows): (&String, &u64)| LabelCount { label: label.clone(), rows: *rows };
        MultiLabelReport {
            version: 1,
            run,
            way,
            thresholds: thresholds.thresholds.clone(),
            thresholds_fitted_on: thresholds.fitted_on.clone(),
            rows: self.rows,
            labelled: self.truths.len() as u64,
            left_out_rows: self.left_out_rows,
            truncated_rows: self.truncated,
            calibrated_on: None,
            without_label: self.without_label,
            seconds,
            rows_per_second: self.rows as f64 / seconds.max(1e-9),
            predicted: self.labels.iter().zip(&self.given).map(count).collect(),
            evaluation: self.evaluate(),
            sets: conformal.map(|conformal| self.sets.report(conformal)),
        }
    }
}
