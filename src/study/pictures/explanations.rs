//! The page of explanations: each row with its words shaded by what they do.

use maud::{Markup, html};

use crate::numbers::{counted, percent};
use crate::page::document::document;
use crate::page::numbers::nats;
use crate::predict::explain::{Explanation, Method, WordEffect};

/// Words that move less than this share of the strongest have no colour.
const FAINT: f64 = 0.1;
/// So many words are in a row's table.
const MOST: usize = 30;

/// The page of rows' explanations; `labels` are the classes'. Every word is shown as text.
///
/// ```
/// use cloze::predict::explain::{Explanation, Method, WordEffect};
/// use cloze::predict::report::Prediction;
/// use cloze::study::pictures::explanations_page;
/// let word = |word: &str, effect| WordEffect { column: "text".to_owned(), word: word.to_owned(), effect };
/// let explanation = Explanation {
///     record: 7,
///     class: 0,
///     label: "good".to_owned(),
///     predicted: "good".to_owned(),
///     method: Method::LeaveOneOut,
///     prediction: Prediction { probabilities: vec![0.9, 0.1] },
///     probability: 0.9,
///     score: 9_f64.ln(),
///     baseline: None,
///     words: vec![word("<lovely>", 1.5), word("film", -0.5)],
///     unread_words: 0,
///     at_mask: Vec::new(),
/// };
/// let page = explanations_page("my rows", &["good".to_owned(), "bad".to_owned()], &[explanation]);
/// assert!(page.contains("&lt;lovely&gt;") && !page.contains("<lovely>"));
/// ```
#[must_use]
pub fn explanations_page(title: &str, labels: &[String], explanations: &[Explanation]) -> String {
    let body = html! {
        header {
            h1 { (title) }
            p.what { (counted(explanations.len() as u64, "row")) }
        }
        p {
            "The stronger the colour, the more a word moves the score of the class: "
            span.shaded { span.for style="--share:.60" { "for it" } " or " span.against style="--share:.60" { "against it" } }
            " (underlined). The score is the logarithm of the class’s odds, ln(p/(1−p)), in nats."
        }
        @for explanation in explanations { section { (row(explanation, labels)) } }
    };
    document(title, &body)
}

fn row(found: &Explanation, labels: &[String]) -> Markup {
    let most = found.words.iter().map(|word| word.effect.abs()).fold(f64::MIN_POSITIVE, f64::max);
    let how = match found.method {
        Method::LeaveOneOut => "what the score loses without the word".to_owned(),
        Method::Gradients { steps } => {
            format!("integrated gradients from a row of masks, in {}", counted(steps as u64, "step"))
        }
    };
    let mut strongest: Vec<&WordEffect> = found.words.iter().collect();
    strongest.sort_by(|one, other| other.effect.abs().total_cmp(&one.effect.abs()));
    let columns = columns(&found.words);
    html! {
        h2 { "Row " (found.record) ": " (found.label) " " (percent(found.probability)) " %" }
        @if found.label != found.predicted { p { "The answer is " b { (found.predicted) } "." } }
        @for (column, words) in &columns {
            p.shaded {
                @if columns.len() > 1 { span.note { (column) ": " } }
                @for (index, word) in words.iter().enumerate() {
                    @if index > 0 { " " }
                    (shaded(word, most))
                }
            }
        }
        p.note {
            "Score " (nats(found.score))
            @if let Some(baseline) = found.baseline {
                ", of masks alone " (nats(baseline)) "; the words’ sum is "
                (nats(found.words.iter().map(|word| word.effect).sum()))
            }
            ". Words: " (how) "."
            @if found.unread_words > 0 { " " (counted(found.unread_words as u64, "word")) " had no room and moved nothing." }
        }
        @if !found.at_mask.is_empty() {
            p.note {
                "At the mask: "
                @for (index, word) in found.at_mask.iter().enumerate() {
                    @if index > 0 { ", " }
                    (word.word) " (" (labels[word.class]) ") " (percent(word.share)) "\u{a0}%"
                }
            }
        }
        details {
            summary { "The strongest words" }
            div.scroll tabindex="0" {
                table {
                    thead { tr { th.text scope="col" { "word" } th.text scope="col" { "column" } th scope="col" { "nats" } } }
                    tbody {
                        @for word in strongest.iter().take(MOST) {
                            tr { th.text.label scope="row" { (word.word) } td.text { (word.column) } td { (nats(word.effect)) } }
                        }
                    }
                }
            }
        }
    }
}

/// The words of each column, in their order.
fn columns(words: &[WordEffect]) -> Vec<(&str, Vec<&WordEffect>)> {
    let mut columns: Vec<(&str, Vec<&WordEffect>)> = Vec::new();
    for word in words {
        match columns.last_mut() {
            Some((column, words)) if *column == word.column => words.push(word),
            _ => columns.push((&word.column, vec![word])),
        }
    }
    columns
}

fn shaded(word: &WordEffect, most: f64) -> Markup {
    let share = word.effect.abs() / most;
    let class = match word.effect {
        _ if share < FAINT => "",
        effect if effect < 0.0 => "against",
        _ => "for",
    };
    html! {
        span class=[Some(class).filter(|class| !class.is_empty())] style=(format!("--share:{share:.2}")) title=(format!("{} nats", nats(word.effect))) { (word.word) }
    }
}
