//! Methods on the same rows, as columns of a table and the line below it.

use cloze::numbers::p_value;
use cloze::study::compare::{PairedDifference, PairedTest};

/// The columns' heads. The p value is one for all comparisons of the table together.
pub const HEAD: [&str; 4] = ["difference", "95 %", "+/−", "p"];

/// What stands below them.
pub fn cells(found: &PairedDifference, p_holm: f64) -> [String; 4] {
    let rows = found.better_worse.map(|[better, worse]| format!("{better}/{worse}"));
    [signed(found.difference), between(found.difference_95), rows.unwrap_or_default(), p_value(p_holm)]
}

/// What the columns are, of all comparisons in a table.
pub fn note(found: &[&PairedDifference]) -> String {
    let any = |test| found.iter().any(|found| found.test == test);
    let test = match (any(PairedTest::Bootstrap), any(PairedTest::Normal)) {
        (true, _) => "paired bootstrap",
        (_, true) => "sign-flip test",
        _ => "exact sign-flip test",
    };
    let corrected = match found.len() {
        0 | 1 => String::new(),
        several => format!(", corrected for {several} comparisons (Holm)"),
    };
    format!("+/−: rows done better and worse; p: {test}{corrected}")
}

/// A difference in points, with its sign.
pub(super) fn signed(share: f64) -> String {
    format!("{:+.1}", share * 100.0)
}

/// An interval of differences.
pub(super) fn between([low, high]: [f64; 2]) -> String {
    format!("{} to {}", signed(low), signed(high))
}
