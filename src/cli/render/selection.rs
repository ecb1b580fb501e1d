//! What was chosen to be labelled.

use std::path::Path;

use cloze::numbers::{count, counted};
use cloze::predict::selection::{Chosen, Pool, Strategy};

use super::text::printable;

/// How many rows were chosen, by what, and what to do with them.
pub fn selection(
    pool: &Pool,
    chosen: &[Chosen],
    label_column: &str,
    out: Option<&Path>,
    apart: Option<&Path>,
) -> String {
    let at_random = chosen.iter().filter(|row| row.by == Strategy::Random).count();
    let by = chosen.iter().find(|row| row.by != Strategy::Random).map(|row| row.by);
    let how = match by {
        None => "all at random".to_owned(),
        Some(by) if at_random == 0 => format!("all by {}", by.name()),
        Some(by) => format!("{} by {}, {at_random} at random", chosen.len() - at_random, by.name()),
    };
    let mut said =
        format!("chosen: {} of {} ({how})\n", count(chosen.len() as u64), rows(pool.examples.len()));
    for (count, why) in
        [(pool.labelled_rows, "a label already"), (pool.repeated_rows, "the words of another row")]
    {
        if count > 0 {
            let have = if count == 1 { "has" } else { "have" };
            said.push_str(&format!("  left out: {} that {have} {why}\n", rows(count)));
        }
    }
    let column = printable(label_column);
    let file = |path: &Path| printable(&path.display().to_string());
    match (out, apart) {
        (Some(out), Some(apart)) => said.push_str(&format!(
            "next: write the labels into the column {column} of {} (to train on)\n  and of {} (to test on)\n",
            file(out),
            file(apart)
        )),
        (Some(out), None) => {
            said.push_str(&format!("next: write the labels into the column {column} of {}", file(out)));
            said.push_str(if at_random > 0 && by.is_some() {
                "; test on the rows that were\n  chosen at random, and train on the others\n"
            } else {
                "\n"
            });
        }
        (None, _) => {}
    }
    said
}

fn rows(count: usize) -> String {
    counted(count as u64, "row")
}
