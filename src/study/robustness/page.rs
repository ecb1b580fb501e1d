//! The page of rows under changes.

use maud::{Markup, html};

use super::{RobustnessReport, RowReport};
use crate::numbers::{count, counted, p_value, percent};
use crate::page::document::{document, warnings};
use crate::page::numbers::{signed, signed_interval};

/// So many rows are listed, those that flip most.
const ROWS: usize = 100;

impl RobustnessReport {
    /// The page of it: `data` is the rows' name, `labels` are the classes'. Every value is shown as text.
    ///
    /// ```
    /// use cloze::predict::report::Prediction;
    /// use cloze::study::robustness::{Changed, RobustnessReport, Target};
    /// let say = |first: f64| vec![Prediction { probabilities: vec![first, 1.0 - first] }];
    /// let changed = Changed { target: Target::Rows, name: "<lower case>".to_owned(), said: Some(say(0.4)) };
    /// let report = RobustnessReport::new(&[1], &say(0.9), &[Some(0)], vec![changed]);
    /// let page = report.page("mine.csv", &["good".to_owned(), "bad".to_owned()]);
    /// assert!(page.contains("&lt;lower case&gt;") && page.contains("100.0"));
    /// ```
    #[must_use]
    pub fn page(&self, data: &str, labels: &[String]) -> String {
        let title = format!("Robustness on {data}");
        let seen = self.trained_on.as_ref().map(|found| {
            format!("{} of the rows are among those that the run was trained on.", count(found.rows))
        });
        let notes: Vec<String> = seen.into_iter().chain(self.left_out.iter().cloned()).collect();
        let body = html! {
            header {
                h1 { (title) }
                p.what {
                    (counted(self.rows as u64, "row")) " · " (counted(self.changes.len() as u64, "change"))
                }
            }
            section.first {
                p.headline {
                    "No change flips the label of " (percent(self.steady)) " % of the rows."
                    @if let (Some(accuracy), Some(spread)) = (self.accuracy, &self.spread) {
                        " Accuracy without a change " (percent(accuracy)) " %, under changes "
                        (percent(spread.lowest)) " to " (percent(spread.highest)) " %."
                    }
                    @if let Some(always) = self.always_right { " Right whatever is changed: " (percent(always)) " %." }
                }
                (warnings(&notes))
            }
            section { h2 { "Changes" } (self.changes()) }
            @if self.by_row.iter().any(|row| row.flipped() > 0) {
                section { h2 { "Rows that flip most" } (self.flipping(labels)) }
            }
        };
        document(&title, &body)
    }

    fn changes(&self) -> Markup {
        let measured = self.accuracy.is_some();
        html! {
            div.scroll tabindex="0" {
                table {
                    thead {
                        tr {
                            th.text scope="col" { "of" }
                            th.text scope="col" { "change" }
                            @if measured {
                                th scope="col" { "accuracy" }
                                th scope="col" { "difference" }
                                th scope="col" { "95 %" }
                                th scope="col" { i { "p" } }
                            }
                            th scope="col" { "probabilities move by" }
                            th scope="col" { "labels flip" }
                            td {}
                        }
                    }
                    tbody {
                        @for change in &self.changes {
                            tr {
                                td.text { (change.target.name()) }
                                th.text.label scope="row" { (change.name) }
                                @if measured {
                                    @let difference = change.difference.as_ref();
                                    td { (change.accuracy.map_or_else(|| "–".to_owned(), percent)) }
                                    td { (difference.map_or_else(|| "–".to_owned(), |found| signed(found.difference))) }
                                    td { (difference.map_or_else(|| "–".to_owned(), |found| signed_interval(found.difference_95))) }
                                    td { (difference.map_or_else(|| "–".to_owned(), |found| p_value(found.p_value))) }
                                }
                                td { (percent(change.probability_change)) }
                                td { (percent(change.flips)) }
                                td aria-hidden="true" { div.track { b style=(format!("width:{:.1}%", change.flips * 100.0)) {} } }
                            }
                        }
                    }
                }
            }
            p.note {
                "In %. Difference: the accuracy under the change less that without one, in points; its interval is over the rows (Agresti and Min)."
                @if !self.unseen.is_empty() { " Changes that this model does not see: " (self.unseen.join(", ")) "." }
            }
        }
    }

    fn flipping(&self, labels: &[String]) -> Markup {
        let mut rows: Vec<&RowReport> = self.by_row.iter().filter(|row| row.flipped() > 0).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.flipped()));
        let to = |row: &RowReport| {
            let some = row.flips.iter().enumerate().filter(|(_, flips)| **flips > 0);
            some.map(|(class, flips)| format!("{} ({flips})", labels[class])).collect::<Vec<_>>().join(", ")
        };
        html! {
            @if rows.len() > ROWS { p { "The first " (ROWS) " of " (counted(rows.len() as u64, "row")) "." } }
            div.scroll tabindex="0" {
                table {
                    thead {
                        tr {
                            th scope="col" { "row" }
                            th.text scope="col" { "answer" }
                            th scope="col" { "changes that flip it" }
                            th.text scope="col" { "to" }
                        }
                    }
                    tbody {
                        @for row in rows.into_iter().take(ROWS) {
                            tr {
                                th scope="row" { (row.record) }
                                td.text { (labels[row.class]) }
                                td { (row.flipped()) " of " (self.changes.len()) }
                                td.text { (to(row)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
