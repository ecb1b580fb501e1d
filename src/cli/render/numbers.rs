//! What a report says of rows with a number each.

use std::fmt::Write as _;

use cloze::numbers::counted;
use cloze::predict::report::{Measured, RangeEvaluation, Report};
use cloze::study::compare::{ALIKE, OverSeeds};
use cloze::study::experiment::{Metrics, NumberMetrics, SeedMetrics};

use super::table::{Align, table};

/// What can be said where no row has its number.
pub fn without_truth(report: &Report) -> String {
    let mean = report.range.map(|range| range.expected(&report.mean)).filter(|_| report.rows > 0);
    mean.map_or_else(String::new, |mean| format!("predicted on average: {}\n", decimal(mean)))
}

/// The measures of a scoring run.
pub fn scored(text: &mut String, report: &Report, found: &RangeEvaluation) {
    let right = Align::Right;
    let of_patterns: Vec<_> = report
        .patterns
        .iter()
        .filter_map(|pattern| Some((pattern, pattern.evaluation.as_ref()?.range.as_ref()?)))
        .collect();
    if of_patterns.len() > 1 {
        let mut rows = vec![["pattern", "Pearson", "Spearman", "mean error", ""].map(str::to_owned).to_vec()];
        rows.extend(of_patterns.iter().map(|(pattern, found)| {
            let measures = [&found.pearson, &found.spearman, &Some(found.mean_absolute_error)];
            let [pearson, spearman, error] = measures.map(|measure| cells(measure)[0].clone());
            vec![pattern.template.clone(), pearson, spearman, error, pattern.pattern.clone()]
        }));
        let _ = write!(text, "\n{}", table(&[Align::Left, right, right, right, Align::Below], &rows));
    }
    let what = match &of_patterns[..] {
        [(only, _)] => only.template.as_str(),
        _ => "average of all patterns",
    };
    let row =
        |name: &str, measure: &Option<Measured>| [vec![name.to_owned()], cells(measure).to_vec()].concat();
    let rows = [
        [what, "", "95 %"].map(str::to_owned).to_vec(),
        row("Pearson", &found.pearson),
        row("Spearman", &found.spearman),
        row("mean absolute error", &Some(found.mean_absolute_error)),
        vec!["error of their mean".to_owned(), decimal(found.mean_absolute_error_of_mean)],
    ];
    let _ = write!(text, "\n{}", table(&[Align::Left, right, right], &rows));
    let [low, high] = found.range;
    let rows = counted(found.rows, "row");
    let _ =
        writeln!(text, "  {rows} with a number from {low} to {high}; intervals over the rows (bootstrap)");
}

/// The table of a training's results.
pub fn trained(text: &mut String, metrics: &Metrics, found: &NumberMetrics) {
    let head =
        ["seed", "Pearson", "95 %", "Spearman", "95 %", "mean error", "95 %"].map(str::to_owned).to_vec();
    let mut rows = vec![head];
    let of_seed = |seed: &SeedMetrics| {
        let found = seed.evaluation.as_ref()?.range.as_ref()?;
        let measures = [&found.pearson, &found.spearman, &Some(found.mean_absolute_error)];
        Some(row(&seed.seed.to_string(), measures.map(cells)))
    };
    rows.extend(metrics.seeds.iter().filter_map(of_seed));
    let over = [&found.pearson, &found.spearman, &found.mean_absolute_error];
    if over.iter().any(|over| over.is_some()) {
        let cells =
            |of: fn(&OverSeeds) -> [String; 2]| over.map(|over| over.as_ref().map_or_else(dashes, of));
        rows.push(row("mean", cells(|over| [decimal(over.spread.mean), ends(over)])));
        rows.push(row("± sd", cells(|over| [decimal(over.spread.standard_deviation), String::new()])));
    }
    let right = Align::Right;
    let _ = write!(text, "\n{}", table(&[right; 6], &rows));
    let over_seeds =
        if found.mean_absolute_error.is_some() { ", the mean's over the seeds (Student's t)" } else { "" };
    let _ = writeln!(
        text,
        "  {}; a seed's interval is over the rows (bootstrap){over_seeds}",
        counted(metrics.test_rows as u64, "test row")
    );
    let head = ["on the same rows", "Pearson", "Spearman", "mean error", "difference", "95 %"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for baseline in &found.baselines {
        let perhaps = |number: Option<f64>| number.map_or_else(|| "–".to_owned(), decimal);
        let difference = &baseline.difference;
        rows.push(vec![
            baseline.name.clone(),
            perhaps(baseline.pearson),
            perhaps(baseline.spearman),
            decimal(baseline.mean_absolute_error),
            format!("{:+.3}", difference.mean_absolute_error),
            difference
                .interval_95
                .map_or_else(|| "–".to_owned(), |[low, high]| format!("{low:+.3} to {high:+.3}")),
        ]);
    }
    let _ = write!(text, "\n{}", table(&[Align::Left, right, right, right, right, right], &rows));
    let _ = writeln!(
        text,
        "  difference: the mean absolute error of {} less that of the baseline, below 0 where it is nearer",
        metrics.method
    );
}

/// A line of measures with their intervals, of the middle one only the measure.
fn row(name: &str, measures: [[String; 2]; 3]) -> Vec<String> {
    let [[pearson, of_pearson], [spearman, _], [error, of_error]] = measures;
    vec![name.to_owned(), pearson, of_pearson, spearman, error, of_error]
}

/// A measure and its interval.
fn cells(measured: &Option<Measured>) -> [String; 2] {
    let Some(Measured { value, interval_95 }) = measured else { return dashes() };
    [decimal(*value), interval_95.map_or_else(|| "–".to_owned(), between)]
}

fn dashes() -> [String; 2] {
    ["–".to_owned(), String::new()]
}

fn ends(over: &OverSeeds) -> String {
    over.mean_95.map_or_else(|| ALIKE.to_owned(), between)
}

fn between([low, high]: [f64; 2]) -> String {
    format!("{low:.3} to {high:.3}")
}

fn decimal(number: f64) -> String {
    format!("{number:.3}")
}
