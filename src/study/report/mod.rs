//! The results of runs of whatever kind: read from their folders, and beside each other.

mod page;
mod pretrain;
mod tasks;
mod train;

use std::path::Path;

use crate::error::{Result, RunError};
use crate::learn::run::{MANIFEST, METRICS, RunKind, kind_of};
use crate::study::ensemble::read::FILE;
use crate::study::ensemble::report::{Accuracies, EnsembleReport};
use crate::study::ensemble::summary::{BetweenRuns, Comparison, Rated, between_rated};

pub use page::page;
pub use pretrain::PretrainReport;
pub use tasks::TasksReport;
pub use train::TrainReport;

/// The results of a run, by its kind.
pub enum RunReport {
    /// Of a way of tuning over several seeds.
    Train(Box<TrainReport>),
    /// Of one model for several tasks, task by task.
    Tasks(Box<TasksReport>),
    /// Of a model that went on reading.
    Pretrain(Box<PretrainReport>),
    /// Of an ensemble of patterns, and its student.
    Ensemble(Box<EnsembleReport>),
}

impl RunReport {
    /// The results of the run in a folder.
    ///
    /// ```
    /// use cloze::study::report::{RunReport, page};
    /// let report = RunReport::of_run("tests/fixtures/report/ipet".as_ref())?;
    /// assert_eq!(report.classifier(), Some("student"));
    /// assert!(page(&[("ipet", &report)]).contains("<h1>Pattern ensemble: ipet</h1>"));
    /// # Ok::<(), cloze::Error>(())
    /// ```
    pub fn of_run(run: &Path) -> Result<RunReport> {
        let manifest = run.join(MANIFEST);
        let kind = if run.join(FILE).exists() || !manifest.exists() { None } else { kind_of(&manifest)? };
        let metrics = run.join(METRICS);
        Ok(match kind {
            Some(RunKind::Train) if !metrics.exists() => {
                return Err(RunError::Unfinished { path: run.to_owned() }.into());
            }
            // One that is finished has a report.
            Some(RunKind::Ensemble) => return Err(RunError::Unfinished { path: run.to_owned() }.into()),
            Some(RunKind::Tasks | RunKind::Pretrain) if !metrics.exists() => {
                return Err(RunError::ReportMissing { path: run.to_owned(), file: METRICS }.into());
            }
            Some(RunKind::Train) => RunReport::Train(Box::new(TrainReport::read(run)?)),
            Some(RunKind::Tasks) => RunReport::Tasks(Box::new(TasksReport::read(run)?)),
            Some(RunKind::Pretrain) => RunReport::Pretrain(Box::new(PretrainReport::read(run)?)),
            None => RunReport::Ensemble(Box::new(EnsembleReport::of_run(run)?)),
        })
    }

    /// What the run has in the end; none where nothing was measured, or where there are several tasks.
    pub fn classifier(&self) -> Option<&str> {
        match self {
            RunReport::Train(report) => {
                (report.metrics.test_rows > 0).then_some(report.metrics.method.as_str())
            }
            RunReport::Tasks(_) | RunReport::Pretrain(_) => None,
            RunReport::Ensemble(report) => report.classifier().map(|(name, _)| name),
        }
    }

    /// Its accuracies.
    pub fn accuracy(&self) -> Option<Accuracies> {
        match self {
            RunReport::Train(report) => report.accuracy(),
            RunReport::Tasks(_) | RunReport::Pretrain(_) => None,
            RunReport::Ensemble(report) => report.classifier().map(|(_, found)| found.accuracy.clone()),
        }
    }

    /// The paired tests within the run.
    pub fn comparisons(&self) -> Vec<Comparison> {
        match self {
            RunReport::Train(report) => report.comparisons(),
            RunReport::Tasks(_) | RunReport::Pretrain(_) => Vec::new(),
            RunReport::Ensemble(report) => report.comparisons(),
        }
    }

    /// The test rows that it gets right, or why they are not known.
    pub(super) fn rated(&self) -> Result<Rated<'_>, &'static str> {
        match self {
            RunReport::Train(report) => report.rated(),
            RunReport::Tasks(_) => Err("of several tasks no answers are kept"),
            RunReport::Pretrain(_) => Err("a model that went on reading answers nothing"),
            RunReport::Ensemble(report) => report.rated(),
        }
    }
}

/// The paired tests of what each run has in the end, each pair of runs once.
pub fn between_runs(runs: &[(&str, &RunReport)]) -> Vec<BetweenRuns> {
    let rated: Vec<(&str, Result<Rated<'_>, &'static str>)> =
        runs.iter().map(|(name, report)| (*name, report.rated())).collect();
    between_rated(&rated)
}
