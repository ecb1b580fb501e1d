//! What may move in training, and how what was learned acts on a model.
//!
//! Letters: H hidden, R rank, P prefix length, S soft tokens, D bottleneck, N layers, C classes.
//!
//! | method | learns | acts as | paper |
//! |---|---|---|---|
//! | `full` | every weight, the MLM head's included | itself | PET: Schick & Schütze 2021 |
//! | `head` | the MLM head alone | itself | |
//! | `bias` | all bias terms | itself | BitFit: Ben Zaken et al. 2022 |
//! | `lora` | A `[R,in]`, B `[out,R]` for each chosen linear layer | `W + s·B·A`, s = α/R, or α/√R if `rank_stabilized` | LoRA: Hu et al. 2021; rsLoRA: Kalajdzievski 2023 |
//! | `ia3` | l `[out]` for key and value, l `[in]` for the feed-forward | `diag(l)·W`, `W·diag(l)` | IA3: Liu et al. 2022 |
//! | `prompt-tuning` | `[S,H]` vectors in front of the input | soft tokens | Lester et al. 2021 |
//! | `p-tuning` | `[S,H]` vectors where the pattern says `{soft}` | soft tokens | P-tuning: Liu et al. 2021 |
//! | `prefix` | `[P,N·2·H]` keys and values, through a two-layer network while training | attended to in every layer | Li & Liang 2021 |
//! | `p-tuning-v2` | the same, directly | the same | P-tuning v2: Liu et al. 2022 |
//! | `adapter` | W₁ `[D,H]`, W₂ `[H,D]` and biases for each place | `h + W₂·σ(W₁·h)` | Houlsby et al. 2019; Pfeiffer et al. 2021 |
//! | `cls` | a pooler and a linear layer on `[CLS]`, and all weights unless `frozen_encoder` | class scores | BERT: Devlin et al. 2019 |
//!
//! Soft tokens that a pattern names are learned besides, whatever the method (but `cls`, which has no pattern).
//!
//! Options are JSON, one key for the method: `{"lora": {"rank": 8, "targets": ["query", "value"]}}`; `"full"` for one without options.

mod adapt;
mod learner;
pub mod peft;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::error::{Kind, Result};
use crate::json::{self, Node};
use crate::parameters;
use crate::soft::{Start, tokens_of};
use crate::source::Source;
use crate::template::Template;
use crate::tokenizer::Tokenizer;

pub use adapt::{Adapted, Form, adapt};
pub use learner::{Beginning, CLASSIFIER, Learned, Learner, POOLER, PREFIX, SOFT_TOKENS, decays, is_soft};

/// A way of tuning with its options.
///
/// ```
/// use cloze::tuning::Tuning;
/// let tuning = Tuning::parse("tuning.json", r#"{ "lora": { "rank": 4 } }"#)?;
/// assert_eq!(tuning.name(), "lora");
/// assert!(matches!(tuning, Tuning::Lora(lora) if lora.rank == 4 && lora.targets == ["query", "value"]));
/// # Ok::<(), cloze::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // The table above.
pub enum Tuning {
    Full,
    Head,
    Bias,
    Lora(Lora),
    Ia3,
    PromptTuning(SoftPrompt),
    PTuning(SoftPrompt),
    Prefix(Prefix),
    PTuningV2(Prefix),
    Adapter(Adapter),
    Cls(Cls),
}

/// Options of `lora`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lora {
    /// R.
    pub rank: i64,
    /// α.
    pub alpha: f64,
    /// The probability of dropout on the update's input while training.
    pub dropout: f64,
    /// The linear layers: the end of a name, as `query`, `attention.output.dense` or `layer.5.intermediate.dense`.
    pub targets: Vec<String>,
    /// Whether the update is scaled by α/√R instead of α/R.
    pub rank_stabilized: bool,
}

/// Options of `prompt-tuning` and `p-tuning`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SoftPrompt {
    /// How many soft tokens stand in front of the input; for `p-tuning` only if no pattern has any.
    pub length: usize,
    /// What they start from.
    pub init: Init,
    /// The network that makes them while training; it is dropped afterwards. Its own default: `none` for `prompt-tuning`, `lstm` for `p-tuning`.
    pub encoder: Option<PromptEncoder>,
}

/// What soft tokens and prefixes start from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Init {
    /// Words sampled from the commonest of the vocabulary.
    #[default]
    Vocabulary,
    /// The label words, again and again.
    LabelWords,
    /// These words, again and again.
    Words(String),
}

/// A network that makes soft tokens from the vectors e they start from, started so that it changes nothing (a residual, as in Razdaibiedina et al. 2023).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptEncoder {
    /// The vectors themselves.
    None,
    /// `e + W₂·relu(W₁·e)`
    Mlp,
    /// `e + W₂·relu(W₁·lstm(e))`, two layers in both directions, H/2 each way.
    Lstm,
}

/// Options of `prefix` and `p-tuning-v2`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prefix {
    /// P.
    pub length: usize,
    /// The text whose keys and values it starts from.
    pub init: Init,
    /// The first and the last layer that have one, from 0; all by default.
    pub layers: Option<[usize; 2]>,
}

/// Options of `adapter`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Adapter {
    /// D.
    pub bottleneck: i64,
    /// Where they stand.
    pub placement: Placement,
}

/// Where adapters stand in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// Behind the feed-forward.
    Pfeiffer,
    /// Behind the attention and behind the feed-forward.
    Houlsby,
}

/// Options of `cls`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cls {
    /// Whether the encoder's weights stay as they are.
    pub frozen_encoder: bool,
}

impl Init {
    /// What `count` vectors start from.
    pub fn starts(&self, count: usize, label_words: &[i64], tokenizer: &Tokenizer) -> Result<Vec<Start>> {
        let tokens = match self {
            Init::Vocabulary => return Ok(vec![Start::Sampled; count]),
            Init::LabelWords => label_words.to_vec(),
            Init::Words(words) => tokens_of(words, tokenizer)?,
        };
        Ok(tokens.into_iter().cycle().take(count).map(Start::Token).collect())
    }
}

impl Default for Lora {
    fn default() -> Lora {
        // Hu et al. 2021, table 9 (RoBERTa): R 8, α 8 or 16, query and value.
        Lora { rank: 8, alpha: 16.0, dropout: 0.0, targets: vec!["query".into(), "value".into()], rank_stabilized: false }
    }
}

impl Default for SoftPrompt {
    fn default() -> SoftPrompt {
        SoftPrompt { length: 16, init: Init::Vocabulary, encoder: None }
    }
}

impl Default for Prefix {
    fn default() -> Prefix {
        Prefix { length: 16, init: Init::Vocabulary, layers: None }
    }
}

impl Default for Adapter {
    fn default() -> Adapter {
        Adapter { bottleneck: 64, placement: Placement::Pfeiffer }
    }
}

/// What a method starts with if nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Defaults {
    /// The highest learning rate.
    pub learning_rate: f64,
    /// Optimiser steps.
    pub steps: usize,
}

impl Tuning {
    /// All methods by name, with their default options.
    pub fn all() -> [(&'static str, Tuning); 11] {
        [
            ("full", Tuning::Full),
            ("head", Tuning::Head),
            ("bias", Tuning::Bias),
            ("lora", Tuning::Lora(Lora::default())),
            ("ia3", Tuning::Ia3),
            ("prompt-tuning", Tuning::PromptTuning(SoftPrompt::default())),
            ("p-tuning", Tuning::PTuning(SoftPrompt::default())),
            ("prefix", Tuning::Prefix(Prefix::default())),
            ("p-tuning-v2", Tuning::PTuningV2(Prefix::default())),
            ("adapter", Tuning::Adapter(Adapter::default())),
            ("cls", Tuning::Cls(Cls::default())),
        ]
    }

    /// Reads a file of options.
    pub fn read(path: &Path) -> Result<Tuning> {
        Tuning::parse(&path.display().to_string(), &json::read_text(path)?)
    }

    /// Options from the text of their file, which messages call `file`.
    pub fn parse(file: &str, text: &str) -> Result<Tuning> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum NameOrOptions {
            Name(String),
            Options(serde_json::Map<String, serde_json::Value>),
        }
        let source = Source::new(file, text);
        let node = Node::root(&source);
        let name = match node.read()? {
            NameOrOptions::Name(name) => Some(name),
            NameOrOptions::Options(options) if options.len() == 1 => options.into_iter().next().map(|(name, _)| name),
            NameOrOptions::Options(_) => None,
        };
        let methods = || Tuning::all().iter().map(|(name, _)| (*name).to_owned()).collect();
        let Some(name) = name else { return Err(node.error(Kind::TuningNotOne { methods: methods() })) };
        let Some((_, default)) = Tuning::all().into_iter().find(|(known, _)| *known == name) else {
            return Err(node.error(Kind::TuningUnknown { name, methods: methods() }));
        };
        if !node.is_object() {
            return Ok(default);
        }
        // A method without options may still be written as one with none.
        let none: Result<std::collections::HashMap<String, serde_json::Map<String, serde_json::Value>>> = node.read();
        match none {
            Ok(options) if options.values().all(serde_json::Map::is_empty) => Ok(default),
            _ => node.read(),
        }
    }

    /// The method's name.
    pub fn name(&self) -> &'static str {
        match self {
            Tuning::Full => "full",
            Tuning::Head => "head",
            Tuning::Bias => "bias",
            Tuning::Lora(_) => "lora",
            Tuning::Ia3 => "ia3",
            Tuning::PromptTuning(_) => "prompt-tuning",
            Tuning::PTuning(_) => "p-tuning",
            Tuning::Prefix(_) => "prefix",
            Tuning::PTuningV2(_) => "p-tuning-v2",
            Tuning::Adapter(_) => "adapter",
            Tuning::Cls(_) => "cls",
        }
    }

    /// Learning rate and steps that a first try converges with.
    ///
    /// The rates are where a sweep over a factor of 100 on the shipped `tickets` and on film reviews, 16 rows a class, was best or within
    /// its noise (benches/few-shot.md); the papers' own rates are for models and data of other sizes, and their order is the same: whole
    /// weights least, few vectors most.
    pub fn defaults(&self) -> Defaults {
        let (learning_rate, steps) = match self {
            Tuning::Full | Tuning::Cls(Cls { frozen_encoder: false }) => (1e-4, 100),
            Tuning::Head => (1e-3, 100),
            Tuning::Bias => (2e-3, 150),
            Tuning::Lora(_) => (1e-3, 150),
            Tuning::Ia3 => (1e-2, 150),
            Tuning::Adapter(_) => (5e-4, 150),
            Tuning::PromptTuning(_) | Tuning::PTuning(_) => (SOFT_RATE, 250),
            Tuning::Prefix(_) | Tuning::PTuningV2(_) => (5e-3, 250),
            Tuning::Cls(Cls { frozen_encoder: true }) => (1e-3, 150),
        };
        Defaults { learning_rate, steps }
    }

    /// Whether what is learned can become part of the base model's own weights.
    pub fn merges(&self) -> bool {
        matches!(self, Tuning::Full | Tuning::Head | Tuning::Bias | Tuning::Lora(_) | Tuning::Ia3)
    }

    /// Refuses options that this model cannot have, and tells of those that make little sense.
    pub fn check(&self, config: &Config) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        match self {
            Tuning::Lora(lora) => {
                in_range("lora.rank", lora.rank as f64, lora.rank >= 1, "1 or more")?;
                in_range("lora.alpha", lora.alpha, lora.alpha.is_finite() && lora.alpha > 0.0, "above 0")?;
                in_range("lora.dropout", lora.dropout, (0.0..1.0).contains(&lora.dropout), "from 0 to below 1")?;
                let linear = parameters::linear_layers(config);
                for target in &lora.targets {
                    if !linear.iter().any(|(name, _)| is_target(name, target)) {
                        return Err(Kind::TuningUnknownLayer { target: target.clone(), layers: target_names(&linear) }.into());
                    }
                }
                if lora.targets.is_empty() {
                    return Err(Kind::TuningUnknownLayer { target: String::new(), layers: target_names(&linear) }.into());
                }
                let smallest = lora_layers(lora, config).iter().map(|(_, [output, input])| *output.min(input)).min().unwrap_or(0);
                if lora.rank > smallest {
                    warnings.push(format!(
                        "lora.rank {} is above the size of a chosen layer, {smallest}: the update is not low-rank",
                        lora.rank
                    ));
                }
            }
            Tuning::PromptTuning(soft) | Tuning::PTuning(soft) => {
                let name = format!("{}.length", self.name());
                in_range(&name, soft.length as f64, soft.length >= 1, "1 or more")?;
            }
            Tuning::Prefix(prefix) | Tuning::PTuningV2(prefix) => {
                let name = format!("{}.length", self.name());
                let most = usize::try_from(config.max_position_embeddings).unwrap_or(usize::MAX).saturating_sub(3);
                in_range(&name, prefix.length as f64, (1..=most).contains(&prefix.length), &format!("1 to {most}"))?;
                let last = usize::try_from(config.num_hidden_layers).unwrap_or(1) - 1;
                if let Some([first, end]) = prefix.layers
                    && (first > end || end > last)
                {
                    return Err(Kind::TuningLayerRange { first, end, last }.into());
                }
            }
            Tuning::Adapter(adapter) => {
                in_range("adapter.bottleneck", adapter.bottleneck as f64, adapter.bottleneck >= 1, "1 or more")?;
                if adapter.bottleneck > config.hidden_size {
                    warnings.push(format!("adapter.bottleneck {} is above the hidden size {}", adapter.bottleneck, config.hidden_size));
                }
            }
            Tuning::Full | Tuning::Head | Tuning::Bias | Tuning::Ia3 | Tuning::Cls(_) => {}
        }
        Ok(warnings)
    }

    /// The soft tokens that the method puts in front of the input of patterns like these.
    pub fn front(&self, templates: &[Template], label_words: &[i64], tokenizer: &Tokenizer) -> Result<Vec<Start>> {
        match self {
            Tuning::PTuning(_) if templates.iter().any(|template| template.soft().next().is_some()) => Ok(Vec::new()),
            Tuning::PromptTuning(soft) | Tuning::PTuning(soft) => soft.init.starts(soft.length, label_words, tokenizer),
            _ => Ok(Vec::new()),
        }
    }

    /// How many positions of the model's input prefixes take away.
    pub fn prefix_length(&self) -> usize {
        match self {
            Tuning::Prefix(prefix) | Tuning::PTuningV2(prefix) => prefix.length,
            _ => 0,
        }
    }
}

/// The learning rate of soft vectors: embeddings are small numbers, and Adam moves each by about the rate a step.
pub const SOFT_RATE: f64 = 5e-3;

fn in_range(name: &str, found: f64, is: bool, allowed: &str) -> Result<()> {
    if is { Ok(()) } else { Err(Kind::OptionOutOfRange { name: name.to_owned(), found, allowed: allowed.to_owned() }.into()) }
}

/// Whether a linear layer's name is meant: a target is its last parts, as in PEFT.
fn is_target(name: &str, target: &str) -> bool {
    name == target || name.strip_suffix(target).is_some_and(|rest| rest.ends_with('.'))
}

/// The linear layers that get an update, each with `[out,in]`.
fn lora_layers(lora: &Lora, config: &Config) -> Vec<(String, [i64; 2])> {
    let mut layers = parameters::linear_layers(config);
    layers.retain(|(name, _)| lora.targets.iter().any(|target| is_target(name, target)));
    layers
}

/// The layers' kinds, each once: what is said of them in messages.
fn target_names(layers: &[(String, [i64; 2])]) -> Vec<String> {
    let mut names = Vec::new();
    for (layer, _) in layers {
        let parts: Vec<&str> = layer.split('.').collect();
        // bert.encoder.layer.3.attention.self.query → query; …attention.output.dense stays so.
        let kind = match parts.iter().position(|part| part.parse::<usize>().is_ok()) {
            Some(number) => parts[number + 1..].join("."),
            None => layer.clone(),
        };
        let kind = kind.strip_prefix("attention.self.").unwrap_or(&kind).to_owned();
        if !names.contains(&kind) {
            names.push(kind);
        }
    }
    names
}
