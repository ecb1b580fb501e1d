//! Methods side by side on the terminal.

use std::fmt::Write as _;

use cloze::numbers::{interval, percent};
use cloze::study::compare::OverSeeds;
use cloze::study::ensemble::summary::BetweenRuns;
use cloze::study::methods::MethodsReport;

use super::ensemble::pairs;
use super::paired::between;
use super::table::{Align, table};

/// The methods, then each pair of them.
pub fn methods(report: &MethodsReport) -> String {
    let mut rows =
        vec![["method", "rows", "seeds", "accuracy", "95 % rows", "95 % seeds"].map(str::to_owned).to_vec()];
    for method in &report.methods {
        rows.push(vec![
            method.name.clone(),
            method.rows.to_string(),
            method.accuracies.len().to_string(),
            percent(method.accuracy),
            interval(method.accuracy_95),
            method.over_seeds.as_ref().map(OverSeeds::interval).unwrap_or_default(),
        ]);
    }
    let several = report.methods.iter().any(|method| method.over_seeds.is_some());
    if !several {
        rows.iter_mut().for_each(|row| drop(row.pop()));
    }
    let mut columns = [Align::Right; 6];
    columns[0] = Align::Left;
    let mut text = table(&columns[..rows[0].len()], &rows);
    let seeds = if several { ", over the seeds (Student's t)" } else { "" };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  accuracy in percent; intervals: over the rows (Wilson){seeds}");
    let found: Vec<BetweenRuns> = report.between.iter().map(|between| between.pair.clone()).collect();
    text.push_str(&pairs("on the same rows", &found));
    for pair in &report.between {
        if let (BetweenRuns::Compared(comparison), Some(both)) = (&pair.pair, pair.over_seeds_and_rows_95) {
            let _ = writeln!(
                text,
                "  {} less {}, over seeds and rows (bootstrap): 95 % {}",
                comparison.first,
                comparison.second,
                between(both)
            );
        }
    }
    text
}
