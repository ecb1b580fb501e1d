//! Families of encoders: how their `config.json` is read, what their tensors are called, and their forward
//! pass.
//!
//! A family is one file, named here as a module and, by what `config.json` calls it, among `FAMILIES`; one
//! with layers of its own also as a variant of [`Arch`] and as its `Network`. Everything else asks a
//! [`Config`] for sizes and its [`TensorMap`] for tensors, by what they are for.
//!
//! [`Arch`] is closed, and says only whose layers compute. The map is a value that a [`Config`] holds, so a
//! family that differs from another in its names and sizes alone needs no layers of its own: it makes a map
//! and a configuration that name the other's [`Arch`]. `tests/arch.rs` has such a family, made from outside.

mod known;

mod keys;

pub mod albert;
pub mod bert;
pub mod deberta;
pub mod distilbert;
pub mod electra;
pub mod modernbert;
pub mod roberta;

use std::path::Path;
use std::sync::Arc;

use tch::{Device, Tensor};

use crate::error::{ModelError, Result};
use crate::model::batch::Batch;
use crate::model::layers::{
    Activation, Additions, Buckets, LayerAdditions, Linear, Mode, Near, Range, Sight,
};
use crate::model::parameters::Parameters;
use crate::model::tensor_map::TensorMap;
use crate::text::json;

/// What computes a model's states: a family's layers, or those of another that it shares them with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// BERT's: see [`bert`].
    Bert,
    /// DeBERTa's: see [`deberta`].
    Deberta,
    /// ModernBERT's: see [`modernbert`].
    ModernBert,
}

/// What a model's `config.json` says, whatever its family calls it: the sizes and constants, named as Hugging
/// Face names BERT's.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // The names are Hugging Face's.
pub struct Config {
    /// Whose layers it has.
    pub arch: Arch,
    /// Its tensors' names and shapes.
    pub tensors: Arc<TensorMap>,
    /// Its class in transformers that fills masks, and the Python module that has it.
    pub python_class: [&'static str; 2],
    /// How places of tokens take part.
    pub positions: Positions,
    pub vocab_size: i64,
    /// Of a word's vector; a projection widens it to the hidden size where that is another.
    pub embedding_size: i64,
    pub hidden_size: i64,
    pub num_hidden_layers: i64,
    pub num_attention_heads: i64,
    pub intermediate_size: i64,
    pub hidden_act: Activation,
    /// The activation of the head that fills masks.
    pub head_act: Activation,
    /// Of embeddings, before the first layer.
    pub embedding_dropout_prob: f64,
    pub hidden_dropout_prob: f64,
    pub attention_probs_dropout_prob: f64,
    /// The longest input, in tokens.
    pub max_position_embeddings: i64,
    /// How many kinds of segments it tells apart; 0 where it is told nothing of segments.
    pub type_vocab_size: i64,
    pub layer_norm_eps: f64,
    /// Of a family whose published weights cannot fill masks, although they have the head for it: why. It is
    /// refused unless that is forced.
    pub untrained_head: Option<&'static str>,
    /// The keys of `config.json` that its class in transformers does not know, in their order. They may ask
    /// for another computation.
    pub unknown_keys: Vec<String>,
}

/// How the places of tokens take part in what is computed.
#[derive(Debug, Clone, PartialEq)]
pub enum Positions {
    /// A vector for each place is added to the word's. The first token's is in this row.
    Absolute {
        /// Counted from 0.
        first: i64,
    },
    /// Vectors of distances score with queries, in each layer its own.
    Relative {
        /// Whether they score with keys too.
        with_keys: bool,
    },
    /// Vectors of distances that all layers share score with queries and keys (DeBERTa: He et al. 2021).
    Disentangled(Disentangled),
    /// Queries and keys are turned by angles that grow with the place (RoPE: Su et al. 2021), in each layer
    /// by its own.
    Rotary(Vec<Rotary>),
}

/// How distances take part in scores with words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disentangled {
    /// Which vector stands for a distance.
    pub buckets: Buckets,
    /// Whether words' queries score with distances' keys.
    pub with_queries: bool,
    /// Whether words' keys score with distances' queries.
    pub with_keys: bool,
}

impl Disentangled {
    /// Of so many products is a score the sum: the words' own with each other, and those with distances.
    pub fn products(self) -> i64 {
        1 + i64::from(self.with_queries) + i64::from(self.with_keys)
    }
}

/// How places take part in a layer with rotary positions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rotary {
    /// The base of the angles.
    pub theta: f64,
    /// How far a token sees, to either side; everything where it is none.
    pub window: Option<i64>,
}

/// What reads a family's `config.json`: its `model_type` and the whole text.
type ReadConfig = fn(&str, &str) -> Result<Config, String>;

/// What `config.json` may call the family, and what reads the rest.
const FAMILIES: [(&str, ReadConfig); 9] = [
    (albert::MODEL_TYPE, albert::config),
    (bert::MODEL_TYPE, bert::config),
    (deberta::MODEL_TYPE, deberta::config),
    (distilbert::MODEL_TYPE, distilbert::config),
    (electra::MODEL_TYPE, electra::config),
    (modernbert::MODEL_TYPE, modernbert::config),
    (roberta::MODEL_TYPES[0], roberta::config),
    (roberta::MODEL_TYPES[1], roberta::config),
    (roberta::MODEL_TYPES[2], roberta::config),
];

impl Config {
    /// Reads and checks `config.json` of a model folder.
    pub fn load(folder: &Path) -> Result<Config> {
        let path = folder.join("config.json");
        if !path.exists() {
            return Err(ModelError::FileMissing { path: folder.to_owned(), wanted: "config.json" }.into());
        }
        let text = json::read_text(&path)?;
        Config::parse(&text).map_err(|message| ModelError::Config { path, message }.into())
    }

    fn parse(text: &str) -> Result<Config, String> {
        let keys: keys::Keys = serde_json::from_str(text).map_err(|error| error.to_string())?;
        // Hugging Face's BertConfig, where a file says nothing.
        let model_type = keys.model_type()?.unwrap_or(bert::MODEL_TYPE);
        let Some((_, read)) = FAMILIES.iter().find(|(known, _)| *known == model_type) else {
            let known: Vec<String> = FAMILIES.iter().map(|(known, _)| format!("{known:?}")).collect();
            let reason = keys.why_not().map_or_else(String::new, |reason| format!(", {reason}"));
            return Err(format!(
                "model_type is {model_type:?}{reason}; this version of cloze takes {}",
                known.join(", ")
            ));
        };
        keys.check(match model_type {
            deberta::MODEL_TYPE => &deberta::OWN_KEYS,
            modernbert::MODEL_TYPE => &modernbert::OWN_KEYS,
            _ => &[],
        })?;
        let config = read(model_type, text)?;
        let known = known::of(model_type);
        keys.check_numbers(known)?;
        Ok(Config { unknown_keys: keys.unknown(known), ..config })
    }

    /// What a reader of results should know: that `config.json` has keys that are not known.
    pub fn remark(&self) -> Option<String> {
        (!self.unknown_keys.is_empty()).then(|| {
            format!(
                "config.json has keys that its class in transformers does not know, and that are passed over: {}",
                self.unknown_keys.join(", ")
            )
        })
    }

    /// What a reader of results should know of a model whose head was not trained to fill masks.
    pub fn head_remark(&self) -> Option<String> {
        self.untrained_head.map(|reason| {
            format!("{reason}: unless all of its weights were trained since, its scores mean nothing")
        })
    }

    /// Sets the probability of every dropout in the layers and before them.
    pub fn set_dropout(&mut self, probability: f64) {
        self.embedding_dropout_prob = probability;
        self.hidden_dropout_prob = probability;
        self.attention_probs_dropout_prob = probability;
    }

    /// The longest input that scoring uses unless told otherwise: the model's own limit, at most 512 tokens.
    pub fn default_max_length(&self) -> usize {
        usize::try_from(self.max_position_embeddings).unwrap_or(512).min(512)
    }
}

/// What Hugging Face's configurations of most families take where a file says nothing.
mod usual {
    pub(super) fn dropout() -> f64 {
        0.1
    }
    pub(super) fn epsilon() -> f64 {
        1e-12
    }
    pub(super) fn absolute() -> String {
        "absolute".into()
    }
    pub(super) fn tied() -> bool {
        true
    }
}

/// Refuses other positions than a vector for each place, in families that have no others here.
fn check_absolute(kind: &str) -> Result<(), String> {
    match kind {
        "absolute" => Ok(()),
        _ => Err(format!(
            "position_embedding_type is {kind:?}, in this family this version of cloze takes \"absolute\""
        )),
    }
}

/// More layers than any encoder has. Larger numbers are mistakes, and the names of so many layers' tensors
/// would fill the memory.
const MOST_LAYERS: i64 = 1000;
/// The most of any other size. What is above the weights' own is found by their shapes.
const MOST: i64 = i32::MAX as i64;

/// Refuses sizes that no model has; each has its name in `config.json` and the most that it may be.
fn check_sizes(sizes: &[(&str, i64, i64)]) -> Result<(), String> {
    for (name, size, most) in sizes {
        if *size < 1 {
            return Err(format!("{name} is {size}, it must be at least 1"));
        }
        if size > most {
            return Err(format!("{name} is {size}, it must be at most {most}"));
        }
    }
    Ok(())
}

/// Refuses a hidden size that the heads cannot share out.
fn check_heads([hidden_name, heads_name]: [&str; 2], hidden: i64, heads: i64) -> Result<(), String> {
    match hidden % heads {
        0 => Ok(()),
        _ => Err(format!("{hidden_name} {hidden} is not a multiple of {heads_name} {heads}")),
    }
}

/// What all layers of one forward pass share.
pub(crate) struct Pass {
    /// What is added to attention scores, `[B,1,1,L]`: none where nothing is padded.
    pub mask: Option<Tensor>,
    /// Whether dropout acts.
    pub mode: Mode,
    /// What the layers of each kind see, in families with kinds of layers.
    pub sights: Vec<Sight>,
    /// The distances between tokens, in families whose layers share their vectors.
    pub near: Option<Near>,
}

/// A family's embeddings and layers over parameters.
#[derive(Clone)]
pub(crate) enum Network {
    Bert(bert::Network),
    Deberta(deberta::Network),
    ModernBert(modernbert::Network),
}

impl Network {
    pub(crate) fn new(config: &Config, parameters: &Parameters) -> Network {
        match config.arch {
            Arch::Bert => Network::Bert(bert::Network::new(config, parameters)),
            Arch::Deberta => Network::Deberta(deberta::Network::new(config, parameters)),
            Arch::ModernBert => Network::ModernBert(modernbert::Network::new(config, parameters)),
        }
    }

    /// Where it computes.
    pub(crate) fn device(&self) -> Device {
        match self {
            Network::Bert(network) => network.device(),
            Network::Deberta(network) => network.device(),
            Network::ModernBert(network) => network.device(),
        }
    }

    /// The vectors of the vocabulary's words `[V,E]`.
    pub(crate) fn words(&self) -> &Tensor {
        match self {
            Network::Bert(network) => network.words(),
            Network::Deberta(network) => network.words(),
            Network::ModernBert(network) => network.words(),
        }
    }

    /// The number of layers.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Network::Bert(network) => network.depth(),
            Network::Deberta(network) => network.depth(),
            Network::ModernBert(network) => network.depth(),
        }
    }

    /// What the layers share over this batch.
    pub(crate) fn pass(&self, batch: &Batch, additions: &Additions, mode: Mode) -> Pass {
        let mask = batch.additive_mask();
        let sights = match self {
            Network::Bert(_) | Network::Deberta(_) => Vec::new(),
            Network::ModernBert(network) => {
                network.sights(batch.size().1, additions.first_position, mask.as_ref())
            }
        };
        let near = match self {
            Network::Deberta(network) => Some(network.near(batch.size().1)),
            Network::Bert(_) | Network::ModernBert(_) => None,
        };
        Pass { mask, mode, sights, near }
    }

    /// What the first layer takes.
    ///
    /// # Shapes
    /// batch of B inputs, L tokens → `[B,L,H]`
    pub(crate) fn embed(&self, batch: &Batch, additions: &Additions, mode: Mode) -> Tensor {
        match self {
            Network::Bert(network) => network.embed(batch, additions, mode),
            Network::Deberta(network) => network.embed(batch, additions, mode),
            Network::ModernBert(network) => network.embed(batch, additions, mode),
        }
    }

    /// One layer for the rows at positions, which look at all states; for all of them without positions. Only
    /// the last layer may be asked for some.
    ///
    /// # Shapes
    /// states `[B,L,H]`, positions `[B,R]` → `[B,R,H]`
    pub(crate) fn layer(
        &self,
        index: usize,
        pass: &Pass,
        added: &LayerAdditions,
        states: &Tensor,
        positions: Option<&Tensor>,
    ) -> Tensor {
        match self {
            Network::Bert(network) => network.layer(index, pass, added, states, positions),
            Network::Deberta(network) => network.layer(index, pass, added, states, positions),
            Network::ModernBert(network) => network.layer(index, pass, added, states, positions),
        }
    }

    /// The states that the head takes from those behind the last layer.
    ///
    /// # Shapes
    /// `[B,R,H]` → `[B,R,H]`
    pub(crate) fn finish(&self, states: Tensor) -> Tensor {
        match self {
            Network::Bert(_) | Network::Deberta(_) => states,
            Network::ModernBert(network) => network.finish(&states),
        }
    }

    /// A layer's keys and values, turned where positions turn them.
    ///
    /// # Shapes
    /// states `[B,L,H]` → twice `[B,L,H]`
    pub(crate) fn key_and_value(&self, index: usize, pass: &Pass, states: &Tensor) -> [Tensor; 2] {
        match self {
            Network::Bert(network) => network.key_and_value(index, states),
            Network::Deberta(network) => network.key_and_value(index, states),
            Network::ModernBert(network) => network.key_and_value(index, pass, states),
        }
    }

    /// The linear layers of all layers, each once however many share it, and the range of their inputs in
    /// int8. What the last layer does for the masks alone stays wide, with no range: it is little work, and
    /// nothing evens its errors out.
    pub(crate) fn linears(&mut self) -> Vec<(&mut Linear, Option<Range>)> {
        match self {
            Network::Bert(network) => network.linears(),
            Network::Deberta(network) => network.linears(),
            Network::ModernBert(network) => network.linears(),
        }
    }
}
