//! Reports of shares of the rows, and the report of all rows that is made of them: counts are added up, so it is
//! the one that a single run would have made.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::source::Source;
use crate::error::{Error, Errors, Result, ShardError};
use crate::predict::calibration::Fitted;
use crate::predict::calibrator::{Counted, Fitting};
use crate::predict::encode::Long;
use crate::predict::report::{PatternName, Pooling, Report, Run, TrainedOn};
use crate::text::data::{Cut, Share};
use crate::text::json::{self, Node};

/// So many rows that a model was trained on are named, as in the report of all rows.
const MOST_NAMED: usize = 5;

/// What a report of a share of the rows has beside its numbers: what was counted, and of what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShardCounts {
    /// Which share it is, from 1.
    number: u64,
    /// How many there are.
    of: u64,
    /// What was dealt out.
    by: Cut,
    same: Same,
    fitting: Fitting,
    counts: Counted,
}

/// What must be the same in all shares, by hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Same {
    data: String,
    model: String,
    label_words: String,
    patterns: String,
    correction: String,
    long_texts: String,
}

/// A report of a share of the rows, as it is written.
#[derive(Serialize)]
pub struct ShardReport<'a> {
    /// The report.
    #[serde(flatten)]
    pub report: &'a Report,
    /// What was counted.
    pub shard: &'a ShardCounts,
}

/// The same as it is read.
#[derive(Deserialize)]
struct Part {
    run: Run,
    seconds: f64,
    patterns: Vec<PatternName>,
    trained_on: Option<TrainedOn>,
    calibrated_on: Option<TrainedOn>,
    shard: Option<ShardCounts>,
}

impl ShardCounts {
    /// Of a share, with what was fitted for a model whose weights are named in it.
    pub fn of(share: &Share, fitted: &Fitted, long: (Long, Pooling), counts: Counted) -> ShardCounts {
        let (for_, fitting) = (&fitted.fitted_for, Fitting::of(fitted));
        let identities: Vec<&str> = fitted.patterns.iter().map(|pattern| pattern.pattern.as_str()).collect();
        let same = Same {
            data: share.data.clone(),
            model: for_.sha256.clone(),
            label_words: hash(&(&for_.aggregate, &for_.classes)),
            patterns: hash(&identities),
            correction: hash(&(&fitting.method, &fitting.patterns, &fitting.conformal)),
            long_texts: format!("{long:?}"),
        };
        let (number, of, by) = (share.shard.number(), share.shard.of(), share.cut);
        ShardCounts { number, of, by, same, fitting, counts }
    }
}

/// A name for a value: the SHA-256 of its JSON.
fn hash(value: &impl Serialize) -> String {
    format!("{:x}", Sha256::digest(serde_json::to_vec(value).unwrap_or_default()))
}

/// Puts the reports of all shares of the rows together. What was counted is added up; seconds are those of all
/// shares together, and so rows a second those of one.
///
/// # Errors
/// Reports without counts, of different rows, models, patterns or settings, and shares that are missing or there
/// twice: each is named.
pub fn merge<P: AsRef<Path>>(files: &[P]) -> Result<Report, Errors> {
    let mut errors = Errors::new();
    let mut parts: Vec<(String, Part, ShardCounts)> = Vec::new();
    for file in files {
        parts.extend(errors.keep(read(file.as_ref())));
    }
    errors.none()?;
    let Some((first, rest)) = parts.split_first() else {
        return Err(ShardError::Missing { of: 1, missing: vec![1] }.into());
    };
    let mut errors = Errors::new();
    for part in rest {
        if let Some(what) = difference(first, part) {
            errors.push(ShardError::Differs { file: part.0.clone(), first: first.0.clone(), what });
        }
    }
    errors.none()?;
    let mut errors = Errors::new();
    let of = first.2.of;
    let numbers = |number: u64| parts.iter().filter(move |(_, _, counts)| counts.number == number);
    let missing: Vec<u64> = (1..=of).filter(|number| numbers(*number).next().is_none()).collect();
    for (index, (file, _, counts)) in parts.iter().enumerate() {
        let before = parts[..index].iter().find(|(_, _, other)| other.number == counts.number);
        if let Some((other, ..)) = before {
            let (number, files) = (counts.number, [other.clone(), file.clone()]);
            errors.push(ShardError::Twice { number, of, files });
        }
    }
    if !missing.is_empty() {
        errors.push(ShardError::Missing { of, missing });
    }
    errors.none()?;
    parts.sort_by_key(|(_, _, counts)| counts.number);
    Ok(of_all(parts))
}

/// The report of all rows; there is a part.
fn of_all(parts: Vec<(String, Part, ShardCounts)>) -> Report {
    let seconds = parts.iter().map(|(_, part, _)| part.seconds).sum();
    let trained_on = together(parts.iter().filter_map(|(_, part, _)| part.trained_on.as_ref()));
    let calibrated_on = together(parts.iter().filter_map(|(_, part, _)| part.calibrated_on.as_ref()));
    let whole = parts.into_iter().reduce(|mut whole, (_, _, counts)| {
        whole.2.counts.merge(&counts.counts);
        whole
    });
    let Some((_, Part { run, patterns, .. }, ShardCounts { counts, fitting, .. })) = whole else {
        unreachable!("there is a part")
    };
    Report { trained_on, calibrated_on, ..counts.report(&fitting, run, &patterns, seconds) }
}

/// Reads a report of a share of the rows, with its name.
fn read(path: &Path) -> Result<(String, Part, ShardCounts)> {
    let source = Source::new(path.display().to_string(), json::read_text(path)?);
    let mut part: Part = Node::root(&source).read_object()?;
    let file = source.name().to_owned();
    let Some(shard) = part.shard.take() else { return Err(ShardError::NoCounts { file }.into()) };
    let labels = &part.run.labels;
    let fits = (1..=shard.of).contains(&shard.number)
        && shard.counts.is_of(labels, part.patterns.len())
        && shard.fitting.conformal.as_ref().is_none_or(|sets| sets.thresholds.len() == labels.len());
    match fits {
        true => Ok((file, part, shard)),
        false => Err(Error::from(ShardError::Damaged { file })),
    }
}

/// What two parts differ in that is the same in all of one run.
fn difference(
    (_, one, first): &(String, Part, ShardCounts),
    (_, other, second): &(String, Part, ShardCounts),
) -> Option<&'static str> {
    let (same, others) = (&first.same, &second.same);
    let differs = [
        ("the rows", same.data != others.data),
        ("the number of shards", first.of != second.of || first.by != second.by),
        ("the model", same.model != others.model),
        ("the labels", one.run.labels != other.run.labels),
        ("the label words", same.label_words != others.label_words),
        ("the patterns", same.patterns != others.patterns || one.patterns.len() != other.patterns.len()),
        ("the correction", same.correction != others.correction),
        ("the bound of answers", first.counts.abstains_below() != second.counts.abstains_below()),
        ("the way to read long texts", same.long_texts != others.long_texts),
        ("the longest input", one.run.max_length != other.run.max_length),
        ("the type of numbers", one.run.dtype != other.run.dtype),
    ];
    differs.into_iter().find(|(_, differs)| *differs).map(|(what, _)| what)
}

/// Rows of all parts that a model was trained on, if there are any.
fn together<'a>(found: impl Iterator<Item = &'a TrainedOn>) -> Option<TrainedOn> {
    let mut all = TrainedOn::default();
    for found in found {
        all.rows += found.rows;
        all.records.extend(&found.records);
    }
    all.records.sort_unstable();
    all.records.truncate(MOST_NAMED);
    (all.rows > 0).then_some(all)
}
