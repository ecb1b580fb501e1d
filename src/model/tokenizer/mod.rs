//! Text to token ids, and what the pieces of a vocabulary are: the face of every kind of tokenizer.
//!
//! What only one kind knows, as the mark on a piece that goes on with a word, is asked for here and answered
//! in its own file.

mod wordpiece;

use std::ops::Range;
use std::path::Path;

use crate::error::Result;
use wordpiece::WordPiece;

/// The tokenizer of a model folder.
pub struct Tokenizer {
    pieces: Pieces,
    special: SpecialIds,
}

/// The kinds of tokenizers.
enum Pieces {
    WordPiece(WordPiece),
}

/// The ids of the special tokens. They never come out of a text: a text's `[MASK]` is three tokens like any
/// other.
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
    /// The tokenizer of a model folder, from its `vocab.txt` or `tokenizer.json` and the files beside it.
    pub fn load(folder: &Path) -> Result<Tokenizer> {
        let (wordpiece, special) = WordPiece::load(folder)?;
        Ok(Tokenizer { pieces: Pieces::WordPiece(wordpiece), special })
    }

    /// The special tokens' ids.
    pub fn special(&self) -> SpecialIds {
        self.special
    }

    /// How many ids the vocabulary takes: the highest and one.
    pub fn vocabulary_size(&self) -> usize {
        match &self.pieces {
            Pieces::WordPiece(pieces) => pieces.vocabulary_size(),
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
        }
    }

    /// The tokens of a text, special tokens not among them, whatever the text says.
    pub fn tokenize(&self, text: &str) -> Vec<Token> {
        match &self.pieces {
            Pieces::WordPiece(pieces) => pieces.tokenize(text),
        }
    }

    /// The ids of a word as it stands in a sentence, behind another: what a label word is.
    pub fn word_ids(&self, word: &str) -> Vec<i64> {
        match &self.pieces {
            // Here a word is the same pieces wherever it stands.
            Pieces::WordPiece(pieces) => pieces.tokenize(word).iter().map(|token| token.id).collect(),
        }
    }

    /// Whether a piece begins a word; others go on with one.
    pub fn begins_word(&self, id: i64) -> bool {
        match &self.pieces {
            Pieces::WordPiece(pieces) => pieces.begins_word(id),
        }
    }

    /// What a piece adds to a text, without marks.
    pub fn letters(&self, id: i64) -> &str {
        match &self.pieces {
            Pieces::WordPiece(pieces) => pieces.letters(id),
        }
    }

    /// Whether a piece is a whole word, of letters alone. A single letter is a word only where letters are
    /// words, as in Chinese.
    pub fn is_word(&self, id: i64) -> bool {
        let letters = self.letters(id);
        self.begins_word(id)
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
