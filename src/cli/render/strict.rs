//! What a model itself says of patterns and label words.

use cloze::numbers::percent;
use cloze::predict::report::Prediction;
use cloze::predict::strict::{PatternAnswers, StrictReport, WordAnswers};

use super::table::{Align, table};

/// So many of the words that the model says instead are shown.
const OTHERS: usize = 5;

/// The report as tables and notes; `labels` are the classes'.
pub fn strict(report: &StrictReport, labels: &[&str]) -> String {
    let mut text = String::new();
    if !report.patterns.is_empty() {
        text.push_str(&preferences(&report.patterns, labels));
    }
    if let Some(words) = &report.words {
        text.push_str(&likeliest(&report.patterns));
        text.push_str(&notes(words));
    }
    text
}

/// Each class's probability without a row, and over the rows.
fn preferences(patterns: &[PatternAnswers], labels: &[&str]) -> String {
    let header = ["pattern", "asked"].iter().chain(labels).map(|name| (*name).to_owned());
    let mut rows = vec![header.collect::<Vec<_>>()];
    for answers in patterns {
        let mut row = |asked: &str, said: &Prediction| {
            let shares = said.probabilities.iter().map(|share| percent(*share));
            rows.push([answers.pattern.clone(), asked.to_owned()].into_iter().chain(shares).collect());
        };
        row("without a row", &answers.without_row);
        if let Some(said) = &answers.on_rows {
            row("rows, mean", &said.mean);
        }
    }
    let mut columns = vec![Align::Right; labels.len() + 2];
    columns[..2].fill(Align::Left);
    let equal = 100.0 / labels.len() as f64;
    format!(
        "what the model says of the classes, % (without a preference: {equal:.1})\n\n{}\n",
        table(&columns, &rows)
    )
}

/// How often the likeliest word is no label word, and which it is then; nothing without rows.
fn likeliest(patterns: &[PatternAnswers]) -> String {
    let mut rows =
        vec![["pattern", "rows", "another word is likeliest, %", "such as"].map(str::to_owned).to_vec()];
    for answers in patterns {
        let Some(said) = &answers.on_rows else { return String::new() };
        let named = said.other_words.iter().take(OTHERS).map(|(word, _)| word.as_str()).collect::<Vec<_>>();
        rows.push(vec![
            answers.pattern.clone(),
            said.rows.to_string(),
            percent(said.share_of_others()),
            named.join(", "),
        ]);
    }
    if patterns.is_empty() {
        return String::new();
    }
    format!("{}\n", table(&[Align::Left, Align::Right, Align::Right, Align::Words], &rows))
}

fn notes(words: &WordAnswers) -> String {
    let chance = words.chance;
    let rare = words.rare.iter().map(|rare| {
        format!(
            "note: {} ({}) is a word that the model hardly says here: {:.1e}, \
             one word of the vocabulary by chance {chance:.1e}\n",
            rare.word, rare.label, rare.probability
        )
    });
    let confusable = words.confusable.iter().map(|found| {
        format!(
            "note: {} ({}) is nearest to {} ({}) of all words that the model knows, cosine {:.2}\n",
            found.word, found.label, found.other_word, found.other_label, found.cosine
        )
    });
    rare.chain(confusable).collect()
}
