//! The tables.

use maud::{Markup, html};

use crate::numbers::{count, percent};
use crate::predict::report::Bin;

/// Longer labels head a column of numbers as a number.
const WIDE: usize = 6;

/// Rows by true class, columns by predicted class.
pub(crate) fn confusion(classes: &[String], counts: &[Vec<u64>]) -> Markup {
    let numbered = classes.len() > WIDE || classes.iter().any(|label| label.chars().count() > 2 * WIDE);
    matrix("true ↓ predicted →", classes, numbered, |row, column| {
        let all: u64 = counts[row].iter().sum();
        (count(counts[row][column]), if all == 0 { 0.0 } else { counts[row][column] as f64 / all as f64 })
    })
}

/// A table of shares, the higher the stronger the colour: what stands in a cell, and its share.
pub(crate) fn matrix(
    corner: &str,
    names: &[String],
    numbered: bool,
    cell: impl Fn(usize, usize) -> (String, f64),
) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table.matrix {
                thead {
                    tr {
                        th.text scope="col" { (corner) }
                        @for (index, name) in names.iter().enumerate() {
                            @if numbered { th scope="col" { abbr title=(name) { (index + 1) } } } @else { th scope="col" { (name) } }
                        }
                    }
                }
                tbody {
                    @for (row, name) in names.iter().enumerate() {
                        tr {
                            th.text scope="row" { @if numbered { (row + 1) " " } (name) }
                            @for column in 0..names.len() {
                                @let (text, share) = cell(row, column);
                                td.cell style=(format!("--share:{share:.2}")) { (text) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The bins of reliability diagrams.
pub(crate) fn bins(curves: &[(usize, &str, &[Bin])]) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                thead {
                    tr {
                        th.text scope="col" { "probability, %" }
                        th scope="col" { "rows" }
                        th scope="col" { "mean probability, %" }
                        th scope="col" { "right, %" }
                    }
                }
                @for (_, name, bins) in curves {
                    tbody {
                        tr.group { th scope="rowgroup" colspan="4" { (sentence_case(name)) } }
                        @for bin in *bins {
                            tr {
                                th.text scope="row" { (format!("{:.0}–{:.0}", bin.from * 100.0, bin.to * 100.0)) }
                                td { (count(bin.rows)) }
                                td { (percent(bin.confidence)) }
                                td { (percent(bin.accuracy)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// With a capital at its beginning.
pub(crate) fn sentence_case(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
