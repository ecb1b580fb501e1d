//! The results of an ensemble experiment on the terminal: the rows of the page's tables.

use std::fmt::Write as _;
use std::path::Path;

use cloze::numbers::{counted, interval, percent};
use cloze::study::ensemble::report::{Accuracies, EnsembleReport, Stage};
use cloze::study::ensemble::summary::{BetweenRuns, Comparison};

use super::alike;
use super::paired;
use super::table::{Align, table};
use super::text::printable;
use super::training::LEARN_MORE;

/// The whole report of the run in a folder.
pub fn ensemble(report: &EnsembleReport, run: &Path) -> String {
    let setting = &report.setting;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(text, "\n{}: {}", run.display(), counted(report.patterns.len() as u64, "pattern"));
    let _ = write!(
        text,
        " {}, ",
        setting
            .method
            .as_ref()
            .map_or_else(|| "without training".to_owned(), |method| format!("with {method}"))
    );
    let _ = write!(text, "{}, ", counted(setting.seeds.len() as u64, "seed"));
    let _ = write!(
        text,
        "{}",
        setting
            .student
            .as_ref()
            .map_or_else(|| "no student".to_owned(), |student| format!("student {student}"))
    );
    if report.patterns.len() > 1 {
        let _ = write!(text, ", weights {}", setting.weights);
    }
    let drawn = setting.draw.as_ref().map(|draw| format!(", draw {draw}"));
    let _ = writeln!(text, "{}", drawn.unwrap_or_default());
    for failure in &report.failures {
        let of = printable(&failure.name);
        let at = format!("seed {}, generation {}", failure.seed, failure.generation);
        let _ = writeln!(text, "failed: {of}, {at}: {}", printable(&failure.reason));
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {}", printable(warning));
    }
    if report.last_stage().is_some() {
        results(&mut text, report);
        patterns(&mut text, report);
        tests(&mut text, "on the same rows", &report.comparisons());
        if let Some((_, found)) = report.classifier() {
            text.push_str(&alike::notes_on_test(&report.setting.classes, &found.confusion, LEARN_MORE));
        }
    } else if setting.test_rows == 0 {
        text.push_str("nothing to evaluate on: --test names labelled rows\n");
    }
    if let Some((stage, agreement)) =
        report.stages.iter().rev().find_map(|stage| Some((stage, stage.agreement.as_ref()?)))
    {
        let rows = if setting.test_rows > 0 { "test rows" } else { "unlabelled rows" };
        let members = stage.generation.map_or_else(|| stage.name(), |_| format!("of {}", stage.name()));
        let _ = writeln!(
            text,
            "\n  the members {members} agree on the {rows} with Fleiss' kappa {:.3}",
            agreement.fleiss_kappa
        );
    }
    text
}

fn results(text: &mut String, report: &EnsembleReport) {
    let mut rows =
        vec![["", "accuracy", "95 % rows", "95 % seeds", "macro-F1", "ECE", ""].map(str::to_owned).to_vec()];
    for group in report.groups() {
        rows.push(vec![group.name]);
        for row in group.rows {
            rows.push(vec![
                format!("  {}", row.name),
                mean_and_deviation(row.accuracy),
                row.accuracy_95.map(interval).unwrap_or_default(),
                row.accuracy.interval().unwrap_or_default(),
                percent(row.macro_f1),
                percent(row.expected_calibration_error),
                row.pattern.map(|index| report.pattern_name(index)).unwrap_or_default(),
            ]);
        }
    }
    let several = report.setting.seeds.len() > 1;
    let mut columns =
        vec![Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Right, Align::Below];
    if !several {
        columns.remove(3);
        rows.iter_mut().filter(|row| row.len() > 3).for_each(|row| drop(row.remove(3)));
    }
    let _ = write!(text, "\n{}", table(&columns, &rows));
    let seeds = if several { ", over the seeds (Student's t)" } else { "" };
    let _ = writeln!(
        text,
        "  {}; intervals: over the rows (Wilson){seeds}",
        counted(report.setting.test_rows as u64, "test row")
    );
}

fn patterns(text: &mut String, report: &EnsembleReport) {
    let stages: Vec<&Stage> =
        report.stages.iter().filter(|stage| stage.patterns.iter().any(Option::is_some)).collect();
    let header = ["", "pattern"]
        .map(str::to_owned)
        .into_iter()
        .chain(stages.iter().map(|stage| stage.name()))
        .chain([String::new()]);
    let mut rows = vec![header.collect::<Vec<_>>()];
    for (index, pattern) in report.patterns.iter().enumerate() {
        let of_stages = stages.iter().map(|stage| match &stage.patterns.get(index) {
            Some(Some(found)) => mean_and_deviation(&found.accuracy),
            _ => "–".to_owned(),
        });
        let names = [(index + 1).to_string(), report.pattern_name(index)];
        rows.push(names.into_iter().chain(of_stages).chain([pattern.pattern.clone()]).collect());
    }
    let mut columns = vec![Align::Right; rows[0].len()];
    (columns[1], columns[rows[0].len() - 1]) = (Align::Left, Align::Below);
    let _ = write!(text, "\n{}", table(&columns, &rows));
}

/// The paired tests between runs, and which cannot be made.
pub fn between_runs(found: &[BetweenRuns]) -> String {
    pairs("between the runs", found)
}

/// The same of runs and whatever else.
pub fn pairs(title: &str, found: &[BetweenRuns]) -> String {
    let mut text = String::new();
    let compared = found.iter().filter_map(|pair| match pair {
        BetweenRuns::Compared(comparison) => Some(comparison.clone()),
        BetweenRuns::Apart { .. } => None,
    });
    tests(&mut text, title, &compared.collect::<Vec<_>>());
    let apart = found.iter().filter_map(|pair| match pair {
        BetweenRuns::Apart { first, second, not_compared } => {
            Some(format!("\n  {first} and {second}: {not_compared}"))
        }
        BetweenRuns::Compared(_) => None,
    });
    let apart = apart.collect::<String>();
    if !apart.is_empty() {
        let _ = writeln!(text, "\n  not compared row by row{apart}");
    }
    text
}

fn tests(text: &mut String, title: &str, comparisons: &[Comparison]) {
    if comparisons.is_empty() {
        return;
    }
    let mut rows = vec![std::iter::once(title).chain(paired::HEAD).map(str::to_owned).collect::<Vec<_>>()];
    for Comparison { first, second, found, p_holm } in comparisons {
        rows.push(
            [format!("{first} less {second}")].into_iter().chain(paired::cells(found, *p_holm)).collect(),
        );
    }
    let right = Align::Right;
    let _ = write!(text, "\n{}", table(&[Align::Left, right, right, right, right], &rows));
    let most = comparisons.iter().map(|comparison| comparison.found.rows as u64).max().unwrap_or(0);
    let found: Vec<_> = comparisons.iter().map(|comparison| &comparison.found).collect();
    let _ =
        writeln!(text, "  difference in points over {}\n  {}", counted(most, "row"), paired::note(&found));
}

fn mean_and_deviation(accuracies: &Accuracies) -> String {
    let mean = percent(accuracies.mean);
    accuracies
        .standard_deviation
        .map_or_else(|| mean.clone(), |deviation| format!("{mean} ± {:>4}", percent(deviation)))
}
