//! The results of several tasks on the terminal.

use std::fmt::Write as _;

use cloze::numbers::{interval, percent};
use cloze::study::multi_task::TaskMetrics;

use super::table::{Align, table};

/// The results of several tasks.
pub fn tasks(metrics: &[TaskMetrics]) -> String {
    let mut rows =
        vec![["task", "", "test rows", "before", "after", "± sd", "95 % seeds"].map(str::to_owned).to_vec()];
    for task in metrics {
        let after = task.mean_after().map(percent).unwrap_or_default();
        let (deviation, seeds) = match &task.over_seeds {
            Some(over_seeds) => (percent(over_seeds.spread.standard_deviation), interval(over_seeds.mean_95)),
            None => (String::new(), String::new()),
        };
        rows.push(vec![
            task.name.clone(),
            if task.learned { "learned" } else { "not seen" }.to_owned(),
            task.test_rows.to_string(),
            task.before.map(percent).unwrap_or_default(),
            after,
            deviation,
            seeds,
        ]);
    }
    let right = Align::Right;
    let mut text = table(&[Align::Left, Align::Left, right, right, right, right, right], &rows);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  accuracy in percent; the mean over the seeds");
    text
}
