//! The answer to one text, for a person.

use cloze::numbers::percent;
use cloze::predict::output::Answer;

use super::table::{Align, table};

/// So many labels are shown.
const MOST: usize = 10;

/// The likeliest labels.
pub fn answer(labels: &[String], answer: &Answer) -> String {
    let mut shares: Vec<(&String, f64)> =
        labels.iter().zip(answer.prediction.probabilities.iter().copied()).collect();
    shares.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let mut rows = vec![vec![if answer.answered { "label" } else { "no answer" }.to_owned(), "%".to_owned()]];
    rows.extend(shares.iter().take(MOST).map(|(label, share)| vec![(*label).clone(), percent(*share)]));
    let mut text = table(&[Align::Left, Align::Right], &rows);
    if shares.len() > MOST {
        text.push_str(&format!("  … and {} more\n", shares.len() - MOST));
    }
    text
}
