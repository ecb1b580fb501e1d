//! BERT (Devlin et al. 2019): its `config.json`, its tensors' names, and its forward pass. The head is
//! [`crate::model::head::MlmHead`], by the modules that are named here.
//!
//! Letters: B batch, R rows, L tokens, V vocabulary, H hidden, A heads, D = H/A, F feed-forward.

use std::sync::Arc;

use serde::Deserialize;
use tch::{Device, Tensor};

use super::{Arch, Config, MOST, MOST_LAYERS, Pass, Positions, check_heads, check_sizes, usual};
use crate::model::batch::Batch;
use crate::model::layers::{
    Activation, Adapter, Additions, Distances, Heads, LayerAdditions, LayerNorm, Linear, LowRank, Mode,
    Projection, Range, attend, drop_out,
};
use crate::model::parameters::Parameters;
use crate::model::shared::Shared;
use crate::model::tensor_map::{Module, Role, TensorMap};
use crate::model::values::rows_at;

/// What `config.json` calls the family.
pub const MODEL_TYPE: &str = "bert";

/// `config.json`, with what Hugging Face's BertConfig takes where it says nothing. Families that have the
/// same keys read it too, and their own beside it.
#[derive(Deserialize)]
pub(super) struct File {
    vocab_size: i64,
    hidden_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    intermediate_size: i64,
    #[serde(default)]
    hidden_act: Activation,
    #[serde(default = "usual::dropout")]
    hidden_dropout_prob: f64,
    #[serde(default = "usual::dropout")]
    attention_probs_dropout_prob: f64,
    max_position_embeddings: i64,
    type_vocab_size: i64,
    #[serde(default = "usual::epsilon")]
    layer_norm_eps: f64,
    #[serde(default = "usual::absolute")]
    pub(super) position_embedding_type: String,
    #[serde(default = "usual::tied")]
    pub(super) tie_word_embeddings: bool,
}

impl File {
    /// Reads the text of a `config.json` and checks its sizes.
    pub(super) fn read(text: &str) -> Result<File, String> {
        let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let (hidden, heads) = (file.hidden_size, file.num_attention_heads);
        check_sizes(&[
            ("vocab_size", file.vocab_size, MOST),
            ("hidden_size", hidden, MOST),
            ("num_hidden_layers", file.num_hidden_layers, MOST_LAYERS),
            ("num_attention_heads", heads, MOST),
            ("intermediate_size", file.intermediate_size, MOST),
            ("max_position_embeddings", file.max_position_embeddings, MOST),
            ("type_vocab_size", file.type_vocab_size, MOST),
        ])?;
        check_heads(["hidden_size", "num_attention_heads"], hidden, heads)?;
        Ok(file)
    }

    /// A BERT of these sizes with a vector for each place, and without its tensors' names.
    pub(super) fn config(&self, python_class: [&'static str; 2]) -> Config {
        Config {
            arch: Arch::Bert,
            tensors: Arc::new(TensorMap::new("", "")),
            python_class,
            positions: Positions::Absolute { first: 0 },
            vocab_size: self.vocab_size,
            embedding_size: self.hidden_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size,
            hidden_act: self.hidden_act,
            head_act: self.hidden_act,
            embedding_dropout_prob: self.hidden_dropout_prob,
            hidden_dropout_prob: self.hidden_dropout_prob,
            attention_probs_dropout_prob: self.attention_probs_dropout_prob,
            max_position_embeddings: self.max_position_embeddings,
            type_vocab_size: self.type_vocab_size,
            layer_norm_eps: self.layer_norm_eps,
            untrained_head: None,
            unknown_keys: Vec::new(),
        }
    }
}

/// Reads and checks the text of a BERT's `config.json`.
pub(super) fn config(_model_type: &str, text: &str) -> Result<Config, String> {
    let file = File::read(text)?;
    let positions = match file.position_embedding_type.as_str() {
        "absolute" => Positions::Absolute { first: 0 },
        "relative_key" => Positions::Relative { with_keys: false },
        "relative_key_query" => Positions::Relative { with_keys: true },
        other => {
            return Err(format!(
                "position_embedding_type is {other:?}, this version of cloze takes \"absolute\", \
                 \"relative_key\" and \"relative_key_query\""
            ));
        }
    };
    let python_class = ["BertForMaskedLM", "transformers.models.bert.modeling_bert"];
    let mut config = Config { positions, ..file.config(python_class) };
    config.tensors = Arc::new(tensors(&config, file.tie_word_embeddings));
    Ok(config)
}

/// The tensors of a BERT of these sizes.
pub fn tensors(config: &Config, is_tied: bool) -> TensorMap {
    let (vocabulary, hidden) = (config.vocab_size, config.hidden_size);
    let mut map = TensorMap::new("bert.", "bert.encoder.layer.");
    encoder_tensors(&mut map, "bert.", config, [config.max_position_embeddings, config.type_vocab_size]);
    map.linear(Module::Transform, "cls.predictions.transform.dense", [hidden, hidden], true);
    map.norm(Module::TransformNorm, "cls.predictions.transform.LayerNorm", hidden, true);
    map.decoder("cls.predictions.decoder", "cls.predictions.bias", [vocabulary, hidden], is_tied);
    // Of its second task, whether one sentence follows another; and a buffer that old versions wrote.
    for name in ["pooler.", "cls.seq_relationship.", "embeddings.position_ids"] {
        map.besides(name);
    }
    if matches!(config.positions, Positions::Relative { .. }) {
        // Hugging Face's class makes and saves them, and adds them to nothing.
        map.besides("embeddings.position_embeddings.");
    }
    map
}

/// Adds what BERT and others name alike below a name of their own: embeddings, of which so many are of
/// positions and of types, and layers.
pub(super) fn encoder_tensors(
    map: &mut TensorMap,
    base: &str,
    config: &Config,
    [positions, types]: [i64; 2],
) {
    let (narrow, hidden, inner) = (config.embedding_size, config.hidden_size, config.intermediate_size);
    let places = matches!(config.positions, Positions::Absolute { .. }).then_some(positions);
    embedding_tensors(map, base, config.vocab_size, (places, types), narrow);
    for layer in 0..usize::try_from(config.num_hidden_layers).unwrap_or(0) {
        let name = |part: &str| format!("{base}encoder.layer.{layer}.{part}");
        for (role, part, size) in [
            (Role::Query, "attention.self.query", [hidden, hidden]),
            (Role::Key, "attention.self.key", [hidden, hidden]),
            (Role::Value, "attention.self.value", [hidden, hidden]),
            (Role::AttentionOutput, "attention.output.dense", [hidden, hidden]),
            (Role::Intermediate, "intermediate.dense", [inner, hidden]),
            (Role::Output, "output.dense", [hidden, inner]),
        ] {
            map.linear(Module::Linear(layer, role), &name(part), size, true);
        }
        if matches!(config.positions, Positions::Relative { .. }) {
            let size = [2 * positions - 1, hidden / config.num_attention_heads];
            map.embeddings(Module::Distances(layer), &name("attention.self.distance_embedding"), size);
        }
        map.norm(Module::AttentionNorm(layer), &name("attention.output.LayerNorm"), hidden, true);
        map.norm(Module::OutputNorm(layer), &name("output.LayerNorm"), hidden, true);
    }
}

/// Adds embeddings that are named as BERT's are, of words, positions, if these have any, and types.
pub(super) fn embedding_tensors(
    map: &mut TensorMap,
    base: &str,
    words: i64,
    (positions, types): (Option<i64>, i64),
    size: i64,
) {
    for (module, part, rows) in [
        (Module::WordEmbeddings, "word", Some(words)),
        (Module::PositionEmbeddings, "position", positions),
        (Module::TypeEmbeddings, "token_type", Some(types)),
    ] {
        if let Some(rows) = rows {
            map.embeddings(module, &format!("{base}embeddings.{part}_embeddings"), [rows, size]);
        }
    }
    map.norm(Module::EmbeddingNorm, &format!("{base}embeddings.LayerNorm"), size, true);
}

/// Embeddings and layers: BERT's own, and those of families that differ from it in what they leave out, in
/// the size of their embeddings or in layers that share their tensors.
///
/// It is a view of [`Parameters`], made anew when they move: query, key and value are one matrix in it, and
/// where parameters take gradients the making of that matrix is part of the graph.
#[derive(Clone)]
pub(crate) struct Network {
    words: Shared,
    /// Vectors of places, and the row of the first token's.
    positions: Option<(Shared, i64)>,
    types: Option<Shared>,
    /// Whether it is told of segments: without, all tokens have the type that stands first.
    tells_segments: bool,
    norm: LayerNorm,
    dropout: f64,
    projection: Option<Linear>,
    layers: Vec<Layer>,
    /// Which of these computes as which layer: some families' layers share their tensors.
    order: Vec<usize>,
}

/// A layer that DeBERTa has too, but for what it adds to the scores.
#[derive(Clone)]
pub(super) struct Layer {
    projection: Projection,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
    heads: Heads,
    distances: Option<Distances>,
    activation: Activation,
    dropout: f64,
    attention_dropout: f64,
}

impl Network {
    pub(super) fn new(config: &Config, parameters: &Parameters) -> Network {
        let map = parameters.map();
        let has = |module: &Module| map.weight_name(*module).is_some();
        let embedding = |module| parameters.weight(module).shallow_clone().into();
        let (layers, order) = distinct_layers(config, parameters);
        let positions = match config.positions {
            Positions::Absolute { first } => Some((embedding(Module::PositionEmbeddings), first)),
            Positions::Relative { .. } => None,
            Positions::Disentangled(_) | Positions::Rotary(_) => {
                unreachable!("no family has these layers so")
            }
        };
        Network {
            words: embedding(Module::WordEmbeddings),
            positions,
            types: Some(Module::TypeEmbeddings).filter(has).map(embedding),
            tells_segments: config.type_vocab_size > 0,
            norm: LayerNorm::of(parameters, Module::EmbeddingNorm, config.layer_norm_eps),
            dropout: config.embedding_dropout_prob,
            projection: Some(Module::EmbeddingProjection)
                .filter(has)
                .map(|module| Linear::of(parameters, module)),
            layers,
            order,
        }
    }

    pub(super) fn device(&self) -> Device {
        self.words.device()
    }

    pub(super) fn words(&self) -> &Tensor {
        &self.words
    }

    pub(super) fn depth(&self) -> usize {
        self.order.len()
    }

    /// Word, position and type embeddings, summed, normalised and widened: `[B,L,H]`.
    pub(super) fn embed(&self, batch: &Batch, additions: &Additions, mode: Mode) -> Tensor {
        let (_, length) = batch.size();
        let words = batch.embedded(&self.words, additions.soft.as_deref());
        let typed = match &self.types {
            Some(types) if self.tells_segments => {
                words + Tensor::embedding(types, &batch.types, -1, false, false)
            }
            Some(types) => words + types.narrow(0, 0, 1),
            None => words,
        };
        let sum = match &self.positions {
            Some((positions, first)) => typed + positions.narrow(0, first + additions.first_position, length),
            None => typed,
        };
        let embedded = drop_out(self.norm.forward(&sum), self.dropout, mode);
        match &self.projection {
            Some(projection) => projection.forward(&embedded),
            None => embedded,
        }
    }

    pub(super) fn layer(
        &self,
        index: usize,
        pass: &Pass,
        added: &LayerAdditions,
        states: &Tensor,
        positions: Option<&Tensor>,
    ) -> Tensor {
        let layer = &self.layers[self.order[index]];
        match positions {
            Some(some) => layer.forward(pass, added, &rows_at(states, some), states, positions),
            None => layer.forward(pass, added, states, states, None),
        }
    }

    pub(super) fn key_and_value(&self, index: usize, states: &Tensor) -> [Tensor; 2] {
        self.layers[self.order[index]].key_and_value(states)
    }

    pub(super) fn linears(&mut self) -> Vec<(&mut Linear, Option<Range>)> {
        self.layers.iter_mut().flat_map(Layer::linears).collect()
    }
}

/// The layers that differ, and which of them computes as which. The last one stands by itself: it is asked
/// for some rows alone.
fn distinct_layers(config: &Config, parameters: &Parameters) -> (Vec<Layer>, Vec<usize>) {
    let depth = usize::try_from(config.num_hidden_layers).unwrap_or(0);
    let (mut layers, mut order) = (Vec::new(), Vec::new());
    let mut known: Vec<&str> = Vec::new();
    for index in 0..depth {
        let is_last = index + 1 == depth;
        let name = parameters.map().weight_name(Module::Linear(index, Role::Query)).unwrap_or_default();
        let place = known.iter().position(|known| *known == name).filter(|_| !is_last);
        order.push(place.unwrap_or(layers.len()));
        if place.is_none() {
            layers.push(Layer::new(config, parameters, index, is_last));
            known.push(name);
        }
    }
    (layers, order)
}

/// The weights of linear layers under each other; a bias that is missing among others is 0.
fn joined(parts: &[&(Tensor, Option<Tensor>)]) -> Linear {
    let weights: Vec<&Tensor> = parts.iter().map(|(weight, _)| weight).collect();
    let bias = parts.iter().any(|(_, bias)| bias.is_some()).then(|| {
        let of_part = |(weight, bias): &&(Tensor, Option<Tensor>)| {
            bias.as_ref().map_or_else(
                || Tensor::zeros([weight.size()[0]], (weight.kind(), weight.device())),
                Tensor::shallow_clone,
            )
        };
        Tensor::cat(&parts.iter().map(of_part).collect::<Vec<_>>(), 0)
    });
    Linear::new(Tensor::cat(&weights, 0), bias)
}

impl Layer {
    pub(super) fn new(config: &Config, parameters: &Parameters, index: usize, is_last: bool) -> Layer {
        let products = match &config.positions {
            Positions::Disentangled(positions) => positions.products(),
            _ => 1,
        };
        let heads = Heads::new(config.num_attention_heads, config.hidden_size).summing(products);
        let linear = |role| Linear::of(parameters, Module::Linear(index, role));
        let norm = |module| LayerNorm::of(parameters, module, config.layer_norm_eps);
        let [query, key, value] = [Role::Query, Role::Key, Role::Value].map(|role| {
            let module = Module::Linear(index, role);
            (parameters.weight(module).shallow_clone(), parameters.bias(module).map(Tensor::shallow_clone))
        });
        let query = (query.0 * heads.scale(), query.1.map(|bias| bias * heads.scale()));
        Layer {
            projection: match is_last {
                true => Projection::Apart(joined(&[&query]), joined(&[&key, &value])),
                false => Projection::Joined(joined(&[&query, &key, &value])),
            },
            attention_output: linear(Role::AttentionOutput),
            attention_norm: norm(Module::AttentionNorm(index)),
            intermediate: linear(Role::Intermediate),
            output: linear(Role::Output),
            output_norm: norm(Module::OutputNorm(index)),
            heads,
            distances: match config.positions {
                Positions::Relative { with_keys } => Some(Distances::new(
                    parameters.weight(Module::Distances(index)),
                    with_keys.then(|| heads.scale()),
                )),
                _ => None,
            },
            activation: config.hidden_act,
            dropout: config.hidden_dropout_prob,
            attention_dropout: config.attention_probs_dropout_prob,
        }
    }

    pub(super) fn heads(&self) -> Heads {
        self.heads
    }

    pub(super) fn key_and_value(&self, states: &Tensor) -> [Tensor; 2] {
        let [_, key_value] = self.projection.apart(states, states);
        let hidden = states.size()[2];
        [key_value.narrow(-1, 0, hidden), key_value.narrow(-1, hidden, hidden)]
    }

    pub(super) fn linears(&mut self) -> Vec<(&mut Linear, Option<Range>)> {
        let (mut linears, all_rows) = self.projection.linears();
        let range = |range| all_rows.then_some(range);
        linears.push((&mut self.attention_output, range(Range::Even)));
        linears.push((&mut self.intermediate, range(Range::Even)));
        linears.push((&mut self.output, range(Range::Raised)));
        linears
    }

    /// # Shapes
    /// rows `[B,R,H]`, states `[B,L,H]`, the rows' positions among them, if they are some, `[B,R]` →
    /// `[B,R,H]`
    fn forward(
        &self,
        pass: &Pass,
        added: &LayerAdditions,
        rows: &Tensor,
        states: &Tensor,
        positions: Option<&Tensor>,
    ) -> Tensor {
        let [query, key, value] = self.project(added, rows, states, pass.mode);
        let scores = self.distances.as_ref().map(|distances| distances.scores(&query, &key, positions));
        self.attend(pass, added, rows, [query, key, value], scores)
    }

    /// What comes behind the projections, with scores that are added to those of queries and keys.
    ///
    /// # Shapes
    /// rows `[B,R,H]`, query `[B,A,R,D]`, key and value `[B,A,L,D]`, scores `[B,A,R,L]` → `[B,R,H]`
    pub(super) fn attend(
        &self,
        pass: &Pass,
        added: &LayerAdditions,
        rows: &Tensor,
        [query, key, value]: [Tensor; 3],
        scores: Option<Tensor>,
    ) -> Tensor {
        let mode = pass.mode;
        let linear = |role, linear: &Linear, input: &Tensor| {
            LowRank::add(added.low_rank(role), linear.forward(input), input, mode)
        };
        let adapted = |role, states| Adapter::apply(added.adapter(role), self.activation, states);
        let mask = match scores {
            None => pass.mask.as_ref().map(Tensor::shallow_clone),
            Some(scores) => {
                Some(pass.mask.as_ref().map_or_else(|| scores.shallow_clone(), |mask| &scores + mask))
            }
        };
        let (key, value, mask) = self.heads.with_prefix(added.prefix.as_ref(), key, value, mask.as_ref());
        let context = attend(&query, &key, &value, mask.as_ref(), self.attention_dropout, mode);
        let context = context.transpose(1, 2).reshape(rows.size());
        let attended = linear(Role::AttentionOutput, &self.attention_output, &context);
        let attended = adapted(Role::AttentionOutput, drop_out(attended, self.dropout, mode));
        let attended = self.attention_norm.forward(&(attended + rows));
        let inner = self.activation.forward(&linear(Role::Intermediate, &self.intermediate, &attended));
        let output = linear(Role::Output, &self.output, &inner);
        let output = adapted(Role::Output, drop_out(output, self.dropout, mode));
        Adapter::behind(added.adapter(Role::Output), &output, &attended, |sum| self.output_norm.forward(sum))
    }

    /// Queries of the rows, keys and values of all states, by heads.
    ///
    /// # Shapes
    /// rows `[B,R,H]`, states `[B,L,H]` → query `[B,A,R,D]`, key and value `[B,A,L,D]`
    pub(super) fn project(
        &self,
        added: &LayerAdditions,
        rows: &Tensor,
        states: &Tensor,
        mode: Mode,
    ) -> [Tensor; 3] {
        let hidden = states.size()[2];
        let [query, key_value] = self.projection.apart(rows, states);
        // The query is scaled already, so its update is too.
        let query = match added.low_rank(Role::Query) {
            None => query,
            Some(low_rank) => query + low_rank.forward(rows, mode) * self.heads.scale(),
        };
        let [key, value] = [(Role::Key, 0), (Role::Value, hidden)].map(|(role, start)| {
            LowRank::add(added.low_rank(role), key_value.narrow(-1, start, hidden), states, mode)
        });
        [query, key, value].map(|part| self.heads.split(&part))
    }
}
