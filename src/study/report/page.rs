//! The page of runs of whatever kind, one or several.

use maud::{Markup, html};

use super::{RunReport, TrainReport, between_runs};
use crate::learn::run::{DataFile, DescribedBy, Select};
use crate::numbers::{count, counted, interval, p_value, percent};
use crate::page::document::{document, heading, setting as settings, warnings};
use crate::page::numbers::{signed, signed_interval};
use crate::page::plots::losses;
use crate::study::compare::OverSeeds;
use crate::study::ensemble::page::{self, mean_and_deviation, tables};
use crate::study::ensemble::report::EnsembleReport;
use crate::study::multi_task::TaskMetrics;
use crate::study::pictures::{ONE_LABEL, classes, confused, reliable, table_of_rows};

/// The page of runs with their names. Of one run it shows that run; of several first how they compare.
/// Ensembles alone have the page that their runs write.
#[must_use]
pub fn page(runs: &[(&str, &RunReport)]) -> String {
    if let Some(ensembles) = ensembles(runs) {
        return page::page(&ensembles);
    }
    match runs {
        [(name, report)] => {
            let title = format!("{}: {name}", kind(report));
            document(&title, &html! { header { h1 { (title) } (what(report)) } (body(report, 2)) })
        }
        _ => {
            let title = format!("{} runs", runs.len());
            let all = html! {
                header { h1 { (title) } }
                section {
                    h2 { "Comparison" }
                    (beside(runs))
                    h3 { "Paired tests between the runs" }
                    (tables::between(&between_runs(runs)))
                }
                @for (index, (name, report)) in runs.iter().enumerate() {
                    article id=(format!("run-{}", index + 1)) { h2 { (name) } (what(report)) (body(report, 3)) }
                }
            };
            document(&title, &all)
        }
    }
}

/// The runs as ensembles, if all of them are.
fn ensembles<'a>(runs: &[(&'a str, &'a RunReport)]) -> Option<Vec<(&'a str, &'a EnsembleReport)>> {
    let of = |&(name, report): &(&'a str, &'a RunReport)| match report {
        RunReport::Ensemble(report) => Some((name, &**report)),
        RunReport::Train(_) | RunReport::Tasks(_) | RunReport::Pretrain(_) => None,
    };
    runs.iter().map(of).collect()
}

fn kind(report: &RunReport) -> &'static str {
    match report {
        RunReport::Train(_) => "Training",
        RunReport::Tasks(_) => "Training on several tasks",
        RunReport::Pretrain(_) => "Pre-training",
        RunReport::Ensemble(_) => "Pattern ensemble",
    }
}

/// What was run, in a line.
fn what(report: &RunReport) -> Markup {
    match report {
        RunReport::Ensemble(report) => page::what(report),
        RunReport::Pretrain(report) => html! { p.what { (report.what()) } },
        RunReport::Tasks(report) => html! { p.what { (counted(report.tasks.len() as u64, "task")) } },
        RunReport::Train(report) => {
            let TrainReport { metrics, manifest, .. } = &**report;
            let mut parts = vec![
                format!("{} with {}", counted(manifest.templates.len() as u64, "pattern"), metrics.method),
                format!("{} trained", counted(metrics.trained_parameters as u64, "parameter")),
            ];
            parts.extend(
                manifest.shots.map(|shots| format!("{} of each class", counted(shots as u64, "row"))),
            );
            parts.push(format!("{} classes", manifest.classes.len()));
            parts.push(counted(metrics.seeds.len() as u64, "seed"));
            html! { p.what { (parts.join(" · ")) } }
        }
    }
}

fn body(report: &RunReport, level: u8) -> Markup {
    match report {
        RunReport::Ensemble(report) => page::run(report, level),
        RunReport::Tasks(report) => html! {
            section.first { (heading("Results", level)) (of_tasks(&report.tasks)) }
            @if let Some(curves) = report.curves() { section { (heading("Learning curves", level)) (curves) } }
        },
        RunReport::Train(report) => of_training(report, level),
        RunReport::Pretrain(report) => report.body(),
    }
}

/// The runs beside each other, by what each has in the end.
fn beside(runs: &[(&str, &RunReport)]) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                thead {
                    tr {
                        th.text scope="col" { "run" }
                        th.text scope="col" { "kind" }
                        th.text scope="col" { "classifier" }
                        th scope="col" { "accuracy" }
                        th scope="col" { "95 % over seeds" }
                        th scope="col" { "seeds" }
                    }
                }
                tbody {
                    @for (index, (name, report)) in runs.iter().enumerate() {
                        tr {
                            th.text scope="row" { a href=(format!("#run-{}", index + 1)) { (name) } }
                            td.text { (kind(report)) }
                            @match (report.classifier(), report.accuracy()) {
                                (Some(classifier), Some(accuracy)) => {
                                    td.text { (classifier) }
                                    td { (mean_and_deviation(&accuracy)) }
                                    td { (accuracy.interval().unwrap_or_else(|| "–".to_owned())) }
                                    td { (accuracy.by_seed.len()) }
                                }
                                _ => td.all.text colspan="4" { "see below" }
                            }
                        }
                    }
                }
            }
        }
        p.note { "Accuracy in %, mean ± standard deviation over the seeds, each run on its own test rows." }
    }
}

/// Tasks that were learned, then those that were not.
fn of_tasks(tasks: &[TaskMetrics]) -> Markup {
    let of_kind = |learned| tasks.iter().filter(|task| task.learned == learned).collect::<Vec<_>>();
    html! {
        @for (title, tasks) in [("Learned", of_kind(true)), ("Not learned", of_kind(false))] {
            @if !tasks.is_empty() {
                h3 { (title) }
                (task_table(&tasks))
            }
        }
        p.note {
            "Accuracy in % with its 95 % interval, before and after the training: over the rows (Wilson), "
            "or over the seeds where there are several (Student's t). Change: after less before, in points; "
            "sign-flip test over the rows, each task by itself."
        }
    }
}

fn task_table(tasks: &[&TaskMetrics]) -> Markup {
    let head = ["test rows", "before", "95 %", "after", "95 %", "change", "95 %", "p"];
    html! {
        div.scroll tabindex="0" {
            table {
                thead {
                    tr {
                        th.text scope="col" { "task" }
                        @for name in head { th scope="col" { (name) } }
                    }
                }
                tbody {
                    @for task in tasks {
                        @let after_95 = task.over_seeds.as_ref().map(OverSeeds::interval).or(task.after_95.first().copied().map(interval));
                        @let difference = task.difference.as_ref();
                        tr {
                            th.text scope="row" { (task.name) }
                            td { (count(task.test_rows as u64)) }
                            td { (task.before.map_or_else(|| "–".to_owned(), percent)) }
                            td { (task.before_95.map_or_else(|| "–".to_owned(), interval)) }
                            td { (task.mean_after().map_or_else(|| "–".to_owned(), percent)) }
                            td { (after_95.unwrap_or_else(|| "–".to_owned())) }
                            td { (difference.map_or_else(|| "–".to_owned(), |found| signed(found.difference))) }
                            td { (difference.map_or_else(|| "–".to_owned(), |found| signed_interval(found.difference_95))) }
                            td { (difference.map_or_else(|| "–".to_owned(), |found| p_value(found.p_value))) }
                        }
                    }
                }
            }
        }
    }
}

/// All about one training.
fn of_training(report: &TrainReport, level: u8) -> Markup {
    let TrainReport { metrics, manifest, .. } = report;
    html! {
        section.first {
            @match report.accuracy() {
                Some(accuracy) => p.headline {
                    "Accuracy on " (counted(metrics.test_rows as u64, "test row")) ": "
                    (metrics.method) " " (mean_and_deviation(&accuracy)) " %."
                }
                None => p.headline { "Nothing was measured: there were no test rows with labels." }
            }
            (warnings(&metrics.warnings))
        }
        @if report.accuracy().is_some() {
            section { (heading("Results", level)) (seeds(report)) }
            section { (heading("On the same rows", level)) (baselines(report)) }
            section { (heading("Paired tests", level)) (tables::comparisons(report.comparisons().iter())) }
        }
        @if let Some(counts) = report.confusion() {
            section {
                (heading("Confusion", level))
                p { "Test rows by true and predicted class"
                    @if metrics.seeds.len() > 1 { ", " (metrics.seeds.len()) " seeds together" } "." }
                (confused(&manifest.classes, &counts))
            }
        }
        @if let Ok(answers) = report.answers() {
            @if let Some(evaluation) = &answers.evaluation {
                section { (heading("Classes", level)) (classes(evaluation)) }
                section { (heading("How sure", level)) (reliable(&[(2, "answers", &evaluation.reliability)])) }
            }
        }
        @if report.losses.iter().any(|lines| !lines.is_empty()) {
            section {
                (heading("Learning curves", level))
                p { "The loss by step." }
                div.beside {
                    (losses("train rows", &report.losses[0]))
                    (losses("held-out rows", &report.losses[1]))
                }
            }
        }
        @if let Ok(answers) = report.answers() {
            @if answers.sample.seen() > 0 {
                section {
                    (heading("Rows", level))
                    @if metrics.seeds.len() > 1 { p { "The answers of seed " (metrics.seeds[0].seed) "." } }
                    (table_of_rows(&answers.sample, &ONE_LABEL, &|text| heading(text, level + 1)))
                }
            }
        }
        section { (heading("Setting", level)) (setting(report)) }
    }
}

fn seeds(report: &TrainReport) -> Markup {
    let metrics = &report.metrics;
    html! {
        div.scroll tabindex="0" {
            table {
                thead {
                    tr {
                        th.text scope="col" { "seed" }
                        th scope="col" { "accuracy" }
                        th scope="col" { "95 % over rows" }
                        th scope="col" { "macro-F1" }
                        th scope="col" { abbr title="expected calibration error" { "ECE" } }
                        th scope="col" { "train rows" }
                        th scope="col" { "steps" }
                    }
                }
                tbody {
                    @for seed in &metrics.seeds {
                        @if let Some(found) = &seed.evaluation {
                            tr {
                                th.text scope="row" { (seed.seed) }
                                td { (percent(found.accuracy)) }
                                td { (interval(found.accuracy_95)) }
                                td { (percent(found.macro_f1)) }
                                td { (percent(found.expected_calibration_error)) }
                                td { (count(seed.train_rows as u64)) }
                                td { (count(seed.history.kept as u64)) }
                            }
                        }
                    }
                }
            }
        }
        @if let Some(over) = &metrics.accuracy {
            p.note {
                "Mean " (percent(over.spread.mean)) " %, 95 % interval over other seeds "
                @match over.mean_95 {
                    Some(ends) => { (interval(ends)) " (Student’s t)." }
                    None => { "unknown: all seeds are alike." }
                }
            }
        }
    }
}

fn baselines(report: &TrainReport) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                thead { tr { th.text scope="col" { "baseline" } th scope="col" { "accuracy" } } }
                tbody {
                    @for baseline in &report.metrics.baselines {
                        tr { th.text scope="row" { (baseline.name) } td { (percent(baseline.mean)) } }
                    }
                }
            }
        }
    }
}

/// All that was asked for.
fn setting(report: &TrainReport) -> Markup {
    let TrainReport { metrics, manifest, .. } = report;
    let header = &manifest.header;
    let file = |file: &Option<DataFile>| {
        file.as_ref().map_or_else(|| "none".to_owned(), |file| file.path.display().to_string())
    };
    let select = match manifest.select {
        Select::None => "the last",
        Select::Dev => "the best on development rows",
        Select::Cv => "the best in a cross-validation",
    };
    let descriptions = match &manifest.descriptions {
        None => "none".to_owned(),
        Some(DescribedBy::Verbalizer) => "of the verbalizer".to_owned(),
        Some(DescribedBy::File(stored)) => stored.file.clone(),
    };
    let null_inputs = manifest.null_inputs.as_ref();
    let null_inputs = null_inputs.map_or_else(|| "none".to_owned(), |texts| count(texts.len() as u64));
    let from = manifest.init_from.as_ref();
    let from = from.map_or_else(|| "the model".to_owned(), |from| from.path.display().to_string());
    let rows = [
        ("model", header.model.path.display().to_string()),
        ("method", metrics.method.clone()),
        ("starts from", from),
        ("templates", manifest.templates.iter().map(|file| file.name()).collect::<Vec<_>>().join(", ")),
        ("verbalizer", manifest.verbalizer.name()),
        ("classes", manifest.classes.join(", ")),
        ("seeds", header.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
        ("rows of each class", manifest.shots.map_or_else(|| "all".to_owned(), |shots| count(shots as u64))),
        ("steps", count(manifest.plan.steps as u64)),
        ("step that is kept", select.to_owned()),
        ("train file", file(&header.data.train)),
        ("descriptions", descriptions),
        ("null inputs", null_inputs),
        ("test file", file(&header.data.test)),
        ("cloze", header.cloze.clone()),
    ];
    settings(&rows)
}
