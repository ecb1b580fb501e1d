//! The tables of ensembles.

use maud::{Markup, html};

use super::numbers::{by_seed, mean_and_deviation};
use crate::numbers::{count, interval, p_value, percent};
use crate::page::numbers::{signed, signed_interval, time};
use crate::page::tables::{matrix, sentence_case};
use crate::study::ensemble::report::{EnsembleReport, Measured, Stage};
use crate::study::ensemble::summary::{BetweenRuns, Comparison};

/// The results in the shape of the PET papers' tables.
pub(super) fn results(report: &EnsembleReport) -> Markup {
    let seeds = &report.setting.seeds;
    let several = seeds.len() > 1;
    html! {
        div.scroll tabindex="0" {
            table.results {
                thead {
                    tr {
                        th scope="col" rowspan="2" { "%" }
                        th scope="col" rowspan="2" { "accuracy" }
                        th scope=(if several { "colgroup" } else { "col" }) colspan=(if several { "2" } else { "1" }) { "95 % interval over" }
                        th scope="col" rowspan="2" { "macro-F1" }
                        th scope="col" rowspan="2" { abbr title="expected calibration error" { "ECE" } }
                        @if several { th scope="colgroup" colspan=(seeds.len()) { "accuracy by seed" } }
                    }
                    tr {
                        th scope="col" { "test rows" }
                        @if several {
                            th scope="col" { "seeds" }
                            @for seed in seeds { th scope="col" { (seed) } }
                        }
                    }
                }
                @for group in report.groups() {
                    tbody {
                        tr.group {
                            th scope="rowgroup" colspan=(if several { 6 + seeds.len() } else { 5 }) {
                                (sentence_case(&group.name))
                                @if group.stage.generation.is_some() { span.note { " · " (by_seed(&group.stage.train_rows)) " train rows a member" } }
                            }
                        }
                        @for row in &group.rows {
                            tr.strong[matches!(row.name, "ensemble" | "student")] {
                                th scope="row" {
                                    (row.name)
                                    @if let Some(index) = row.pattern { span.note.name { (index + 1) " " (report.pattern_name(index)) } }
                                }
                                td { (mean_and_deviation(row.accuracy)) }
                                td { (row.accuracy_95.map_or_else(|| "–".to_owned(), interval)) }
                                @if several { td { (row.accuracy.interval().unwrap_or_else(|| "–".to_owned())) } }
                                td { (percent(row.macro_f1)) }
                                td { (percent(row.expected_calibration_error)) }
                                @if several { (each_seed(&row.accuracy.by_seed, seeds.len())) }
                            }
                        }
                    }
                }
            }
        }
        p.note {
            "Accuracy: mean" @if several { " ± standard deviation over the seeds" } ". Intervals: over other test rows (Wilson)"
            @if several { ", over other seeds by Student’s t" } ". The best pattern is known only by the test labels."
        }
    }
}

/// What knows no seed has one accuracy for all; a dash stands for a seed that failed.
fn each_seed(accuracies: &[Option<f64>], seeds: usize) -> Markup {
    html! {
        @if accuracies.len() == seeds {
            @for accuracy in accuracies { td { (accuracy.map_or_else(|| "–".to_owned(), percent)) } }
        } @else {
            td.all colspan=(seeds) { @for accuracy in accuracies.iter().flatten() { (percent(*accuracy)) } }
        }
    }
}

/// Each pattern, stage by stage.
pub(super) fn patterns(report: &EnsembleReport) -> Markup {
    let stages: Vec<&Stage> =
        report.stages.iter().filter(|stage| stage.patterns.iter().any(Option::is_some)).collect();
    let last = stages.last();
    let weighted = report.patterns.iter().any(|pattern| !pattern.weights.is_empty());
    html! {
        div.scroll tabindex="0" {
            table {
                thead {
                    tr {
                        th scope="col" { "no." }
                        th.text scope="col" { "pattern" }
                        @if weighted { th scope="col" { "weight" } }
                        @for stage in &stages { th scope="col" { (stage.name()) } }
                        @if last.is_some() {
                            th scope="col" { "macro-F1" }
                            th scope="col" { abbr title="expected calibration error" { "ECE" } }
                        }
                    }
                }
                tbody {
                    @for (index, pattern) in report.patterns.iter().enumerate() {
                        tr {
                            td { (index + 1) }
                            th.text.pattern scope="row" {
                                span { (report.pattern_name(index)) }
                                @if last.is_some_and(|stage| stage.best == Some(index) && stage.worst != Some(index)) { " " span.tag { "best" } }
                                @if last.is_some_and(|stage| stage.worst == Some(index) && stage.best != Some(index)) { " " span.tag { "worst" } }
                                code { (pattern.pattern) }
                            }
                            @if weighted { td { (mean(&pattern.weights)) } }
                            @for stage in &stages {
                                td { (found(stage, index).map_or_else(|| "–".to_owned(), |found| mean_and_deviation(&found.accuracy))) }
                            }
                            @if let Some(stage) = last {
                                @let found = found(stage, index);
                                td { (found.map_or_else(|| "–".to_owned(), |found| percent(found.macro_f1))) }
                                td { (found.map_or_else(|| "–".to_owned(), |found| percent(found.expected_calibration_error))) }
                            }
                        }
                    }
                }
            }
        }
        @if let Some(stage) = last {
            p.note {
                "Accuracy in %, mean ± standard deviation over the seeds"
                @if stages.len() > 1 { "; macro-F1 and ECE of " (stage.name()) }
                "."
            }
        }
    }
}

fn found(stage: &Stage, pattern: usize) -> Option<&Measured> {
    stage.patterns.get(pattern)?.as_ref()
}

fn mean(weights: &[f64]) -> String {
    if weights.is_empty() {
        "–".to_owned()
    } else {
        format!("{:.3}", weights.iter().sum::<f64>() / weights.len() as f64)
    }
}

/// Paired tests.
pub(crate) fn comparisons<'a>(found: impl Iterator<Item = &'a Comparison>) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                thead {
                    tr {
                        th.text scope="col" { "first" }
                        th.text scope="col" { "second" }
                        th scope="col" { "difference" }
                        th scope="col" { "95 % interval" }
                        th scope="col" { "+/−" }
                        th scope="col" { i { "p" } }
                    }
                }
                tbody {
                    @for Comparison { first, second, found, p_holm } in found {
                        tr {
                            th.text scope="row" { (first) }
                            td.text { (second) }
                            td { (signed(found.difference)) }
                            td { (signed_interval(found.difference_95)) }
                            td { (found.better_worse.map_or_else(String::new, |[better, worse]| format!("{better}/{worse}"))) }
                            td { (p_value(*p_holm)) }
                        }
                    }
                }
            }
        }
        p.note {
            "Difference: the first’s accuracy less the second’s, in points. +/−: rows that the first does better and worse. "
            "The sign-flip test over the test rows (McNemar’s where a row is right or wrong) speaks of other rows, not of other training samples; "
            i { "p" } " is corrected for the number of tests in this table (Holm)."
        }
    }
}

/// The runs beside each other.
pub(super) fn runs(runs: &[(&str, &EnsembleReport)]) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                thead {
                    tr {
                        th.text scope="col" { "run" }
                        th.text scope="col" { "classifier" }
                        th scope="col" { "accuracy" }
                        th scope="col" { "95 % interval" }
                        th scope="col" { "macro-F1" }
                        th scope="col" { abbr title="expected calibration error" { "ECE" } }
                        th.text scope="col" { "members" }
                        th scope="col" { "seeds" }
                        th scope="col" { "train rows" }
                        th scope="col" { "test rows" }
                    }
                }
                tbody {
                    @for (index, (name, report)) in runs.iter().enumerate() {
                        tr {
                            th.text scope="row" { a href=(format!("#run-{}", index + 1)) { (name) } }
                            @match report.classifier() {
                                Some((classifier, found)) => {
                                    td.text { (classifier) }
                                    td { (mean_and_deviation(&found.accuracy)) }
                                    td { (interval(found.accuracy_95)) }
                                    td { (percent(found.macro_f1)) }
                                    td { (percent(found.expected_calibration_error)) }
                                }
                                None => td.all.text colspan="5" { "not measured" }
                            }
                            td.text { (report.patterns.len()) " × " (report.setting.method.as_deref().unwrap_or("zero-shot")) }
                            td { (report.setting.seeds.len()) }
                            td { (by_seed(&report.setting.train_rows)) }
                            td { (count(report.setting.test_rows as u64)) }
                        }
                    }
                }
            }
        }
    }
}

/// The paired tests between runs, and which cannot be made.
pub(crate) fn between(found: &[BetweenRuns]) -> Markup {
    let compared = || {
        found.iter().filter_map(|pair| match pair {
            BetweenRuns::Compared(comparison) => Some(comparison),
            BetweenRuns::Apart { .. } => None,
        })
    };
    html! {
        @if compared().next().is_some() { (comparisons(compared())) }
        @if compared().count() < found.len() {
            div.note {
                p.note { "Not compared row by row:" }
                ul {
                    @for pair in found {
                        @if let BetweenRuns::Apart { first, second, not_compared } = pair { li { (first) " and " (second) ": " (not_compared) } }
                    }
                }
            }
        }
    }
}

/// A table of shares, the higher the stronger the colour.
pub(super) fn agreement(report: &EnsembleReport, pairwise: &[Vec<f64>]) -> Markup {
    let names: Vec<String> = (0..pairwise.len()).map(|index| report.pattern_name(index)).collect();
    let lowest = pairwise.iter().flatten().copied().fold(1.0, f64::min);
    // From the lowest on: members agree on most rows, and differences would not be seen on the whole scale.
    let shade = |share: f64| if lowest < 1.0 { (share - lowest) / (1.0 - lowest) } else { 1.0 };
    matrix("member", &names, true, |row, column| {
        let share = pairwise[row][column];
        if row == column { (String::new(), 0.0) } else { (percent(share), shade(share)) }
    })
}

/// Where the time went.
pub(super) fn seconds(report: &EnsembleReport) -> Markup {
    let all: f64 = report.seconds.iter().map(|step| step.seconds).sum();
    let most = report.seconds.iter().map(|step| step.seconds).fold(f64::MIN_POSITIVE, f64::max);
    html! {
        div.scroll tabindex="0" {
            table {
                tbody {
                    @for step in &report.seconds {
                        tr {
                            th.text scope="row" { (step.step) }
                            td { (time(step.seconds)) }
                            td.bar aria-hidden="true" { div style=(format!("width:{:.1}%", step.seconds / most * 100.0)) {} }
                        }
                    }
                    tr.group { th.text scope="row" { "in all" } td { (time(all)) } td {} }
                }
            }
        }
    }
}
