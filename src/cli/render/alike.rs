//! Notes where answers may be wrong as a whole: nearly all of them alike, or right less often than one answer for
//! all rows.

use cloze::numbers::{count, percent};
use cloze::predict::calibration::Method;
use cloze::predict::report::Report;
use cloze::predict::zero_shot::ROWS_TO_CORRECT_BY;

/// With more than this share of the answers in one class, a note asks whether that is so.
const NEARLY_ALL: f64 = 0.9;
/// The same where their mean has moved by more than this share of the way from even classes to one class alone:
/// beyond 80 % for one of two classes, 68 % for one of five.
const LEANING: f64 = 0.6;
/// Fewer rows are alike by chance too often: of two even classes five are in one case of sixteen.
const ENOUGH: u64 = 5;
/// A class that is known to be frequent may be answered so much more often than it is.
const MORE: f64 = 0.1;

/// What was answered, as far as it is known.
pub struct Answers<'a> {
    labels: Vec<&'a str>,
    /// Rows with each answer.
    answered: Vec<u64>,
    /// The mean probabilities; none where they are not known.
    mean: &'a [f64],
    /// The share of each class, where somebody said it or rows have labels.
    known: Option<Vec<f64>>,
}

impl<'a> Answers<'a> {
    /// Of a report. Classes are known from its labels, or from the prior that its probabilities were corrected to.
    pub fn of(report: &'a Report) -> Answers<'a> {
        let of_labels = report.evaluation.as_ref().map(|found| truths(&found.confusion.counts));
        let prior = || report.calibration.as_ref().and_then(|calibration| calibration.prior.clone());
        Answers {
            labels: report.predicted.iter().map(|class| class.label.as_str()).collect(),
            answered: report.predicted.iter().map(|class| class.rows).collect(),
            mean: &report.mean,
            known: of_labels.or_else(prior),
        }
    }

    /// Of labelled rows; counts are `[true, predicted]`.
    pub fn to(labels: &'a [String], counts: &[Vec<u64>]) -> Answers<'a> {
        let predicted = |class: usize| counts.iter().map(|row| row[class]).sum();
        Answers {
            labels: labels.iter().map(String::as_str).collect(),
            answered: (0..labels.len()).map(predicted).collect(),
            mean: &[],
            known: Some(truths(counts)),
        }
    }

    /// What stands out, if they are alike.
    pub fn alike(&self) -> Option<String> {
        let rows: u64 = self.answered.iter().sum();
        if rows < ENOUGH {
            return None;
        }
        let is_more = |class: usize, share: f64| {
            self.known.as_ref().is_none_or(|known| share - known.get(class).unwrap_or(&0.0) > MORE)
        };
        let but = |class: usize| {
            let known = self.known.as_ref().and_then(|known| known.get(class));
            known.map(|known| format!(", and {} % should be", percent(*known))).unwrap_or_default()
        };
        let most = (0..self.answered.len()).max_by_key(|&class| self.answered[class])?;
        let share = self.answered[most] as f64 / rows as f64;
        if share > NEARLY_ALL && is_more(most, share) {
            let how_many = match rows - self.answered[most] {
                0 => format!("all {} answers", count(rows)),
                _ => format!("{} of {} answers", count(self.answered[most]), count(rows)),
            };
            return Some(format!("{how_many} are {}{}", self.labels[most], but(most)));
        }
        let leading =
            (0..self.mean.len()).max_by(|one, other| self.mean[*one].total_cmp(&self.mean[*other]))?;
        let (mean, even) = (self.mean[leading], 1.0 / self.mean.len() as f64);
        ((mean - even) / (1.0 - even) > LEANING && is_more(leading, mean)).then(|| {
            let should = match &self.known {
                Some(_) => but(leading),
                None => format!(", where even classes have {} %", percent(even)),
            };
            format!("the answers lean to {}: {} % on average{should}", self.labels[leading], percent(mean))
        })
    }
}

/// The share of each true class.
fn truths(counts: &[Vec<u64>]) -> Vec<f64> {
    let all = counts.iter().flatten().sum::<u64>().max(1) as f64;
    counts.iter().map(|row| row.iter().sum::<u64>() as f64 / all).collect()
}

/// What it means that answers are right less often than the most frequent class is true.
pub fn below_majority(accuracy: f64, label: &str, majority: f64) -> Option<String> {
    (accuracy < majority).then(|| {
        format!(
            "{label} for every row, without reading any, is right more often ({} %) than these answers ({} %)",
            percent(majority),
            percent(accuracy)
        )
    })
}

/// The notes on a report's answers, with what to do about them, which the caller knows; none where nothing stands
/// out.
pub fn notes(report: &Report, help: &str) -> String {
    let majority = report.evaluation.as_ref().zip(report.majority.as_ref());
    let majority = majority.filter(|_| report.labelled >= ENOUGH);
    let below = majority
        .and_then(|(found, majority)| below_majority(found.accuracy, &majority.label, majority.accuracy));
    told(&[Answers::of(report).alike(), below], help)
}

/// The same of labelled rows; counts are `[true, predicted]`, accuracies percent of rows.
pub fn notes_on_test(labels: &[String], counts: &[Vec<u64>], help: &str) -> String {
    let truths = truths(counts);
    let most = (0..truths.len()).max_by(|one, other| truths[*one].total_cmp(&truths[*other]));
    let right = counts.iter().enumerate().map(|(class, row)| row[class]).sum::<u64>();
    let accuracy = right as f64 / counts.iter().flatten().sum::<u64>().max(1) as f64;
    let most = most.filter(|_| counts.iter().flatten().sum::<u64>() >= ENOUGH);
    let below = most.and_then(|most| below_majority(accuracy, &labels[most], truths[most]));
    told(&[Answers::to(labels, counts).alike(), below], help)
}

fn told(notes: &[Option<String>], help: &str) -> String {
    let notes: Vec<&str> = notes.iter().flatten().map(String::as_str).collect();
    if notes.is_empty() { String::new() } else { format!("\nnote: {}; {help}\n", notes.join("; ")) }
}

/// What to do about a report of `cloze score`.
pub fn help(report: &Report) -> String {
    let batch = report.rows >= ROWS_TO_CORRECT_BY as u64;
    let method = if batch { Method::Batch } else { Method::Contextual }.name();
    match report.calibration {
        // Members of an ensemble have no patterns here, and are calibrated where they are made.
        _ if report.patterns.is_empty() => "other patterns, or more labelled rows, may help".to_owned(),
        None => format!(
            "--calibrate {method} takes out what the model prefers whatever it reads; where classes are uneven, \
             --calibrate prior with --prior says so"
        ),
        Some(_) => "other label words or patterns, or a few labelled rows to train on, may help".to_owned(),
    }
}
