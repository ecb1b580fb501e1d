//! BERT's WordPiece, equal to what `transformers` gives for the same folder.
//!
//! The steps before WordPiece (cleaning, accents, case, Chinese characters, punctuation) are done here,
//! because the places of words in the text must be known for truncation and because rust_tokenizers takes
//! `[MASK]` in a user's text for the mask; its vocabulary and its WordPiece do the rest.

use std::collections::HashMap;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;

use rust_tokenizers::tokenizer::{BertTokenizer, Tokenizer as _};
use rust_tokenizers::vocab::{BertVocab, Vocab as _};
use unicode_general_category::{GeneralCategory, get_general_category};
use unicode_normalization::UnicodeNormalization as _;

use super::files::Settings;
use super::{MOST_IDS, SpecialIds, Token, is_chinese};
use crate::error::{Error, ModelError, Result};
use crate::text::json;

/// The mark before a piece that goes on with a word.
pub(super) const GOES_ON: &str = "##";

/// A WordPiece tokenizer of a model folder.
pub(super) struct WordPiece {
    tokenizer: BertTokenizer,
    /// The id of what the vocabulary has no piece for.
    unknown: i64,
    lower_case: bool,
    strip_accents: bool,
}

/// What a tokenizer's files say of case and accents; what none says is as in BERT uncased.
pub(super) struct Folding {
    pub lower_case: Option<bool>,
    pub strip_accents: Option<bool>,
}

impl WordPiece {
    /// The tokenizer over a vocabulary.
    pub(super) fn new(
        vocabulary: HashMap<String, i64>,
        folding: &Folding,
        settings: &Settings,
    ) -> Result<(WordPiece, SpecialIds)> {
        let special = settings.special_ids(&|token| vocabulary.get(token).copied(), true)?;
        if let Some((token, id)) = vocabulary.iter().find(|(_, id)| !(0..MOST_IDS).contains(*id)) {
            return Err(
                settings.error(format!("the id of {token:?} is {id}, it must be from 0 to below {MOST_IDS}"))
            );
        }
        let lower_case = settings.lower_case().or(folding.lower_case).unwrap_or(true);
        let wordpiece = WordPiece {
            tokenizer: wordpiece(vocabulary, settings.unknown())?,
            unknown: special.unk,
            lower_case,
            // Unless told otherwise, accents go where case goes.
            strip_accents: settings.strip_accents().or(folding.strip_accents).unwrap_or(lower_case),
        };
        Ok((wordpiece, special))
    }

    pub(super) fn vocabulary_size(&self) -> usize {
        let highest = self.vocabulary().indices.keys().max();
        highest.map_or(0, |highest| usize::try_from(highest + 1).unwrap_or(0))
    }

    pub(super) fn token(&self, id: i64) -> &str {
        self.vocabulary().indices.get(&id).map_or("[UNK]", String::as_str)
    }

    pub(super) fn begins_word(&self, id: i64) -> bool {
        !self.token(id).starts_with(GOES_ON)
    }

    pub(super) fn letters(&self, id: i64) -> &str {
        let token = self.token(id);
        token.strip_prefix(GOES_ON).unwrap_or(token)
    }

    pub(super) fn tokenize(&self, text: &str) -> Vec<Token> {
        let mut tokens = Vec::with_capacity(text.len() / 4);
        let mut start = 0;
        for (at, letter) in text.char_indices() {
            let alone = is_chinese(letter);
            if alone || (letter.is_whitespace() && !is_control(letter)) {
                self.words(text, start..at, &mut tokens);
                start = at + letter.len_utf8();
                if alone {
                    self.words(text, at..start, &mut tokens);
                }
            }
        }
        self.words(text, start..text.len(), &mut tokens);
        tokens
    }

    /// The tokens of what stands between two spaces. Accents and case can change where punctuation is (the
    /// Greek question mark becomes a semicolon), so they come first; then punctuation marks are words of
    /// their own.
    fn words(&self, text: &str, range: Range<usize>, tokens: &mut Vec<Token>) {
        let chunk = &text[range.clone()];
        // Nearly all text is plain: one small copy a chunk instead of one a word.
        if !chunk.bytes().all(|byte| byte.is_ascii_graphic()) {
            for (word, place) in self.fold(chunk, range.start) {
                self.pieces(&word, place, tokens);
            }
            return;
        }
        let folded = if self.lower_case { chunk.to_ascii_lowercase() } else { chunk.to_owned() };
        let mut start = 0;
        for (at, byte) in folded.bytes().enumerate() {
            if byte.is_ascii_punctuation() {
                self.pieces(&folded[start..at], range.start + start..range.start + at, tokens);
                self.pieces(&folded[at..=at], range.start + at..range.start + at + 1, tokens);
                start = at + 1;
            }
        }
        self.pieces(&folded[start..], range.start + start..range.end, tokens);
    }

    /// The words of a chunk after cleaning and after accents and case are folded, letter by letter, so that
    /// each keeps its place.
    fn fold(&self, chunk: &str, start: usize) -> Vec<(String, Range<usize>)> {
        let mut words: Vec<(String, Range<usize>)> = Vec::new();
        let mut open = false;
        let mut put = |letter: char, place: Range<usize>| {
            let mark = is_punctuation(letter);
            match words.last_mut() {
                Some((word, taken)) if open && !mark => {
                    word.push(letter);
                    taken.end = place.end;
                }
                _ => words.push((letter.to_string(), place)),
            }
            open = !mark;
        };
        for (at, letter) in chunk.char_indices().filter(|(_, letter)| !is_control(*letter)) {
            let place = start + at..start + at + letter.len_utf8();
            let mut put_folded = |letter: char| {
                if self.lower_case {
                    letter.to_lowercase().for_each(|lower| put(lower, place.clone()));
                } else {
                    put(letter, place.clone());
                }
            };
            if self.strip_accents {
                let parts = std::iter::once(letter).nfd();
                parts
                    .filter(|part| get_general_category(*part) != GeneralCategory::NonspacingMark)
                    .for_each(&mut put_folded);
            } else {
                put_folded(letter);
            }
        }
        words
    }

    /// A word's pieces. Most words stand whole in the vocabulary and are their own longest match.
    fn pieces(&self, word: &str, place: Range<usize>, tokens: &mut Vec<Token>) {
        if word.is_empty() {
            return;
        }
        let vocabulary = &self.vocabulary().values;
        // rust_tokenizers' own limit, BERT's: a longer word is unknown.
        const LONGEST_WORD: usize = 100;
        match vocabulary.get(word) {
            Some(&id) if word.len() <= LONGEST_WORD => tokens.push(Token { id, word: place }),
            _ => tokens.extend(
                self.tokenizer
                    .tokenize(word)
                    .iter()
                    .map(|piece| Token { id: self.piece_id(piece), word: place.clone() }),
            ),
        }
    }

    fn piece_id(&self, piece: &str) -> i64 {
        self.vocabulary().values.get(piece).copied().unwrap_or(self.unknown)
    }

    fn vocabulary(&self) -> &BertVocab {
        self.tokenizer.vocab()
    }
}

/// rust_tokenizers' WordPiece without special values, so that none is found in a text; case and accents are
/// folded before.
///
/// The crate makes vocabularies from files only, and the type of one of their parts has no public name: so
/// one is made from a file of five lines, and the real entries take their place.
fn wordpiece(values: HashMap<String, i64>, unknown: &str) -> Result<BertTokenizer> {
    let folder = std::env::temp_dir();
    let writing = |error: std::io::Error| Error::writing(&folder, &error);
    let mut file = tempfile::NamedTempFile::new().map_err(writing)?;
    file.write_all(b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n").map_err(writing)?;
    let unusable = |error: rust_tokenizers::error::TokenizerError| ModelError::Tokenizer {
        path: file.path().to_owned(),
        message: error.to_string(),
    };
    let mut vocabulary = BertVocab::from_file(file.path()).map_err(unusable)?;
    vocabulary.special_token_map.unk_token = unknown.to_owned();
    vocabulary.special_values.clear();
    vocabulary.special_indices.clear();
    vocabulary.indices = values.iter().map(|(token, id)| (*id, token.clone())).collect();
    vocabulary.values = values;
    Ok(BertTokenizer::from_existing_vocab(vocabulary, false, false))
}

/// One token a line, its id the line's number from 0; the last of two equal lines counts, as in
/// `transformers`.
pub(super) fn vocabulary_lines(path: &Path) -> Result<HashMap<String, i64>> {
    let text = json::read_text(path)?;
    Ok(text.lines().zip(0..).map(|(token, id)| (token.to_owned(), id)).collect())
}

fn is_control(letter: char) -> bool {
    use GeneralCategory::{Control, Format, PrivateUse};
    match letter {
        '\t' | '\n' | '\r' => false,
        '\0' | '\u{fffd}' => true,
        _ => matches!(get_general_category(letter), Control | Format | PrivateUse),
    }
}

fn is_punctuation(letter: char) -> bool {
    use GeneralCategory::{
        ClosePunctuation, ConnectorPunctuation, DashPunctuation, FinalPunctuation, InitialPunctuation,
        OpenPunctuation, OtherPunctuation,
    };
    letter.is_ascii_punctuation()
        || matches!(
            get_general_category(letter),
            ClosePunctuation
                | ConnectorPunctuation
                | DashPunctuation
                | FinalPunctuation
                | InitialPunctuation
                | OpenPunctuation
                | OtherPunctuation
        )
}
