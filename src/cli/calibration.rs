//! Calibration as the flags of `cloze score` ask for it: what is fitted on which rows, what a row is then
//! answered, and what is counted.

use std::path::Path;

use anyhow::Result;
use cloze::error::{Error, Kind};
use cloze::learn::dataset::RowSet;
use cloze::learn::run::hash_of_weights;
use cloze::model::tensor_file;
use cloze::predict::calibration::{
    Conformal, Correction, Coverage, Fitted, FittedFor, Method, WITHOUT_CONTENT, check_prior,
};
use cloze::predict::output::Answer;
use cloze::predict::report::{
    Abstention, Before, CalibrationReport, PatternCorrection, Prediction, Report, Run,
};
use cloze::predict::score::{Counts, Scored, Scorer};
use cloze::predict::task::Task;
use cloze::text::data::{Columns, Example};
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;
use cloze::tune::{Learned, Tuning};
use sha2::{Digest as _, Sha256};

use super::args::{Calibration as Args, Reading};
use super::reading::{Labels, read_columns, read_rows};
use super::setup::Problems;

/// Between the labels of a set in the output.
pub const BETWEEN: &str = "|";

/// What is asked, and what was fitted.
pub struct Calibrator {
    method: Option<Method>,
    prior: Vec<f64>,
    /// Rows to fit corrections on, if they are not those to score.
    fit_on: Option<RowSet>,
    /// α, labelled rows to find thresholds on, and whether class by class.
    conformal: Option<(f64, RowSet, bool)>,
    abstain_below: Option<f64>,
    labels: Vec<String>,
    fitted: Fitted,
}

impl Calibrator {
    /// Reads and checks what is asked before any weights are loaded. `learned` is what stands beside the
    /// model's own.
    pub fn check(
        args: &Args,
        reading: &Reading,
        (model, learned): (&Path, &[(Tuning, Learned)]),
        verbalizer: &Verbalizer,
        tasks: &[Task],
        columns: &Columns,
    ) -> Result<Calibrator> {
        let method = args.calibrate.map(Method::from);
        let named = method.map_or("", Method::name);
        let labels: Vec<String> = verbalizer.labels().map(str::to_owned).collect();
        anyhow::ensure!(
            args.prior.is_none() || method == Some(Method::Prior),
            "--prior is for --calibrate prior, not for {named}"
        );
        for (flag, share) in [("--conformal", args.conformal), ("--abstain-below", args.abstain_below)] {
            anyhow::ensure!(
                share.is_none_or(|share| share > 0.0 && share < 1.0),
                "{flag} takes a number between 0 and 1"
            );
        }
        anyhow::ensure!(
            args.calibration_out.is_none() || method.is_some() || args.conformal.is_some(),
            "--calibration-out has nothing to write: add --calibrate or --conformal"
        );
        anyhow::ensure!(
            args.calibrate_on.is_none() || method.is_some_and(Method::needs_rows),
            "--calibrate {named} looks at no rows: leave --calibrate-on out"
        );
        let learns = method.is_some_and(Method::needs_labels);
        anyhow::ensure!(
            !learns || args.calibrate_on.is_some(),
            "--calibrate {named} learns from labels: give --calibrate-on a labelled file, other rows than are evaluated on"
        );
        if let Some(label) = labels.iter().find(|label| label.contains(BETWEEN) && args.conformal.is_some()) {
            anyhow::bail!(
                "the label {label:?} has a {BETWEEN:?}, which stands between the labels of a set in the output"
            );
        }
        let mut problems = Problems(Vec::new());
        let prior = problems.keep(prior(args.prior.as_deref(), &labels)).unwrap_or_default();
        let templates: Vec<Template> = tasks.iter().map(|task| task.template().clone()).collect();
        let read = read_columns(&templates, columns);
        let mut rows = |path: &Path, labels: Labels| {
            let set = problems.keep(read_rows(path, reading, &read, verbalizer, Some(columns), labels))?;
            if set.examples.is_empty() {
                problems.0.push(Kind::CalibrationWithoutRows { data: set.columns.data().to_owned() }.into());
            }
            Some(set)
        };
        let fit_on = args
            .calibrate_on
            .as_deref()
            .and_then(|path| rows(path, if learns { Labels::Needed } else { Labels::Ignored }));
        let sets_on = args.conformal_on.as_deref().and_then(|path| rows(path, Labels::Needed));
        if let (Some(alpha), Some(set)) = (args.conformal, &sets_on) {
            problems.keep(Conformal::check(
                set.truths.iter().flatten().copied(),
                &labels,
                alpha,
                args.class_conditional,
            ));
        }
        problems.none()?;
        let conformal =
            args.conformal.zip(sets_on).map(|(alpha, rows)| (alpha, rows, args.class_conditional));
        let remembered = args.calibration.is_some() || args.calibration_out.is_some();
        // Reading all weights costs time, which only files that outlive this run are worth.
        let sha256 = if remembered { identity(model, learned)? } else { String::new() };
        let identities: Vec<String> = tasks.iter().map(Task::identity).collect();
        let patterns =
            tasks.iter().zip(&identities).map(|(task, identity)| (task.template().name(), identity.as_str()));
        let nothing = Fitted::new(FittedFor::new(model.to_owned(), sha256, verbalizer), patterns);
        let fitted = args
            .calibration
            .as_deref()
            .map_or_else(|| Ok(nothing.clone()), |path| Fitted::load(path, &nothing))?;
        Ok(Calibrator { method, prior, fit_on, conformal, abstain_below: args.abstain_below, labels, fitted })
    }

    /// Whether corrections are to be fitted on the rows that are scored, which must then be there first.
    pub fn on_own_rows(&self) -> bool {
        self.method.is_some_and(Method::needs_rows) && self.fit_on.is_none()
    }

    /// Fits what is not to be fitted on the rows that are scored.
    pub fn fit(&mut self, scorer: &Scorer<'_>, columns: &Columns) -> Result<(), Error> {
        match (self.method, self.fit_on.take()) {
            (Some(_), Some(set)) => {
                let scored = scorer.score(&set.columns, &set.examples, &mut |_| {})?;
                let truths: Vec<usize> = set.truths.iter().flatten().copied().collect();
                self.fit_corrections(scorer, &set.columns, &set.examples, &truths, &scored)
            }
            (Some(_), None) => self.fit_corrections(scorer, columns, &[], &[], &[]),
            (None, _) => self.fit_sets(scorer),
        }
    }

    /// Fits corrections, on rows and what was said of them, then the thresholds of sets.
    pub fn fit_corrections<'r>(
        &mut self,
        scorer: &Scorer<'_>,
        columns: &Columns,
        rows: impl IntoIterator<Item = &'r Example>,
        truths: &[usize],
        scored: &[Scored],
    ) -> Result<(), Error> {
        let Some(method) = self.method else { return Ok(()) };
        let rows: Vec<&Example> = rows.into_iter().collect();
        if method.needs_rows() && rows.is_empty() {
            return Err(Kind::CalibrationWithoutRows { data: columns.data().to_owned() }.into());
        }
        let mut count = rows.len();
        for (index, task) in scorer.tasks.iter().enumerate() {
            let said = || scored.iter().map(|row| row.by_pattern[index].clone()).collect::<Vec<Prediction>>();
            let correction = match method {
                Method::Contextual | Method::Pmi | Method::Domain => {
                    let said = scorer.without_content(method, task, columns, &rows)?;
                    count = said.len();
                    Correction::dividing_by(&said)
                }
                Method::Batch => Correction::dividing_by(&said()),
                Method::Prior => Correction::to_prior(&said(), &self.prior),
                Method::Temperature => Correction::temperature(&said(), truths),
                Method::Vector => Correction::vector(&said(), truths),
            };
            self.fitted.patterns[index].correction = Some(correction);
        }
        let on = if method.needs_rows() { columns.data() } else { WITHOUT_CONTENT };
        self.fitted.method = Some(method);
        self.fitted.fitted_on = Some(on.to_owned());
        self.fitted.rows = count as u64;
        self.fitted.prior = (method == Method::Prior).then(|| self.prior.clone());
        self.fit_sets(scorer)
    }

    fn fit_sets(&mut self, scorer: &Scorer<'_>) -> Result<(), Error> {
        let Some((alpha, set, by_class)) = &self.conformal else { return Ok(()) };
        let scored = scorer.score(&set.columns, &set.examples, &mut |_| {})?;
        let corrected = scored.into_iter().map(|mut row| self.fitted.apply(&mut row.by_pattern));
        let rows: Vec<(Prediction, usize)> = corrected.zip(set.truths.iter().flatten().copied()).collect();
        self.fitted.conformal = Some(Conformal::fit(&rows, &self.labels, *alpha, *by_class)?);
        Ok(())
    }

    /// Whether rows get sets.
    pub fn gives_sets(&self) -> bool {
        self.conformal.is_some() || self.fitted.conformal.is_some()
    }

    /// What was fitted.
    pub fn fitted(&self) -> &Fitted {
        &self.fitted
    }
}

/// The shares of `LABEL=SHARE,…` in class order; without any all the same.
fn prior(written: Option<&str>, labels: &[String]) -> Result<Vec<f64>, Error> {
    let Some(written) = written else { return Ok(vec![1.0 / labels.len() as f64; labels.len()]) };
    let unclear = || Error::from(Kind::PriorUnclear { written: written.to_owned(), labels: labels.to_vec() });
    let mut shares = vec![None; labels.len()];
    for part in written.split(',') {
        let (label, share) = part.rsplit_once('=').ok_or_else(unclear)?;
        let class = labels.iter().position(|known| known == label.trim()).ok_or_else(unclear)?;
        let share = share.trim().parse::<f64>().map_err(|_| unclear())?;
        if shares[class].replace(share).is_some() {
            return Err(unclear());
        }
    }
    let shares: Vec<f64> = shares.into_iter().collect::<Option<_>>().ok_or_else(unclear)?;
    check_prior(&shares).map(|()| shares)
}

/// A name for a model with what was learned: it changes with any number of them.
fn identity(model: &Path, learned: &[(Tuning, Learned)]) -> Result<String, Error> {
    let mut hash = Sha256::new();
    hash.update(hash_of_weights(model)?);
    for (tuning, tensors) in learned {
        hash.update(tuning.name());
        hash.update(tensor_file::hash(tensors));
    }
    Ok(format!("{:x}", hash.finalize()))
}

/// What is counted of the rows, before and after.
pub struct Counted {
    before: Option<Counts>,
    after: Counts,
    abstention: Option<Abstention>,
    coverage: Coverage,
}

impl Counted {
    /// Nothing counted yet, for so many patterns.
    pub fn new(calibrator: &Calibrator, patterns: usize) -> Counted {
        let labels = &calibrator.labels;
        // Corrections may come later.
        let corrects = calibrator.method.is_some() || calibrator.fitted.method.is_some();
        Counted {
            before: corrects.then(|| Counts::new(labels, patterns)),
            after: Counts::new(labels, patterns),
            abstention: calibrator.abstain_below.map(|below| Abstention { below, ..Abstention::default() }),
            coverage: Coverage::new(labels.len()),
        }
    }

    /// Counts a row, and says how it is answered.
    pub fn answer(&mut self, calibrator: &Calibrator, mut scored: Scored, truth: Option<usize>) -> Answer {
        if let Some(before) = &mut self.before {
            before.add(&scored, truth);
            scored.average = calibrator.fitted.apply(&mut scored.by_pattern);
        }
        self.after.add(&scored, truth);
        let set = calibrator.fitted.conformal.as_ref().map(|conformal| conformal.set(&scored.average));
        if let Some(set) = &set {
            self.coverage.add(set, truth);
        }
        let answered =
            self.abstention.as_mut().is_none_or(|abstention| abstention.add(&scored.average, truth));
        Answer { prediction: scored.average, answered, set }
    }

    /// The report.
    pub fn report(self, calibrator: &Calibrator, run: Run, tasks: &[Task], seconds: f64) -> Report {
        let fitted = &calibrator.fitted;
        let before = self.before.map(|before| before.report(run.clone(), tasks, seconds));
        let calibration = before.zip(fitted.method).map(|(before, method)| CalibrationReport {
            method: method.name().to_owned(),
            fitted_on: fitted.fitted_on.clone().unwrap_or_default(),
            fitted_rows: fitted.rows,
            patterns: fitted
                .patterns
                .iter()
                .filter_map(|pattern| {
                    let correction = pattern.correction.clone()?;
                    Some(PatternCorrection {
                        template: pattern.template.clone(),
                        weights: correction.weights,
                        biases: correction.biases,
                    })
                })
                .collect(),
            before: Before {
                predicted: before.predicted,
                evaluation: before.evaluation,
                patterns: before.patterns,
                spread: before.spread,
            },
        });
        let sets =
            fitted.conformal.as_ref().map(|conformal| self.coverage.report(conformal, &calibrator.labels));
        Report { calibration, abstention: self.abstention, sets, ..self.after.report(run, tasks, seconds) }
    }
}
