//! The plots of ensembles.

use maud::Markup;

use crate::page::plots::{self, Line, Ranged};
use crate::study::ensemble::report::{Curve, EnsembleReport, Measured, Stage};

/// A stage's series: 0 without training, then the generations.
pub(super) fn series(stage: &Stage) -> usize {
    stage.generation.map_or(0, |generation| generation + 1)
}

/// The accuracy of each pattern in each stage, the ensembles and the students below.
pub(super) fn accuracies(report: &EnsembleReport) -> Markup {
    let stages: Vec<&Stage> = report.stages.iter().filter(|stage| stage.ensemble.is_some()).collect();
    let ranged = |found: &Measured| -> Ranged { (found.accuracy.mean, found.accuracy_95) };
    let of_stages = |found: &dyn Fn(&Stage) -> Option<Ranged>| -> Vec<Option<Ranged>> {
        stages.iter().map(|stage| found(stage)).collect()
    };
    let mut rows: Vec<(String, Vec<Option<Ranged>>)> = (0..report.patterns.len())
        .map(|index| {
            let name = format!("{} {}", index + 1, report.pattern_name(index));
            (name, of_stages(&|stage| stage.patterns.get(index)?.as_ref().map(ranged)))
        })
        .collect();
    if report.patterns.len() > 1 {
        rows.push(("ensemble".to_owned(), of_stages(&|stage| stage.ensemble.as_ref().map(ranged))));
    }
    rows.push(("student".to_owned(), of_stages(&|stage| stage.student.as_ref().map(ranged))));
    rows.retain(|(_, found)| found.iter().any(Option::is_some));
    let names: Vec<(usize, String)> = stages.iter().map(|stage| (series(stage), stage.name())).collect();
    plots::intervals("Accuracy in percent, with 95 % intervals", &names, &rows, report.patterns.len())
}

/// A training's losses by step, without those that are no numbers.
pub(crate) fn line(name: String, curve: &Curve) -> Line {
    let points = curve.steps.iter().zip(&curve.losses).filter(|(_, loss)| loss.is_finite());
    (name, points.map(|(step, loss)| (*step as f64, *loss)).collect())
}
