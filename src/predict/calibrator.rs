//! The protocol of calibration: what is fitted on which rows, what a row is then answered, and what is
//! counted.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{CalibrationError, Error, Errors, Result};
use crate::model::folder::ModelFolder;
use crate::predict::blueprint::Blueprint;
use crate::predict::calibration::{
    Conformal, Correction, Coverage, Fitted, FittedFor, FittedPattern, Method, WITHOUT_CONTENT, check_prior,
};
use crate::predict::output::Answer;
use crate::predict::report::{
    Abstention, Before, CalibrationReport, PatternCorrection, PatternName, Prediction, Report, Run,
};
use crate::predict::score::{Counts, Scored, Scorer};
use crate::predict::task::Task;
use crate::text::commas::{between_commas, unquoted};
use crate::text::data::{Columns, Example, Reading};
use crate::text::dataset::{Dataset, Labels, read_columns};
use crate::text::same_file::same_file;
use crate::text::verbalizer::{Structure, Verbalizer};

/// What is asked of a calibration.
#[derive(Debug, Clone, Default)]
pub struct CalibrationRequest {
    /// How to correct the probabilities.
    pub method: Option<Method>,
    /// A file of rows to fit the correction on, if they are not those to score.
    pub fit_on: Option<PathBuf>,
    /// The classes' shares as [`prior`] reads them: for [`Method::Prior`], and for methods that look at
    /// inputs without content.
    pub prior: Option<String>,
    /// α: the share of rows whose prediction set may lack the truth.
    pub conformal: Option<f64>,
    /// A file of labelled rows to find the thresholds of sets on.
    pub conformal_on: Option<PathBuf>,
    /// Whether that is promised class by class.
    pub class_conditional: bool,
    /// The least probability of an answer.
    pub abstain_below: Option<f64>,
    /// A calibration that was fitted before.
    pub fitted: Option<PathBuf>,
    /// Whether what is fitted will be written, for later.
    pub keeps: bool,
    /// How the files of rows are read.
    pub reading: Reading,
}

/// What is asked, and what was fitted.
pub struct Calibrator {
    method: Option<Method>,
    prior: Vec<f64>,
    /// Rows to fit corrections on, if they are not those to score.
    fit_on: Option<Dataset>,
    /// α, labelled rows to find thresholds on, and whether class by class.
    conformal: Option<(f64, Dataset, bool)>,
    abstain_below: Option<f64>,
    labels: Vec<String>,
    structure: Structure,
    fitted: Fitted,
}

impl Calibrator {
    /// Reads and checks what is asked before any weights are loaded. All problems at once.
    pub fn check(
        request: &CalibrationRequest,
        blueprint: &Blueprint,
        tasks: &[Task],
        columns: &Columns,
    ) -> Result<Calibrator, Errors> {
        let CalibrationRequest { method, conformal, class_conditional, reading, .. } = request;
        let (verbalizer, labels) = (&blueprint.verbalizer, blueprint.labels());
        let learns = method.is_some_and(Method::needs_labels);
        let mut errors = Errors::new();
        let prior = errors.keep(prior(request.prior.as_deref(), verbalizer)).unwrap_or_default();
        let read = read_columns(tasks.iter().map(Task::template), columns);
        if let (Some(fit_on), Some(sets_on)) = (&request.fit_on, &request.conformal_on)
            && same_file(fit_on, sets_on)
        {
            errors.push(CalibrationError::SameRows { path: sets_on.clone() });
            return Err(errors);
        }
        let mut rows = |path: &PathBuf, labels: Labels| {
            let set = errors.keep(Dataset::read(path, reading, &read, verbalizer, Some(columns), labels))?;
            if set.examples.is_empty() {
                errors.push(CalibrationError::WithoutRows { data: set.columns.data().to_owned() });
            }
            Some(set)
        };
        let wanted = if learns { Labels::Needed } else { Labels::Ignored };
        let fit_on = request.fit_on.as_ref().and_then(|path| rows(path, wanted));
        let sets_on = request.conformal_on.as_ref().and_then(|path| rows(path, Labels::Needed));
        if let (Some(alpha), Some(set)) = (*conformal, &sets_on) {
            let truths = set.truths.iter().flatten().copied();
            errors.keep(Conformal::check(truths, &labels, alpha, *class_conditional));
        }
        errors.none()?;
        // Reading all weights costs time, which only files that outlive this run are worth.
        let remembered = request.fitted.is_some() || request.keeps;
        let sha256 = if remembered { blueprint.identity()? } else { String::new() };
        let nothing = nothing_fitted(&blueprint.folder, sha256, verbalizer, tasks);
        let fitted = request
            .fitted
            .as_deref()
            .map_or_else(|| Ok(nothing.clone()), |path| Fitted::load(path, &nothing))?;
        Ok(Calibrator {
            method: *method,
            prior,
            fit_on,
            conformal: conformal.zip(sets_on).map(|(alpha, rows)| (alpha, rows, *class_conditional)),
            abstain_below: request.abstain_below,
            labels,
            structure: verbalizer.structure().clone(),
            fitted,
        })
    }

    /// One that corrects by inputs without content, so that it needs no rows; `nothing` is the calibration to
    /// which nothing is done yet.
    pub(crate) fn contextual(nothing: Fitted, verbalizer: &Verbalizer) -> Calibrator {
        let labels: Vec<String> = verbalizer.labels().map(str::to_owned).collect();
        Calibrator {
            method: Some(Method::Contextual),
            prior: vec![1.0 / labels.len() as f64; labels.len()],
            fit_on: None,
            conformal: None,
            abstain_below: None,
            labels,
            structure: verbalizer.structure().clone(),
            fitted: nothing,
        }
    }

    /// Fits corrections on these rows, in place of those that are scored.
    #[must_use]
    pub fn fitted_on(self, rows: Dataset) -> Calibrator {
        Calibrator { fit_on: Some(rows), ..self }
    }

    /// The rows whose labels corrections and the thresholds of sets will be fitted on, until they are.
    pub fn learns_from(&self) -> impl Iterator<Item = &Dataset> {
        let corrections = self.fit_on.iter().filter(|_| self.method.is_some_and(Method::needs_labels));
        corrections.chain(self.conformal.iter().map(|(_, rows, _)| rows))
    }

    /// Whether corrections are to be fitted on the rows that are scored, which must then be there first.
    pub fn on_own_rows(&self) -> bool {
        self.method.is_some_and(Method::needs_rows) && self.fit_on.is_none()
    }

    /// Fits what is not to be fitted on the rows that are scored. `progress` is told which share of the rows
    /// that it is fitted on is done.
    pub fn fit(
        &mut self,
        scorer: &Scorer<'_>,
        columns: &Columns,
        progress: &mut dyn FnMut(f64),
    ) -> Result<()> {
        match (self.method, self.fit_on.take()) {
            (Some(_), Some(set)) => {
                let scored = scorer.score(&set.columns, &set.examples, progress)?;
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
    ) -> Result<()> {
        let Some(method) = self.method else { return Ok(()) };
        let rows: Vec<&Example> = rows.into_iter().collect();
        if method.needs_rows() && rows.is_empty() {
            return Err(CalibrationError::WithoutRows { data: columns.data().to_owned() }.into());
        }
        let mut count = rows.len();
        for (index, task) in scorer.tasks.iter().enumerate() {
            let said = || scored.iter().map(|row| row.by_pattern[index].clone()).collect::<Vec<Prediction>>();
            let correction = match method {
                Method::Contextual | Method::Pmi | Method::Domain => {
                    let said = scorer.without_content(method, task, columns, &rows)?;
                    count = said.len();
                    let dividing = Correction::dividing_by(&said);
                    let is_even = self.prior.iter().all(|share| *share == self.prior[0]);
                    if is_even { dividing } else { dividing.times(&self.prior) }
                }
                Method::Batch => Correction::dividing_by(&said()),
                Method::Mixed => {
                    let random = scorer.without_content(Method::Domain, task, columns, &rows)?;
                    Correction::dividing_by(&random).halfway(&Correction::dividing_by(&said()))
                }
                Method::Prior => Correction::to_prior(&said(), &self.prior),
                Method::Temperature => Correction::temperature(&said(), truths),
                Method::Dirichlet => Correction::dirichlet(&said(), truths),
                Method::VectorScaling => {
                    let levels: Vec<f64> = scored.iter().map(|row| row.levels[index]).collect();
                    Correction::vector_scaling(&said(), &levels, truths)
                }
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

    fn fit_sets(&mut self, scorer: &Scorer<'_>) -> Result<()> {
        let Some((alpha, set, by_class)) = &self.conformal else { return Ok(()) };
        let scored = scorer.score(&set.columns, &set.examples, &mut |_| {})?;
        let corrected = scored.into_iter().map(|mut row| self.fitted.apply(&mut row.by_pattern, &row.levels));
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

/// The calibration of these patterns to which nothing is done yet, for a model by the name of its weights.
pub(crate) fn nothing_fitted(
    folder: &ModelFolder,
    sha256: String,
    verbalizer: &Verbalizer,
    tasks: &[Task],
) -> Fitted {
    let identities: Vec<String> = tasks.iter().map(Task::identity).collect();
    let patterns =
        tasks.iter().zip(&identities).map(|(task, identity)| (task.template().name(), identity.as_str()));
    Fitted::new(FittedFor::new(folder.path().to_owned(), sha256, verbalizer), patterns)
}

/// The shares of a prior that is written as `LABEL=SHARE,…`, in class order; without any all the same. Quotes
/// stand round a label with a comma in it, and a label may be in another case than its class's.
///
/// ```
/// use cloze::Verbalizer;
/// use cloze::predict::calibrator::prior;
/// let verbalizer = Verbalizer::of(&[("up, or so", &["good"]), ("down", &["bad"])])?;
/// assert_eq!(prior(Some(r#"Down=0.2, "up, or so"=0.8"#), &verbalizer)?, [0.8, 0.2]);
/// assert!(prior(Some("down=1"), &verbalizer).is_err());
/// # Ok::<(), cloze::Error>(())
/// ```
pub fn prior(written: Option<&str>, verbalizer: &Verbalizer) -> Result<Vec<f64>> {
    let labels: Vec<String> = verbalizer.labels().map(str::to_owned).collect();
    let Some(written) = written else { return Ok(vec![1.0 / labels.len() as f64; labels.len()]) };
    let unclear = || {
        Error::from(CalibrationError::PriorUnclear { written: written.to_owned(), labels: labels.clone() })
    };
    let mut shares = vec![None; labels.len()];
    for part in between_commas(written).ok_or_else(unclear)? {
        let (label, share) = part.rsplit_once('=').ok_or_else(unclear)?;
        let label = unquoted(label.trim());
        let class = verbalizer.class_of(&label).or_else(|| verbalizer.class_near(&label));
        let class = class.ok_or_else(unclear)?;
        let share = share.trim().parse::<f64>().map_err(|_| unclear())?;
        if shares[class].replace(share).is_some() {
            return Err(unclear());
        }
    }
    let shares: Vec<f64> = shares.into_iter().collect::<Option<_>>().ok_or_else(unclear)?;
    check_prior(&shares).map(|()| shares)
}

/// What a report says of a calibration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fitting {
    /// How it was fitted; none where nothing is corrected.
    pub method: Option<Method>,
    /// On what.
    pub fitted_on: Option<String>,
    /// On so many rows, or inputs without content.
    pub rows: u64,
    /// The prior that was matched.
    pub prior: Option<Vec<f64>>,
    /// Each pattern's weights and biases.
    pub patterns: Vec<PatternCorrection>,
    /// The thresholds of prediction sets.
    pub conformal: Option<Conformal>,
}

impl Fitting {
    /// Of what was fitted.
    pub fn of(fitted: &Fitted) -> Fitting {
        let correction = |pattern: &FittedPattern| {
            let correction = pattern.correction.clone()?;
            let Correction { weights, biases } = correction;
            Some(PatternCorrection { template: pattern.template.clone(), weights, biases })
        };
        Fitting {
            method: fitted.method,
            fitted_on: fitted.fitted_on.clone(),
            rows: fitted.rows,
            prior: fitted.prior.clone(),
            patterns: fitted.patterns.iter().filter_map(correction).collect(),
            conformal: fitted.conformal.clone(),
        }
    }
}

/// What is counted of the rows, before and after.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Counted {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Counts>,
    after: Counts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    abstention: Option<Abstention>,
    /// Rows without an answer, by their likeliest class.
    unanswered: Vec<u64>,
    coverage: Coverage,
    /// So many rows were left out.
    pub left_out_rows: u64,
    /// So many labels are their class's but for case, or blanks at the ends.
    pub near_labels: u64,
}

impl Counted {
    /// Nothing counted yet, for so many patterns.
    pub fn new(calibrator: &Calibrator, patterns: usize) -> Counted {
        let labels = &calibrator.labels;
        // Corrections may come later.
        let counts = || Counts::new(labels, patterns).structured(&calibrator.structure);
        let corrects = calibrator.method.is_some() || calibrator.fitted.method.is_some();
        Counted {
            before: corrects.then(counts),
            after: counts(),
            abstention: calibrator.abstain_below.map(|below| Abstention { below, ..Abstention::default() }),
            unanswered: vec![0; labels.len()],
            coverage: Coverage::new(labels.len()),
            left_out_rows: 0,
            near_labels: 0,
        }
    }

    /// Counts a row, and says how it is answered.
    pub fn answer(&mut self, calibrator: &Calibrator, mut scored: Scored, truth: Option<usize>) -> Answer {
        if let Some(before) = &mut self.before {
            before.add(&scored, truth);
            scored.average = calibrator.fitted.apply(&mut scored.by_pattern, &scored.levels);
        }
        self.after.add(&scored, truth);
        let set = calibrator.fitted.conformal.as_ref().map(|conformal| conformal.set(&scored.average));
        if let Some(set) = &set {
            self.coverage.add(set, truth);
        }
        let answered =
            self.abstention.as_mut().is_none_or(|abstention| abstention.add(&scored.average, truth));
        if !answered {
            self.unanswered[scored.average.class()] += 1;
        }
        Answer { prediction: scored.average, answered, set }
    }

    /// Counts a row's number, by where it lies between the ends of a range. Corrections know of none.
    pub fn add_number(&mut self, scored: &Scored, share: f64) {
        self.after.add_number(scored, share);
    }

    /// Whether these are of such labels and so many patterns, and whole: what was read may be anything.
    pub(crate) fn is_of(&self, labels: &[String], patterns: usize) -> bool {
        [self.unanswered.len(), self.coverage.by_class.len()] == [labels.len(); 2]
            && self.before.iter().chain([&self.after]).all(|counts| counts.is_of(labels, patterns))
    }

    /// The bound below which rows are left without an answer.
    pub(crate) fn abstains_below(&self) -> Option<f64> {
        self.abstention.as_ref().map(|abstention| abstention.below)
    }

    /// Rows counted.
    pub fn rows(&self) -> u64 {
        self.after.rows()
    }

    /// Counts the rows of others too: as if these had been counted here, to the bit. Both are of the same
    /// calibrator and patterns.
    pub fn merge(&mut self, other: &Counted) {
        if let (Some(own), Some(other)) = (&mut self.before, &other.before) {
            own.merge(other);
        }
        self.after.merge(&other.after);
        if let (Some(own), Some(other)) = (&mut self.abstention, &other.abstention) {
            own.merge(other);
        }
        self.unanswered.iter_mut().zip(&other.unanswered).for_each(|(own, other)| *own += other);
        self.coverage.merge(&other.coverage);
        self.left_out_rows += other.left_out_rows;
        self.near_labels += other.near_labels;
    }

    /// The report.
    pub fn report(self, fitting: &Fitting, run: Run, patterns: &[PatternName], seconds: f64) -> Report {
        let labels = run.labels.clone();
        let before = self.before.map(|before| before.report(run.clone(), patterns, seconds));
        let calibration = before.zip(fitting.method).map(|(before, method)| CalibrationReport {
            method: method.name().to_owned(),
            fitted_on: fitting.fitted_on.clone().unwrap_or_default(),
            fitted_rows: fitting.rows,
            prior: fitting.prior.clone(),
            patterns: fitting.patterns.clone(),
            before: Before {
                predicted: before.predicted,
                evaluation: before.evaluation,
                patterns: before.patterns,
                spread: before.spread,
            },
        });
        let sets = fitting.conformal.as_ref().map(|conformal| self.coverage.report(conformal, &labels));
        let Counted { abstention, left_out_rows, near_labels, unanswered, .. } = self;
        let mut report = self.after.report(run, patterns, seconds);
        report.predicted.iter_mut().zip(&unanswered).for_each(|(class, without)| class.rows -= without);
        Report { calibration, abstention, sets, left_out_rows, near_labels, ..report }
    }
}
