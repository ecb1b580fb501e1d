//! The page of a search.

use maud::{Markup, html};

use super::{Candidate, SEPARATED, SearchReport};
use crate::numbers::{counted, interval, p_value, percent};
use crate::page::document::document;
use crate::page::numbers::{signed, signed_interval};
use crate::page::plots::{Ranged, intervals};
use crate::study::compare::PairedDifference;

/// Candidates in the picture; the table has all.
const MOST: usize = 60;

impl SearchReport {
    /// The page of it, with a title. Every value is shown as text.
    #[must_use]
    pub fn page(&self, title: &str) -> String {
        let ranked: Vec<(usize, &Candidate)> =
            self.order.iter().map(|&index| (index, &self.candidates[index])).collect();
        let ranged = |candidate: &Candidate| -> Option<Ranged> {
            candidate.evaluation.as_ref().map(|found| (found.accuracy, found.accuracy_95))
        };
        let shown: Vec<(String, Vec<Option<Ranged>>)> = ranked
            .iter()
            .filter(|(_, candidate)| candidate.evaluation.is_some())
            .take(MOST)
            .map(|(_, candidate)| (candidate.name.clone(), vec![ranged(candidate)]))
            .collect();
        let body = html! {
            header {
                h1 { (title) }
                p.what {
                    (counted(self.candidates.len() as u64, "candidate")) " · "
                    (counted(self.labelled_rows as u64, "labelled row"))
                }
            }
            section.first { (self.headline()) }
            section {
                h2 { "Candidates" }
                @if !shown.is_empty() {
                    figure {
                        figcaption { "Accuracy in %, with 95 % intervals over other rows" }
                        (intervals("Accuracy in percent, with 95 % intervals", &[(1, "accuracy".to_owned())], &shown, usize::MAX))
                    }
                }
                (self.table(&ranked))
            }
        };
        document(title, &body)
    }

    fn headline(&self) -> Markup {
        let winner = &self.candidates[self.winner];
        let against = |name: &str, found: &Option<PairedDifference>| {
            let found = found.as_ref()?;
            Some(html! {
                li {
                    (name) ": " (signed(found.difference)) " points (95 % interval " (signed_interval(found.difference_95))
                    ", p " (p_value(found.p_value)) ")"
                    @if found.p_value >= SEPARATED { ", which chance explains" }
                }
            })
        };
        html! {
            p.headline {
                "Found: " b { (winner.name) }
                @if let Some(accuracy) = winner.accuracy() { ", right on " (percent(accuracy)) " % of the labelled rows" }
                "."
            }
            @if let Some(certainty) = &self.certainty {
                ul {
                    @if let Some(item) = against("against the second", &certainty.over_second) { (item) }
                    @if let Some(item) = against("what was chosen on other rows, against what was given", &certainty.over_given) { (item) }
                    li { "labels in another order find one as good with a probability of " (p_value(certainty.p_chance)) }
                    @if let Some(accuracy) = self.accuracy_of_choosing {
                        li { "choosing so is right on " (percent(accuracy)) " % of rows that had no part in the choice" }
                    }
                }
            }
        }
    }

    fn table(&self, ranked: &[(usize, &Candidate)]) -> Markup {
        let scored = self.candidates.iter().any(|candidate| candidate.score.is_some());
        let evaluated = self.candidates.iter().any(|candidate| candidate.evaluation.is_some());
        let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"));
        let ends = |ends: Option<[f64; 2]>| {
            ends.map_or_else(|| "–".to_owned(), |[low, high]| format!("{low:.4} to {high:.4}"))
        };
        html! {
            div.scroll tabindex="0" {
                table {
                    thead {
                        tr {
                            th scope="col" { "no." }
                            th.text scope="col" { "candidate" }
                            @if scored { th scope="col" { "score" } th scope="col" { "95 %" } }
                            @if evaluated { th scope="col" { "accuracy" } th scope="col" { "95 %" } th scope="col" { "macro-F1" } }
                        }
                    }
                    tbody {
                        @for (place, (index, candidate)) in ranked.iter().enumerate() {
                            tr {
                                td { (place + 1) }
                                th.text.pattern scope="row" {
                                    span { (candidate.name) } @if *index == self.winner { " " span.tag { "found" } }
                                    code { (candidate.about) }
                                }
                                @if scored { td { (number(candidate.score)) } td { (ends(candidate.score_95)) } }
                                @if evaluated {
                                    @let found = candidate.evaluation.as_ref();
                                    td { (found.map_or_else(|| "–".to_owned(), |found| percent(found.accuracy))) }
                                    td { (found.map_or_else(|| "–".to_owned(), |found| interval(found.accuracy_95))) }
                                    td { (found.map_or_else(|| "–".to_owned(), |found| percent(found.macro_f1))) }
                                }
                            }
                        }
                    }
                }
            }
            @if scored { p.note { "Score: the mutual information of rows and answers in nats, which looks at no label." } }
        }
    }
}
