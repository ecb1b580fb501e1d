//! What was fitted, as a file: so that new rows, one by one or in a stream, are answered the same.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Conformal, Correction, Method};
use crate::error::source::Source;
use crate::error::{Error, Kind, Result};
use crate::predict::report::Prediction;
use crate::text::json::{self, Node};
use crate::text::verbalizer::Verbalizer;
use crate::text::whole_file::WholeFile;

/// The version of calibration files that this cloze writes and reads.
const VERSION: u64 = 1;

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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedPattern {
    /// The template's name, for people.
    pub template: String,
    /// The pattern as written.
    pub pattern: String,
    /// The correction; none where only sets were calibrated.
    pub correction: Option<Correction>,
}

/// A fitted calibration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
                Some(prior) => (format!("{} (prior {prior})", word.word()), word.weight()),
            };
            (class.label.clone(), class.words.iter().map(word).collect())
        };
        let classes = verbalizer.classes().iter().map(words).collect();
        FittedFor { model, sha256, aggregate: verbalizer.scoring(), classes }
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

    /// The patterns' predictions corrected, and their average.
    pub fn apply(&self, by_pattern: &mut [Prediction]) -> Prediction {
        for (prediction, pattern) in by_pattern.iter_mut().zip(&self.patterns) {
            if let Some(correction) = &pattern.correction {
                *prediction = correction.apply(prediction);
            }
        }
        Prediction::average(by_pattern)
    }

    /// Writes the file, whole or not at all.
    pub fn write(&self, mut file: WholeFile) -> Result<()> {
        let written = serde_json::to_writer_pretty(&mut file, self)
            .map_err(std::io::Error::from)
            .and_then(|()| writeln!(file));
        written.map_err(|error| Error::writing(file.temporary(), &error))?;
        file.commit()
    }

    /// Reads a file for a model, label words and patterns, which come into the order of these. One that was
    /// fitted for others is refused, with what differs.
    pub fn load(path: &Path, wanted: &Fitted) -> Result<Fitted> {
        #[derive(Deserialize)]
        struct Parts<'a> {
            #[serde(borrow)]
            conformal: Option<&'a RawValue>,
        }
        let source = Source::new(path.display().to_string(), json::read_text(path)?);
        let root = Node::root(&source);
        root.check_version(VERSION)?;
        let mut found: Fitted = root.read_object()?;
        let misfit = |what: &'static str, fitted_for: String, now: String| -> Error {
            Kind::CalibrationMisfit { path: path.to_owned(), what, fitted_for, now }.into()
        };
        let (for_, now) = (&found.fitted_for, &wanted.fitted_for);
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
            found.patterns.iter().find(|known| known.pattern == wanted.pattern).cloned()
        };
        let patterns: Option<Vec<FittedPattern>> = wanted.patterns.iter().map(own).collect();
        match patterns {
            Some(patterns) if patterns.len() == found.patterns.len() => found.patterns = patterns,
            _ if names(&found.patterns) == names(&wanted.patterns) => {
                let what = "other words of these patterns, or other demonstrations";
                return Err(misfit(what, names(&found.patterns), names(&wanted.patterns)));
            }
            _ => return Err(misfit("other patterns", names(&found.patterns), names(&wanted.patterns))),
        }
        // By hand anything can be written.
        let classes = now.classes.len();
        let fits =
            |numbers: &[f64]| numbers.len() == classes && numbers.iter().all(|number| number.is_finite());
        let whole = |pattern: &FittedPattern| {
            pattern.correction.as_ref().is_none_or(|own| fits(&own.weights) && fits(&own.biases))
        };
        let sets = found
            .conformal
            .as_ref()
            .is_none_or(|conformal| fits(&conformal.thresholds) && (0.0..1.0).contains(&conformal.alpha));
        if !sets {
            let parts: Parts = root.read()?;
            let place = parts.conformal.map_or_else(|| root.clone(), |value| root.key("conformal", value));
            return Err(place.error(Kind::CalibrationNumbers { classes }));
        }
        if found.patterns.iter().all(whole) {
            Ok(found)
        } else {
            Err(root.error(Kind::CalibrationNumbers { classes }))
        }
    }
}
