//! Where yes begins: a threshold for each label, fitted on labelled rows, as a file.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::source::Source;
use crate::error::{Error, MultiLabelError, Result};
use crate::numbers::softmax::sigmoid;
use crate::predict::calibration::FittedFor;
use crate::predict::multi_label::way::Way;
use crate::text::json::{self, Node};
use crate::text::whole_file::WholeFile;

/// The version of files of thresholds that this cloze writes and reads.
const VERSION: u64 = 1;

/// The threshold of a label of which nothing else is known.
pub const USUAL: f64 = 0.5;

/// The threshold of a label with so many rows stands halfway between what does best for it and what does best
/// for all labels together: few rows say little. On sentences to a bank, 150 rows with 48 labels, 8 raised
/// micro-F1 on other rows from 32.1 to 39.5 and macro-F1 from 33.5 to 36.3; 4 and 16 did nearly as well.
const ROWS_OF_ALL: f64 = 8.0;

/// What thresholds are fitted for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// A high F1 of each label.
    F1,
    /// The most rows found of each label, where this share of those predicted is right.
    Precision(f64),
}

impl Goal {
    /// `f1`, or `precision=0.9`.
    ///
    /// ```
    /// use cloze::predict::multi_label::thresholds::Goal;
    /// assert_eq!(Goal::parse("precision=0.9")?, Goal::Precision(0.9));
    /// assert!(Goal::parse("precision=9").is_err() && Goal::parse("recall").is_err());
    /// # Ok::<(), cloze::Error>(())
    /// ```
    pub fn parse(written: &str) -> Result<Goal> {
        let unclear = || Error::from(MultiLabelError::GoalUnclear { written: written.to_owned() });
        match written.split_once('=') {
            None if written == "f1" => Ok(Goal::F1),
            Some(("precision", share)) => {
                let share: f64 = share.trim().parse().map_err(|_| unclear())?;
                if (0.0..=1.0).contains(&share) { Ok(Goal::Precision(share)) } else { Err(unclear()) }
            }
            _ => Err(unclear()),
        }
    }

    /// As it is written.
    pub fn name(self) -> String {
        match self {
            Goal::F1 => "f1".to_owned(),
            Goal::Precision(share) => format!("precision={share}"),
        }
    }

    /// The thresholds of labels: a row is given a label where its probability is not below. None where no
    /// threshold reaches a wished precision: the label is never given. With F1 a threshold's log odds are the
    /// mean of those that do best for the label, which count as often as it has rows, and of those that do
    /// best for all labels together, which count 8 times.
    ///
    /// ```
    /// use cloze::predict::multi_label::thresholds::Goal;
    /// let truths = [vec![true], vec![true], vec![false], vec![true], vec![false]];
    /// let probabilities = [vec![0.9], vec![0.8], vec![0.7], vec![0.6], vec![0.1]];
    /// // All three are found with one mistake: F1 6/7. Without a mistake two are.
    /// assert!((Goal::F1.fit(&truths, &probabilities)[0].unwrap() - 0.35).abs() < 1e-12);
    /// assert!((Goal::Precision(0.9).fit(&truths, &probabilities)[0].unwrap() - 0.75).abs() < 1e-12);
    /// ```
    ///
    /// # Shapes
    /// `[N,L]`, `[N,L]` → `[L]`
    pub fn fit(self, truths: &[Vec<bool>], probabilities: &[Vec<f64>]) -> Vec<Option<f64>> {
        let labels = truths.first().map_or(0, Vec::len);
        let pairs = |label: usize| -> Vec<(f64, bool)> {
            truths.iter().zip(probabilities).map(|(truth, own)| (own[label], truth[label])).collect()
        };
        let together = || {
            let all: Vec<(f64, bool)> = (0..labels).flat_map(pairs).collect();
            highest_f1(all).unwrap_or(USUAL)
        };
        let mut of_all = None;
        let of_label = |label: usize| match self {
            Goal::F1 => {
                let of_all = *of_all.get_or_insert_with(together);
                let rows = truths.iter().filter(|truth| truth[label]).count() as f64;
                Some(highest_f1(pairs(label)).map_or(of_all, |own| between(own, rows, of_all)))
            }
            Goal::Precision(share) => with_precision(pairs(label), share),
        };
        (0..labels).map(of_label).collect()
    }
}

/// The mean of two probabilities' log odds, the second with the weight of [`ROWS_OF_ALL`], as a probability.
fn between(own: f64, rows: f64, of_all: f64) -> f64 {
    let odds = |p: f64| {
        let p = p.clamp(1e-9, 1.0 - 1e-9);
        (p / (1.0 - p)).ln()
    };
    sigmoid((rows * odds(own) + ROWS_OF_ALL * odds(of_all)) / (rows + ROWS_OF_ALL))
}

/// From the highest score down, at each place where it changes: rows at or above it, those of them that are
/// true, and the middle between it and the next.
fn steps(mut pairs: Vec<(f64, bool)>) -> Vec<(usize, usize, f64)> {
    pairs.sort_by(|one, other| other.0.total_cmp(&one.0));
    let (mut steps, mut hits) = (Vec::new(), 0);
    for (index, (score, truth)) in pairs.iter().enumerate() {
        hits += usize::from(*truth);
        let next = pairs.get(index + 1).map_or(0.0, |(next, _)| *next);
        if index + 1 == pairs.len() || next < *score {
            steps.push((index + 1, hits, score.midpoint(next)));
        }
    }
    steps
}

/// The threshold with the highest F1, the highest of equals; none where no row is true.
fn highest_f1(pairs: Vec<(f64, bool)>) -> Option<f64> {
    let all = pairs.iter().filter(|(_, truth)| *truth).count();
    let f1 = |step: &(usize, usize, f64)| 2.0 * step.1 as f64 / (step.0 + all) as f64;
    let better = |best: (usize, usize, f64), next| if f1(&next) > f1(&best) { next } else { best };
    let best = steps(pairs).into_iter().reduce(better);
    best.filter(|_| all > 0).map(|(.., threshold)| threshold)
}

/// The lowest threshold above which this share is true; none where there is none with a true row.
fn with_precision(pairs: Vec<(f64, bool)>, share: f64) -> Option<f64> {
    let reaches = |step: &&(usize, usize, f64)| step.1 > 0 && step.1 as f64 >= share * step.0 as f64 - 1e-12;
    let steps = steps(pairs);
    steps.iter().rev().find(reaches).map(|(.., threshold)| *threshold)
}

/// A pattern, and what is taken off its scores: what it says of rows in the mean, or of texts that say
/// nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CentredPattern {
    /// The template's name, for people.
    pub template: String,
    /// The pattern as written.
    pub pattern: String,
    /// One number for each label.
    pub centres: Vec<f64>,
}

/// What thresholds were fitted for: they say nothing of anything else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThresholdsFor {
    /// How labels are asked for.
    pub way: Way,
    /// The model, and the label words.
    pub model: FittedFor,
    /// The patterns with their centres.
    pub patterns: Vec<CentredPattern>,
}

/// A threshold for each label.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// The labels with theirs; none where a label is never given.
    pub thresholds: Vec<(String, Option<f64>)>,
    /// What they were fitted for, as [`Goal::name`] has it.
    pub goal: Option<String>,
    /// On what.
    pub fitted_on: Option<String>,
    /// On so many rows.
    pub rows: u64,
    /// Of what they are; none where somebody wrote them.
    pub fitted_for: Option<ThresholdsFor>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawThresholds<'a> {
    #[serde(borrow, rename = "version")]
    _version: &'a RawValue,
    goal: Option<String>,
    fitted_on: Option<String>,
    #[serde(default)]
    rows: u64,
    #[serde(borrow)]
    fitted_for: Option<&'a RawValue>,
    #[serde(borrow)]
    thresholds: &'a RawValue,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u64,
    goal: &'a Option<String>,
    fitted_on: &'a Option<String>,
    rows: u64,
    fitted_for: &'a Option<ThresholdsFor>,
    thresholds: Vec<WrittenThreshold>,
}

#[derive(Serialize)]
struct WrittenThreshold {
    label: String,
    threshold: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawThreshold<'a> {
    label: String,
    #[serde(borrow)]
    threshold: Option<&'a RawValue>,
}

impl Thresholds {
    /// The same threshold for all labels. One outside 0 to 1 is refused.
    pub fn same(labels: &[String], threshold: f64) -> Result<Thresholds> {
        if !(0.0..=1.0).contains(&threshold) {
            let name = "a threshold".to_owned();
            return Err(MultiLabelError::ThresholdOutOfRange { name, found: threshold }.into());
        }
        Ok(Thresholds {
            thresholds: labels.iter().map(|label| (label.clone(), Some(threshold))).collect(),
            goal: None,
            fitted_on: None,
            rows: 0,
            fitted_for: None,
        })
    }

    /// Which labels are given.
    ///
    /// # Shapes
    /// `[L]` → `[L]`
    pub fn given(&self, probabilities: &[f64]) -> Vec<bool> {
        let reaches = |(own, (_, threshold)): (&f64, &(String, Option<f64>))| {
            threshold.is_some_and(|threshold| *own >= threshold)
        };
        probabilities.iter().zip(&self.thresholds).map(reaches).collect()
    }

    /// Writes the file, whole or not at all.
    pub fn write(&self, file: WholeFile) -> Result<()> {
        let written = |(label, threshold): &'_ (String, Option<f64>)| WrittenThreshold {
            label: label.clone(),
            threshold: *threshold,
        };
        file.commit_json(&Written {
            version: VERSION,
            goal: &self.goal,
            fitted_on: &self.fitted_on,
            rows: self.rows,
            fitted_for: &self.fitted_for,
            thresholds: self.thresholds.iter().map(written).collect(),
        })
    }

    /// Reads a file for these labels, in their order. One of other labels is refused, and so are numbers
    /// outside 0 to 1.
    pub fn load(path: &Path, labels: &[String]) -> Result<Thresholds> {
        let source = Source::new(path.display().to_string(), json::read_text(path)?);
        let root = Node::root(&source);
        root.check_version(VERSION)?;
        let raw: RawThresholds = root.read_object()?;
        let list = root.key("thresholds", raw.thresholds);
        let mut found: Vec<(String, Option<f64>)> = Vec::new();
        for (index, value) in list.read::<Vec<&RawValue>>()?.into_iter().enumerate() {
            let node = list.element(index, value);
            let (label, threshold) = read_threshold(&node)?;
            if found.iter().any(|(known, _)| *known == label) {
                return Err(node.error(MultiLabelError::TwoThresholds { label }));
            }
            found.push((label, threshold));
        }
        let named: Vec<String> = found.iter().map(|(label, _)| label.clone()).collect();
        let not_in = |some: &[String], others: &[String]| -> Vec<String> {
            some.iter().filter(|label| !others.contains(label)).cloned().collect()
        };
        let (missing, unknown) = (not_in(labels, &named), not_in(&named, labels));
        if !missing.is_empty() || !unknown.is_empty() {
            let (path, labels) = (path.to_owned(), labels.to_vec());
            return Err(MultiLabelError::OtherLabels { path, missing, unknown, labels }.into());
        }
        let of_label = |label: &String| found.iter().find(|(known, _)| known == label).cloned();
        let fitted_for =
            raw.fitted_for.map(|value| root.key("fitted_for", value).read_object()).transpose()?;
        Ok(Thresholds {
            thresholds: labels.iter().filter_map(of_label).collect(),
            goal: raw.goal,
            fitted_on: raw.fitted_on,
            rows: raw.rows,
            fitted_for,
        })
    }

    /// The centres of these patterns that the file keeps, in their order; none where somebody wrote it by
    /// hand. An error where it was fitted for another model, other patterns, or another way of asking.
    ///
    /// # Shapes
    /// `[P,L]`
    pub fn centres(&self, path: &Path, wanted: &ThresholdsFor) -> Result<Option<Vec<Vec<f64>>>> {
        let Some(own) = &self.fitted_for else { return Ok(None) };
        let misfit = |what: &'static str, fitted_for: String, now: String| -> Error {
            MultiLabelError::Misfit { path: path.to_owned(), what, fitted_for, now }.into()
        };
        if own.way != wanted.way {
            let (one, other) = (own.way.name().to_owned(), wanted.way.name().to_owned());
            return Err(misfit("another way of asking", one, other));
        }
        if own.model.classes != wanted.model.classes || own.model.aggregate != wanted.model.aggregate {
            return Err(misfit("other label words", words(&own.model), words(&wanted.model)));
        }
        if own.model.sha256 != wanted.model.sha256 {
            let folder = |model: &FittedFor| model.model.display().to_string();
            let what = "another model, or for other training of it";
            return Err(misfit(what, folder(&own.model), folder(&wanted.model)));
        }
        let of_pattern = |wanted: &CentredPattern| {
            let known = own.patterns.iter().find(|known| known.pattern == wanted.pattern)?;
            (known.centres.len() == self.thresholds.len()).then(|| known.centres.clone())
        };
        let centres: Option<Vec<Vec<f64>>> = wanted.patterns.iter().map(of_pattern).collect();
        let names = |of: &ThresholdsFor| {
            of.patterns.iter().map(|pattern| pattern.template.as_str()).collect::<Vec<_>>().join(", ")
        };
        match centres {
            Some(centres) if own.patterns.len() == wanted.patterns.len() => Ok(Some(centres)),
            _ => Err(misfit("other patterns", names(own), names(wanted))),
        }
    }
}

fn words(of: &FittedFor) -> String {
    let class = |(label, words): &(String, Vec<(String, f64)>)| {
        format!("{label} ({})", words.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>().join(", "))
    };
    of.classes.iter().map(class).collect::<Vec<_>>().join(", ")
}

fn read_threshold(node: &Node<'_>) -> Result<(String, Option<f64>)> {
    let raw: RawThreshold = node.read_object()?;
    let Some(value) = raw.threshold else { return Ok((raw.label, None)) };
    let value = node.key("threshold", value);
    let Some(threshold): Option<f64> = value.read()? else { return Ok((raw.label, None)) };
    match (0.0..=1.0).contains(&threshold) {
        true => Ok((raw.label, Some(threshold))),
        false => {
            let name = format!("the threshold of {:?}", raw.label);
            Err(value.error(MultiLabelError::ThresholdOutOfRange { name, found: threshold }))
        }
    }
}
