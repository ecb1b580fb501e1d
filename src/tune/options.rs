//! The ways of tuning and their options: what a user writes of them, checked.

use std::fmt;
use std::path::Path;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::error::source::Source;
use crate::error::{Difference, Error, Kind, Place, Result, TemplateError, TuningError};
use crate::model::arch::{Config, Positions};
use crate::model::tensor_map::{LinearLayer, Module};
use crate::model::tokenizer::Tokenizer;
use crate::text::json::{self, Node};
use crate::text::template::Template;
use crate::tune::soft::{Start, tokens_of};

/// A way of tuning with its options.
///
/// ```
/// use cloze::tune::Tuning;
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

/// Methods by name with their options, each as often as it is written.
struct Methods<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Methods<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Methods<'de>, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Methods<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Methods<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Methods(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// The options of a method that has none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

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
    /// The linear layers: the end of a name, as `query`, `attention.output.dense` or
    /// `layer.5.intermediate.dense` in BERT. `query`, `key` and `value` are these in every family.
    pub targets: Vec<String>,
    /// Whether the update is scaled by α/√R instead of α/R.
    pub rank_stabilized: bool,
    /// Whether a weight's rows are taken apart into directions, which the update turns, and lengths, which
    /// learn by themselves (DoRA: Liu et al. 2024).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dora: bool,
}

/// Options of `prompt-tuning` and `p-tuning`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SoftPrompt {
    /// How many soft tokens stand in front of the input; for `p-tuning` only if no pattern has any.
    pub length: usize,
    /// What they start from.
    pub init: Init,
    /// The network that makes them while training; it is dropped afterwards. Its own default: `none` for
    /// `prompt-tuning`, `lstm` for `p-tuning`.
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

/// A network that makes soft tokens from the vectors e they start from, started so that it changes nothing (a
/// residual, as in Razdaibiedina et al. 2023).
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
    /// Whether the encoder's layer norms learn too; by default where the paper has it so: with `houlsby`.
    pub layer_norms: Option<bool>,
}

impl Adapter {
    /// Whether layer norms learn.
    pub fn trains_norms(&self) -> bool {
        self.layer_norms.unwrap_or(self.placement == Placement::Houlsby)
    }
}

/// Where adapters stand in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// Behind the feed-forward's add and norm, with ReLU, added to what came before that norm, which then
    /// follows once more (Pfeiffer et al. 2021; AdapterHub's `seq_bn`).
    Pfeiffer,
    /// Behind the attention and behind the feed-forward, both before the add and norm, with the model's own
    /// activation, and the layer norms learn (Houlsby et al. 2019).
    Houlsby,
    /// The second of these alone. 0.1.0 called it `pfeiffer`.
    FeedForward,
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
        Lora {
            rank: 8,
            alpha: 16.0,
            dropout: 0.0,
            targets: vec!["query".into(), "value".into()],
            rank_stabilized: false,
            dora: false,
        }
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
        Adapter { bottleneck: 64, placement: Placement::Pfeiffer, layer_norms: None }
    }
}

/// Optimiser steps for each class if nothing else is said.
const STEPS_A_CLASS: usize = 40;

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

    /// The same method in the words of today, of options that 0.1.0 wrote: its adapters stood before the add
    /// and norm, whatever the placement was called, and no layer norm learned with them.
    #[must_use]
    pub fn of_first(self) -> Tuning {
        match self {
            Tuning::Adapter(adapter) => {
                let placement = match adapter.placement {
                    Placement::Pfeiffer => Placement::FeedForward,
                    placement => placement,
                };
                Tuning::Adapter(Adapter { placement, layer_norms: Some(false), ..adapter })
            }
            other => other,
        }
    }

    /// Reads a file of options.
    pub fn read(path: &Path) -> Result<Tuning> {
        Tuning::parse(&path.display().to_string(), &json::read_text(path)?)
    }

    /// Options from the text of their file, which messages call `file`.
    pub fn parse(file: &str, text: &str) -> Result<Tuning> {
        let source = Source::new(file, text);
        let node = Node::root(&source);
        let methods = || Tuning::all().iter().map(|(name, _)| (*name).to_owned()).collect();
        let one = || node.error(TuningError::NotOne { methods: methods() });
        let known = |name: &str| {
            Tuning::all().into_iter().find(|(known, _)| *known == name).map(|(_, default)| default)
        };
        let unknown = |name: &str| {
            let written = format!("{name:?}");
            let error = node.error(TuningError::Unknown { name: name.to_owned(), methods: methods() });
            let Some(start) = source.text().find(&written) else { return error };
            error.at(Place::Text {
                source: source.clone(),
                span: start..start + written.len(),
                pointer: String::new(),
            })
        };
        if text.trim().starts_with('"') {
            let name: String = node.read()?;
            return known(&name).ok_or_else(|| unknown(&name));
        }
        if !node.is_object() {
            return Err(one());
        }
        let Methods(found) = node.read()?;
        let [(name, options)] = &found[..] else { return Err(one()) };
        let default = known(name).ok_or_else(|| unknown(name))?;
        let options = node.key(name, options);
        // A method without options may still be written as one with none.
        match serde_json::to_value(&default) {
            Ok(serde_json::Value::String(_)) => {
                options.read_object::<NoOptions>().map(|NoOptions {}| default)
            }
            _ => options.read_object::<serde::de::IgnoredAny>().and_then(|_| node.read()),
        }
    }

    /// The place of an error of [`Tuning::check`] or of soft tokens' words in the file that the options came
    /// from, if it stands there: `options` is the value that [`Tuning::parse`] would take.
    pub fn place_error(&self, error: Error, options: &Node<'_>) -> Error {
        let method = self.name();
        let node = match error.kind() {
            // The number may be another one than the file's, where a flag stands above it.
            Kind::Tuning(TuningError::OptionOutOfRange { name, found, .. }) => options
                .at(name)
                .filter(|node| node.read::<f64>().is_ok_and(|written: f64| written.total_cmp(found).is_eq())),
            Kind::Tuning(TuningError::UnknownLayer { target, .. }) => {
                options.at("lora.targets").and_then(|targets| {
                    let written: Vec<String> = targets.read().ok()?;
                    match written.iter().position(|written| written == target) {
                        Some(index) => options.at(&format!("lora.targets[{index}]")),
                        None => written.is_empty().then_some(targets),
                    }
                })
            }
            Kind::Tuning(TuningError::LayerRange { .. }) => options.at(&format!("{method}.layers")),
            Kind::Template(TemplateError::SoftWithoutWords { .. }) => {
                options.at(&format!("{method}.init.words"))
            }
            _ => None,
        };
        match node {
            Some(node) => error.at(node.place_of_all()),
            None => error,
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

    /// Learning rate and steps that a first try converges with, for so many classes.
    ///
    /// The rates come from two or three tried for each method on development rows of film reviews, 16 rows a
    /// class (benches/few-shot.md). The papers' own are for models and data of other sizes; their order is
    /// the same: whole weights least, few vectors most. The steps are 40 for each class, 80 at least and 400
    /// at most: with 16 rows a class and batches of 16 the same number of times over the rows however many
    /// classes there are. With two classes the loss is near 0 after 80 steps of most methods; with six it is
    /// not, least of all where a new head begins at random.
    pub fn defaults(&self, classes: usize) -> Defaults {
        let learning_rate = match self {
            Tuning::Full => 5e-5,
            Tuning::Cls(Cls { frozen_encoder: false }) => 1e-4,
            Tuning::Cls(Cls { frozen_encoder: true }) | Tuning::Head | Tuning::Lora(_) => 1e-3,
            Tuning::Bias => 2e-3,
            Tuning::Ia3 | Tuning::PTuningV2(_) => 1e-2,
            Tuning::Adapter(_) | Tuning::PTuning(_) => 5e-4,
            Tuning::PromptTuning(_) => SOFT_RATE,
            Tuning::Prefix(_) => 3e-4,
        };
        Defaults { learning_rate, steps: (STEPS_A_CLASS * classes).clamp(80, 400) }
    }

    /// Whether what is learned can become part of the base model's own weights.
    pub fn merges(&self) -> bool {
        matches!(self, Tuning::Full | Tuning::Head | Tuning::Bias | Tuning::Lora(_) | Tuning::Ia3)
    }

    /// Refuses options that this model cannot have, and tells of those that make little sense.
    pub fn check(&self, config: &Config) -> Result<Vec<String>> {
        let most = usize::try_from(config.max_position_embeddings).unwrap_or(usize::MAX).saturating_sub(3);
        let length_in_range = |length: usize| {
            let name = format!("{}.length", self.name());
            in_range(&name, length as f64, (1..=most).contains(&length), &format!("1 to {most}"))
        };
        let mut warnings = Vec::new();
        match self {
            Tuning::Lora(lora) => {
                in_range("lora.rank", lora.rank as f64, (1..=MOST).contains(&lora.rank), "1 to 65536")?;
                in_range("lora.alpha", lora.alpha, lora.alpha.is_finite() && lora.alpha > 0.0, "above 0")?;
                in_range(
                    "lora.dropout",
                    lora.dropout,
                    (0.0..1.0).contains(&lora.dropout),
                    "from 0 to below 1",
                )?;
                in_range(
                    "lora.dropout",
                    lora.dropout,
                    !lora.dora || lora.dropout == 0.0,
                    "0 with lora.dora, whose update is one of whole weights",
                )?;
                let map = &config.tensors;
                let unknown = |target: &str| {
                    let layers = map.kinds_of(map.linear_layers());
                    Err(TuningError::UnknownLayer { target: target.to_owned(), layers }.into())
                };
                if let Some(target) = lora.targets.iter().find(|target| map.targeted(target).is_empty()) {
                    return unknown(target);
                }
                if lora.targets.is_empty() {
                    return unknown("");
                }
                let smallest = lora_layers(lora, config)
                    .iter()
                    .map(|LinearLayer { size: [output, input], .. }| *output.min(input))
                    .min()
                    .unwrap_or(0);
                if lora.rank > smallest {
                    warnings.push(format!(
                        "lora.rank {} is above the size of a chosen layer, {smallest}: the update is not low-rank",
                        lora.rank
                    ));
                }
            }
            Tuning::PromptTuning(soft) | Tuning::PTuning(soft) => length_in_range(soft.length)?,
            Tuning::Prefix(prefix) | Tuning::PTuningV2(prefix) => {
                length_in_range(prefix.length)?;
                if matches!(config.positions, Positions::Relative { .. } | Positions::Disentangled(_)) {
                    let reason = "its positions are distances, and there is none to keys that stand nowhere";
                    return Err(TuningError::NotForModel { method: self.name(), reason }.into());
                }
                let last = usize::try_from(config.num_hidden_layers).unwrap_or(1) - 1;
                if let Some([first, end]) = prefix.layers
                    && (first > end || end > last)
                {
                    return Err(TuningError::LayerRange { first, end, last }.into());
                }
            }
            Tuning::Adapter(adapter) => {
                in_range(
                    "adapter.bottleneck",
                    adapter.bottleneck as f64,
                    (1..=MOST).contains(&adapter.bottleneck),
                    "1 to 65536",
                )?;
                if adapter.bottleneck > config.hidden_size {
                    warnings.push(format!(
                        "adapter.bottleneck {} is above the hidden size {}",
                        adapter.bottleneck, config.hidden_size
                    ));
                }
            }
            Tuning::Bias => {
                let map = &config.tensors;
                let of_head = |name: &&str| map.module_of(name).is_some_and(Module::is_head);
                let shapes = map.shapes();
                if shapes.keys().filter(|name| name.ends_with(".bias")).all(of_head) {
                    warnings.push(
                        "this model has no biases but the decoder's: bias moves these alone".to_owned(),
                    );
                }
            }
            Tuning::Full | Tuning::Head | Tuning::Ia3 | Tuning::Cls(_) => {}
        }
        if config.untrained_head.is_some() && !matches!(self, Tuning::Full | Tuning::Cls(_)) {
            warnings.push(format!(
                "the head of this model was not trained to fill masks: full trains all weights for it, {} does not",
                self.name()
            ));
        }
        Ok(warnings)
    }

    /// The soft tokens that the method puts in front of the input of patterns like these.
    pub fn front(
        &self,
        templates: &[Template],
        label_words: &[i64],
        tokenizer: &Tokenizer,
    ) -> Result<Vec<Start>> {
        match (self, self.front_length(templates)) {
            (_, 0) => Ok(Vec::new()),
            (Tuning::PromptTuning(soft) | Tuning::PTuning(soft), length) => {
                soft.init.starts(length, label_words, tokenizer)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// How many these are.
    pub fn front_length(&self, templates: &[Template]) -> usize {
        match self {
            Tuning::PTuning(_) if templates.iter().any(|template| template.soft().next().is_some()) => 0,
            Tuning::PromptTuning(soft) | Tuning::PTuning(soft) => soft.length,
            _ => 0,
        }
    }

    /// In what an earlier tuning learned other tensors than this one, or such as act otherwise. How they
    /// started, and which network made them, makes no difference; which layers learn, and how many soft
    /// tokens `p-tuning` has, the tensors tell.
    pub fn differences(&self, earlier: &Tuning) -> Vec<Difference> {
        const NO_MATTER: [&str; 5] = ["init", "encoder", "dropout", "targets", "frozen_encoder"];
        let method = self.name();
        if method != earlier.name() {
            return vec![Difference::of("the method", earlier.name(), method)];
        }
        let options = |tuning: &Tuning| {
            let all = match tuning {
                Tuning::Adapter(adapter) => serde_json::to_value(Tuning::Adapter(Adapter {
                    layer_norms: Some(adapter.trains_norms()),
                    ..adapter.clone()
                })),
                other => serde_json::to_value(other),
            };
            let all = all.unwrap_or_default();
            all.get(method).cloned().unwrap_or_default()
        };
        let (here, there) = (options(self), options(earlier));
        // Left out where it is false.
        let dora = |tuning: &Tuning| matches!(tuning, Tuning::Lora(lora) if lora.dora);
        if dora(self) != dora(earlier) {
            return vec![Difference::of("lora.dora", dora(earlier).to_string(), dora(self).to_string())];
        }
        let counts = |key: &str| {
            let told_by_tensors = key == "length" && matches!(self, Tuning::PTuning(_));
            !NO_MATTER.contains(&key) && !told_by_tensors
        };
        let shown = |value: &serde_json::Value| match value {
            serde_json::Value::Null => "left out".to_owned(),
            value => value.to_string(),
        };
        let keys = here.as_object().into_iter().flatten().map(|(key, _)| key);
        keys.filter(|key| counts(key) && here[*key] != there[*key])
            .map(|key| Difference::of(format!("{method}.{key}"), shown(&there[key]), shown(&here[key])))
            .collect()
    }

    /// How many vectors of its own the method has, where that is an option.
    pub fn length(&self) -> Option<usize> {
        match self {
            Tuning::PromptTuning(soft) | Tuning::PTuning(soft) => Some(soft.length),
            Tuning::Prefix(prefix) | Tuning::PTuningV2(prefix) => Some(prefix.length),
            _ => None,
        }
    }

    /// What is left of a longest input: prefixes take positions of the model's.
    pub fn length_left(&self, max_length: usize, config: &Config) -> usize {
        match self {
            Tuning::Prefix(prefix) | Tuning::PTuningV2(prefix) => {
                let positions = usize::try_from(config.max_position_embeddings).unwrap_or(usize::MAX);
                max_length.min(positions.saturating_sub(prefix.length))
            }
            _ => max_length,
        }
    }
}

/// The most of a rank or a bottleneck: more than any model has hidden units.
const MOST: i64 = 1 << 16;

/// The learning rate of soft vectors: embeddings are small numbers, and Adam moves each by about the rate a
/// step.
pub const SOFT_RATE: f64 = 2e-3;

fn in_range(name: &str, found: f64, is: bool, allowed: &str) -> Result<()> {
    if is {
        Ok(())
    } else {
        Err(TuningError::OptionOutOfRange { name: name.to_owned(), found, allowed: allowed.to_owned() }
            .into())
    }
}

/// The linear layers that get an update.
pub(super) fn lora_layers<'a>(lora: &Lora, config: &'a Config) -> Vec<LinearLayer<'a>> {
    let targeted: Vec<LinearLayer<'_>> =
        lora.targets.iter().flat_map(|target| config.tensors.targeted(target)).collect();
    config.tensors.linear_layers().filter(|layer| targeted.contains(layer)).collect()
}
