//! Text to token ids, and what the pieces of a vocabulary are: the face of every kind of tokenizer.
//!
//! What only one kind knows, as the mark on a piece that goes on with a word, is asked for here and answered
//! in its own file.

mod files;
mod general;
mod wordpiece;

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, ModelError, Result};
use crate::text::json;
use files::{Files, Settings};
use general::General;
use wordpiece::{Folding, WordPiece};

/// The files of a model folder that a tokenizer is read from, as far as they are there.
pub const FILES: [&str; 7] = [
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
];

/// The tokenizer of a model folder.
pub struct Tokenizer {
    pieces: Pieces,
    special: SpecialIds,
    remark: Option<String>,
}

/// The kinds of tokenizers.
enum Pieces {
    WordPiece(Box<WordPiece>),
    General(Box<General>),
}

/// Ids are below this, which is far more than any vocabulary has.
const MOST_IDS: i64 = 10_000_000;

/// The ids of the special tokens. They never come out of a text: a text's `[MASK]` is three tokens like any
/// other. A vocabulary that has pieces for all bytes may have no `unk`: then that is -1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SpecialIds {
    pub pad: i64,
    pub unk: i64,
    pub cls: i64,
    pub sep: i64,
    pub mask: i64,
}

/// A token of a text, with the bytes of the text that its whole word takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The vocabulary id.
    pub id: i64,
    /// The bytes of the token's WORD: a word is never cut into pieces that belong to different owners.
    pub word: Range<usize>,
}

/// So many of the first whole words are sampled from: vocabularies are listed by frequency, and Lester et al.
/// (2021) sample from the 5,000 most frequent tokens.
const COMMON_WORDS: usize = 5000;

impl Tokenizer {
    /// The tokenizer of a model folder, from its `tokenizer.json`, `vocab.txt`, or `vocab.json` and
    /// `merges.txt`, and the small files beside them.
    ///
    /// The first tokenizer that is not plain WordPiece puts a panic hook before the process's own. The
    /// `tokenizers` crate panics on some damaged files and texts; cloze makes an error of such a panic, and
    /// the hook keeps it from being printed. All other panics go to the hook that was there before. A program
    /// that sets a hook later takes this one's place: errors stay the same, and these panics are printed.
    pub fn load(folder: &Path) -> Result<Tokenizer> {
        let settings = Settings::read(folder)?;
        let (whole, lines) = (folder.join("tokenizer.json"), folder.join("vocab.txt"));
        let (pieces, special) = if whole.exists() {
            whole_file(&whole, &settings)?
        } else if lines.exists() {
            settings.check_class(Files::WordPiece)?;
            let vocabulary = wordpiece::vocabulary_lines(&lines)?;
            let is_plain = settings.splits_chinese() != Some(false)
                && settings
                    .added_tokens(&vocabulary)?
                    .values()
                    .all(|token| settings.is_special(&token.content));
            if is_plain {
                plain(vocabulary, &Folding { lower_case: None, strip_accents: None }, &settings)?
            } else {
                general(General::wordpiece(&lines, vocabulary, &settings)?)
            }
        } else if folder.join("vocab.json").exists() {
            general(General::byte_pairs(folder, &settings)?)
        } else {
            return Err(no_vocabulary(folder));
        };
        let remark = settings.remark().filter(|_| whole.exists());
        Ok(Tokenizer { pieces, special, remark })
    }

    /// What a reader of results should know: that it has a class whose ways are not known.
    pub fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// The special tokens' ids.
    pub fn special(&self) -> SpecialIds {
        self.special
    }

    /// How many ids the vocabulary takes: the highest and one.
    pub fn vocabulary_size(&self) -> usize {
        match &self.pieces {
            Pieces::WordPiece(pieces) => pieces.vocabulary_size(),
            Pieces::General(pieces) => pieces.vocabulary_size(),
        }
    }

    /// The ids of the vocabulary.
    pub fn ids(&self) -> Range<i64> {
        0..i64::try_from(self.vocabulary_size()).unwrap_or(0)
    }

    /// The vocabulary entry of an id, with whatever marks it has.
    pub fn token(&self, id: i64) -> &str {
        match &self.pieces {
            Pieces::WordPiece(pieces) => pieces.token(id),
            Pieces::General(pieces) => pieces.token(id),
        }
    }

    /// The tokens of a text, special tokens not among them, whatever the text says. None where
    /// [`Tokenizer::tokenize_around`] fails.
    pub fn tokenize(&self, text: &str) -> Vec<Token> {
        self.tokenize_around(&[text]).unwrap_or_default().pop().unwrap_or_default()
    }

    /// The tokens of the texts of a segment that has a blank, or another token that is no text, between each
    /// and the next. Some models take the space before a blank for a part of it, so what is around it
    /// matters. An error where the model's own rules fail on a text.
    pub fn tokenize_around(&self, texts: &[&str]) -> Result<Vec<Vec<Token>>> {
        match &self.pieces {
            Pieces::WordPiece(pieces) => Ok(texts.iter().map(|text| pieces.tokenize(text)).collect()),
            Pieces::General(pieces) => pieces.tokenize(texts),
        }
    }

    /// The ids of a word as it stands in a sentence, behind a space: what a label word is.
    pub fn word_ids(&self, word: &str) -> Vec<i64> {
        match &self.pieces {
            // Here a word is the same pieces wherever it stands.
            Pieces::WordPiece(pieces) => pieces.tokenize(word).iter().map(|token| token.id).collect(),
            Pieces::General(pieces) => pieces.word_ids(word),
        }
    }

    /// The ids of a word behind what is no space, as a bracket; none where it has no pieces of its own there.
    pub fn bare_word_ids(&self, word: &str) -> Option<Vec<i64>> {
        match &self.pieces {
            Pieces::WordPiece(_) => Some(self.word_ids(word)),
            Pieces::General(pieces) => pieces.bare_word_ids(word),
        }
    }

    /// Whether the blank's word is [bare](Tokenizer::bare_word_ids) behind such a text with such a last
    /// token. The text is that from the segment's beginning, or from what is no text, to the blank.
    pub fn is_bare_behind(&self, text: &str, last: Option<i64>, begins_segment: bool) -> bool {
        match &self.pieces {
            Pieces::WordPiece(_) => false,
            Pieces::General(pieces) => match text.chars().next_back() {
                // A space that stayed a token is behind the word before, and the word has none of its own.
                Some(letter) => !letter.is_whitespace() || last.is_some_and(|id| pieces.is_space(id)),
                None => begins_segment && pieces.starts_bare(),
            },
        }
    }

    /// How many separators stand between two segments: two in RoBERTa.
    pub fn separators(&self) -> usize {
        match &self.pieces {
            Pieces::WordPiece(_) => 1,
            Pieces::General(pieces) => pieces.separators(),
        }
    }

    /// Whether a piece begins a word; others go on with one.
    pub fn begins_word(&self, id: i64) -> bool {
        match &self.pieces {
            Pieces::WordPiece(pieces) => pieces.begins_word(id),
            Pieces::General(pieces) => pieces.begins_word(id),
        }
    }

    /// What a piece adds to a text, without marks.
    pub fn letters(&self, id: i64) -> &str {
        match &self.pieces {
            Pieces::WordPiece(pieces) => pieces.letters(id),
            Pieces::General(pieces) => pieces.letters(id),
        }
    }

    /// A piece as a person writes it: without marks, but for the one that says that it goes on with a word.
    pub fn written(&self, id: i64) -> &str {
        let is_marked = !self.begins_word(id) && self.token(id).starts_with(wordpiece::GOES_ON);
        match is_marked || self.letters(id).is_empty() {
            true => self.token(id),
            false => self.letters(id),
        }
    }

    /// Whether words have other pieces behind what is no space.
    pub fn has_bare_words(&self) -> bool {
        matches!(self.pieces, Pieces::General(_))
    }

    /// Whether a piece is a whole word, of letters alone. A single letter is a word only where letters are
    /// words, as in Chinese.
    pub fn is_word(&self, id: i64) -> bool {
        let letters = self.letters(id);
        self.begins_word(id)
            && !letters.is_empty()
            && letters.chars().all(char::is_alphabetic)
            && (letters.chars().count() > 1 || !letters.is_ascii())
    }

    /// The most frequent whole words of the vocabulary, of several letters; any token where there are none.
    pub fn common_words(&self) -> Vec<i64> {
        let is_common = |id: &i64| self.is_word(*id) && self.letters(*id).chars().count() > 1;
        let words: Vec<i64> = self.ids().filter(is_common).take(COMMON_WORDS).collect();
        if words.is_empty() { self.ids().collect() } else { words }
    }
}

/// The tokenizer of a folder with `tokenizer.json`: BERT's own WordPiece where that is what it describes.
fn whole_file(path: &Path, settings: &Settings) -> Result<(Pieces, SpecialIds)> {
    let wrong = |message: String| ModelError::TokenizerUnreadable { path: path.to_owned(), message };
    let text = json::read_text(path)?;
    let mut description: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let Some(parts) = description.as_object_mut() else {
        return Err(wrong("it is not an object".to_owned()).into());
    };
    let ids = general::ids(parts).map_err(wrong)?;
    general::add_tokens(parts, &settings.added_tokens(&ids)?);
    if !is_berts(&description, settings) {
        return Ok(general(General::load(path, description, settings)?));
    }
    settings.check_class(Files::Whole)?;
    let vocabulary = Deserialize::deserialize(&description["model"]["vocab"])
        .map_err(|error: serde_json::Error| wrong(error.to_string()))?;
    let says = |key: &str| description["normalizer"][key].as_bool();
    plain(
        vocabulary,
        &Folding { lower_case: says("lowercase"), strip_accents: says("strip_accents") },
        settings,
    )
}

/// Whether `tokenizer.json` describes BERT's WordPiece, with no tokens beside the vocabulary.
fn is_berts(description: &Value, settings: &Settings) -> bool {
    let is = |part: &Value, name: &str| part["type"] == name;
    let (model, normalizer) = (&description["model"], &description["normalizer"]);
    let added = description["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
    let splits_chinese = normalizer["handle_chinese_chars"] != false;
    general::kind_of(model) == "WordPiece"
        && model["vocab"].is_object()
        && [&Value::Null, &wordpiece::GOES_ON.into()].contains(&&model["continuing_subword_prefix"])
        && model["max_input_chars_per_word"].as_u64().is_none_or(|longest| longest == 100)
        && is(normalizer, "BertNormalizer")
        && normalizer["clean_text"] != false
        && settings.splits_chinese().unwrap_or(splits_chinese)
        && is(&description["pre_tokenizer"], "BertPreTokenizer")
        && added.iter().all(|token| token["content"].as_str().is_some_and(|name| settings.is_special(name)))
}

fn plain(
    vocabulary: HashMap<String, i64>,
    folding: &Folding,
    settings: &Settings,
) -> Result<(Pieces, SpecialIds)> {
    let (pieces, special) = WordPiece::new(vocabulary, folding, settings)?;
    Ok((Pieces::WordPiece(Box::new(pieces)), special))
}

fn general((pieces, special): (General, SpecialIds)) -> (Pieces, SpecialIds) {
    (Pieces::General(Box::new(pieces)), special)
}

/// The files of SentencePiece, which are not read here.
pub(super) const SENTENCE_PIECE: [&str; 5] =
    ["sentencepiece.bpe.model", "spiece.model", "sentencepiece.model", "spm.model", "tokenizer.model"];

/// The error of a folder that has no vocabulary that can be read.
fn no_vocabulary(folder: &Path) -> Error {
    match SENTENCE_PIECE.into_iter().find(|name| folder.join(name).exists()) {
        Some(found) => ModelError::TokenizerToConvert { path: folder.join(found) }.into(),
        None => ModelError::FileMissing {
            path: folder.to_owned(),
            wanted: "tokenizer.json, vocab.txt, or vocab.json with merges.txt",
        }
        .into(),
    }
}

/// The blocks that BERT's own tokenizer takes for Chinese characters: neither kana nor Hangul.
fn is_chinese(letter: char) -> bool {
    matches!(u32::from(letter),
        0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x20000..=0x2A6DF | 0x2A700..=0x2B73F | 0x2B740..=0x2B81F | 0x2B820..=0x2CEAF | 0xF900..=0xFAFF | 0x2F800..=0x2FA1F)
}
