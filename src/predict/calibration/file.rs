//! What was fitted, as a file: so that new rows, one by one or in a stream, are answered the same.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Conformal, Correction, Method};
use crate::error::source::Source;
use crate::error::{CalibrationError, Error, Result};
use crate::predict::report::Prediction;
#[cfg(doc)]
use crate::predict::score::Scored;
use crate::text::json::{self, Node};
use crate::text::verbalizer::{Prior, Verbalizer};
use crate::text::whole_file::WholeFile;

/// The version of calibration files that this cloze writes and reads.
const VERSION: u64 = 1;

/// So far beyond its bound a fitted number may be: probabilities sum to 1 within less.
const ROUNDING: f64 = 1e-6;

/// The file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFitted<'a> {
    #[serde(borrow, rename = "version")]
    _version: &'a RawValue,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    fitted_on: Option<&'a RawValue>,
    #[serde(borrow)]
    rows: &'a RawValue,
    #[serde(borrow)]
    prior: Option<&'a RawValue>,
    #[serde(borrow)]
    fitted_for: &'a RawValue,
    #[serde(borrow)]
    patterns: &'a RawValue,
    #[serde(borrow)]
    conformal: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPattern<'a> {
    template: String,
    pattern: String,
    #[serde(borrow)]
    correction: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCorrection<'a> {
    #[serde(borrow)]
    weights: &'a RawValue,
    #[serde(borrow)]
    biases: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConformal<'a> {
    #[serde(borrow)]
    alpha: &'a RawValue,
    by_class: bool,
    #[serde(borrow)]
    thresholds: &'a RawValue,
    #[serde(borrow)]
    rows: &'a RawValue,
}

/// What a calibration is for: it says nothing of anything else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedFor {
    /// The model's folder, for people.
    pub model: PathBuf,
    /// Of the model's weights and of what was learned beside them.
    pub sha256: String,
    /// How label words count together.
    pub aggregate: String,
    /// Each class with its words and their weights.
    pub classes: Vec<(String, Vec<(String, f64)>)>,
}

/// A pattern with its correction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FittedPattern {
    /// The template's name, for people.
    pub template: String,
    /// The pattern as written.
    pub pattern: String,
    /// The correction; none where only sets were calibrated.
    pub correction: Option<Correction>,
}

/// A fitted calibration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fitted {
    version: u64,
    /// How it was fitted; none where only sets were calibrated.
    pub method: Option<Method>,
    /// On what.
    pub fitted_on: Option<String>,
    /// On so many rows, or inputs without content.
    pub rows: u64,
    /// The prior that was matched.
    pub prior: Option<Vec<f64>>,
    /// For what.
    pub fitted_for: FittedFor,
    /// Pattern by pattern.
    pub patterns: Vec<FittedPattern>,
    /// The thresholds of prediction sets.
    pub conformal: Option<Conformal>,
}

impl FittedFor {
    /// A model with a verbalizer.
    pub fn new(model: PathBuf, sha256: String, verbalizer: &Verbalizer) -> FittedFor {
        let words = |class: &crate::text::verbalizer::Class| {
            let word = |word: &crate::text::verbalizer::LabelWord| match word.prior() {
                None => (word.word().to_owned(), word.weight()),
                Some(Prior::Everywhere(prior)) => (format!("{} (prior {prior})", word.word()), word.weight()),
                Some(Prior::ByPattern(priors)) => {
                    let listed = priors.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
                    (format!("{} (priors {listed})", word.word()), word.weight())
                }
            };
            let texts = class.texts.iter().map(|text| (format!("text: {text}"), 1.0));
            (class.label.clone(), class.words.iter().map(word).chain(texts).collect())
        };
        let classes = verbalizer.classes().iter().map(words).collect();
        let branches = verbalizer.scored().skip(verbalizer.classes().len()).map(|branch| {
            let words: Vec<&str> = branch.words.iter().map(|word| word.word()).collect();
            format!("; {}: {}", branch.label, words.join(", "))
        });
        let aggregate = branches.fold(verbalizer.scoring(), |text, branch| text + &branch);
        FittedFor { model, sha256, aggregate, classes }
    }
}

impl Fitted {
    /// Patterns that nothing is done to, in the order of these names and patterns.
    pub fn new<'a>(fitted_for: FittedFor, patterns: impl IntoIterator<Item = (&'a str, &'a str)>) -> Fitted {
        let pattern = |(template, pattern): (&str, &str)| FittedPattern {
            template: template.to_owned(),
            pattern: pattern.to_owned(),
            correction: None,
        };
        Fitted {
            version: VERSION,
            method: None,
            fitted_on: None,
            rows: 0,
            prior: None,
            fitted_for,
            patterns: patterns.into_iter().map(pattern).collect(),
            conformal: None,
        }
    }

    /// The patterns' predictions corrected, and their average. `levels` are those of the patterns' class
    /// scores ([`Scored::levels`]), which some methods weigh.
    pub fn apply(&self, by_pattern: &mut [Prediction], levels: &[f64]) -> Prediction {
        let of_scores = self.method == Some(Method::VectorScaling);
        for ((prediction, level), pattern) in by_pattern.iter_mut().zip(levels).zip(&self.patterns) {
            if let Some(correction) = &pattern.correction {
                *prediction = correction.apply_at(prediction, if of_scores { *level } else { 0.0 });
            }
        }
        Prediction::average(by_pattern)
    }

    /// Writes the file, whole or not at all.
    pub fn write(&self, file: WholeFile) -> Result<()> {
        file.commit_json(self)
    }

    /// Reads a file for a model, label words and patterns, which come into the order of these. One that was
    /// fitted for others is refused, with what differs, and so are numbers that no fit gives.
    pub fn load(path: &Path, wanted: &Fitted) -> Result<Fitted> {
        let source = Source::new(path.display().to_string(), json::read_text(path)?);
        let root = Node::root(&source);
        root.check_version(VERSION)?;
        check(&root)?.for_wanted(path, wanted)
    }

    /// The same, with its patterns in the order of what is wanted; an error where it was fitted for anything
    /// else.
    fn for_wanted(mut self, path: &Path, wanted: &Fitted) -> Result<Fitted> {
        let misfit = |what: &'static str, fitted_for: String, now: String| -> Error {
            CalibrationError::Misfit { path: path.to_owned(), what, fitted_for, now }.into()
        };
        let (for_, now) = (&self.fitted_for, &wanted.fitted_for);
        let labels = |fitted: &FittedFor| {
            fitted.classes.iter().map(|(label, _)| label.as_str()).collect::<Vec<_>>().join(", ")
        };
        if labels(for_) != labels(now) {
            return Err(misfit("other classes", labels(for_), labels(now)));
        }
        if let Some(((label, words), (_, others))) =
            for_.classes.iter().zip(&now.classes).find(|(one, other)| one != other)
        {
            let listed = |words: &[(String, f64)]| {
                words.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>().join(", ")
            };
            return Err(misfit(
                "other label words",
                format!("{} for {label}", listed(words)),
                listed(others),
            ));
        }
        if for_.aggregate != now.aggregate {
            return Err(misfit("another aggregate", for_.aggregate.clone(), now.aggregate.clone()));
        }
        if for_.sha256 != now.sha256 {
            return Err(misfit(
                "another model, or for other training of it",
                for_.model.display().to_string(),
                now.model.display().to_string(),
            ));
        }
        let names = |patterns: &[FittedPattern]| {
            patterns.iter().map(|pattern| pattern.template.as_str()).collect::<Vec<_>>().join(", ")
        };
        let own = |wanted: &FittedPattern| {
            self.patterns.iter().find(|known| known.pattern == wanted.pattern).cloned()
        };
        let patterns: Option<Vec<FittedPattern>> = wanted.patterns.iter().map(own).collect();
        match patterns {
            Some(patterns) if patterns.len() == self.patterns.len() => self.patterns = patterns,
            _ if names(&self.patterns) == names(&wanted.patterns) => {
                let what = "other words of these patterns, or other demonstrations";
                return Err(misfit(what, names(&self.patterns), names(&wanted.patterns)));
            }
            _ => return Err(misfit("other patterns", names(&self.patterns), names(&wanted.patterns))),
        }
        Ok(self)
    }
}

/// The file's values, each as a fit gives it.
fn check(root: &Node<'_>) -> Result<Fitted> {
    let raw: RawFitted = root.read_object()?;
    let fitted_for: FittedFor = root.key("fitted_for", raw.fitted_for).read_object()?;
    let classes = fitted_for.classes.len();
    let method: Option<Method> = raw.method.map(|value| root.key("method", value).read()).transpose()?;
    let listed = root.key("patterns", raw.patterns);
    let patterns = listed.read::<Vec<&RawValue>>()?.into_iter().enumerate();
    let patterns: Vec<FittedPattern> = patterns
        .map(|(index, value)| check_pattern(&listed.element(index, value), classes, method))
        .collect::<Result<_>>()?;
    let rows = check_rows(&root.key("rows", raw.rows), method.map_or(0..=0, |_| 1..=u64::MAX))?;
    let fitted_on = match (method, raw.fitted_on) {
        (Some(method), None) => {
            let reason = format!(
                "\"method\" is {}, and \"fitted_on\" does not say on what it was fitted",
                method.name()
            );
            return Err(unclear(root, reason));
        }
        (_, fitted_on) => fitted_on.map(|value| root.key("fitted_on", value).read()).transpose()?,
    };
    let prior = raw.prior.map(|value| check_prior(&root.key("prior", value), classes, method)).transpose()?;
    if method == Some(Method::Prior) && prior.is_none() {
        return Err(unclear(root, "\"method\" is prior, and \"prior\" does not say which".to_owned()));
    }
    let conformal =
        raw.conformal.map(|value| check_conformal(&root.key("conformal", value), classes)).transpose()?;
    if method.is_none() && conformal.is_none() {
        return Err(unclear(
            root,
            "it has neither a method nor thresholds, so it changes nothing".to_owned(),
        ));
    }
    Ok(Fitted { version: VERSION, method, fitted_on, rows, prior, fitted_for, patterns, conformal })
}

fn check_pattern(node: &Node<'_>, classes: usize, method: Option<Method>) -> Result<FittedPattern> {
    let RawPattern { template, pattern, correction } = node.read_object()?;
    let correction = match (correction.map(|value| node.key("correction", value)), method) {
        (None, None) => None,
        (Some(correction), Some(method)) => {
            let raw: RawCorrection = correction.read_object()?;
            let weights = correction.key("weights", raw.weights);
            let biases = correction.key("biases", raw.biases);
            let named = |what: &str| format!("a {what} of {}", method.name());
            let found = Correction {
                weights: check_numbers(&weights, classes, &named("weight"), method.weights())?,
                biases: check_numbers(&biases, classes, &named("bias"), method.biases())?,
            };
            if method == Method::Temperature && !all_same(&found.weights) {
                return Err(unclear(&weights, "a temperature has one weight for all classes".to_owned()));
            }
            Some(found)
        }
        // Without its name the correction would be in the file and not be applied.
        (Some(correction), None) => {
            return Err(unclear(
                &correction,
                "a correction stands here, and \"method\" does not say how it was fitted".to_owned(),
            ));
        }
        (None, Some(method)) => {
            let reason = format!("\"method\" is {}, and this pattern has no correction", method.name());
            return Err(unclear(node, reason));
        }
    };
    Ok(FittedPattern { template, pattern, correction })
}

fn check_conformal(node: &Node<'_>, classes: usize) -> Result<Conformal> {
    let RawConformal { alpha, by_class, thresholds, rows } = node.read_object()?;
    let alpha_node = node.key("alpha", alpha);
    let alpha: f64 = alpha_node.read()?;
    if alpha <= 0.0 || alpha >= 1.0 {
        let (name, allowed) = ("alpha".to_owned(), "between 0 and 1".to_owned());
        return Err(alpha_node.error(CalibrationError::Number { name, found: alpha, allowed }));
    }
    // Each class's own threshold comes from rows of its own.
    let groups = if by_class { classes } else { 1 };
    let least = groups.saturating_mul(Conformal::rows_needed(alpha)) as u64;
    let rows = check_rows(&node.key("rows", rows), least..=u64::MAX)?;
    let thresholds_node = node.key("thresholds", thresholds);
    let thresholds = check_numbers(&thresholds_node, classes, "a threshold", 0.0..=1.0)?;
    if !by_class && !all_same(&thresholds) {
        return Err(unclear(
            &thresholds_node,
            "the thresholds differ, and \"by_class\" says that all classes have the same".to_owned(),
        ));
    }
    Ok(Conformal { alpha, by_class, thresholds, rows })
}

/// Shares that are a prior, where the method matches one.
fn check_prior(node: &Node<'_>, classes: usize, method: Option<Method>) -> Result<Vec<f64>> {
    if method != Some(Method::Prior) {
        let name = method.map_or("not given", Method::name);
        let reason = format!("a prior stands here, and \"method\" is {name}");
        return Err(unclear(node, reason));
    }
    let shares = check_numbers(node, classes, "a share of a prior", 0.0..=1.0)?;
    super::check_prior(&shares).map_err(|error| unclear(node, error.to_string()))?;
    Ok(shares)
}

/// One number for each class, none beyond what a fit gives but for rounding.
fn check_numbers(
    node: &Node<'_>,
    classes: usize,
    name: &str,
    range: RangeInclusive<f64>,
) -> Result<Vec<f64>> {
    let values: Vec<&RawValue> = node.read()?;
    if values.len() != classes {
        return Err(node.error(CalibrationError::Count { found: values.len(), classes }));
    }
    let (least, most) = range.into_inner();
    let number = |(index, value): (usize, &RawValue)| {
        let node = node.element(index, value);
        let found: f64 = node.read()?;
        if (least - ROUNDING..=most + ROUNDING).contains(&found) {
            return Ok(found);
        }
        let allowed = if least == most { least.to_string() } else { format!("from {least} to {most}") };
        Err(node.error(CalibrationError::Number { name: name.to_owned(), found, allowed }))
    };
    values.into_iter().enumerate().map(number).collect()
}

/// How many rows something was fitted on: none without anything fitted.
fn check_rows(node: &Node<'_>, range: RangeInclusive<u64>) -> Result<u64> {
    let found: u64 = node.read()?;
    if range.contains(&found) {
        return Ok(found);
    }
    let allowed = if *range.end() == 0 {
        "0 where no method is named".to_owned()
    } else {
        format!("{} or more", range.start())
    };
    Err(node.error(CalibrationError::Number { name: "rows".to_owned(), found: found as f64, allowed }))
}

fn unclear(node: &Node<'_>, reason: String) -> Error {
    node.error(CalibrationError::Unclear { reason })
}

fn all_same(numbers: &[f64]) -> bool {
    numbers.iter().all(|number| *number == numbers[0])
}
