//! The report of rows with several labels each, for people.

use std::fmt::Write as _;

use cloze::error::MultiLabelError;
use cloze::error::notes::{Note, help};
use cloze::numbers::multi_label::{Averaged, MultiLabelMetrics};
use cloze::numbers::{count, counted, interval, percent};
use cloze::predict::general::Ask;
use cloze::predict::multi_label::LabelsAnswer;
use cloze::predict::multi_label::report::MultiLabelReport;

use super::report::calibrated_on;
use super::table::{Align, table};

/// So many labels are shown.
const MOST: usize = 30;

/// What was found in the data: the columns that are read, those with labels, and what the labels are of.
pub fn found_labels(text_columns: &[String], truths: &[&str], usual: Option<Ask>) -> String {
    let mut text = String::new();
    if let Some(asked) = usual {
        let asked = super::ask(asked);
        let _ = writeln!(
            text,
            "labels: usual ones ({asked}), for which cloze has words (--ask general takes their names alone)"
        );
    }
    let _ = writeln!(text, "text: the column {}", text_columns.join(", "));
    let _ = match truths {
        [] => Ok(()),
        [column] => writeln!(text, "true labels: the column {column}"),
        _ => writeln!(text, "true labels: a column of 0 and 1 for each"),
    };
    text
}

/// The whole report as text.
pub fn multi_label(report: &MultiLabelReport) -> String {
    let (mut text, run) = (String::new(), &report.run);
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{}: {} in {:.1} s, {:.0} rows/s ({}, {}; several labels a row, way: {})",
        run.data,
        counted(report.rows, "row"),
        report.seconds,
        report.rows_per_second,
        run.engine,
        counted(run.threads as u64, "thread"),
        report.way.name()
    );
    if let Some(found) = &report.calibrated_on {
        let _ = writeln!(text, "warning: {}", calibrated_on(found, report.rows, "thresholds or sets"));
    }
    if report.truncated_rows > 0 {
        let _ = writeln!(text, "too long, and cut: {}", counted(report.truncated_rows, "row"));
    }
    let _ = writeln!(
        text,
        "labels given: {} a row in the mean; {} got none",
        number(
            report.predicted.iter().map(|label| label.rows).sum::<u64>() as f64 / report.rows.max(1) as f64
        ),
        counted(report.without_label, "row")
    );
    let _ = writeln!(text, "thresholds: {}", thresholds(report));
    if let Some(sets) = &report.sets {
        let _ = write!(
            text,
            "sets: {} labels in the mean, to hold all labels of {} % of the rows (thresholds from {})",
            number(sets.mean_size),
            percent(1.0 - sets.fitted.alpha),
            counted(sets.fitted.rows, "row")
        );
        let _ = match &sets.coverage {
            Some(found) => {
                writeln!(text, "; they do of {} % ({})", percent(found.share), interval(found.interval_95))
            }
            None => writeln!(text),
        };
    }
    match &report.evaluation {
        Some(evaluation) => measures(&mut text, report, evaluation),
        None => without_truths(&mut text, report),
    }
    text
}

fn number(number: f64) -> String {
    format!("{number:.2}")
}

fn thresholds(report: &MultiLabelReport) -> String {
    let known: Vec<f64> = report.thresholds.iter().filter_map(|(_, threshold)| *threshold).collect();
    let never = report.thresholds.len() - known.len();
    let lowest = known.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut text = match (known.is_empty(), lowest < highest) {
        (true, _) => "none is reached".to_owned(),
        (false, false) => format!("{lowest:.3}"),
        (false, true) => format!("{lowest:.3} to {highest:.3}"),
    };
    if let Some(fitted_on) = &report.thresholds_fitted_on {
        let _ = write!(text, ", fitted on {fitted_on}");
    }
    if never > 0 {
        let _ = write!(text, "; {} never given", counted(never as u64, "label"));
    }
    text
}

fn measures(text: &mut String, report: &MultiLabelReport, evaluation: &MultiLabelMetrics) {
    if report.labelled < report.rows {
        let unlabelled = counted(report.rows - report.labelled, "row");
        let _ = writeln!(text, "without known labels, and not evaluated: {unlabelled}");
    }
    let row = |name: &str, found: &Averaged| {
        let [precision, recall, f1] = [found.precision, found.recall, found.f1].map(percent);
        vec![name.to_owned(), precision, recall, f1]
    };
    let rows = vec![
        ["average", "precision", "recall", "F1"].map(str::to_owned).to_vec(),
        row("micro (pairs of row and label)", &evaluation.micro),
        row("macro (labels)", &evaluation.macro_average),
        row("samples (rows)", &evaluation.samples),
    ];
    let right = Align::Right;
    let _ = write!(text, "\n{}", table(&[Align::Left, right, right, right], &rows));
    let _ = writeln!(
        text,
        "  {}, {} labels a row; mean AP {}, Hamming loss {}, all labels right {} %, coverage error {}",
        counted(evaluation.rows, "row"),
        number(evaluation.labels_a_row),
        evaluation.mean_average_precision.map_or_else(|| "–".to_owned(), percent),
        percent(evaluation.hamming_loss),
        percent(evaluation.subset_accuracy),
        number(evaluation.coverage_error)
    );
    let mut rows =
        vec![["label", "precision", "recall", "F1", "AP", "rows", "given"].map(str::to_owned).to_vec()];
    rows.extend(evaluation.labels.iter().take(MOST).map(|label| {
        vec![
            label.label.clone(),
            percent(label.precision),
            percent(label.recall),
            percent(label.f1),
            label.average_precision.map_or_else(|| "–".to_owned(), percent),
            count(label.support),
            count(label.predicted),
        ]
    }));
    let _ = write!(text, "\n{}", table(&[Align::Left, right, right, right, right, right, right], &rows));
    more(text, evaluation.labels.len());
}

fn without_truths(text: &mut String, report: &MultiLabelReport) {
    let mut rows = vec![["label", "rows", "%"].map(str::to_owned).to_vec()];
    rows.extend(report.predicted.iter().take(MOST).map(|label| {
        let share = percent(label.rows as f64 / report.rows.max(1) as f64);
        vec![label.label.clone(), count(label.rows), share]
    }));
    let _ = write!(text, "\n{}", table(&[Align::Left, Align::Right, Align::Right], &rows));
    more(text, report.predicted.len());
}

fn more(text: &mut String, labels: usize) {
    if labels > MOST {
        let _ = writeln!(text, "  … and {} more (--report has all)", count((labels - MOST) as u64));
    }
}

/// The table of a training's results, seed by seed, and what the model said before it.
pub fn trained(seeds: &[(u64, &MultiLabelMetrics)], zero_shot: Option<&MultiLabelMetrics>) -> String {
    let row = |name: String, found: &MultiLabelMetrics| {
        let measures = [found.micro.f1, found.macro_average.f1, found.samples.f1];
        let rank = found.mean_average_precision.map_or_else(|| "–".to_owned(), percent);
        [vec![name], measures.map(percent).to_vec(), vec![rank, percent(found.hamming_loss)]].concat()
    };
    let head = ["seed", "micro-F1", "macro-F1", "samples-F1", "mean AP", "Hamming"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(seeds.iter().map(|(seed, found)| row(seed.to_string(), found)));
    let measures: [fn(&MultiLabelMetrics) -> f64; 2] =
        [|found| found.micro.f1, |found| found.macro_average.f1];
    let mean = |measure: fn(&MultiLabelMetrics) -> f64| {
        percent(seeds.iter().map(|(_, found)| measure(found)).sum::<f64>() / seeds.len() as f64)
    };
    if seeds.len() > 1 {
        rows.push([vec!["mean".to_owned()], measures.map(mean).to_vec()].concat());
    }
    rows.extend(zero_shot.map(|found| row("zero-shot".to_owned(), found)));
    let mut text = format!("\n{}", table(&[Align::Right; 6], &rows));
    let tested = seeds.first().map_or(0, |(_, found)| found.rows);
    let _ = writeln!(text, "  {}, at a threshold of 0.5", counted(tested, "test row"));
    text
}

/// The answer to one text, for a person: the labels that are given, and the likeliest others.
pub fn labels_answer(labels: &[String], answer: &LabelsAnswer) -> String {
    /// So many labels are shown, unless more are given.
    const MOST: usize = 10;
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|one, other| answer.probabilities[*other].total_cmp(&answer.probabilities[*one]));
    order.sort_by_key(|label| !answer.given[*label]);
    let given = answer.given.iter().filter(|given| **given).count();
    let mut rows = vec![["label", "%", "given"].map(str::to_owned).to_vec()];
    rows.extend(order.iter().take(MOST.max(given)).map(|&label| {
        let given = if answer.given[label] { "yes" } else { "" };
        vec![labels[label].clone(), percent(answer.probabilities[label]), given.to_owned()]
    }));
    table(&[Align::Left, Align::Right, Align::Left], &rows)
}

/// The way out of an error, where it is a flag.
pub(super) fn advice(error: &MultiLabelError) -> Option<Vec<Note>> {
    Some(match error {
        MultiLabelError::SeparatorInLabel { .. } => {
            help("name what stands between labels, and in none, with --label-separator")
        }
        MultiLabelError::UnknownLabel { cell, separator, labels, .. }
            if !cell.contains(separator.as_str()) =>
        {
            let mut notes = error.notes();
            notes.retain(|(name, _)| *name != "help");
            let text = match cell.contains(['|', ';', ',']) && !labels.is_empty() {
                true => format!("labels stand between {separator:?} here: --label-separator names another"),
                false => {
                    "give it with --labels too, or take it out; --label-map says which label it stands for"
                        .to_owned()
                }
            };
            notes.push(("help", text));
            notes
        }
        MultiLabelError::GoalUnclear { .. } => vec![("allowed", "--for f1, or --for precision=0.9".into())],
        MultiLabelError::WithoutLabels { .. } => {
            let mut notes = error.notes();
            notes.retain(|(name, _)| *name != "help");
            notes.push(("help", "name the column of labels with --label-column".into()));
            notes
        }
        MultiLabelError::Misfit { .. } | MultiLabelError::OtherLabels { .. } => {
            let mut notes = error.notes();
            notes.retain(|(name, _)| *name != "help");
            notes.push(("help", "fit them anew with --fit-thresholds".into()));
            notes
        }
        MultiLabelError::EmptyReference => {
            help("name a word that says of no label that it is right, as --reference other")
        }
        MultiLabelError::SingleLabelRun { .. } => {
            help("leave --multi-label out, or train a run with cloze train --multi-label")
        }
        MultiLabelError::MultiLabelRun { .. } => {
            help("this is for one label a row: cloze score --run gives several")
        }
        _ => return None,
    })
}
