//! The page of a scoring: its report in pictures, and its rows.

use maud::{Markup, html};

use super::rows::{self, RowSample};
use crate::numbers::{count, counted, interval, percent, wilson};
use crate::page::document::{document, heading, setting, warnings};
use crate::page::plots::{heat, histogram, intervals, reliability};
use crate::page::tables::{bins, confusion};
use crate::predict::report::{Bin, CalibrationReport, Evaluation, LabelCount, Report, TrainedOn};

/// Of more classes than these the confusion is a picture and a list, not a table, and lists of classes
/// scroll.
pub(super) const MOST_IN_TABLE: usize = 40;
/// So many confusions are listed.
const CONFUSIONS: usize = 20;
/// Patterns in a picture; the table has all.
const MOST_PATTERNS: usize = 60;

/// The page of a report and the rows that it is of. It needs nothing but itself, and shows every value as
/// text.
///
/// ```
/// use cloze::predict::output::Answer;
/// use cloze::study::pictures::{RowSample, score_page};
/// use cloze::{MaskedLm, Options, PromptClassifier, Template, Verbalizer};
/// # use cloze::predict::calibrator::{CalibrationRequest, Calibrator, Counted};
/// # use cloze::predict::report::Report;
/// # fn page(report: &Report) {
/// let sample = RowSample::new(vec![0], vec!["yes".to_owned(), "no".to_owned()]);
/// let page = score_page("my <rows>", report, &sample);
/// assert!(page.contains("<h1>my &lt;rows&gt;</h1>") && !page.contains("http"));
/// # }
/// ```
#[must_use]
pub fn score_page(title: &str, report: &Report, sample: &RowSample) -> String {
    let labels = &report.run.labels;
    let body = html! {
        header { h1 { (title) } p.what { (what(report)) } }
        section.first {
            (headline(report))
            (warnings(&notes(report)))
        }
        @if let Some(evaluation) = &report.evaluation {
            section { h2 { "Classes" } (classes(evaluation)) }
        } @else {
            section { h2 { "Answers" } (answers(&report.predicted, report.rows)) }
        }
        @if report.patterns.len() > 1 {
            section { h2 { "Patterns" } (patterns(report)) }
        }
        @if let Some(evaluation) = &report.evaluation {
            section { h2 { "Confusion" } (confused(labels, &evaluation.confusion.counts)) }
        }
        section {
            h2 { "How sure" }
            (sure(report, sample))
        }
        @if let Some(calibration) = &report.calibration {
            section { h2 { "Before the correction" } (before(report, calibration)) }
        }
        @if sample.seen() > 0 {
            section { h2 { "Rows" } (rows::table(sample, &rows::ONE_LABEL, &|text| heading(text, 3))) }
        }
        section { h2 { "Setting" } (setting(&settings(report))) }
    };
    document(title, &body)
}

/// What was scored, in a line.
fn what(report: &Report) -> String {
    [
        report.run.data.clone(),
        counted(report.rows, "row"),
        counted(report.patterns.len() as u64, "pattern"),
        format!("{} classes", report.run.labels.len()),
    ]
    .join(" · ")
}

fn headline(report: &Report) -> Markup {
    let Some(evaluation) = &report.evaluation else {
        return html! { p.headline { "No row has a label: there is nothing to measure answers by." } };
    };
    let majority = report.majority.as_ref();
    html! {
        p.headline {
            "Accuracy on " (counted(report.labelled, "labelled row")) ": " (percent(evaluation.accuracy))
            " % (95 % interval " (interval(evaluation.accuracy_95)) ")"
            @if let Some(majority) = majority { "; always answering " (majority.label) " gives " (percent(majority.accuracy)) " %" }
            "."
        }
        dl.tiles {
            (tile("accuracy", evaluation.accuracy))
            (tile("macro-F1", evaluation.macro_f1))
            (tile("calibration error", evaluation.expected_calibration_error))
            @if let Some(abstention) = &report.abstention {
                (tile("answered", abstention.answered as f64 / report.rows.max(1) as f64))
            }
            @if let Some(coverage) = report.sets.as_ref().and_then(|sets| sets.coverage.as_ref()) {
                (tile("sets with the label", coverage.share))
            }
        }
    }
}

pub(super) fn tile(name: &str, share: f64) -> Markup {
    html! { div { dt { (name) } dd { (percent(share)) small { " %" } } } }
}

/// What a reader must know before the numbers.
fn notes(report: &Report) -> Vec<String> {
    let among = |found: &TrainedOn, those: &str| {
        format!("{} of the {} are among those that {those}.", count(found.rows), counted(report.rows, "row"))
    };
    let trained_on = report
        .trained_on
        .iter()
        .map(|found| among(found, "the run was trained on: results on them say little"));
    let calibrated_on = report.calibrated_on.iter().map(|found| {
        among(found, "a correction or sets were fitted on: on them these look better than they are")
    });
    let unlabelled = report.rows - report.labelled;
    let unlabelled = (report.labelled > 0 && unlabelled > 0)
        .then(|| format!("{} without a label, and not evaluated.", counted(unlabelled, "row")));
    let left_out = (report.left_out_rows > 0).then(|| {
        format!("{} left out: unreadable, or of an unknown label.", counted(report.left_out_rows, "row"))
    });
    let cut = (report.truncated_rows > 0).then(|| {
        let rows = counted(report.truncated_rows, "row");
        format!("{rows} longer than {} tokens, and cut.", report.run.max_length)
    });
    trained_on.chain(calibrated_on).chain(unlabelled).chain(left_out).chain(cut).collect()
}

/// The measures class by class; recall is a share of rows, so it has an interval over other rows (Wilson
/// 1927).
pub(crate) fn classes(evaluation: &Evaluation) -> Markup {
    let counts = &evaluation.confusion.counts;
    html! {
        div.scroll.tall[evaluation.classes.len() > MOST_IN_TABLE] tabindex="0" {
            table {
                thead {
                    tr {
                        th.text scope="col" { "class" }
                        th scope="col" { "rows" }
                        th scope="col" { "answers" }
                        th scope="col" { "precision" }
                        th scope="col" { "F1" }
                        th scope="col" { "recall" }
                        th scope="col" { "95 %" }
                        td {}
                    }
                }
                tbody {
                    @for (index, class) in evaluation.classes.iter().enumerate() {
                        @let answers: u64 = counts.iter().map(|row| row[index]).sum();
                        @let ends = wilson(counts[index][index], class.support);
                        tr {
                            th.text.label scope="row" { (class.label) }
                            td { (count(class.support)) }
                            td { (count(answers)) }
                            td { (percent(class.precision)) }
                            td { (percent(class.f1)) }
                            (recall(class.recall, ends, class.support))
                        }
                    }
                }
            }
        }
        p.note {
            "In %. Recall: the share of a class’s rows that are answered right, with its interval over other rows (Wilson); "
            "precision: the share of a class’s answers that are right."
        }
    }
}

/// The recall of a class with its interval, as cells; dashes where no row has the class.
pub(super) fn recall(share: f64, ends: [f64; 2], rows: u64) -> Markup {
    html! {
        @if rows > 0 {
            td { (percent(share)) }
            td { (interval(ends)) }
            td aria-hidden="true" { (bar(share, Some(ends))) }
        } @else {
            td { "–" } td { "–" } td {}
        }
    }
}

/// A share as a bar, with its interval as a line on it.
fn bar(share: f64, ends: Option<[f64; 2]>) -> Markup {
    html! {
        div.track {
            b style=(format!("width:{:.1}%", share * 100.0)) {}
            @if let Some([low, high]) = ends {
                span style=(format!("left:{:.1}%;width:{:.1}%", low * 100.0, (high - low) * 100.0)) {}
            }
        }
    }
}

/// How often each class was answered.
pub(super) fn answers(predicted: &[LabelCount], rows: u64) -> Markup {
    html! {
        div.scroll.tall[predicted.len() > MOST_IN_TABLE] tabindex="0" {
            table {
                thead {
                    tr {
                        th.text scope="col" { "class" }
                        th scope="col" { "answers" }
                        th scope="col" { "%" }
                        td {}
                    }
                }
                tbody {
                    @for class in predicted {
                        @let share = class.rows as f64 / rows.max(1) as f64;
                        tr {
                            th.text.label scope="row" { (class.label) }
                            td { (count(class.rows)) }
                            td { (percent(share)) }
                            td aria-hidden="true" { (bar(share, None)) }
                        }
                    }
                }
            }
        }
    }
}

/// Pattern by pattern, as a picture and a table.
fn patterns(report: &Report) -> Markup {
    let evaluated: Vec<_> = report
        .patterns
        .iter()
        .filter_map(|pattern| Some((pattern.template.clone(), pattern.evaluation.as_ref()?)))
        .collect();
    let all = report.evaluation.as_ref().map(|evaluation| ("all together".to_owned(), evaluation));
    let ranged = |(name, evaluation): (String, &Evaluation)| {
        (name, vec![Some((evaluation.accuracy, evaluation.accuracy_95))])
    };
    let shown: Vec<_> = evaluated.iter().take(MOST_PATTERNS).cloned().chain(all).map(ranged).collect();
    let below = shown.len().saturating_sub(1);
    html! {
        @if !evaluated.is_empty() {
            figure {
                figcaption { "Accuracy in %, with 95 % intervals over other rows" }
                (intervals("Accuracy in percent, with 95 % intervals", &[(1, "accuracy".to_owned())], &shown, below))
            }
        }
        div.scroll tabindex="0" {
            table {
                thead {
                    tr {
                        th.text scope="col" { "pattern" }
                        @if !evaluated.is_empty() {
                            th scope="col" { "accuracy" }
                            th scope="col" { "95 %" }
                            th scope="col" { "macro-F1" }
                            th scope="col" { abbr title="expected calibration error" { "ECE" } }
                        }
                        th scope="col" { "rows cut" }
                    }
                }
                tbody {
                    @for pattern in &report.patterns {
                        tr {
                            th.text.pattern scope="row" { span { (pattern.template) } code { (pattern.pattern) } }
                            @if let Some(evaluation) = &pattern.evaluation { (measures(evaluation)) }
                            td { (count(pattern.truncated_rows)) }
                        }
                    }
                }
            }
        }
    }
}

/// Accuracy, its interval, macro-F1 and calibration error, as cells.
fn measures(evaluation: &Evaluation) -> Markup {
    html! {
        td { (percent(evaluation.accuracy)) }
        td { (interval(evaluation.accuracy_95)) }
        td { (percent(evaluation.macro_f1)) }
        td { (percent(evaluation.expected_calibration_error)) }
    }
}

/// Which class was taken for which: a table, or of many classes a picture, and the most frequent confusions.
pub(crate) fn confused(labels: &[String], counts: &[Vec<u64>]) -> Markup {
    let share = |row: usize, column: usize| {
        counts[row][column] as f64 / counts[row].iter().sum::<u64>().max(1) as f64
    };
    let many = labels.len() > MOST_IN_TABLE;
    html! {
        @if many {
            p { "A row for each true class and a column for each answer, in the classes’ order; the stronger the colour, the more of the class’s rows." }
            figure { (heat("Rows by true and answered class", labels, share)) }
        } @else {
            p { "Rows by true class, columns by answer; the stronger the colour, the more of the class’s rows." }
            (confusion(labels, counts))
        }
        @let frequent = confusions(counts);
        @if !frequent.is_empty() && labels.len() > 2 {
            h3 { "Most frequent confusions" }
            div.scroll tabindex="0" {
                table {
                    thead {
                        tr {
                            th.text scope="col" { "label" }
                            th.text scope="col" { "answer" }
                            th scope="col" { "rows" }
                            th scope="col" { "% of the label" }
                        }
                    }
                    tbody {
                        @for (row, column, rows) in frequent {
                            tr {
                                th.text.label scope="row" { (labels[row]) }
                                td.text { (labels[column]) }
                                td { (count(rows)) }
                                td { (percent(share(row, column))) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The most frequent confusions, the first of equals first.
fn confusions(counts: &[Vec<u64>]) -> Vec<(usize, usize, u64)> {
    let cells = counts
        .iter()
        .enumerate()
        .flat_map(|(row, counts)| counts.iter().enumerate().map(move |(column, rows)| (row, column, *rows)));
    let mut wrong: Vec<_> = cells.filter(|(row, column, rows)| row != column && *rows > 0).collect();
    wrong.sort_by_key(|(.., rows)| std::cmp::Reverse(*rows));
    wrong.truncate(CONFUSIONS);
    wrong
}

/// How often answers are right by how sure they are, and how many are so sure.
fn sure(report: &Report, sample: &RowSample) -> Markup {
    let after = report.evaluation.as_ref().map(|found| (2, "answers", &found.reliability[..]));
    let before = report.calibration.as_ref().and_then(|found| found.before.evaluation.as_ref());
    let before = before.map(|found| (0, "before the correction", &found.reliability[..]));
    let curves: Vec<(usize, &str, &[Bin])> = before.into_iter().chain(after).collect();
    let [right, wrong, unlabelled] = sample.bars();
    let parts = [
        (2, "right".to_owned(), right),
        (5, "wrong".to_owned(), wrong),
        (0, "without a label".to_owned(), unlabelled),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|(_, _, rows)| rows.iter().any(|rows| *rows > 0)).collect();
    html! {
        @if let Some(evaluation) = &report.evaluation {
            p {
                "On the diagonal, answers are right as often as they are sure. Expected calibration error: "
                (percent(evaluation.expected_calibration_error)) " %."
            }
        }
        div.beside {
            @if !curves.is_empty() { (reliable(&curves)) }
            @if !parts.is_empty() {
                figure.half {
                    figcaption { "Rows by the probability of their answer" }
                    (histogram("Rows by the probability of their answer", ["probability, %", "rows"], (0.0, 100.0), &parts))
                }
            }
        }
        @if !curves.is_empty() { details { summary { "The bins" } (bins(&curves)) } }
    }
}

/// A reliability diagram.
pub(crate) fn reliable(curves: &[(usize, &str, &[Bin])]) -> Markup {
    html! {
        figure.half {
            figcaption { "How often answers are right, by how sure they are" }
            (reliability(curves))
        }
    }
}

/// The same rows without the correction.
fn before(report: &Report, calibration: &CalibrationReport) -> Markup {
    let on = format!("{} ({})", calibration.fitted_on, count(calibration.fitted_rows));
    let answers = calibration.before.predicted.iter().zip(&report.predicted);
    html! {
        p { "Probabilities were corrected by " b { (calibration.method) } ", fitted on " (on) "." }
        @if let (Some(before), Some(after)) = (&calibration.before.evaluation, &report.evaluation) {
            div.scroll tabindex="0" {
                table {
                    thead {
                        tr {
                            td {}
                            th scope="col" { "accuracy" }
                            th scope="col" { "95 %" }
                            th scope="col" { "macro-F1" }
                            th scope="col" { abbr title="expected calibration error" { "ECE" } }
                        }
                    }
                    tbody {
                        tr { th.text scope="row" { "before" } (measures(before)) }
                        tr { th.text scope="row" { "after" } (measures(after)) }
                    }
                }
            }
        }
        h3 { "Answers" }
        div.scroll tabindex="0" {
            table {
                thead {
                    tr {
                        th.text scope="col" { "class" }
                        th scope="col" { "before" }
                        th scope="col" { "after" }
                    }
                }
                tbody {
                    @for (before, after) in answers {
                        tr {
                            th.text.label scope="row" { (after.label) }
                            td { (count(before.rows)) }
                            td { (count(after.rows)) }
                        }
                    }
                }
            }
        }
    }
}

/// All that was run.
fn settings(report: &Report) -> Vec<(&'static str, String)> {
    let run = &report.run;
    vec![
        ("data", run.data.clone()),
        ("model", run.model.clone()),
        ("verbalizer", run.verbalizer.clone()),
        ("templates", report.patterns.iter().map(|found| &*found.template).collect::<Vec<_>>().join(", ")),
        ("label words count together by", run.aggregate.clone()),
        ("forward passes for a row in a pattern", count(run.forwards_per_row as u64)),
        ("longest input, in tokens", count(run.max_length as u64)),
        ("engine", run.engine.clone()),
        ("device", run.device.clone()),
        ("type of numbers", run.dtype.name().to_owned()),
        ("seconds", format!("{:.1}", report.seconds)),
        ("cloze", run.cloze.clone()),
    ]
}
