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
use serde::Deserialize;
use serde_json::value::RawValue;
use unicode_general_category::{GeneralCategory, get_general_category};
use unicode_normalization::UnicodeNormalization as _;

use super::{SpecialIds, Token};
use crate::error::{Error, ModelError, Result};
use crate::text::json;

/// The mark before a piece that goes on with a word.
const GOES_ON: &str = "##";

/// A WordPiece tokenizer of a model folder.
pub(super) struct WordPiece {
    tokenizer: BertTokenizer,
    /// The id of what the vocabulary has no piece for.
    unknown: i64,
    lower_case: bool,
    strip_accents: bool,
}

/// Of tokenizer_config.json and special_tokens_map.json: what matters here.
#[derive(Debug, Default, Deserialize)]
struct TokenizerConfig {
    do_lower_case: Option<bool>,
    strip_accents: Option<bool>,
    tokenize_chinese_chars: Option<bool>,
    #[serde(flatten)]
    special: SpecialTokens,
}

#[derive(Debug, Default, Deserialize)]
struct SpecialTokens {
    pad_token: Option<TokenText>,
    unk_token: Option<TokenText>,
    cls_token: Option<TokenText>,
    sep_token: Option<TokenText>,
    mask_token: Option<TokenText>,
}

/// A special token is a string or an object around one.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum TokenText {
    Plain(String),
    Added { content: String },
}

/// Of tokenizer.json: what matters here. The model is looked at only where its vocabulary is needed.
#[derive(Deserialize)]
struct TokenizerJson {
    model: Box<RawValue>,
    normalizer: Option<Normalizer>,
}

#[derive(Deserialize)]
struct ModelType {
    #[serde(rename = "type")]
    name: Option<String>,
}

#[derive(Deserialize)]
struct WordPieceModel {
    vocab: HashMap<String, i64>,
}

#[derive(Default, Deserialize)]
struct Normalizer {
    lowercase: Option<bool>,
    strip_accents: Option<bool>,
    handle_chinese_chars: Option<bool>,
}

impl WordPiece {
    /// The tokenizer of a model folder with its special tokens: the vocabulary from `vocab.txt` or
    /// `tokenizer.json`, case and special tokens from `tokenizer_config.json`, `special_tokens_map.json` and
    /// `tokenizer.json`, in this order; what none says is as in BERT uncased.
    pub(super) fn load(folder: &Path) -> Result<(WordPiece, SpecialIds)> {
        let config: TokenizerConfig = optional(&folder.join("tokenizer_config.json"))?.unwrap_or_default();
        let map: SpecialTokens = optional(&folder.join("special_tokens_map.json"))?.unwrap_or_default();
        let fast: Option<TokenizerJson> = optional(&folder.join("tokenizer.json"))?;
        let vocabulary_path = folder.join("vocab.txt");
        let (values, normalizer) = match (vocabulary_path.exists(), fast) {
            (true, fast) => (
                vocabulary_lines(&vocabulary_path)?,
                fast.and_then(|fast| fast.normalizer).unwrap_or_default(),
            ),
            (false, Some(fast)) => {
                (fast.vocabulary(&folder.join("tokenizer.json"))?, fast.normalizer.unwrap_or_default())
            }
            (false, None) => {
                return Err(ModelError::FileMissing {
                    path: folder.to_owned(),
                    wanted: "vocab.txt or tokenizer.json",
                }
                .into());
            }
        };
        let find = |token: &str| -> Result<i64> {
            values.get(token).copied().ok_or_else(|| {
                Error::from(ModelError::Tokenizer {
                    path: folder.to_owned(),
                    message: format!("the vocabulary has no special token {token}"),
                })
            })
        };
        let named = |from_config: Option<TokenText>, from_map: Option<TokenText>, usual: &str| {
            from_config.or(from_map).map_or_else(|| usual.to_owned(), TokenText::into_string)
        };
        let unknown = named(config.special.unk_token, map.unk_token, "[UNK]");
        let special = SpecialIds {
            pad: find(&named(config.special.pad_token, map.pad_token, "[PAD]"))?,
            unk: find(&unknown)?,
            cls: find(&named(config.special.cls_token, map.cls_token, "[CLS]"))?,
            sep: find(&named(config.special.sep_token, map.sep_token, "[SEP]"))?,
            mask: find(&named(config.special.mask_token, map.mask_token, "[MASK]"))?,
        };
        if config.tokenize_chinese_chars.or(normalizer.handle_chinese_chars) == Some(false) {
            let message = "it keeps Chinese characters together (tokenize_chinese_chars), which this version of cloze does not".to_owned();
            return Err(ModelError::Tokenizer { path: folder.to_owned(), message }.into());
        }
        let lower_case = config.do_lower_case.or(normalizer.lowercase).unwrap_or(true);
        let wordpiece = WordPiece {
            tokenizer: wordpiece(values, &unknown)?,
            unknown: special.unk,
            lower_case,
            // Unless told otherwise, accents go where case goes.
            strip_accents: config.strip_accents.or(normalizer.strip_accents).unwrap_or(lower_case),
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

impl TokenizerJson {
    fn vocabulary(&self, path: &Path) -> Result<HashMap<String, i64>> {
        let wrong = |message: String| Error::from(ModelError::Tokenizer { path: path.to_owned(), message });
        let model_type: ModelType =
            serde_json::from_str(self.model.get()).map_err(|error| wrong(error.to_string()))?;
        if model_type.name.is_some_and(|name| name != "WordPiece") {
            return Err(wrong("not a WordPiece vocabulary, which is BERT's".to_owned()));
        }
        serde_json::from_str(self.model.get())
            .map(|model: WordPieceModel| model.vocab)
            .map_err(|error| wrong(error.to_string()))
    }
}

impl TokenText {
    fn into_string(self) -> String {
        match self {
            TokenText::Plain(content) | TokenText::Added { content } => content,
        }
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

fn optional<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = json::read_text(path)?;
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| ModelError::Tokenizer { path: path.to_owned(), message: error.to_string() }.into())
}

/// One token a line, its id the line's number from 0; the last of two equal lines counts, as in
/// `transformers`.
fn vocabulary_lines(path: &Path) -> Result<HashMap<String, i64>> {
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

/// The blocks that BERT's own tokenizer takes for Chinese characters: neither kana nor Hangul.
fn is_chinese(letter: char) -> bool {
    matches!(u32::from(letter),
        0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x20000..=0x2A6DF | 0x2A700..=0x2B73F | 0x2B740..=0x2B81F | 0x2B820..=0x2CEAF | 0xF900..=0xFAFF | 0x2F800..=0x2FA1F)
}
