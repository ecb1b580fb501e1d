//! The page of what a model itself says of patterns and label words.

use maud::{Markup, html};

use crate::numbers::{count, counted, percent};
use crate::page::document::document;
use crate::predict::report::Prediction;
use crate::predict::strict::{PatternAnswers, StrictReport, WordAnswers};

/// So many of the words that the model says instead are shown.
const OTHERS: usize = 8;

/// The page of a strict look; `labels` are the classes'.
///
/// ```
/// use cloze::predict::report::Prediction;
/// use cloze::predict::strict::{PatternAnswers, StrictReport};
/// use cloze::study::pictures::strict_page;
/// let without_row = Prediction { probabilities: vec![0.8, 0.2] };
/// let pattern = PatternAnswers { pattern: "it-was".to_owned(), without_row, on_rows: None };
/// let report = StrictReport { patterns: vec![pattern], words: None };
/// let page = strict_page("check", &["<good>", "bad"], &report);
/// assert!(page.contains("&lt;good&gt;") && page.contains("80.0"));
/// ```
#[must_use]
pub fn strict_page(title: &str, labels: &[&str], report: &StrictReport) -> String {
    let body = html! {
        header {
            h1 { (title) }
            p.what { (counted(report.patterns.len() as u64, "pattern")) " · " (labels.len()) " classes" }
        }
        @if !report.patterns.is_empty() {
            section { h2 { "What the model says of the classes" } (preferences(&report.patterns, labels)) }
        }
        @if report.patterns.iter().any(|answers| answers.on_rows.is_some()) {
            section { h2 { "Other words" } (others(&report.patterns)) }
        }
        @if let Some(words) = &report.words { section { h2 { "Label words" } (label_words(words)) } }
    };
    document(title, &body)
}

/// Each class's probability without a row, and over the rows.
fn preferences(patterns: &[PatternAnswers], labels: &[&str]) -> Markup {
    let asked: Vec<(String, &Prediction)> = patterns
        .iter()
        .flat_map(|answers| {
            let without = (format!("{}, without a row", answers.pattern), &answers.without_row);
            let rows = answers.on_rows.as_ref();
            let rows = rows.map(|said| {
                (format!("{}, mean of {}", answers.pattern, counted(said.rows as u64, "row")), &said.mean)
            });
            [Some(without), rows]
        })
        .flatten()
        .collect();
    html! {
        p { "Probabilities in %. Without a preference each class has " (percent(1.0 / labels.len() as f64)) "." }
        div.scroll tabindex="0" {
            table.matrix {
                thead {
                    tr {
                        th.text scope="col" { "class" }
                        @for (name, _) in &asked { th scope="col" { (name) } }
                    }
                }
                tbody {
                    @for (class, label) in labels.iter().enumerate() {
                        tr {
                            th.text.label scope="row" { (label) }
                            @for (_, said) in &asked {
                                @let share = said.probabilities[class];
                                td.cell style=(format!("--share:{share:.2}")) { (percent(share)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// How often the likeliest word is no label word, and which it is then.
fn others(patterns: &[PatternAnswers]) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                thead {
                    tr {
                        th.text scope="col" { "pattern" }
                        th scope="col" { "rows" }
                        th scope="col" { "another word is likeliest, %" }
                        th.text scope="col" { "such as" }
                    }
                }
                tbody {
                    @for answers in patterns {
                        @if let Some(said) = &answers.on_rows {
                            tr {
                                th.text.label scope="row" { (answers.pattern) }
                                td { (count(said.rows as u64)) }
                                td { (percent(said.share_of_others())) }
                                td.text {
                                    @for (index, (word, rows)) in said.other_words.iter().take(OTHERS).enumerate() {
                                        @if index > 0 { ", " }
                                        (word) " (" (count(*rows as u64)) ")"
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Words that are hardly said, and words that are near to those of other classes.
fn label_words(words: &WordAnswers) -> Markup {
    html! {
        @if words.rare.is_empty() && words.confusable.is_empty() {
            p { "The model says each of them, and none is nearest to a word of another class." }
        }
        @if !words.rare.is_empty() {
            p { "Hardly said here; one word of the vocabulary has by chance a probability of " (format!("{:.1e}", words.chance)) ":" }
            div.scroll tabindex="0" {
                table {
                    thead { tr { th.text scope="col" { "word" } th.text scope="col" { "class" } th scope="col" { "probability" } } }
                    tbody {
                        @for rare in &words.rare {
                            tr { th.text.label scope="row" { (rare.word) } td.text { (rare.label) } td { (format!("{:.1e}", rare.probability)) } }
                        }
                    }
                }
            }
        }
        @if !words.confusable.is_empty() {
            p { "Nearest to a word of another class, of all words that the model knows:" }
            div.scroll tabindex="0" {
                table {
                    thead {
                        tr {
                            th.text scope="col" { "word" }
                            th.text scope="col" { "class" }
                            th.text scope="col" { "is near to" }
                            th.text scope="col" { "of" }
                            th scope="col" { "cosine" }
                        }
                    }
                    tbody {
                        @for found in &words.confusable {
                            tr {
                                th.text.label scope="row" { (found.word) }
                                td.text { (found.label) }
                                td.text { (found.other_word) }
                                td.text { (found.other_label) }
                                td { (format!("{:.2}", found.cosine)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
