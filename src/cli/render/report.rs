//! The report of a scoring run, for people.

use std::fmt::Write as _;

use cloze::model::dtype::{Dtype, Trial};
use cloze::numbers::{count, counted, interval, percent};
use cloze::predict::auto::BOUND;
use cloze::predict::calibration::{Method, WITHOUT_CONTENT as WITHOUT};
use cloze::predict::report::{
    Abstention, Evaluation, NeighboursReport, Report, SetCoverage, SetsReport, TrainedOn, Windows,
};

use super::alike;
use super::numbers;
use super::screen::{start_of, without_middle};
use super::structure::structure;
use super::table::{Align, fits, table};

/// Columns of a class above its counts; before them it may have twice as many.
const MOST_LABEL: usize = 12;
/// Of more classes, those with most rows are shown.
const MOST_CLASSES: usize = 80;
/// So many threads on each core are too many.
const MOST_ON_A_CORE: usize = 4;
/// So many confusions stand for all, where there are many classes.
const MOST_CONFUSIONS: usize = 10;
/// Rows that repeat others are told where there are so many, and one in so many.
const LEAST_REPEATED: u64 = 10;
const REPEATED_SHARE: u64 = 20;

/// The whole report as text.
pub fn report(report: &Report) -> String {
    let mut text = String::new();
    let run = &report.run;
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{}: {} in {:.1} s, {:.0} rows/s ({}{}, {})",
        run.data,
        counted(report.rows, "row"),
        report.seconds,
        report.rows_per_second,
        run.engine,
        if run.dtype == Dtype::F32 { String::new() } else { format!(", {}", run.dtype.name()) },
        counted(run.threads as u64, "thread")
    );
    notes(&mut text, report);
    if report.labelled == 0 && report.range.is_some() {
        text.push_str(&numbers::without_truth(report));
        return text;
    }
    if report.labelled == 0 {
        unlabelled(&mut text, report);
        text.push_str(&alike::notes(report, &alike::help(report)));
        return text;
    }
    if report.labelled < report.rows {
        let _ = writeln!(
            text,
            "without a label, and not evaluated: {}",
            counted(report.rows - report.labelled, "row")
        );
    }
    if let Some(found) = report.evaluation.as_ref().and_then(|evaluation| evaluation.range.as_ref()) {
        numbers::scored(&mut text, report, found);
        return text;
    }
    patterns(&mut text, report);
    if let Some(evaluation) = &report.evaluation {
        summary(&mut text, report, evaluation);
        certainty(&mut text, report);
        text.push_str(&structure(evaluation));
        classes(&mut text, evaluation);
        confusion(&mut text, evaluation);
    }
    text.push_str(&alike::notes(report, &alike::help(report)));
    text
}

/// A sentence about rows that a run was trained on.
pub fn trained_on(found: &TrainedOn, rows: u64) -> String {
    format!("{}: results on them say little", among(found, rows, "the run was trained on"))
}

/// The same about rows whose labels a correction, or the sets' thresholds, were fitted on.
pub fn calibrated_on(found: &TrainedOn, rows: u64, what: &str) -> String {
    let among = among(found, rows, &format!("{what} were fitted on"));
    format!("{among}: on them these look better than they are")
}

fn among(found: &TrainedOn, rows: u64, those: &str) -> String {
    let records: Vec<String> = found.records.iter().map(u64::to_string).collect();
    format!(
        "{} of the {} are among those that {those} (record{} {}{})",
        count(found.rows),
        counted(rows, "row"),
        if found.rows == 1 { "" } else { "s" },
        records.join(", "),
        if found.rows > found.records.len() as u64 { ", …" } else { "" },
    )
}

/// What was fitted on rows with labels.
fn fitted(report: &Report) -> &'static str {
    if report.neighbours.is_some() { "neighbours were taken from, or sets" } else { "a correction or sets" }
}

/// Corrections on fewer rows are told to be chance.
const FEW_ROWS: u64 = 20;

/// What stands out of the rows, and what was fitted.
fn notes(text: &mut String, report: &Report) {
    let run = &report.run;
    if let Some(found) = &report.trained_on {
        let _ = writeln!(text, "warning: {}", trained_on(found, report.rows));
    }
    if let Some(found) = &report.calibrated_on {
        let _ = writeln!(text, "warning: {}", calibrated_on(found, report.rows, fitted(report)));
    }
    if let Some(NeighboursReport { data, rows, count, share, .. }) = &report.neighbours {
        let nearest = if *count == 1 { "the nearest".to_owned() } else { format!("the {count} nearest") };
        let rows = counted(*rows, "labelled row");
        let share = percent(*share);
        let _ = writeln!(
            text,
            "note: {nearest} of {rows} of {data} count {share} %, the label words the rest (chosen on these rows)"
        );
    }
    if let Some(trials) = &run.dtypes_tried {
        let _ = writeln!(text, "note: --dtype auto took {}: {}", run.dtype.name(), measured(trials));
    }
    if run.forwards_per_row > 1 {
        let _ = writeln!(text, "note: {} forward passes for a row in a pattern", run.forwards_per_row);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if run.threads > cores * MOST_ON_A_CORE {
        let (threads, cores) = (counted(run.threads as u64, "thread"), counted(cores as u64, "core"));
        let _ = writeln!(text, "note: {threads} on {cores} wait for each other: --threads says how many");
    }
    if report.near_labels > 0 {
        let labels = counted(report.near_labels, "label");
        let _ = writeln!(text, "note: {labels} matched without regard to case or blanks at the ends");
    }
    if report.truncated_rows > 0 {
        let share = percent(report.truncated_rows as f64 / report.rows as f64);
        let rows = counted(report.truncated_rows, "row");
        let _ = writeln!(text, "note: {rows} ({share} %) longer than {} tokens, and cut", run.max_length);
    }
    text.extend(windows(report));
    if report.repeated_rows >= LEAST_REPEATED && report.repeated_rows * REPEATED_SHARE >= report.rows {
        let share = percent(report.repeated_rows as f64 / report.rows as f64);
        let _ = writeln!(
            text,
            "note: {} ({share} %) the same as one shortly before, and not computed again",
            counted(report.repeated_rows, "row")
        );
    }
    if report.crowded_rows > 0 {
        let rows = counted(report.crowded_rows, "row");
        let _ = writeln!(
            text,
            "note: beside {rows} not all demonstrations had room in {} tokens",
            run.max_length
        );
    }
    if let Some(calibration) = &report.calibration {
        let fitted = match calibration.fitted_on.as_str() {
            WITHOUT => format!("{} without content", counted(calibration.fitted_rows, "input")),
            rows if calibration.method == Method::Domain.name() => {
                format!("{} of random words of {rows}", counted(calibration.fitted_rows, "text"))
            }
            rows => format!("{} of {rows}", counted(calibration.fitted_rows, "row")),
        };
        let _ = writeln!(text, "calibration: {}, fitted on {fitted}", calibration.method);
        if calibration.fitted_on != WITHOUT && calibration.fitted_rows < FEW_ROWS {
            let rows = counted(calibration.fitted_rows, "row");
            let _ = writeln!(
                text,
                "warning: so few rows ({rows}) say little of what the model prefers: the correction is mostly chance"
            );
        }
    }
}

/// What can be said without labels.
fn unlabelled(text: &mut String, report: &Report) {
    if let Some(abstention) = &report.abstention {
        let _ = writeln!(text, "{}", abstained(report, abstention));
    }
    if let Some(sets) = &report.sets {
        let _ = writeln!(text, "{}", sizes(sets));
    }
    if report.rows > 0 {
        let predicted = &report.predicted;
        let shown = most(predicted.len(), |class| predicted[class].rows);
        let left_out = predicted.len() - shown.len();
        let rows = shown.iter().map(|class| &predicted[*class]);
        let rows = rows.map(|class| vec![class.label.clone(), count(class.rows)]);
        let header = vec!["predicted".to_owned(), "rows".to_owned()];
        let without = report.abstention.as_ref().map(|abstention| report.rows - abstention.answered);
        let without = without.map(|rows| vec!["no answer".to_owned(), count(rows)]);
        let _ = write!(
            text,
            "\n{}",
            table(
                &[Align::Left, Align::Right],
                &std::iter::once(header).chain(rows).chain(without).collect::<Vec<_>>()
            )
        );
        others(text, left_out);
    }
}

/// Which classes are shown, in their order: of too many, those with most rows.
fn most(classes: usize, rows: impl Fn(usize) -> u64) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..classes).collect();
    if classes > MOST_CLASSES {
        shown.sort_by_key(|class| std::cmp::Reverse(rows(*class)));
        shown.truncate(MOST_CLASSES);
        shown.sort_unstable();
    }
    shown
}

/// What is said of the classes that are not shown.
fn others(text: &mut String, classes: usize) {
    if classes > 0 {
        let others = counted(classes as u64, "more label");
        let _ = writeln!(text, "  … and {others} with as few rows or fewer; --report writes all");
    }
}

/// Why `--dtype auto` took what it took.
fn measured(trials: &[Trial]) -> String {
    if trials.is_empty() {
        return "nothing is remembered of this model, and there is too little to read for a measurement"
            .to_owned();
    }
    let trials = trials.iter().map(|trial| match trial.dtype {
        Dtype::F32 => format!("f32 {:.0} ms", trial.milliseconds),
        dtype => format!(
            "{} {:.0} ms, at most {:.3} from its probabilities",
            dtype.name(),
            trial.milliseconds,
            trial.largest_difference
        ),
    });
    let trials: Vec<String> = trials.collect();
    format!("on a sample {} ({BOUND} is allowed)", trials.join("; "))
}

fn patterns(text: &mut String, report: &Report) {
    let Some(spread) = &report.spread else { return };
    let mut rows = vec![["pattern", "accuracy", "95 %", "macro-F1", "ECE", ""].map(str::to_owned).to_vec()];
    for pattern in &report.patterns {
        if let Some(found) = &pattern.evaluation {
            rows.push(vec![
                pattern.template.clone(),
                percent(found.accuracy),
                interval(found.accuracy_95),
                percent(found.macro_f1),
                percent(found.expected_calibration_error),
                pattern.pattern.clone(),
            ]);
        }
    }
    let right = Align::Right;
    let _ = write!(text, "\n{}", table(&[Align::Left, right, right, right, right, Align::Below], &rows));
    let _ = writeln!(
        text,
        "  over {} patterns: mean {} ± {} (standard deviation), from {} to {}",
        report.patterns.len(),
        percent(spread.mean),
        percent(spread.standard_deviation),
        percent(spread.lowest),
        percent(spread.highest)
    );
}

fn summary(text: &mut String, report: &Report, evaluation: &Evaluation) {
    let what = match &report.patterns[..] {
        [] => "average of all members",
        [only] => only.template.as_str(),
        _ => "average of all patterns",
    };
    let mut rows = vec![
        vec![what.to_owned(), "%".to_owned()],
        vec![
            "accuracy".to_owned(),
            percent(evaluation.accuracy),
            format!("95 % interval {}", interval(evaluation.accuracy_95)),
        ],
        vec!["macro-F1".to_owned(), percent(evaluation.macro_f1)],
        vec!["calibration error".to_owned(), percent(evaluation.expected_calibration_error)],
    ];
    if let Some(majority) = &report.majority {
        rows.push(vec![
            "majority class".to_owned(),
            percent(majority.accuracy),
            format!("always {}", majority.label),
        ]);
    }
    let mut columns = vec![Align::Left, Align::Right, Align::Words];
    if let Some(before) =
        report.calibration.as_ref().and_then(|calibration| calibration.before.evaluation.as_ref())
    {
        let before = [
            "before",
            &percent(before.accuracy),
            &percent(before.macro_f1),
            &percent(before.expected_calibration_error),
        ]
        .map(str::to_owned);
        rows.iter_mut().zip(before).for_each(|(row, before)| row.insert(2, before));
        rows.iter_mut().skip(4).for_each(|row| row.insert(2, String::new()));
        columns.insert(2, Align::Right);
    }
    let _ = write!(text, "\n{}", table(&columns, &rows));
}

/// Rows without an answer, and prediction sets.
fn certainty(text: &mut String, report: &Report) {
    if let Some(abstention) = &report.abstention {
        let _ =
            writeln!(text, "  of all labelled rows; those without an answer count by their likeliest class");
        let _ = writeln!(text, "\n  {}", abstained(report, abstention));
        if let Some(accuracy) = abstention.accuracy {
            let _ = writeln!(
                text,
                "  accuracy of the {} with an answer: {} %",
                counted(abstention.labelled, "labelled row"),
                percent(accuracy)
            );
        }
    }
    let Some(sets) = &report.sets else { return };
    let _ = writeln!(text, "\n  {}", sizes(sets));
    let row = |name: &str, coverage: &Option<SetCoverage>| {
        let coverage = coverage.as_ref()?;
        Some(vec![
            name.to_owned(),
            percent(coverage.share),
            interval(coverage.interval_95),
            count(coverage.rows),
        ])
    };
    let header = vec![
        format!("sets hold the truth, {} % asked", percent(1.0 - sets.alpha)),
        "%".to_owned(),
        "95 %".to_owned(),
        "rows".to_owned(),
    ];
    let mut rows = vec![header];
    rows.extend(row("all", &sets.coverage));
    rows.extend(sets.classes.iter().filter_map(|(label, coverage)| row(label, coverage)));
    let _ = write!(text, "{}", table(&[Align::Left, Align::Right, Align::Right, Align::Right], &rows));
}

fn abstained(report: &Report, abstention: &Abstention) -> String {
    let left = report.rows - abstention.answered;
    let share = percent(left as f64 / report.rows.max(1) as f64);
    format!(
        "without an answer, no class at {} or more: {} ({share} %)",
        abstention.below,
        counted(left, "row")
    )
}

fn sizes(sets: &SetsReport) -> String {
    let each = if sets.by_class { ", each class with its own threshold" } else { "" };
    let fitted = counted(sets.fitted_rows, "labelled row");
    format!(
        "sets of {:.2} classes on average, {} % without any, by {fitted}{each}",
        sets.mean_size,
        percent(sets.empty)
    )
}

fn classes(text: &mut String, evaluation: &Evaluation) {
    let mut rows = vec![["class", "precision", "recall", "F1", "rows"].map(str::to_owned).to_vec()];
    let shown = most(evaluation.classes.len(), |class| evaluation.classes[class].support);
    for class in shown.iter().map(|class| &evaluation.classes[*class]) {
        rows.push(vec![
            class.label.clone(),
            percent(class.precision),
            percent(class.recall),
            percent(class.f1),
            count(class.support),
        ]);
    }
    let right = Align::Right;
    let _ = write!(text, "\n{}", table(&[Align::Left, right, right, right, right], &rows));
    others(text, evaluation.classes.len() - shown.len());
}

fn confusion(text: &mut String, evaluation: &Evaluation) {
    let labels = &evaluation.confusion.labels;
    let header = std::iter::once("true ↓  predicted →".to_owned())
        .chain(labels.iter().map(|label| start_of(label, MOST_LABEL)));
    let rows = labels.iter().zip(&evaluation.confusion.counts).map(|(label, counts)| {
        let label = without_middle(label, 2 * MOST_LABEL);
        std::iter::once(label).chain(counts.iter().map(|rows| count(*rows))).collect()
    });
    let rows = std::iter::once(header.collect()).chain(rows).collect::<Vec<_>>();
    let mut columns = vec![Align::Right; labels.len() + 1];
    columns[0] = Align::Left;
    let table = if fits(&columns, &rows) { table(&columns, &rows) } else { confusions(evaluation) };
    let _ = write!(text, "\n{table}");
}

/// The most frequent confusions, where there are too many classes for a table of all.
fn confusions(evaluation: &Evaluation) -> String {
    let labels = &evaluation.confusion.labels;
    let of_class = |(truth, counts): (usize, &Vec<u64>)| {
        let wrong = counts.iter().copied().enumerate().filter(|&(class, rows)| class != truth && rows > 0);
        wrong.map(|(class, rows)| (rows, truth, class)).collect::<Vec<_>>()
    };
    let mut wrong: Vec<(u64, usize, usize)> =
        evaluation.confusion.counts.iter().enumerate().flat_map(of_class).collect();
    wrong.sort_by_key(|&(rows, truth, class)| (std::cmp::Reverse(rows), truth, class));
    let mut rows = vec![["most often confused: true", "predicted", "rows"].map(str::to_owned).to_vec()];
    rows.extend(
        wrong
            .iter()
            .take(MOST_CONFUSIONS)
            .map(|&(rows, truth, class)| vec![labels[truth].clone(), labels[class].clone(), count(rows)]),
    );
    let table = table(&[Align::Left, Align::Left, Align::Right], &rows);
    format!("{table}  all {} × {0} are in the file that --report writes, as confusion\n", labels.len())
}

/// In how many windows long rows were read.
pub fn windows(report: &Report) -> Option<String> {
    let Windows { rows, windows } = report.windows?;
    let (rows, length) = (counted(rows, "row"), report.run.max_length);
    Some(format!("note: {rows} longer than {length} tokens, read in {} windows\n", count(windows)))
}
