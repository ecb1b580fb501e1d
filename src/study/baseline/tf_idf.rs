//! Texts as TF-IDF vectors (Spärck Jones 1972), as scikit-learn's `TfidfVectorizer()` makes them.
//!
//! A word is two or more letters, digits or underscores in a row, in lower case. Of word w in text t:
//! `count of w in t · (1 + ln((1 + texts) / (1 + training texts with w)))`, and each vector is scaled to
//! length 1.

use std::collections::{BTreeMap, HashMap, HashSet};

use unicode_general_category::{GeneralCategory, get_general_category};

/// The words of a text that are known, by ascending number, each with its weight.
pub(super) type SparseRow = Vec<(usize, f64)>;

/// The words of the training texts.
pub(super) struct Vectorizer {
    number_of: HashMap<String, usize>,
    inverse_frequency: Vec<f64>,
}

impl Vectorizer {
    /// Counts in how many texts each word stands.
    pub(super) fn fit<'a>(texts: impl Iterator<Item = &'a str>) -> Vectorizer {
        let mut number_of: HashMap<String, usize> = HashMap::new();
        let mut texts_with: Vec<u64> = Vec::new();
        let mut count = 0_u64;
        for text in texts {
            count += 1;
            let text = text.to_lowercase();
            let mut seen = HashSet::new();
            for word in words(&text).filter(|word| seen.insert(*word)) {
                match number_of.get(word) {
                    Some(number) => texts_with[*number] += 1,
                    None => {
                        number_of.insert(word.to_owned(), texts_with.len());
                        texts_with.push(1);
                    }
                }
            }
        }
        let inverse_frequency =
            texts_with.iter().map(|with| 1.0 + ((1 + count) as f64 / (1 + with) as f64).ln()).collect();
        Vectorizer { number_of, inverse_frequency }
    }

    /// The number of words known.
    pub(super) fn words(&self) -> usize {
        self.inverse_frequency.len()
    }

    /// A text's vector; empty if no word of it is known.
    pub(super) fn transform(&self, text: &str) -> SparseRow {
        let text = text.to_lowercase();
        let mut weights: BTreeMap<usize, f64> = BTreeMap::new();
        for number in words(&text).filter_map(|word| self.number_of.get(word)) {
            *weights.entry(*number).or_default() += self.inverse_frequency[*number];
        }
        let length = weights.values().map(|weight| weight * weight).sum::<f64>().sqrt();
        weights.into_iter().map(|(number, weight)| (number, weight / length)).collect()
    }
}

/// scikit-learn's pattern `\b\w\w+\b`, with Python's `\w`.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter| !is_of_word(letter)).filter(|word| word.chars().nth(1).is_some())
}

/// Letters, numbers and the underscore. Rust's own classes and its regular expressions also take combining
/// marks.
fn is_of_word(letter: char) -> bool {
    use GeneralCategory::*;
    let is_letter_or_number = |category| {
        matches!(
            category,
            UppercaseLetter
                | LowercaseLetter
                | TitlecaseLetter
                | ModifierLetter
                | OtherLetter
                | DecimalNumber
                | LetterNumber
                | OtherNumber
        )
    };
    letter == '_'
        || letter.is_ascii_alphanumeric()
        || (!letter.is_ascii() && is_letter_or_number(get_general_category(letter)))
}
