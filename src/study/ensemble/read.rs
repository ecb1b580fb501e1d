//! Reading `report.json`: what no run would have written is refused, so that whoever shows a report need not
//! doubt it.

use std::path::Path;

use super::report::{EnsembleReport, Measured, Stage, VERSION};
use crate::error::source::Source;
use crate::error::{JsonError, Result, RunError};
use crate::text::json::{self, Node};

/// The report in a run's folder.
pub const FILE: &str = "report.json";

impl EnsembleReport {
    /// Reads a report.
    pub fn read(path: &Path) -> Result<EnsembleReport> {
        let source = Source::new(path.display().to_string(), json::read_text(path)?);
        let root = Node::root(&source);
        root.check_version(VERSION)?;
        let report: EnsembleReport = root.read_object()?;
        report.check().map_err(|(pointer, message)| {
            let kind = JsonError::Shape { message };
            root.at(&pointer).map_or_else(|| root.error(kind.clone()), |node| node.error(kind.clone()))
        })?;
        Ok(report)
    }

    /// The report of a run, by its folder. A folder without one is told apart from what is no folder.
    pub fn of_run(run: &Path) -> Result<EnsembleReport> {
        if run.is_file() {
            return Err(RunError::FolderIsFile { path: run.to_owned() }.into());
        }
        if !run.is_dir() {
            return Err(RunError::Missing { path: run.to_owned() }.into());
        }
        let file = run.join(FILE);
        if !file.exists() {
            return Err(RunError::ReportMissing { path: run.to_owned(), file: FILE }.into());
        }
        EnsembleReport::read(&file)
    }

    /// The first place where the parts do not fit each other, and how.
    fn check(&self) -> Result<(), (String, String)> {
        let patterns = self.patterns.len();
        some("setting.classes", self.setting.classes.len())?;
        some("setting.seeds", self.setting.seeds.len())?;
        some("patterns", patterns)?;
        let seeds = self.setting.seeds.len();
        of_length(
            "setting.train_rows".to_owned(),
            self.setting.train_rows.len(),
            seeds,
            "one for each seed",
        )?;
        for (index, pattern) in self.patterns.iter().enumerate() {
            of_length(
                format!("patterns[{index}].weights"),
                pattern.weights.len(),
                seeds,
                "one for each seed",
            )?;
        }
        for (index, stage) in self.stages.iter().enumerate() {
            self.check_stage(&format!("stages[{index}]"), stage)?;
        }
        for (index, curve) in self.curves.iter().enumerate() {
            let at = |key: &str| format!("curves[{index}].{key}");
            of_length(at("losses"), curve.losses.len(), curve.steps.len(), "as \"steps\"")?;
            index_below(at("pattern"), curve.pattern, patterns)?;
        }
        Ok(())
    }

    fn check_stage(&self, stage_at: &str, stage: &Stage) -> Result<(), (String, String)> {
        let at = |key: &str| format!("{stage_at}.{key}");
        of_length(at("patterns"), stage.patterns.len(), self.patterns.len(), "as the report's \"patterns\"")?;
        of_length(at("train_rows"), stage.train_rows.len(), self.setting.seeds.len(), "one for each seed")?;
        index_below(at("worst"), stage.worst, stage.patterns.len())?;
        index_below(at("best"), stage.best, stage.patterns.len())?;
        for (index, pattern) in stage.patterns.iter().enumerate() {
            self.check_measured(&format!("{stage_at}.patterns[{index}]"), pattern.as_ref())?;
        }
        self.check_measured(&at("ensemble"), stage.ensemble.as_ref())?;
        self.check_measured(&at("student"), stage.student.as_ref())?;
        if let Some(mean) = &stage.mean_pattern {
            self.check_seeds(&at("mean_pattern.by_seed"), &mean.by_seed)?;
        }
        match &stage.agreement {
            Some(agreement) => {
                square(&at("agreement.pairwise"), &agreement.pairwise, agreement.pairwise.len())
            }
            None => Ok(()),
        }
    }

    /// One for each seed, or one alone; and one at least that is a number.
    fn check_seeds(&self, at: &str, by_seed: &[Option<f64>]) -> Result<(), (String, String)> {
        some(at, by_seed.iter().flatten().count())?;
        match by_seed.len() {
            1 => Ok(()),
            found => of_length(at.to_owned(), found, self.setting.seeds.len(), "one for each seed"),
        }
    }

    fn check_measured(&self, measured_at: &str, measured: Option<&Measured>) -> Result<(), (String, String)> {
        let Some(measured) = measured else { return Ok(()) };
        let at = |key: &str| format!("{measured_at}.{key}");
        self.check_seeds(&at("accuracy.by_seed"), &measured.accuracy.by_seed)?;
        let measured_seeds = measured.accuracy.by_seed.iter().flatten().count();
        of_length(at("right"), measured.right.len(), measured_seeds, "one for each seed that was measured")?;
        square(&at("confusion"), &measured.confusion, self.setting.classes.len())?;
        for (index, right) in measured.right.iter().enumerate() {
            let at = format!("{measured_at}.right[{index}]");
            if right.bytes().any(|letter| !matches!(letter, b'0' | b'1')) {
                return Err((at, "expected a string of 0 and 1".to_owned()));
            }
            of_length(at, right.len(), self.setting.test_rows, "as \"test_rows\" says")?;
        }
        Ok(())
    }
}

fn some(at: &str, length: usize) -> Result<(), (String, String)> {
    if length > 0 { Ok(()) } else { Err((at.to_owned(), "expected one or more, found none".to_owned())) }
}

fn of_length(at: String, found: usize, wanted: usize, why: &str) -> Result<(), (String, String)> {
    if found == wanted { Ok(()) } else { Err((at, format!("expected {wanted}, {why}, found {found}"))) }
}

fn index_below(at: String, index: Option<usize>, end: usize) -> Result<(), (String, String)> {
    match index {
        Some(index) if index >= end => Err((at, format!("expected a number below {end}, found {index}"))),
        _ => Ok(()),
    }
}

fn square<T>(at: &str, rows: &[Vec<T>], size: usize) -> Result<(), (String, String)> {
    of_length(at.to_owned(), rows.len(), size, "a row for each")?;
    rows.iter().enumerate().try_for_each(|(index, row)| {
        of_length(format!("{at}[{index}]"), row.len(), size, "a column for each")
    })
}
