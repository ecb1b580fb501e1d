//! A report as the tables that people read, before any text is made of it: the page and the terminal show the
//! same rows.

use serde::Serialize;

use super::report::{Accuracies, EnsembleReport, Measured, Stage};
use crate::study::compare::{PairedDifference, holm};

/// A stage's part of the main table.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    /// `without training`, `generation 0`, …
    pub name: String,
    /// The stage.
    pub stage: &'a Stage,
    /// From the worst pattern to the student.
    pub rows: Vec<Row<'a>>,
}

/// A row of the main table.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// `worst pattern`, `ensemble`, …
    pub name: &'static str,
    /// Which pattern, as an index into the report's, where it is one.
    pub pattern: Option<usize>,
    /// The accuracy.
    pub accuracy: &'a Accuracies,
    /// Its interval over other test rows; none for the mean of the patterns.
    pub accuracy_95: Option<[f64; 2]>,
    /// Macro-F1; of the mean of the patterns the mean of theirs.
    pub macro_f1: f64,
    /// The expected calibration error, likewise.
    pub expected_calibration_error: f64,
}

/// Two classifiers on the same test rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The one.
    pub first: String,
    /// The other, which is taken from it.
    pub second: String,
    /// The first less the second.
    #[serde(flatten)]
    pub found: PairedDifference,
    /// Its p value, corrected for all comparisons that it stands beside (Holm 1979).
    pub p_holm: f64,
}

impl Comparison {
    /// One that stands alone.
    pub fn of(first: String, second: String, found: PairedDifference) -> Comparison {
        Comparison { first, second, p_holm: found.p_value, found }
    }

    /// Corrects the p values of comparisons that are read together.
    pub fn correct<'a>(together: impl IntoIterator<Item = &'a mut Comparison>) {
        let mut together: Vec<&mut Comparison> = together.into_iter().collect();
        let p_values: Vec<f64> = together.iter().map(|comparison| comparison.found.p_value).collect();
        together.iter_mut().zip(holm(&p_values)).for_each(|(comparison, p)| comparison.p_holm = p);
    }
}

/// Two runs, by what each has in the end.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum BetweenRuns {
    /// On the same test rows.
    Compared(Comparison),
    /// Not row by row.
    Apart {
        /// The one.
        first: String,
        /// The other.
        second: String,
        /// Why not.
        not_compared: &'static str,
    },
}

impl Measured {
    /// For each seed that was measured, which labelled test rows are right.
    fn lists(&self) -> Vec<Vec<bool>> {
        self.right.iter().map(|list| list.bytes().map(|letter| letter == b'1').collect()).collect()
    }
}

impl Stage {
    /// The patterns that were measured for each seed: those that their mean is of.
    pub fn whole_patterns(&self) -> impl Iterator<Item = &Measured> {
        self.patterns.iter().flatten().filter(|pattern| pattern.accuracy.by_seed.iter().all(Option::is_some))
    }

    /// `without training`, `generation 0`, …
    pub fn name(&self) -> String {
        self.generation
            .map_or_else(|| "without training".to_owned(), |generation| format!("generation {generation}"))
    }
}

impl EnsembleReport {
    /// A pattern's name: its template's, with its verbalizer's where there are several of these.
    pub fn pattern_name(&self, index: usize) -> String {
        let Some(pattern) = self.patterns.get(index) else { return format!("pattern {}", index + 1) };
        let several = self.patterns.iter().any(|other| other.verbalizer != pattern.verbalizer);
        if several {
            format!("{} · {}", pattern.template, pattern.verbalizer)
        } else {
            pattern.template.clone()
        }
    }

    /// The main table. Stages of which nothing was measured have no group.
    pub fn groups(&self) -> Vec<Group<'_>> {
        let group = |stage| Group { name: Stage::name(stage), stage, rows: rows(stage) };
        self.stages.iter().map(group).filter(|group| !group.rows.is_empty()).collect()
    }

    /// The last stage with a measured ensemble.
    pub fn last_stage(&self) -> Option<&Stage> {
        self.stages.iter().rev().find(|stage| stage.ensemble.is_some())
    }

    /// The members without training, where they were measured.
    pub fn without_training(&self) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.generation.is_none() && stage.ensemble.is_some())
    }

    /// What the run has in the end: the last student, or else the last ensemble, with its name.
    pub fn classifier(&self) -> Option<(&'static str, &Measured)> {
        let student = self.stages.iter().rev().find_map(|stage| stage.student.as_ref());
        let ensemble = || self.last_stage()?.ensemble.as_ref();
        student.map(|student| ("student", student)).or_else(|| Some((self.ensemble_name(), ensemble()?)))
    }

    /// The test rows that it gets right; or why they are not known.
    pub fn rated(&self) -> Result<Rated<'_>, &'static str> {
        let (_, found) = self.classifier().ok_or("a run was not measured on labelled test rows")?;
        let (test_sha256, test_rows) = (self.setting.test_sha256.as_deref(), self.setting.test_rows);
        Ok(Rated { right: found.lists(), test_sha256, test_rows })
    }

    /// What an ensemble is called: one of a single pattern is that pattern.
    pub fn ensemble_name(&self) -> &'static str {
        if self.patterns.len() == 1 { "pattern" } else { "ensemble" }
    }

    /// The paired tests within the run, as far as it has both sides of each.
    pub fn comparisons(&self) -> Vec<Comparison> {
        let Some(last) = self.last_stage() else { return vec![] };
        let ensemble = last.ensemble.iter().collect::<Vec<_>>();
        let name = self.ensemble_name();
        let mut found = Vec::new();
        let mut add = |first: &str, of_first: &[&Measured], second: &str, of_second: &[&Measured]| {
            found.extend(compared(first.to_owned(), of_first, second.to_owned(), of_second));
        };
        add("student", &last.student.iter().collect::<Vec<_>>(), name, &ensemble);
        if self.patterns.len() > 1 {
            add("ensemble", &ensemble, "mean pattern", &last.whole_patterns().collect::<Vec<_>>());
        }
        let first_generation = self.stages.iter().find(|stage| stage.generation == Some(0));
        if let (Some(first), Some(number @ 1..)) = (first_generation, last.generation) {
            let names =
                |what: &str| (format!("{what} of generation {number}"), format!("{what} of generation 0"));
            for (what, of_last, of_first) in
                [(name, &last.ensemble, &first.ensemble), ("student", &last.student, &first.student)]
            {
                let (after, before) = names(what);
                add(
                    &after,
                    &of_last.iter().collect::<Vec<_>>(),
                    &before,
                    &of_first.iter().collect::<Vec<_>>(),
                );
            }
        }
        if let (Some(before), Some(_)) = (self.without_training(), last.generation) {
            add(
                name,
                &ensemble,
                &format!("{name} without training"),
                &before.ensemble.iter().collect::<Vec<_>>(),
            );
        }
        Comparison::correct(&mut found);
        found
    }
}

/// What a run has in the end on its test rows.
pub struct Rated<'a> {
    /// For each seed, which labelled test rows are right.
    pub right: Vec<Vec<bool>>,
    /// Of the test file's bytes.
    pub test_sha256: Option<&'a str>,
    /// Test rows with a label.
    pub test_rows: usize,
}

/// The paired tests of what each run has in the end, each pair of runs once.
pub fn between_runs(runs: &[(&str, &EnsembleReport)]) -> Vec<BetweenRuns> {
    let rated: Vec<_> = runs.iter().map(|(name, report)| (*name, report.rated())).collect();
    between_rated(&rated)
}

/// The same of runs of whatever kind; of some it is not known which rows are right, and why.
pub fn between_rated(runs: &[(&str, Result<Rated<'_>, &'static str>)]) -> Vec<BetweenRuns> {
    let pairs = (0..runs.len()).flat_map(|first| (first + 1..runs.len()).map(move |second| (first, second)));
    let mut found: Vec<BetweenRuns> =
        pairs.map(|(first, second)| between(&runs[first], &runs[second])).collect();
    Comparison::correct(found.iter_mut().filter_map(|pair| match pair {
        BetweenRuns::Compared(comparison) => Some(comparison),
        BetweenRuns::Apart { .. } => None,
    }));
    found
}

fn between(
    (first, one): &(&str, Result<Rated<'_>, &'static str>),
    (second, other): &(&str, Result<Rated<'_>, &'static str>),
) -> BetweenRuns {
    let (first, second) = ((*first).to_owned(), (*second).to_owned());
    let (one, other) = match (one, other) {
        (Ok(one), Ok(other)) => (one, other),
        (Err(not_compared), _) | (_, Err(not_compared)) => {
            return BetweenRuns::Apart { first, second, not_compared };
        }
    };
    let same =
        one.test_sha256.is_some() && one.test_sha256 == other.test_sha256 && one.test_rows == other.test_rows;
    match PairedDifference::of(&one.right, &other.right).filter(|_| same) {
        Some(found) => BetweenRuns::Compared(Comparison::of(first, second, found)),
        None => BetweenRuns::Apart { first, second, not_compared: "the test rows are not the same" },
    }
}

/// Each side's lists, of all its seeds and classifiers, stand for one method.
fn compared(
    first: String,
    of_first: &[&Measured],
    second: String,
    of_second: &[&Measured],
) -> Option<Comparison> {
    let lists =
        |side: &[&Measured]| -> Vec<Vec<bool>> { side.iter().flat_map(|side| side.lists()).collect() };
    Some(Comparison::of(first, second, PairedDifference::of(&lists(of_first), &lists(of_second))?))
}

fn rows(stage: &Stage) -> Vec<Row<'_>> {
    let pattern = |index: Option<usize>| stage.patterns.get(index?)?.as_ref();
    let mut rows = Vec::new();
    if stage.patterns.len() == 1 {
        rows.extend(pattern(Some(0)).map(|measured| row("pattern", Some(0), measured)));
    } else {
        let measured: Vec<&Measured> = stage.whole_patterns().collect();
        let mean = |of: fn(&Measured) -> f64| {
            measured.iter().map(|measured| of(measured)).sum::<f64>() / measured.len() as f64
        };
        rows.extend(pattern(stage.worst).map(|measured| row("worst pattern", stage.worst, measured)));
        rows.extend(stage.mean_pattern.iter().filter(|_| !measured.is_empty()).map(|accuracy| Row {
            name: "mean pattern",
            pattern: None,
            accuracy,
            accuracy_95: None,
            macro_f1: mean(|measured| measured.macro_f1),
            expected_calibration_error: mean(|measured| measured.expected_calibration_error),
        }));
        rows.extend(pattern(stage.best).map(|measured| row("best pattern", stage.best, measured)));
        rows.extend(stage.ensemble.iter().map(|measured| row("ensemble", None, measured)));
    }
    rows.extend(stage.student.iter().map(|measured| row("student", None, measured)));
    rows
}

fn row<'a>(name: &'static str, pattern: Option<usize>, measured: &'a Measured) -> Row<'a> {
    Row {
        name,
        pattern,
        accuracy: &measured.accuracy,
        accuracy_95: Some(measured.accuracy_95),
        macro_f1: measured.macro_f1,
        expected_calibration_error: measured.expected_calibration_error,
    }
}
