//! The small files of a folder that say which kind of tokenizer it has, and how its special tokens are
//! called.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::SpecialIds;
use crate::error::{Error, ModelError, Result};
use crate::text::json;

/// What `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` say, as far as it matters.
pub(super) struct Settings {
    folder: PathBuf,
    config: TokenizerConfig,
    map: SpecialTokens,
}

#[derive(Debug, Default, Deserialize)]
struct TokenizerConfig {
    do_lower_case: Option<bool>,
    strip_accents: Option<bool>,
    tokenize_chinese_chars: Option<bool>,
    add_prefix_space: Option<bool>,
    tokenizer_class: Option<String>,
    /// Code of the model's own.
    auto_map: Option<Value>,
    added_tokens_decoder: Option<BTreeMap<String, AddedToken>>,
    #[serde(flatten)]
    special: SpecialTokens,
    /// All other keys.
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Of config.json: where old models name the class.
#[derive(Default, Deserialize)]
struct ModelConfig {
    tokenizer_class: Option<String>,
    auto_map: Option<Value>,
}

/// Keys of tokenizers that cut Japanese texts into words first. Old files leave their class out.
const JAPANESE_KEYS: [&str; 7] = [
    "do_subword_tokenize",
    "do_word_tokenize",
    "jumanpp_kwargs",
    "mecab_kwargs",
    "subword_tokenizer_type",
    "sudachi_kwargs",
    "word_tokenizer_type",
];

#[derive(Debug, Default, Deserialize)]
struct SpecialTokens {
    pad_token: Option<TokenText>,
    unk_token: Option<TokenText>,
    cls_token: Option<TokenText>,
    sep_token: Option<TokenText>,
    mask_token: Option<TokenText>,
    /// Others, which are tokens in texts too.
    additional_special_tokens: Option<Others>,
    extra_special_tokens: Option<Others>,
}

/// A special token is a string or an object around one.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum TokenText {
    Plain(String),
    Added(AddedToken),
}

/// A list of tokens, or tokens by names.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Others {
    List(Vec<TokenText>),
    Named(BTreeMap<String, TokenText>),
}

/// A token beside a vocabulary, as `tokenizer.json` has it too.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct AddedToken {
    pub content: String,
    #[serde(default)]
    pub single_word: bool,
    #[serde(default)]
    pub lstrip: bool,
    #[serde(default)]
    pub rstrip: bool,
    #[serde(default)]
    pub normalized: bool,
    #[serde(default)]
    pub special: bool,
    /// Whether a file says its name and no more.
    #[serde(skip)]
    pub is_only_named: bool,
}

/// Classes of transformers whose texts go another way than that of the files which lie in such folders.
const REFUSED: [&str; 11] = [
    "BertJapaneseTokenizer",
    "BertweetTokenizer",
    "ByT5Tokenizer",
    "CanineTokenizer",
    "CpmTokenizer",
    "FlaubertTokenizer",
    "JiebaTokenizer",
    "PhobertTokenizer",
    "RoFormerTokenizer",
    "TapasTokenizer",
    "XLMTokenizer",
];

/// Classes that are BERT's WordPiece over a `vocab.txt`.
const WORD_PIECE: [&str; 17] = [
    "BasicTokenizer",
    "BertTokenizer",
    "ConvBertTokenizer",
    "DistilBertTokenizer",
    "DPRContextEncoderTokenizer",
    "DPRQuestionEncoderTokenizer",
    "ElectraTokenizer",
    "FunnelTokenizer",
    "LayoutLMTokenizer",
    "LxmertTokenizer",
    "MobileBertTokenizer",
    "MPNetTokenizer",
    "PreTrainedTokenizer",
    "RetriBertTokenizer",
    "SplinterTokenizer",
    "SqueezeBertTokenizer",
    "TokenizersBackend",
];

/// Classes that are GPT-2's byte-level pairs over `vocab.json` and `merges.txt`.
const BYTE_PAIRS: [&str; 6] = [
    "BartTokenizer",
    "GPT2Tokenizer",
    "LongformerTokenizer",
    "PreTrainedTokenizer",
    "RobertaTokenizer",
    "TokenizersBackend",
];

/// Other classes of transformers whose texts go by `tokenizer.json`.
const WHOLE: [&str; 18] = [
    "AlbertTokenizer",
    "BarthezTokenizer",
    "BigBirdTokenizer",
    "CamembertTokenizer",
    "CodeGenTokenizer",
    "CohereTokenizer",
    "DebertaTokenizer",
    "DebertaV2Tokenizer",
    "FNetTokenizer",
    "GPTNeoXTokenizer",
    "GemmaTokenizer",
    "HerbertTokenizer",
    "LlamaTokenizer",
    "Qwen2Tokenizer",
    "RemBertTokenizer",
    "T5Tokenizer",
    "XLMRobertaTokenizer",
    "XLNetTokenizer",
];

impl Settings {
    pub(super) fn read(folder: &Path) -> Result<Settings> {
        let mut config: TokenizerConfig =
            with_special(&folder.join("tokenizer_config.json"))?.unwrap_or_default();
        if config.tokenizer_class.is_none() {
            let model: ModelConfig = optional(&folder.join("config.json"))?.unwrap_or_default();
            config.tokenizer_class = model.tokenizer_class;
            config.auto_map = config.auto_map.or(model.auto_map);
        }
        let is_said = |key: &&str| config.others.get(*key).is_some_and(|value| !value.is_null());
        if config.tokenizer_class.is_none() && JAPANESE_KEYS.iter().any(is_said) {
            config.tokenizer_class = Some("BertJapaneseTokenizer".to_owned());
        }
        let map = with_special(&folder.join("special_tokens_map.json"))?.unwrap_or_default();
        let added: BTreeMap<String, i64> = optional(&folder.join("added_tokens.json"))?.unwrap_or_default();
        for (content, id) in added {
            // As transformers adds them: found in what normalization leaves.
            let token = AddedToken { normalized: true, ..AddedToken::named(&content) };
            config.added_tokens_decoder.get_or_insert_default().entry(id.to_string()).or_insert(token);
        }
        Ok(Settings { folder: folder.to_owned(), config, map })
    }

    pub(super) fn add_prefix_space(&self) -> Option<bool> {
        self.config.add_prefix_space
    }

    pub(super) fn lower_case(&self) -> Option<bool> {
        self.config.do_lower_case
    }

    pub(super) fn strip_accents(&self) -> Option<bool> {
        self.config.strip_accents
    }

    pub(super) fn splits_chinese(&self) -> Option<bool> {
        self.config.tokenize_chinese_chars
    }

    /// The tokens beside a vocabulary, by id. Those of which only the name is told have the vocabulary's id,
    /// or the next that is free.
    pub(super) fn added_tokens(&self, ids: &HashMap<String, i64>) -> Result<BTreeMap<i64, AddedToken>> {
        let id = |(id, token): (&String, &AddedToken)| match id.parse() {
            Ok(id) => Ok((id, token.clone())),
            Err(_) => Err(self.error(format!("added_tokens_decoder has the key {id:?}, which is no id"))),
        };
        let told = self.config.added_tokens_decoder.iter().flatten();
        let mut added: BTreeMap<i64, AddedToken> = told.map(id).collect::<Result<_>>()?;
        let mut free = ids.values().chain(added.keys()).max().map_or(0, |highest| highest.saturating_add(1));
        for token in [&self.config.special, &self.map].into_iter().flat_map(SpecialTokens::named) {
            let name = token.text();
            let known = added.iter().find(|(_, known)| known.content == name).map(|(id, _)| *id);
            if known.is_some() && matches!(token, TokenText::Plain(_)) {
                continue;
            }
            match known.or_else(|| ids.get(name).copied()) {
                Some(id) => drop(added.insert(id, token.added())),
                // The five are in the vocabulary, or it is refused.
                None if self.is_special(name) => {}
                None => {
                    added.insert(free, token.added());
                    free = free.saturating_add(1);
                }
            }
        }
        Ok(added)
    }

    /// The ids of the special tokens: those that are named, or of their usual names the first that `find`
    /// knows. A vocabulary of bytes needs no token for what is unknown.
    pub(super) fn special_ids(
        &self,
        find: &dyn Fn(&str) -> Option<i64>,
        needs_unknown: bool,
    ) -> Result<SpecialIds> {
        let id = |names: Vec<&str>| {
            let none = || self.error(format!("the vocabulary has no special token {}", names.join(" or ")));
            names.iter().find_map(|name| find(name)).ok_or_else(none)
        };
        let [pad, unknown, cls, sep, mask] = self.names();
        let unknown = id(unknown);
        Ok(SpecialIds {
            pad: id(pad)?,
            unk: if needs_unknown { unknown? } else { unknown.unwrap_or(NO_ID) },
            cls: id(cls)?,
            sep: id(sep)?,
            mask: id(mask)?,
        })
    }

    /// Whether a token is one of the five that a model needs.
    pub(super) fn is_special(&self, token: &str) -> bool {
        self.names().iter().flatten().any(|name| *name == token)
    }

    /// The names of padding, the unknown, the beginning, the separator and the mask: the one that is given,
    /// or the usual ones.
    fn names(&self) -> [Vec<&str>; 5] {
        let (config, map) = (&self.config.special, &self.map);
        fn names<'a>(named: [&'a Option<TokenText>; 2], usual: [&'static str; 2]) -> Vec<&'a str> {
            let named = named.into_iter().flatten().next();
            named.map_or_else(|| usual.to_vec(), |token| vec![token.text()])
        }
        [
            names([&config.pad_token, &map.pad_token], ["[PAD]", "<pad>"]),
            names([&config.unk_token, &map.unk_token], ["[UNK]", "<unk>"]),
            names([&config.cls_token, &map.cls_token], ["[CLS]", "<s>"]),
            names([&config.sep_token, &map.sep_token], ["[SEP]", "</s>"]),
            names([&config.mask_token, &map.mask_token], ["[MASK]", "<mask>"]),
        ]
    }

    /// How the token for what is unknown is called.
    pub(super) fn unknown(&self) -> &str {
        self.names()[1][0]
    }

    /// Refuses tokenizers whose class does more than their files say.
    pub(super) fn check_class(&self, files: Files) -> Result<()> {
        if let Some(code) = self.own_code() {
            return Err(self.error(format!(
                "auto_map names code of the model's own for AutoTokenizer, {code}: how it splits texts cannot be known; \
                 take another model, or delete auto_map if the files say all"
            )));
        }
        let Some((class, name)) = self.class() else { return Ok(()) };
        let (is_known, files) = match files {
            Files::Whole => (!REFUSED.contains(&name), "tokenizer.json"),
            Files::WordPiece => (WORD_PIECE.contains(&name), "vocab.txt"),
            Files::BytePairs => (BYTE_PAIRS.contains(&name), "vocab.json and merges.txt"),
        };
        if is_known {
            return Ok(());
        }
        Err(ModelError::TokenizerClass { path: self.folder.clone(), class: class.to_owned(), files }.into())
    }

    /// The tokenizer's class, and its name without the mark of a fast one.
    fn class(&self) -> Option<(&str, &str)> {
        let class = self.config.tokenizer_class.as_deref()?;
        Some((class, class.strip_suffix("Fast").unwrap_or(class)))
    }

    /// The code of the model's own that makes its tokenizer.
    fn own_code(&self) -> Option<&Value> {
        let code = match self.config.auto_map.as_ref()? {
            // As old files have it.
            list @ Value::Array(_) => list,
            map => map.get("AutoTokenizer")?,
        };
        let asks = match code {
            Value::Array(list) => list.iter().any(|class| !class.is_null()),
            other => !other.is_null(),
        };
        asks.then_some(code)
    }

    /// What a reader should know of a `tokenizer.json` with these files beside it: that its class is not one
    /// that is known to do no more than the file says.
    pub(super) fn remark(&self) -> Option<String> {
        let (class, name) = self.class()?;
        let is_known = [&WHOLE[..], &WORD_PIECE, &BYTE_PAIRS].iter().any(|known| known.contains(&name));
        (!is_known).then(|| {
            format!(
                "the tokenizer's class is {class}, which this version of cloze does not know: texts are split as \
                 tokenizer.json says"
            )
        })
    }

    pub(super) fn error(&self, message: String) -> Error {
        ModelError::Tokenizer { path: self.folder.clone(), message }.into()
    }
}

/// The files that a tokenizer is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Files {
    /// `tokenizer.json`, which says all of it.
    Whole,
    /// `vocab.txt`.
    WordPiece,
    /// `vocab.json` and `merges.txt`.
    BytePairs,
}

/// The id of a special token that there is not.
const NO_ID: i64 = -1;

impl SpecialTokens {
    /// Those of the five that say more than a name, and all others.
    fn named(&self) -> impl Iterator<Item = &TokenText> {
        let five = [&self.pad_token, &self.unk_token, &self.cls_token, &self.sep_token, &self.mask_token];
        let five = five.into_iter().flatten().filter(|token| matches!(token, TokenText::Added(_)));
        let others = [&self.additional_special_tokens, &self.extra_special_tokens].into_iter().flatten();
        five.chain(others.flat_map(|others| -> Box<dyn Iterator<Item = &TokenText>> {
            match others {
                Others::List(tokens) => Box::new(tokens.iter()),
                Others::Named(tokens) => Box::new(tokens.values()),
            }
        }))
    }
}

impl AddedToken {
    /// A token of which only the name is known.
    pub(super) fn named(content: &str) -> AddedToken {
        AddedToken {
            content: content.to_owned(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: false,
            is_only_named: true,
        }
    }
}

impl TokenText {
    fn text(&self) -> &str {
        match self {
            TokenText::Plain(content) | TokenText::Added(AddedToken { content, .. }) => content,
        }
    }

    fn added(&self) -> AddedToken {
        match self {
            TokenText::Added(token) => AddedToken { special: true, ..token.clone() },
            TokenText::Plain(content) => AddedToken { special: true, ..AddedToken::named(content) },
        }
    }
}

/// What a JSON file holds, if it is there, with special tokens. One that is none is told by its key.
fn with_special<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>> {
    const ONE: &str = "a text, or an object whose content is a text and the rest true or false";
    for (key, value) in optional::<Map<String, Value>>(path)?.iter().flatten() {
        let wanted = match key.as_str() {
            "pad_token" | "unk_token" | "cls_token" | "sep_token" | "mask_token" => {
                Option::<TokenText>::deserialize(value).is_err().then(|| ONE.to_owned())
            }
            "additional_special_tokens" | "extra_special_tokens" => Option::<Others>::deserialize(value)
                .is_err()
                .then(|| format!("a list of special tokens, or special tokens by names; each is {ONE}")),
            _ => None,
        };
        if let Some(wanted) = wanted {
            let message = format!("{key} is {value}, it must be {wanted}");
            return Err(ModelError::Tokenizer { path: path.to_owned(), message }.into());
        }
    }
    optional(path)
}

/// What a JSON file holds, if it is there.
pub(super) fn optional<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = json::read_text(path)?;
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| ModelError::Tokenizer { path: path.to_owned(), message: error.to_string() }.into())
}
