//! Measures of rows that have several labels each, or none: as scikit-learn has them.
//!
//! N rows, L labels: truths and predictions are `[N,L]` of yes and no, scores `[N,L]` of numbers. Where
//! scikit-learn divides 0 by 0 it is 0 here too (`zero_division=0`).

use serde::{Deserialize, Serialize};

/// One label's measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelMetrics {
    /// The label.
    pub label: String,
    /// Of the rows predicted to have it, the share that has.
    pub precision: f64,
    /// Of the rows that have it, the share predicted to.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
    /// The mean precision over the ranks of the rows that have it; none where no row has.
    pub average_precision: Option<f64>,
    /// Rows that have it.
    pub support: u64,
    /// Rows predicted to have it.
    pub predicted: u64,
}

/// Precision, recall and their harmonic mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Averaged {
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
}

/// The measures over rows whose labels are known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MultiLabelMetrics {
    /// Rows.
    pub rows: u64,
    /// Labels that a row has, in the mean.
    pub labels_a_row: f64,
    /// Over all pairs of a row and a label.
    pub micro: Averaged,
    /// The mean over the labels.
    pub macro_average: Averaged,
    /// The mean over the rows.
    pub samples: Averaged,
    /// The mean of the labels' average precisions, of those that some row has.
    pub mean_average_precision: Option<f64>,
    /// The share of pairs of a row and a label that are predicted wrong.
    pub hamming_loss: f64,
    /// The share of rows all of whose labels are predicted, and no other.
    pub subset_accuracy: f64,
    /// How far down the ranking of labels one must go to find all of a row's, in the mean (Tsoumakas et al.
    /// 2010); a row without a label counts 0.
    pub coverage_error: f64,
    /// Label by label.
    pub labels: Vec<LabelMetrics>,
}

/// What was right and wrong: rows that have a label and are predicted to, only predicted, only have it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Hits {
    both: u64,
    predicted: u64,
    true_: u64,
}

impl Hits {
    fn add(&mut self, truth: bool, predicted: bool) {
        self.both += u64::from(truth && predicted);
        self.predicted += u64::from(predicted);
        self.true_ += u64::from(truth);
    }

    fn averaged(self) -> Averaged {
        Averaged {
            precision: ratio(self.both, self.predicted),
            recall: ratio(self.both, self.true_),
            f1: ratio(2 * self.both, self.predicted + self.true_),
        }
    }
}

impl MultiLabelMetrics {
    /// The measures; none without rows.
    ///
    /// ```
    /// use cloze::numbers::multi_label::MultiLabelMetrics;
    /// let labels = ["a".to_owned(), "b".to_owned()];
    /// let truths = [vec![true, false], vec![true, true], vec![false, false]];
    /// let scores = [vec![0.9, 0.2], vec![0.6, 0.4], vec![0.7, 0.1]];
    /// let predicted: Vec<Vec<bool>> = scores.iter().map(|row| row.iter().map(|p| *p >= 0.5).collect()).collect();
    /// let found = MultiLabelMetrics::of(&labels, &truths, &predicted, &scores).unwrap();
    /// // a: 2 of 3 predicted are right, all 2 are found; b is never predicted.
    /// assert!((found.micro.precision - 2.0 / 3.0).abs() < 1e-12 && (found.micro.recall - 2.0 / 3.0).abs() < 1e-12);
    /// assert!((found.macro_average.f1 - 0.4).abs() < 1e-12 && (found.hamming_loss - 2.0 / 6.0).abs() < 1e-12);
    /// // Ranks of a's rows: 1 of 1, 2 of 3.
    /// assert!((found.labels[0].average_precision.unwrap() - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
    /// // One label down, two labels down, and nothing to find.
    /// assert_eq!(found.coverage_error, 1.0);
    /// ```
    ///
    /// # Shapes
    /// each `[N,L]`
    pub fn of(
        labels: &[String],
        truths: &[Vec<bool>],
        predicted: &[Vec<bool>],
        scores: &[Vec<f64>],
    ) -> Option<MultiLabelMetrics> {
        if truths.is_empty() {
            return None;
        }
        let rows = truths.len() as f64;
        let (mut of_labels, mut all) = (vec![Hits::default(); labels.len()], Hits::default());
        let (mut samples, mut exact, mut wrong) = (Averaged::default(), 0_u64, 0_u64);
        for (truth, said) in truths.iter().zip(predicted) {
            let mut of_row = Hits::default();
            for ((truth, said), of_label) in truth.iter().zip(said).zip(&mut of_labels) {
                of_row.add(*truth, *said);
                of_label.add(*truth, *said);
                all.add(*truth, *said);
                wrong += u64::from(truth != said);
            }
            exact += u64::from(truth == said);
            let found = of_row.averaged();
            samples.precision += found.precision / rows;
            samples.recall += found.recall / rows;
            samples.f1 += found.f1 / rows;
        }
        let column =
            |values: &[Vec<bool>], label: usize| values.iter().map(|row| row[label]).collect::<Vec<_>>();
        let of_label = |(label, (name, hits)): (usize, (&String, &Hits))| {
            let Averaged { precision, recall, f1 } = hits.averaged();
            let own: Vec<f64> = scores.iter().map(|row| row[label]).collect();
            LabelMetrics {
                label: name.clone(),
                precision,
                recall,
                f1,
                average_precision: average_precision(&column(truths, label), &own),
                support: hits.true_,
                predicted: hits.predicted,
            }
        };
        let of_labels: Vec<LabelMetrics> = labels.iter().zip(&of_labels).enumerate().map(of_label).collect();
        let mean = |measure: fn(&LabelMetrics) -> f64| {
            of_labels.iter().map(measure).sum::<f64>() / labels.len() as f64
        };
        let precisions: Vec<f64> = of_labels.iter().filter_map(|label| label.average_precision).collect();
        Some(MultiLabelMetrics {
            rows: truths.len() as u64,
            labels_a_row: all.true_ as f64 / rows,
            micro: all.averaged(),
            macro_average: Averaged {
                precision: mean(|label| label.precision),
                recall: mean(|label| label.recall),
                f1: mean(|label| label.f1),
            },
            samples,
            mean_average_precision: (!precisions.is_empty())
                .then(|| precisions.iter().sum::<f64>() / precisions.len() as f64),
            hamming_loss: wrong as f64 / (rows * labels.len() as f64),
            subset_accuracy: exact as f64 / rows,
            coverage_error: coverage_error(truths, scores),
            labels: of_labels,
        })
    }
}

/// `Σ (R_n - R_{n-1}) P_n` over the scores from the highest down, rows of one score together: scikit-learn's
/// `average_precision_score`. None where no row is true.
///
/// ```
/// use cloze::numbers::multi_label::average_precision;
/// let found = average_precision(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8]).unwrap();
/// assert!((found - 0.833_333_333_333_333_3).abs() < 1e-12); // The example of scikit-learn's page: 0.83.
/// assert_eq!(average_precision(&[false], &[0.5]), None);
/// ```
pub fn average_precision(truths: &[bool], scores: &[f64]) -> Option<f64> {
    let all = truths.iter().filter(|truth| **truth).count();
    let mut order: Vec<usize> = (0..truths.len()).collect();
    order.sort_by(|one, other| scores[*other].total_cmp(&scores[*one]));
    let (mut seen, mut hits, mut sum, mut rest) = (0, 0, 0.0, order.as_slice());
    while let Some(&first) = rest.first() {
        let alike = rest.iter().take_while(|row| scores[**row] == scores[first]).count();
        let new = rest[..alike].iter().filter(|row| truths[**row]).count();
        (seen, hits, rest) = (seen + alike, hits + new, &rest[alike..]);
        sum += new as f64 / all.max(1) as f64 * (hits as f64 / seen as f64);
    }
    (all > 0).then_some(sum)
}

/// How many labels have a score that is no lower than the lowest of a row's own labels, in the mean.
///
/// # Shapes
/// `[N,L]`, `[N,L]`
fn coverage_error(truths: &[Vec<bool>], scores: &[Vec<f64>]) -> f64 {
    let of_row = |(truths, scores): (&Vec<bool>, &Vec<f64>)| {
        let own = truths.iter().zip(scores).filter(|(truth, _)| **truth).map(|(_, score)| *score);
        let lowest = own.fold(f64::INFINITY, f64::min);
        scores.iter().filter(|score| **score >= lowest).count() as f64
    };
    truths.iter().zip(scores).map(of_row).sum::<f64>() / truths.len().max(1) as f64
}

/// A share; 0 of 0 is 0.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
