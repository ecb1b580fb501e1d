//! `report.html`: the results of one or several runs as a page that needs nothing but itself.

mod numbers;
pub(crate) mod plots;
pub(crate) mod tables;

use maud::{Markup, html};

use self::numbers::by_seed;
pub(crate) use self::numbers::mean_and_deviation;
use super::report::{Accuracies, EnsembleReport, Measured};
use super::summary::between_runs;
use crate::numbers::{count, counted, percent};
use crate::page::document::{document, heading, setting as settings, warnings};
use crate::page::plots::{Line, losses, reliability};
use crate::page::tables::{bins, confusion};
use crate::predict::report::Bin;

/// The page of runs with their names. Of one run it shows that run; of several first how they compare.
///
/// Whatever stands in a report is shown as text. Nothing is fetched: style and plots are in the page.
///
/// ```
/// use cloze::study::ensemble::page::page;
/// use cloze::study::ensemble::report::EnsembleReport;
/// let report = EnsembleReport::of_run("tests/fixtures/report/ipet".as_ref())?;
/// let page = page(&[("my <run>", &report)]);
/// assert!(page.contains("<h1>Pattern ensemble: my &lt;run&gt;</h1>"));
/// # Ok::<(), cloze::Error>(())
/// ```
#[must_use]
pub fn page(runs: &[(&str, &EnsembleReport)]) -> String {
    let title = match runs {
        [(name, _)] => format!("Pattern ensemble: {name}"),
        _ => format!("Pattern ensembles: {} runs", runs.len()),
    };
    let body = html! {
        header { h1 { (title) } @if let [(_, report)] = runs { (what(report)) } }
        @match runs {
            [(_, report)] => (run(report, 2)),
            _ => {
                section {
                    h2 { "Comparison" }
                    (tables::runs(runs))
                    h3 { "Paired tests between the runs" }
                    (tables::between(&between_runs(runs)))
                }
                @for (index, (name, report)) in runs.iter().enumerate() {
                    article id=(format!("run-{}", index + 1)) { h2 { (name) } (what(report)) (run(report, 3)) }
                }
            }
        }
    };
    document(&title, &body)
}

/// What was run, in a line.
pub(crate) fn what(report: &EnsembleReport) -> Markup {
    let setting = &report.setting;
    let mut parts = vec![match &setting.method {
        Some(method) => format!("{} with {method}", counted(report.patterns.len() as u64, "pattern")),
        None => format!("{} without training", counted(report.patterns.len() as u64, "pattern")),
    }];
    parts.extend(setting.shots.map(|shots| format!("{} of each class", counted(shots as u64, "row"))));
    parts.push(format!("{} classes", setting.classes.len()));
    parts.push(counted(setting.seeds.len() as u64, "seed"));
    parts
        .extend((setting.generations > 0).then(|| counted(setting.generations as u64, "further generation")));
    parts.push(
        setting
            .student
            .as_ref()
            .map_or_else(|| "no student".to_owned(), |student| format!("student {student}")),
    );
    html! { p.what { (parts.join(" · ")) } }
}

/// All about one run.
pub(crate) fn run(report: &EnsembleReport, level: u8) -> Markup {
    let last = report.last_stage();
    html! {
        section.first {
            (headline(report))
            (trouble(report))
        }
        @if last.is_some() {
            section { (heading("Results", level)) (tables::results(report)) }
        }
        section {
            (heading("Patterns", level))
            @if last.is_some() { figure { figcaption { "Accuracy in %, with 95 % intervals over other test rows" } (plots::accuracies(report)) } }
            (tables::patterns(report))
        }
        @let comparisons = report.comparisons();
        @if !comparisons.is_empty() {
            section { (heading("Paired tests", level)) (tables::comparisons(comparisons.iter())) }
        }
        @if let Some(agreement) = report.stages.iter().rev().find_map(|stage| stage.agreement.as_ref().map(|agreement| (stage, agreement))) {
            section { (heading("Agreement", level)) (agreed(report, agreement.0.name(), agreement.1)) }
        }
        @if last.is_some() {
            section { (heading("Calibration", level)) (calibration(report)) }
        }
        @if let Some((name, found)) = report.classifier() {
            section {
                (heading("Confusion", level))
                p { "Test rows by true and predicted class, of the " (name) @if found.right.len() > 1 { ", " (found.right.len()) " seeds together" } "." }
                (confusion(&report.setting.classes, &found.confusion))
            }
        }
        @if !report.curves.is_empty() {
            section { (heading("Learning curves", level)) (learning_curves(report)) }
        }
        @if !report.seconds.is_empty() {
            section { (heading("Time", level)) (tables::seconds(report)) }
        }
        section { (heading("Setting", level)) (setting(report)) }
    }
}

/// What came of it, in a sentence, and its numbers large.
fn headline(report: &EnsembleReport) -> Markup {
    let Some(last) = report.last_stage() else {
        let why = if report.setting.test_rows == 0 {
            "no test rows with labels"
        } else {
            "no ensemble that was whole"
        };
        return html! { p.headline { "Nothing was measured: there were " (why) "." } };
    };
    let of = |name: &str, accuracies: &Accuracies| format!("{name} {} %", mean_and_deviation(accuracies));
    let mut parts = Vec::new();
    parts.extend(last.student.iter().map(|student| of("student", &student.accuracy)));
    parts.extend(last.ensemble.iter().map(|ensemble| of(report.ensemble_name(), &ensemble.accuracy)));
    let pattern = |index: Option<usize>| last.patterns.get(index?)?.as_ref();
    if let (Some(worst), Some(best), Some(mean), true) =
        (pattern(last.worst), pattern(last.best), &last.mean_pattern, report.patterns.len() > 1)
    {
        let (worst, best) = (percent(worst.accuracy.mean), percent(best.accuracy.mean));
        parts.push(format!("its patterns {worst} to {best} %, {} % on average", percent(mean.mean)));
    }
    let before = report
        .without_training()
        .filter(|_| last.generation.is_some())
        .and_then(|stage| stage.ensemble.as_ref());
    parts.extend(before.map(|before| format!("without training {} %", mean_and_deviation(&before.accuracy))));
    let sentence = format!(
        "Accuracy on {}: {}.",
        counted(report.setting.test_rows as u64, "test row"),
        parts.join("; ")
    );
    let mut tiles: Vec<(&str, &Accuracies)> = Vec::new();
    tiles.extend(last.student.iter().map(|student| ("student", &student.accuracy)));
    tiles.extend(last.ensemble.iter().map(|ensemble| (report.ensemble_name(), &ensemble.accuracy)));
    tiles.extend(
        last.mean_pattern.iter().filter(|_| report.patterns.len() > 1).map(|mean| ("mean pattern", mean)),
    );
    tiles.extend(before.map(|before| ("without training", &before.accuracy)));
    html! {
        p.headline { (sentence) }
        dl.tiles {
            @for (name, accuracies) in tiles {
                div {
                    dt { (name) }
                    dd { (percent(accuracies.mean)) small { " %" } @if let Some(deviation) = accuracies.standard_deviation { small { " ± " (percent(deviation)) } } }
                }
            }
        }
    }
}

/// What a reader must know before the numbers.
fn trouble(report: &EnsembleReport) -> Markup {
    html! {
        @if !report.failures.is_empty() {
            div.trouble.failed role="note" {
                p { b { (counted(report.failures.len() as u64, "model")) " could not be trained" } "; the rest went on without." }
                ul {
                    @for failure in &report.failures {
                        li { (failure.name) ", seed " (failure.seed) ", generation " (failure.generation) ": " (failure.reason) }
                    }
                }
            }
        }
        (warnings(&report.warnings))
    }
}

fn agreed(report: &EnsembleReport, stage: String, agreement: &super::agreement::Agreement) -> Markup {
    let rows = if report.setting.test_rows > 0 { "test rows" } else { "unlabelled rows" };
    html! {
        p {
            "The members of " (stage) " agree on the " (rows) " with a Fleiss’ kappa of " b { (format!("{:.3}", agreement.fleiss_kappa)) }
            ": 1 if they all agree on every row, 0 if no more than by chance."
        }
        @if agreement.pairwise.len() == report.patterns.len() {
            figure {
                figcaption { "Rows in % on which two members predict the same class; the more, the stronger the colour" }
                (tables::agreement(report, &agreement.pairwise))
            }
        }
    }
}

fn calibration(report: &EnsembleReport) -> Markup {
    let Some(last) = report.last_stage() else { return html! {} };
    let student = last.student.as_ref().map(|student| (3, "student", student));
    let ensemble = last.ensemble.as_ref().map(|ensemble| (1, report.ensemble_name(), ensemble));
    let found: Vec<(usize, &str, &Measured)> = ensemble.into_iter().chain(student).collect();
    let curves: Vec<(usize, &str, &[Bin])> =
        found.iter().map(|(series, name, found)| (*series, *name, &found.reliability[..])).collect();
    html! {
        p {
            "On the diagonal, a classifier is right as often as it is sure. Expected calibration error: "
            @for (index, (_, name, found)) in found.iter().enumerate() {
                @if index > 0 { ", " }
                (name) " " (percent(found.expected_calibration_error)) " %"
            }
            "."
        }
        figure { (reliability(&curves)) }
        details {
            summary { "The bins" }
            (bins(&curves))
        }
    }
}

fn learning_curves(report: &EnsembleReport) -> Markup {
    let last = report.curves.iter().map(|curve| curve.generation).max().unwrap_or(0);
    let members = |generation: usize| -> Vec<Line> {
        let of_generation = report.curves.iter().filter(|curve| curve.generation == generation);
        of_generation.filter_map(|curve| Some(plots::line((curve.pattern? + 1).to_string(), curve))).collect()
    };
    let name = |generation| if last > 0 { format!("gen. {generation}") } else { "student".to_owned() };
    let students = report.curves.iter().filter(|curve| curve.pattern.is_none());
    let students: Vec<Line> = students.map(|curve| plots::line(name(curve.generation), curve)).collect();
    html! {
        p { "The loss by step, the mean over the seeds; members have the numbers of their patterns." }
        div.beside {
            @for generation in 0..=last { (losses(&format!("members of generation {generation}"), &members(generation))) }
            (losses("students", &students))
        }
    }
}

/// All that was asked for.
fn setting(report: &EnsembleReport) -> Markup {
    let setting = &report.setting;
    let none = || "none".to_owned();
    let seeds = setting.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let rows = [
        ("model", setting.model.clone()),
        ("members", setting.method.clone().unwrap_or_else(|| "without training".to_owned())),
        ("student", setting.student.clone().unwrap_or_else(none)),
        ("classes", setting.classes.join(", ")),
        ("seeds", seeds),
        ("rows of each class", setting.shots.map_or_else(|| "all".to_owned(), |shots| count(shots as u64))),
        ("train rows", by_seed(&setting.train_rows)),
        ("unlabelled rows", count(setting.unlabeled_rows as u64)),
        ("test rows", count(setting.test_rows as u64)),
        ("members merged by", setting.merge.clone()),
        ("weights", setting.weights.clone()),
        ("members calibrated by", setting.calibration.clone().unwrap_or_else(none)),
        ("temperature", setting.temperature.to_string()),
        ("share of the MLM loss", setting.mlm_weight.map_or_else(none, |weight| weight.to_string())),
        ("further generations", setting.generations.to_string()),
        ("their rows are drawn", setting.draw.clone().unwrap_or_else(none)),
        ("test file’s SHA-256", setting.test_sha256.clone().unwrap_or_else(none)),
        ("cloze", setting.cloze.clone()),
    ];
    settings(&rows)
}
