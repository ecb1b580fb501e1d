//! Tokenizers as `tokenizer.json` describes them, computed by the `tokenizers` crate: byte-level pairs,
//! Unigram, and WordPiece that is not plainly BERT's.
//!
//! The description is changed in three places before the crate reads it. The blank has a name that no text
//! can have, so that the crate finds it and nothing else is taken for it, and does with the spaces beside it
//! what the checkpoint says. The other special tokens have such names too: a text that says `<s>` is a text.
//! What is put around a text, cut off it or drawn at random is left out.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper, Tokenizer as Crate};

use super::files::{AddedToken, Files, Settings};
use super::wordpiece::GOES_ON;
use super::{MOST_IDS, SpecialIds, Token, is_chinese};
use crate::error::{EncodeError, Error, ModelError, Result};
use crate::text::guarded::guarded;
use crate::text::json as files;

/// What stands for the blank in what the crate reads: a character that is none, and that texts lose.
const BLANK: char = '\u{10ffff}';
/// What the names of other special tokens begin with.
const HIDDEN: char = '\u{10fffe}';
/// What a text has instead of the two, as long as they are.
const REPLACED: char = '\u{10fffd}';

/// A tokenizer that the crate computes.
pub(super) struct General {
    tokenizer: Crate,
    mask: i64,
    /// The vocabulary entries by id.
    tokens: Vec<String>,
    marks: Marks,
    /// What the entries add to a text: made when it is first asked for.
    letters: OnceLock<Vec<String>>,
    /// So many separators stand between two segments.
    separators: usize,
    /// Whether a word at the beginning of a text has other pieces than one behind a space.
    starts_bare: bool,
}

/// How a vocabulary tells words from what goes on with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marks {
    /// Each byte is a letter of its own, a space before a word `Ġ`.
    Bytes,
    /// A space before a word is `▁`.
    Space,
    /// What goes on with a word begins with `##`.
    GoesOn,
    None,
}

const SPACE: char = '▁';

impl General {
    /// The tokenizer that a folder's `tokenizer.json` describes.
    pub(super) fn load(
        path: &Path,
        description: Value,
        settings: &Settings,
    ) -> Result<(General, SpecialIds)> {
        settings.check_class(Files::Whole)?;
        General::new(path, description, settings)
    }

    /// GPT-2's byte-level pairs from `vocab.json` and `merges.txt`, with RoBERTa's special tokens.
    pub(super) fn byte_pairs(folder: &Path, settings: &Settings) -> Result<(General, SpecialIds)> {
        settings.check_class(Files::BytePairs)?;
        let path = folder.join("vocab.json");
        let vocabulary: Map<String, Value> = super::files::optional(&path)?.unwrap_or_default();
        let merges = folder.join("merges.txt");
        if !merges.exists() {
            return Err(ModelError::FileMissing {
                path: folder.to_owned(),
                wanted: "merges.txt beside vocab.json",
            }
            .into());
        }
        let merges = files::read_text(&merges)?;
        let merges: Vec<&str> =
            merges.lines().filter(|line| !line.starts_with("#version") && !line.trim().is_empty()).collect();
        let ids = vocabulary.iter().filter_map(|(token, id)| Some((token.clone(), id.as_i64()?))).collect();
        let mut added = settings.added_tokens(&ids)?;
        for name in ["<s>", "<pad>", "</s>", "<unk>", "<mask>"] {
            let told = added.iter().find(|(_, token)| token.content == name);
            if told.is_some_and(|(_, token)| !token.is_only_named) {
                continue;
            }
            let told = told.map(|(id, _)| *id);
            let Some(id) = told.or_else(|| vocabulary.get(name)?.as_i64()) else { continue };
            // As RoBERTa has it: a space before the blank is a part of the blank.
            added.insert(
                id,
                AddedToken { lstrip: name == "<mask>", special: true, ..AddedToken::named(name) },
            );
        }
        let description = json!({
            "version": "1.0",
            "added_tokens": added.iter().map(entry).collect::<Vec<_>>(),
            "normalizer": null,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": true, "add_prefix_space": false},
            "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
        });
        General::new(&path, description, settings)
    }

    /// BERT's WordPiece over a `vocab.txt`, with what the plain one does not have: tokens beside the
    /// vocabulary, or Chinese characters that stay together.
    pub(super) fn wordpiece(
        path: &Path,
        vocabulary: HashMap<String, i64>,
        settings: &Settings,
    ) -> Result<(General, SpecialIds)> {
        let description = json!({
            "version": "1.0",
            "added_tokens": settings.added_tokens(&vocabulary)?.iter().map(entry).collect::<Vec<_>>(),
            "normalizer": {
                "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                "strip_accents": null, "lowercase": true,
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "model": {
                "type": "WordPiece", "unk_token": settings.unknown(), "continuing_subword_prefix": GOES_ON,
                "max_input_chars_per_word": 100, "vocab": vocabulary,
            },
        });
        General::new(path, description, settings)
    }

    fn new(path: &Path, mut description: Value, settings: &Settings) -> Result<(General, SpecialIds)> {
        let wrong = |message: String| -> Error {
            ModelError::TokenizerUnreadable { path: path.to_owned(), message }.into()
        };
        let Some(parts) = description.as_object_mut() else {
            return Err(wrong("it is not an object".to_owned()));
        };
        override_parts(parts, settings);
        let separators = separators(parts.get("post_processor"));
        let ids = ids(parts).map_err(wrong)?;
        let marks = Marks::of(parts, &ids);
        let tokens = by_id(&ids).map_err(wrong)?;
        let special = settings.special_ids(&|name| ids.get(name).copied(), marks != Marks::Bytes)?;
        hide(parts, special, &tokens);
        for part in ["truncation", "padding", "post_processor", "decoder"] {
            parts.insert(part.to_owned(), Value::Null);
        }
        if let Some(model) = parts.get_mut("model").and_then(Value::as_object_mut) {
            model.remove("dropout");
        }
        check_parts(parts).map_err(wrong)?;
        let tokenizer: Crate = guarded(|| serde_json::from_value(description))
            .map_err(wrong)?
            .map_err(|error| wrong(error.to_string()))?;
        let mut general = General {
            tokenizer,
            mask: special.mask,
            tokens,
            marks,
            letters: OnceLock::new(),
            separators,
            starts_bare: false,
        };
        general.check_ids(special, settings)?;
        general.starts_bare = general.ids("a").first() != general.ids(" a").first();
        Ok((general, special))
    }

    /// The crate gives tokens beside a vocabulary ids by their number, whatever the file says.
    fn check_ids(&self, special: SpecialIds, settings: &Settings) -> Result<()> {
        let mut added: Vec<_> = self.tokenizer.get_added_tokens_decoder().into_iter().collect();
        added.sort_by_key(|(id, _)| *id);
        for (id, token) in added {
            let own = &self.tokens.get(id as usize);
            let is_hidden = token.content.starts_with([BLANK, HIDDEN]);
            if !is_hidden && own.is_none_or(|own| *own != token.content) {
                let said = self.tokens.iter().position(|own| *own == token.content).unwrap_or_default();
                return Err(settings.error(self.out_of_turn(&token.content, said, id as usize)));
            }
        }
        let turn = self.tokenizer.token_to_id(&BLANK.to_string());
        let said = usize::try_from(special.mask).unwrap_or_default();
        match (turn, self.tokens.iter().position(String::is_empty)) {
            (Some(id), _) if i64::from(id) == special.mask => Ok(()),
            (Some(id), Some(_)) => {
                Err(settings.error(self.out_of_turn(self.token(special.mask), said, id as usize)))
            }
            _ => Err(settings.error("its mask is not a token of its own, or not at its id".to_owned())),
        }
    }

    /// What is wrong where an added token has another id than the next.
    fn out_of_turn(&self, token: &str, said: usize, turn: usize) -> String {
        let gap = self.tokens.iter().position(String::is_empty);
        let cause = match gap {
            Some(gap) => format!("no token has the id {gap}"),
            None => "the tokens before it have other ids".to_owned(),
        };
        format!(
            "the added token {token:?} has the id {said}, and the next is {turn}: {cause}; give the vocabulary and the \
             added tokens ids without a gap, or save the tokenizer anew with transformers"
        )
    }

    pub(super) fn vocabulary_size(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn token(&self, id: i64) -> &str {
        let token = usize::try_from(id).ok().and_then(|id| self.tokens.get(id));
        token.map_or("", String::as_str)
    }

    pub(super) fn separators(&self) -> usize {
        self.separators
    }

    pub(super) fn starts_bare(&self) -> bool {
        self.starts_bare
    }

    /// The tokens of texts with a blank between each and the next.
    pub(super) fn tokenize(&self, texts: &[&str]) -> Result<Vec<Vec<Token>>> {
        let mut whole = String::with_capacity(texts.iter().map(|text| text.len() + BLANK.len_utf8()).sum());
        let mut starts = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            if index > 0 {
                whole.push(BLANK);
            }
            starts.push(whole.len());
            match text.contains([BLANK, HIDDEN]) {
                true => whole.push_str(&text.replace([BLANK, HIDDEN], REPLACED.encode_utf8(&mut [0; 4]))),
                false => whole.push_str(text),
            }
        }
        let failed = |reason: String| Error::from(EncodeError::TokenizerFailed { reason });
        let encoding = guarded(|| self.tokenizer.encode(whole.as_str(), false))
            .map_err(failed)?
            .map_err(|error| failed(error.to_string()))?;
        let mut found: Vec<Vec<Token>> = vec![Vec::new(); texts.len()];
        let mut text = 0;
        let mut words = Words::new(&whole);
        let ids = encoding.get_ids().iter().map(|id| i64::from(*id));
        for ((id, offsets), word) in ids.zip(encoding.get_offsets()).zip(encoding.get_word_ids()) {
            if id == self.mask && whole[offsets.0..offsets.1].contains(BLANK) {
                found[text].extend(words.end(starts[text]));
                text += 1;
                continue;
            }
            found[text].extend(words.next(id, *offsets, *word, starts[text]));
        }
        found[text].extend(words.end(starts[text]));
        Ok(found)
    }

    /// A word's ids; none where the crate fails.
    fn ids(&self, text: &str) -> Vec<i64> {
        let tokens = self.tokenize(&[text]).unwrap_or_default().concat();
        tokens.into_iter().map(|token| token.id).collect()
    }

    /// The pieces of a word behind a space.
    pub(super) fn word_ids(&self, word: &str) -> Vec<i64> {
        let mut ids = self.ids(&format!(" {word}"));
        // Scripts without spaces have none before a word.
        let is_alone = |id: &i64| self.is_space(*id);
        if word.starts_with(is_without_spaces) && ids.len() > 1 && ids.first().is_some_and(is_alone) {
            ids.remove(0);
        }
        ids
    }

    /// The pieces of a word behind what is no space, if it is apart from that.
    pub(super) fn bare_word_ids(&self, word: &str) -> Option<Vec<i64>> {
        const BEFORE: &str = "(";
        let (before, mut ids) = (self.ids(BEFORE), self.ids(&format!("{BEFORE}{word}")));
        let is_apart = ids.len() > before.len() && ids.starts_with(&before);
        is_apart.then(|| ids.split_off(before.len()))
    }

    /// Whether a piece is a space and no more.
    pub(super) fn is_space(&self, id: i64) -> bool {
        match self.marks {
            Marks::Bytes => self.token(id) == "Ġ",
            Marks::Space => self.token(id).chars().eq([SPACE]),
            Marks::GoesOn | Marks::None => false,
        }
    }

    pub(super) fn begins_word(&self, id: i64) -> bool {
        let token = self.token(id);
        let goes_on = |rest: &str| rest.starts_with(char::is_alphanumeric);
        match self.marks {
            Marks::Bytes => token.starts_with('Ġ') || !bytes_go_on(token),
            Marks::Space => token.starts_with(SPACE) || !goes_on(token) || token.starts_with(is_chinese),
            Marks::GoesOn => !token.starts_with(GOES_ON),
            Marks::None => true,
        }
    }

    pub(super) fn letters(&self, id: i64) -> &str {
        let letters =
            self.letters.get_or_init(|| self.tokens.iter().map(|token| self.marks.letters(token)).collect());
        usize::try_from(id).ok().and_then(|id| letters.get(id)).map_or("", String::as_str)
    }
}

/// Makes words of pieces: a piece has the bytes of its whole word.
struct Words<'a> {
    text: &'a str,
    open: Vec<(i64, Range<usize>)>,
    word: Option<u32>,
}

impl<'a> Words<'a> {
    fn new(text: &'a str) -> Words<'a> {
        Words { text, open: Vec::new(), word: None }
    }

    /// Takes a piece in; the tokens of the word before it, if it begins another. Ranges are counted from
    /// `start`.
    fn next(&mut self, id: i64, (from, to): (usize, usize), word: Option<u32>, start: usize) -> Vec<Token> {
        let range = self.without_spaces(from..to);
        let goes_on = self.word == word
            && self
                .open
                .last()
                .is_some_and(|(_, last)| range.start < last.end || self.is_within_word(range.start));
        let done = if goes_on { Vec::new() } else { self.end(start) };
        self.open.push((id, range));
        self.word = word;
        done
    }

    /// The tokens of the last word.
    fn end(&mut self, start: usize) -> Vec<Token> {
        let from = self.open.iter().map(|(_, range)| range.start).min().unwrap_or(0);
        let to = self.open.iter().map(|(_, range)| range.end).max().unwrap_or(0);
        let word = from.saturating_sub(start)..to.saturating_sub(start);
        self.open.drain(..).map(|(id, _)| Token { id, word: word.clone() }).collect()
    }

    /// The range without spaces around it, which pieces take in and which are nobody's; spaces alone stay.
    fn without_spaces(&self, range: Range<usize>) -> Range<usize> {
        let piece = &self.text[range.clone()];
        let trimmed = piece.trim();
        match trimmed.is_empty() {
            true => range,
            false => {
                let start = range.start + piece.len() - piece.trim_start().len();
                start..start + trimmed.len()
            }
        }
    }

    /// Whether a place is between two letters of a word. Scripts without spaces have no words here: each
    /// piece may be cut from the next.
    fn is_within_word(&self, at: usize) -> bool {
        let is_of_word = |letter: char| letter.is_alphanumeric() && !is_without_spaces(letter);
        self.text[..at].ends_with(is_of_word) && self.text[at..].starts_with(is_of_word)
    }
}

/// Scripts that put no spaces between words: Chinese, kana, Thai, Lao, Myanmar, Khmer.
fn is_without_spaces(letter: char) -> bool {
    is_chinese(letter)
        || matches!(u32::from(letter), 0x3040..=0x30FF | 0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF)
}

impl Marks {
    fn of(parts: &Map<String, Value>, ids: &HashMap<String, i64>) -> Marks {
        let has_type = |name: &str| {
            ["normalizer", "pre_tokenizer"]
                .into_iter()
                .any(|part| parts.get(part).is_some_and(|part| mentions(part, name)))
        };
        let model = parts.get("model");
        let prefix = model.and_then(|model| model.get("continuing_subword_prefix")).and_then(Value::as_str);
        let is_space = |token: &String| {
            token.starts_with(SPACE) && token.chars().nth(1).is_some_and(char::is_alphabetic)
        };
        if has_type("ByteLevel") {
            Marks::Bytes
        } else if prefix == Some(GOES_ON) {
            Marks::GoesOn
        } else if ids.keys().any(is_space) {
            Marks::Space
        } else {
            Marks::None
        }
    }

    fn letters(self, token: &str) -> String {
        match self {
            Marks::Bytes => {
                // A part of a letter is none.
                let text = bytes(token).and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
                text.strip_prefix(' ').unwrap_or(&text).to_owned()
            }
            Marks::Space => token.strip_prefix(SPACE).unwrap_or(token).to_owned(),
            Marks::GoesOn => token.strip_prefix(GOES_ON).unwrap_or(token).to_owned(),
            Marks::None => token.to_owned(),
        }
    }
}

/// The bytes of a piece of a byte-level vocabulary; none of a token beside it, which is written as it is.
fn bytes(token: &str) -> Option<Vec<u8>> {
    token.chars().map(byte).collect()
}

/// Whether a piece of bytes that is behind no space goes on with a word: it begins with a letter or a digit,
/// or with a part of one. Which letter that is a part of cannot be seen, and few are punctuation.
fn bytes_go_on(token: &str) -> bool {
    let Some(bytes) = bytes(token) else { return false };
    let Some(first) = bytes.utf8_chunks().next() else { return false };
    first.valid().chars().next().is_none_or(char::is_alphanumeric)
}

/// The byte that a letter of a byte-level vocabulary stands for (GPT-2, Radford et al. 2019): bytes with a
/// shape are themselves, the others are counted from 256.
fn byte(letter: char) -> Option<u8> {
    let code = u32::from(letter);
    let has_shape = |byte: u32| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    match code {
        0..=0xff => has_shape(code).then_some(code),
        _ => (0..=0xff).filter(|byte| !has_shape(*byte)).nth(usize::try_from(code - 0x100).ok()?),
    }
    .and_then(|byte| u8::try_from(byte).ok())
}

/// Whether a part of a description is of a type, or has such a part.
fn mentions(part: &Value, name: &str) -> bool {
    match part {
        Value::Object(keys) => {
            keys.get("type").and_then(Value::as_str) == Some(name)
                || keys.values().any(|part| mentions(part, name))
        }
        Value::Array(parts) => parts.iter().any(|part| mentions(part, name)),
        _ => false,
    }
}

/// Refuses parts that the crate cannot make anything of, which its own message does not name, and a model
/// without a token for what it does not know, on which it fails at the first such text.
fn check_parts(parts: &Map<String, Value>) -> std::result::Result<(), String> {
    let unknown = |part: &str, is_known: fn(&Value) -> bool| {
        let is_known = |found: &Value| guarded(|| is_known(found)).unwrap_or(false);
        let found = parts.get(part).filter(|found| !found.is_null() && !is_known(found))?;
        let shown: String = found.to_string().chars().take(MOST_SHOWN).collect();
        Some(format!("its {part} is damaged, or of a kind that this version of cloze does not know: {shown}"))
    };
    let normalizer = unknown("normalizer", |part| NormalizerWrapper::deserialize(part).is_ok());
    let found = normalizer
        .or_else(|| unknown("pre_tokenizer", |part| PreTokenizerWrapper::deserialize(part).is_ok()))
        .or_else(|| without_unknown(parts.get("model")?));
    found.map_or(Ok(()), Err)
}

/// What kind of model a description has, by its name in the crate. Old files do not name it; then it is the
/// first of the crate's kinds whose keys are there.
pub(super) fn kind_of(model: &Value) -> &str {
    let has = |key: &str| model.get(key).is_some();
    match model["type"].as_str() {
        Some(named) => named,
        None if model["merges"].is_array() => "BPE",
        None if model["vocab"].is_array() => "Unigram",
        None if has("continuing_subword_prefix") && has("max_input_chars_per_word") => "WordPiece",
        None => "WordLevel",
    }
}

/// What is wrong with a model that needs a token for what is unknown, and has none.
fn without_unknown(model: &Value) -> Option<String> {
    let has_all_bytes = model["byte_fallback"] == true;
    match model["vocab"].as_object() {
        None if model["unk_id"].is_null() && !has_all_bytes => Some("its model has no unk_id".to_owned()),
        Some(vocabulary) if kind_of(model) != "BPE" => {
            let unknown = model["unk_token"].as_str().unwrap_or("[UNK]");
            (!vocabulary.contains_key(unknown)).then(|| format!("its vocab has no unk_token {unknown:?}"))
        }
        _ => None,
    }
}

/// So many characters of a part that is not known.
const MOST_SHOWN: usize = 100;

/// What the tokenizer's other files say otherwise counts, as in transformers.
fn override_parts(parts: &mut Map<String, Value>, settings: &Settings) {
    let is = |part: Option<&Value>, name: &str| {
        part.and_then(|part| part.get("type")).and_then(Value::as_str) == Some(name)
    };
    if is(parts.get("normalizer"), "BertNormalizer") {
        let changes = [
            ("lowercase", settings.lower_case()),
            ("strip_accents", settings.strip_accents()),
            ("handle_chinese_chars", settings.splits_chinese()),
        ];
        for (key, value) in changes {
            if let Some(value) = value {
                parts["normalizer"][key] = value.into();
            }
        }
    }
    if let (true, Some(value)) = (is(parts.get("pre_tokenizer"), "ByteLevel"), settings.add_prefix_space()) {
        parts["pre_tokenizer"]["add_prefix_space"] = value.into();
    }
}

/// How many special tokens the description puts between two texts.
fn separators(processor: Option<&Value>) -> usize {
    let Some(processor) = processor.filter(|processor| processor.is_object()) else { return 1 };
    match processor.get("type").and_then(Value::as_str) {
        Some("RobertaProcessing") => 2,
        Some("TemplateProcessing") => {
            let pair = processor.get("pair").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let at = |id: &str| {
                pair.iter().position(|part| part.pointer("/Sequence/id").and_then(Value::as_str) == Some(id))
            };
            at("A").zip(at("B")).map_or(1, |(first, second)| second.saturating_sub(first + 1).max(1))
        }
        Some("Sequence") => {
            let parts = processor.get("processors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            parts.iter().map(|part| separators(Some(part))).max().unwrap_or(1)
        }
        _ => 1,
    }
}

/// So many ids beside those of so many tokens may be free: some vocabularies keep places for tokens to come.
const MOST_FREE: usize = 10_000;

/// The tokens by their ids; an id that no token has is empty. An id far above their number is told before
/// memory is taken for what lies between.
fn by_id(ids: &HashMap<String, i64>) -> std::result::Result<Vec<String>, String> {
    let mut tokens: Vec<String> = Vec::with_capacity(ids.len());
    // In the order of their ids, so that the message names always the same.
    let mut sorted: Vec<(&String, &i64)> = ids.iter().collect();
    sorted.sort_by_key(|(token, id)| (**id, *token));
    for (token, id) in sorted {
        let Some(id) = usize::try_from(*id).ok().filter(|_| *id < MOST_IDS) else {
            return Err(format!("the id of {token:?} is {id}, it must be from 0 to below {MOST_IDS}"));
        };
        if id > tokens.len() + ids.len() + MOST_FREE {
            let last = tokens.len();
            return Err(format!(
                "the id of {token:?} is {id}, and no token has the ids from {last} up to it"
            ));
        }
        if tokens.len() <= id {
            tokens.resize(id + 1, String::new());
        }
        tokens[id].clone_from(token);
    }
    Ok(tokens)
}

/// Every token's id: those of the vocabulary, and those beside it.
pub(super) fn ids(parts: &Map<String, Value>) -> std::result::Result<HashMap<String, i64>, String> {
    let mut ids = HashMap::new();
    let vocabulary =
        parts.get("model").and_then(|model| model.get("vocab")).ok_or("its model has no vocab")?;
    match vocabulary {
        Value::Object(tokens) => {
            for (token, id) in tokens {
                let id = id
                    .as_i64()
                    .ok_or_else(|| format!("the id of {token:?} is {id}, it must be a whole number"))?;
                ids.insert(token.clone(), id);
            }
        }
        // Unigram: pairs of a piece and its score.
        Value::Array(pieces) => {
            for (piece, id) in pieces.iter().zip(0..) {
                let (Some(token), Some(_)) =
                    (piece.get(0).and_then(Value::as_str), piece.get(1).and_then(Value::as_f64))
                else {
                    return Err(format!(
                        "piece {id} of its vocab is {piece}, it must be a pair of a text and its score"
                    ));
                };
                ids.insert(token.to_owned(), id);
            }
        }
        other => return Err(format!("its vocab is {other}, it must be an object or a list")),
    }
    for token in added(parts) {
        let (Some(content), Some(id)) =
            (token.get("content").and_then(Value::as_str), token.get("id").and_then(Value::as_i64))
        else {
            return Err(format!("an added token is {token}, it must have a content and an id"));
        };
        ids.insert(content.to_owned(), id);
    }
    Ok(ids)
}

fn added(parts: &Map<String, Value>) -> &[Value] {
    parts.get("added_tokens").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Gives the special tokens names that no text has, wherever the description names them.
fn hide(parts: &mut Map<String, Value>, special: SpecialIds, tokens: &[String]) {
    let SpecialIds { pad, unk, cls, sep, mask } = special;
    let hidden: BTreeMap<&str, String> = [pad, unk, cls, sep, mask]
        .into_iter()
        .filter_map(|id| {
            let token = tokens.get(usize::try_from(id).ok()?)?;
            let name = if id == mask { BLANK.to_string() } else { format!("{HIDDEN}{id}") };
            Some((token.as_str(), name))
        })
        .collect();
    let mut has_mask = false;
    for token in parts.get_mut("added_tokens").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(name) = token.get("content").and_then(Value::as_str).and_then(|content| hidden.get(content))
        else {
            continue;
        };
        token["content"] = name.as_str().into();
        token["normalized"] = false.into();
        token["single_word"] = false.into();
        has_mask |= name.starts_with(BLANK);
    }
    if !has_mask {
        // A vocabulary may have it and not say that it is special.
        let token = json!({
            "id": mask, "content": BLANK.to_string(), "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        });
        match parts.get_mut("added_tokens").and_then(Value::as_array_mut) {
            Some(added) => added.push(token),
            None => drop(parts.insert("added_tokens".to_owned(), json!([token]))),
        }
    }
    let Some(model) = parts.get_mut("model").and_then(Value::as_object_mut) else { return };
    if let Some(name) = model.get("unk_token").and_then(Value::as_str).and_then(|unknown| hidden.get(unknown))
    {
        model.insert("unk_token".to_owned(), name.as_str().into());
    }
    match model.get_mut("vocab") {
        Some(Value::Object(vocabulary)) => {
            for (token, name) in &hidden {
                if let Some(id) = vocabulary.remove(*token) {
                    vocabulary.insert(name.clone(), id);
                }
            }
        }
        Some(Value::Array(pieces)) => {
            for piece in pieces {
                if let Some(name) = piece.get(0).and_then(Value::as_str).and_then(|token| hidden.get(token)) {
                    piece[0] = name.as_str().into();
                }
            }
        }
        _ => {}
    }
}

/// An added token as `tokenizer.json` lists it.
fn entry((id, token): (&i64, &AddedToken)) -> Value {
    json!({
        "id": id, "content": token.content, "single_word": token.single_word, "lstrip": token.lstrip,
        "rstrip": token.rstrip, "normalized": token.normalized, "special": token.special,
    })
}

/// Puts the tokens of the other files beside those that a description lists, in whose place they stand where
/// they say how a token is found. Of a token that they only name, the description knows more.
pub(super) fn add_tokens(parts: &mut Map<String, Value>, told: &BTreeMap<i64, AddedToken>) {
    let listed = parts.entry("added_tokens").or_insert_with(|| json!([]));
    let Some(listed) = listed.as_array_mut() else { return };
    for (id, token) in told {
        match listed.iter_mut().find(|listed| listed["content"] == token.content) {
            Some(_) if token.is_only_named => {}
            Some(listed) => *listed = entry((&listed["id"].as_i64().unwrap_or(*id), token)),
            None => listed.push(entry((id, token))),
        }
    }
    listed.sort_by_key(|token| token["id"].as_i64());
}
