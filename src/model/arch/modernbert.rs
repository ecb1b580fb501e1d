//! ModernBERT (Warner et al. 2024), and what is built like it, as Ettin and mmBERT: layers that normalise
//! what they take, not what they give; rotary positions; a gate in the feed-forward; and layers that look at
//! a window of tokens between those that look at all.
//!
//! Letters: B batch, R rows, L tokens, H hidden, A heads, D = H/A, F feed-forward.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use tch::{Device, Tensor};

use super::{Arch, Config, MOST, MOST_LAYERS, Pass, Positions, Rotary, check_heads, check_sizes};
use crate::model::batch::Batch;
use crate::model::layers::{
    Activation, Adapter, Additions, Heads, LayerAdditions, LayerNorm, Linear, LowRank, Mode, Projection,
    Range, Sight, attend, drop_out,
};
use crate::model::parameters::Parameters;
use crate::model::shared::Shared;
use crate::model::tensor_map::{Module, Role, TensorMap};
use crate::model::values::rows_at;

/// What `config.json` calls the family.
pub const MODEL_TYPE: &str = "modernbert";

/// Keys that ask for other computations in other families.
pub(super) const OWN_KEYS: [&str; 1] = ["rope_scaling"];

/// `config.json`, with what Hugging Face's ModernBertConfig takes where it says nothing. Which layers look at
/// all tokens, and the bases of the angles, have two names each: those of transformers 4 and of 5.
#[derive(Deserialize)]
struct File {
    vocab_size: i64,
    hidden_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    intermediate_size: i64,
    max_position_embeddings: i64,
    #[serde(default)]
    hidden_activation: Activation,
    #[serde(default)]
    classifier_activation: Activation,
    #[serde(default = "epsilon")]
    norm_eps: f64,
    #[serde(default)]
    norm_bias: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    classifier_bias: bool,
    #[serde(default = "yes")]
    decoder_bias: bool,
    #[serde(default)]
    embedding_dropout: f64,
    #[serde(default)]
    attention_dropout: f64,
    #[serde(default)]
    mlp_dropout: f64,
    #[serde(default = "window")]
    local_attention: i64,
    #[serde(default)]
    layer_types: Option<Vec<LayerType>>,
    #[serde(default = "every")]
    global_attn_every_n_layers: i64,
    #[serde(default)]
    rope_parameters: Option<BTreeMap<LayerType, Option<Rope>>>,
    #[serde(default = "global_theta")]
    global_rope_theta: f64,
    #[serde(default = "local_theta")]
    local_rope_theta: Option<f64>,
    #[serde(default)]
    rope_scaling: Option<serde_json::Value>,
    #[serde(default = "yes")]
    tie_word_embeddings: bool,
}

/// What a layer looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LayerType {
    FullAttention,
    SlidingAttention,
}

/// Rotary positions of a kind of layers.
#[derive(Deserialize)]
struct Rope {
    #[serde(default)]
    rope_type: Option<String>,
    #[serde(default)]
    rope_theta: Option<f64>,
}

fn epsilon() -> f64 {
    1e-5
}
fn yes() -> bool {
    true
}
fn window() -> i64 {
    128
}
fn every() -> i64 {
    3
}
fn global_theta() -> f64 {
    160_000.0
}

fn local_theta() -> Option<f64> {
    Some(10_000.0)
}

impl File {
    /// The base of the angles in layers of a type.
    fn theta(&self, kind: LayerType) -> Result<f64, String> {
        let usual = match kind {
            LayerType::FullAttention => self.global_rope_theta,
            // As in transformers 4: null is the global layers' own.
            LayerType::SlidingAttention => self.local_rope_theta.unwrap_or(self.global_rope_theta),
        };
        let given = self.rope_parameters.as_ref().and_then(|kinds| kinds.get(&kind)?.as_ref());
        let rope_type = given.and_then(|rope| rope.rope_type.as_deref()).unwrap_or("default");
        if rope_type != "default" {
            return Err(format!("rope_type is {rope_type:?}, this version of cloze takes \"default\""));
        }
        if let Some(scaling) = &self.rope_scaling {
            return Err(format!("rope_scaling is {scaling}, this version of cloze takes null"));
        }
        let theta = given.and_then(|rope| rope.rope_theta).unwrap_or(usual);
        match theta.is_finite() && theta > 0.0 {
            true => Ok(theta),
            false => Err(format!("rope_theta is {theta}, it must be above 0")),
        }
    }

    /// How places take part, layer by layer.
    fn layers(&self) -> Result<Vec<Rotary>, String> {
        let layers = usize::try_from(self.num_hidden_layers).unwrap_or(0);
        let usual = |layer: usize| match layer as i64 % self.global_attn_every_n_layers {
            0 => LayerType::FullAttention,
            _ => LayerType::SlidingAttention,
        };
        let types = self.layer_types.clone().unwrap_or_else(|| (0..layers).map(usual).collect());
        if types.len() != layers {
            return Err(format!("layer_types has {} layers, num_hidden_layers is {layers}", types.len()));
        }
        let window = |kind| (kind == LayerType::SlidingAttention).then_some(self.local_attention / 2);
        types.into_iter().map(|kind| Ok(Rotary { theta: self.theta(kind)?, window: window(kind) })).collect()
    }
}

/// Reads and checks the text of a ModernBERT's `config.json`.
pub(super) fn config(_model_type: &str, text: &str) -> Result<Config, String> {
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    check_sizes(&[
        ("vocab_size", file.vocab_size, MOST),
        ("hidden_size", file.hidden_size, MOST),
        ("num_hidden_layers", file.num_hidden_layers, MOST_LAYERS),
        ("num_attention_heads", file.num_attention_heads, MOST),
        ("intermediate_size", file.intermediate_size, MOST),
        ("max_position_embeddings", file.max_position_embeddings, MOST),
        ("local_attention", file.local_attention, MOST),
        ("global_attn_every_n_layers", file.global_attn_every_n_layers, MOST),
    ])?;
    check_heads(["hidden_size", "num_attention_heads"], file.hidden_size, file.num_attention_heads)?;
    if file.hidden_size / file.num_attention_heads % 2 != 0 {
        return Err(format!(
            "hidden_size {} by num_attention_heads {} is odd: rotary positions turn pairs",
            file.hidden_size, file.num_attention_heads
        ));
    }
    if !file.decoder_bias {
        return Err("decoder_bias is false, this version of cloze takes true".to_owned());
    }
    Ok(Config {
        arch: Arch::ModernBert,
        tensors: Arc::new(tensors(&file)),
        python_class: ["ModernBertForMaskedLM", "transformers.models.modernbert.modeling_modernbert"],
        positions: Positions::Rotary(file.layers()?),
        vocab_size: file.vocab_size,
        embedding_size: file.hidden_size,
        hidden_size: file.hidden_size,
        num_hidden_layers: file.num_hidden_layers,
        num_attention_heads: file.num_attention_heads,
        intermediate_size: file.intermediate_size,
        hidden_act: file.hidden_activation,
        head_act: file.classifier_activation,
        embedding_dropout_prob: file.embedding_dropout,
        hidden_dropout_prob: file.mlp_dropout,
        attention_probs_dropout_prob: file.attention_dropout,
        max_position_embeddings: file.max_position_embeddings,
        type_vocab_size: 0,
        layer_norm_eps: file.norm_eps,
        untrained_head: None,
        unknown_keys: Vec::new(),
    })
}

fn tensors(file: &File) -> TensorMap {
    let (vocabulary, hidden, inner) = (file.vocab_size, file.hidden_size, file.intermediate_size);
    let mut map = TensorMap::new("model.", "model.layers.");
    map.embeddings(Module::WordEmbeddings, "model.embeddings.tok_embeddings", [vocabulary, hidden]);
    map.norm(Module::EmbeddingNorm, "model.embeddings.norm", hidden, file.norm_bias);
    for layer in 0..usize::try_from(file.num_hidden_layers).unwrap_or(0) {
        let name = |part: &str| format!("model.layers.{layer}.{part}");
        for (role, part, size, has_bias) in [
            (Role::QueryKeyValue, "attn.Wqkv", [3 * hidden, hidden], file.attention_bias),
            (Role::AttentionOutput, "attn.Wo", [hidden, hidden], file.attention_bias),
            (Role::Intermediate, "mlp.Wi", [2 * inner, hidden], file.mlp_bias),
            (Role::Output, "mlp.Wo", [hidden, inner], file.mlp_bias),
        ] {
            map.linear(Module::Linear(layer, role), &name(part), size, has_bias);
        }
        // The embeddings' norm stands right before the first layer.
        if layer > 0 {
            map.norm(Module::AttentionNorm(layer), &name("attn_norm"), hidden, file.norm_bias);
        }
        map.norm(Module::OutputNorm(layer), &name("mlp_norm"), hidden, file.norm_bias);
    }
    map.norm(Module::FinalNorm, "model.final_norm", hidden, file.norm_bias);
    map.linear(Module::Transform, "head.dense", [hidden, hidden], file.classifier_bias);
    map.norm(Module::TransformNorm, "head.norm", hidden, file.norm_bias);
    map.decoder("decoder", "decoder.bias", [vocabulary, hidden], file.tie_word_embeddings);
    map
}

/// Embeddings and layers. It is a view of [`Parameters`], made anew when they move.
#[derive(Clone)]
pub(crate) struct Network {
    words: Shared,
    norm: LayerNorm,
    dropout: f64,
    layers: Vec<Layer>,
    final_norm: LayerNorm,
    heads: Heads,
    /// The kinds of layers.
    kinds: Vec<Rotary>,
}

#[derive(Clone)]
struct Layer {
    kind: usize,
    attention_norm: Option<LayerNorm>,
    projection: Projection,
    attention_output: Linear,
    norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    heads: Heads,
    activation: Activation,
    attention_dropout: f64,
    dropout: f64,
}

impl Network {
    pub(super) fn new(config: &Config, parameters: &Parameters) -> Network {
        let Positions::Rotary(rotary) = &config.positions else {
            unreachable!("a ModernBERT has rotary positions")
        };
        let mut kinds: Vec<Rotary> = Vec::new();
        let mut kind_of = |rotary: &Rotary| {
            kinds.iter().position(|known| known == rotary).unwrap_or_else(|| {
                kinds.push(*rotary);
                kinds.len() - 1
            })
        };
        let last = rotary.len() - 1;
        let layers = rotary
            .iter()
            .enumerate()
            .map(|(index, rotary)| Layer::new(config, parameters, index, kind_of(rotary), index == last))
            .collect();
        Network {
            words: parameters.weight(Module::WordEmbeddings).shallow_clone().into(),
            norm: LayerNorm::of(parameters, Module::EmbeddingNorm, config.layer_norm_eps),
            dropout: config.embedding_dropout_prob,
            layers,
            final_norm: LayerNorm::of(parameters, Module::FinalNorm, config.layer_norm_eps),
            heads: Heads::new(config.num_attention_heads, config.hidden_size),
            kinds,
        }
    }

    pub(super) fn device(&self) -> Device {
        self.words.device()
    }

    pub(super) fn words(&self) -> &Tensor {
        &self.words
    }

    pub(super) fn depth(&self) -> usize {
        self.layers.len()
    }

    /// What layers of each kind see of L tokens from a place on.
    pub(super) fn sights(&self, length: i64, first: i64, mask: Option<&Tensor>) -> Vec<Sight> {
        let size = [first, length, self.heads.size()];
        self.kinds.iter().map(|kind| Sight::new(size, kind.theta, kind.window, mask, self.device())).collect()
    }

    /// Word embeddings, normalised: `[B,L,H]`.
    pub(super) fn embed(&self, batch: &Batch, additions: &Additions, mode: Mode) -> Tensor {
        let words = batch.embedded(&self.words, additions.soft.as_deref());
        drop_out(self.norm.forward(&words), self.dropout, mode)
    }

    pub(super) fn layer(
        &self,
        index: usize,
        pass: &Pass,
        added: &LayerAdditions,
        states: &Tensor,
        positions: Option<&Tensor>,
    ) -> Tensor {
        self.layers[index].forward(pass, added, states, positions)
    }

    pub(super) fn key_and_value(&self, index: usize, pass: &Pass, states: &Tensor) -> [Tensor; 2] {
        let layer = &self.layers[index];
        let states = layer.normalised(states);
        let [_, key_value] = layer.projection.apart(&states, &states);
        let (hidden, size) = (states.size()[2], states.size());
        let key = self.heads.split(&key_value.narrow(-1, 0, hidden));
        let key = pass.sights[layer.kind].turn(&key).transpose(1, 2).reshape(size);
        [key, key_value.narrow(-1, hidden, hidden)]
    }

    /// The last states, normalised.
    pub(super) fn finish(&self, states: &Tensor) -> Tensor {
        self.final_norm.forward(states)
    }

    pub(super) fn linears(&mut self) -> Vec<(&mut Linear, Option<Range>)> {
        self.layers.iter_mut().flat_map(Layer::linears).collect()
    }
}

/// Of a weight `[3H,H]` with a bias `[3H]` or without.
fn projection(weight: &Tensor, bias: Option<&Tensor>, scale: f64, is_last: bool) -> Projection {
    let hidden = weight.size()[1];
    let query = |all: &Tensor| all.narrow(0, 0, hidden) * scale;
    let key_value = |all: &Tensor| all.narrow(0, hidden, 2 * hidden);
    let joined = |all: &Tensor| Tensor::cat(&[query(all), key_value(all)], 0);
    match is_last {
        true => Projection::Apart(
            Linear::new(query(weight), bias.map(query)),
            Linear::new(key_value(weight), bias.map(key_value)),
        ),
        false => Projection::Joined(Linear::new(joined(weight), bias.map(joined))),
    }
}

impl Layer {
    fn new(config: &Config, parameters: &Parameters, index: usize, kind: usize, is_last: bool) -> Layer {
        let heads = Heads::new(config.num_attention_heads, config.hidden_size);
        let linear = |role| Linear::of(parameters, Module::Linear(index, role));
        let norm = |module| LayerNorm::of(parameters, module, config.layer_norm_eps);
        let joined = Module::Linear(index, Role::QueryKeyValue);
        let has_norm = parameters.map().weight_name(Module::AttentionNorm(index)).is_some();
        Layer {
            kind,
            attention_norm: has_norm.then(|| norm(Module::AttentionNorm(index))),
            projection: projection(
                parameters.weight(joined),
                parameters.bias(joined),
                heads.scale(),
                is_last,
            ),
            attention_output: linear(Role::AttentionOutput),
            norm: norm(Module::OutputNorm(index)),
            intermediate: linear(Role::Intermediate),
            output: linear(Role::Output),
            heads,
            activation: config.hidden_act,
            attention_dropout: config.attention_probs_dropout_prob,
            dropout: config.hidden_dropout_prob,
        }
    }

    fn linears(&mut self) -> Vec<(&mut Linear, Option<Range>)> {
        let (mut linears, all_rows) = self.projection.linears();
        // Behind the gate too: its other half has both signs.
        let range = all_rows.then_some(Range::Even);
        linears.push((&mut self.attention_output, range));
        linears.push((&mut self.intermediate, range));
        linears.push((&mut self.output, range));
        linears
    }

    /// What the attention takes.
    fn normalised(&self, states: &Tensor) -> Tensor {
        self.attention_norm.as_ref().map_or_else(|| states.shallow_clone(), |norm| norm.forward(states))
    }

    /// # Shapes
    /// states `[B,L,H]`, positions `[B,R]` → `[B,R,H]`
    fn forward(
        &self,
        pass: &Pass,
        added: &LayerAdditions,
        states: &Tensor,
        positions: Option<&Tensor>,
    ) -> Tensor {
        let mode = pass.mode;
        let at_positions = |states: &Tensor| {
            positions.map_or_else(|| states.shallow_clone(), |positions| rows_at(states, positions))
        };
        let linear = |role, linear: &Linear, input: &Tensor| {
            LowRank::add(added.low_rank(role), linear.forward(input), input, mode)
        };
        let adapted = |role, states| Adapter::apply(added.adapter(role), self.activation, states);
        let normalised = self.normalised(states);
        let rows = at_positions(states);
        let [query, key, value] = self.project(added, &at_positions(&normalised), &normalised, mode);
        let sight = &pass.sights[self.kind];
        let query = match positions {
            Some(positions) => sight.turn_at(&query, positions),
            None => sight.turn(&query),
        };
        let (key, dropout) = (sight.turn(&key), self.attention_dropout);
        // Some rows alone, and rows that see a prefix too, look all at once.
        let all_rows = positions.is_none() && added.prefix.is_none();
        let near = all_rows.then(|| sight.attend_near([&query, &key, &value], dropout, mode)).flatten();
        let context = near.unwrap_or_else(|| {
            let mask = sight.mask(positions);
            let (key, value, mask) = self.heads.with_prefix(added.prefix.as_ref(), key, value, mask.as_ref());
            attend(&query, &key, &value, mask.as_ref(), dropout, mode)
        });
        let context = context.transpose(1, 2).reshape(rows.size());
        let attended = linear(Role::AttentionOutput, &self.attention_output, &context);
        let attended = adapted(Role::AttentionOutput, drop_out(attended, self.attention_dropout, mode));
        let attended = rows + attended;
        let inner = linear(Role::Intermediate, &self.intermediate, &self.norm.forward(&attended));
        let halves = inner.chunk(2, -1);
        let inner = drop_out(self.activation.gated(&halves[0], &halves[1], mode), self.dropout, mode);
        let output = adapted(Role::Output, linear(Role::Output, &self.output, &inner));
        // No norm follows here: the next layer begins with one.
        Adapter::behind(added.adapter(Role::Output), &output, &attended, Tensor::shallow_clone)
    }

    /// Queries of the rows, keys and values of all states, by heads.
    ///
    /// # Shapes
    /// rows `[B,R,H]`, states `[B,L,H]` → query `[B,A,R,D]`, key and value `[B,A,L,D]`
    fn project(&self, added: &LayerAdditions, rows: &Tensor, states: &Tensor, mode: Mode) -> [Tensor; 3] {
        let hidden = states.size()[2];
        let [query, key_value] = self.projection.apart(rows, states);
        let (query, key_value) = match added.low_rank(Role::QueryKeyValue) {
            None => (query, key_value),
            // The query is scaled already, so its update is too. Rows that are some of the states have their
            // update made once more, with a dropout of its own.
            Some(low_rank) => (
                query + low_rank.forward(rows, mode).narrow(-1, 0, hidden) * self.heads.scale(),
                key_value + low_rank.forward(states, mode).narrow(-1, hidden, 2 * hidden),
            ),
        };
        let [key, value] = [0, hidden].map(|start| key_value.narrow(-1, start, hidden));
        [query, key, value].map(|part| self.heads.split(&part))
    }
}
