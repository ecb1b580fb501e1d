//! DeBERTa from its second version on (He et al. 2021, 2023): BERT's layers, whose words score with distances
//! besides. The vectors of distances are one table, and become keys and queries in each layer.
//!
//! The published weights of version 3 are of a discriminator. The head that lies beside them was not trained
//! with them, so the family is refused unless that is forced.
//!
//! Letters: B batch, R rows, L tokens, H hidden, A heads, D = H/A, S distances to either side, N distances
//! that occur.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use tch::{Device, Tensor};

use super::{
    Arch, Config, Disentangled, MOST, MOST_LAYERS, Pass, Positions, bert, check_heads, check_sizes, usual,
};
use crate::model::batch::Batch;
use crate::model::layers::{
    Activation, Additions, Buckets, LayerAdditions, LayerNorm, Linear, LowRank, Mode, Near, Range, drop_out,
};
use crate::model::parameters::Parameters;
use crate::model::shared::Shared;
use crate::model::tensor_map::{Module, Role, TensorMap};
use crate::model::values::rows_at;

/// What `config.json` calls the family.
pub const MODEL_TYPE: &str = "deberta-v2";

/// Keys that ask for other computations in other families.
pub(super) const OWN_KEYS: [&str; 2] = ["position_biased_input", "relative_attention"];

const UNTRAINED_HEAD: &str =
    "model_type is \"deberta-v2\", whose published weights of version 3 were not trained to fill masks";

/// `config.json`, with what Hugging Face's DebertaV2Config takes where it says nothing.
#[derive(Deserialize)]
struct File {
    vocab_size: i64,
    #[serde(default)]
    embedding_size: Option<i64>,
    hidden_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    #[serde(default)]
    attention_head_size: Option<i64>,
    intermediate_size: i64,
    #[serde(default)]
    hidden_act: Activation,
    #[serde(default = "usual::dropout")]
    hidden_dropout_prob: f64,
    #[serde(default = "usual::dropout")]
    attention_probs_dropout_prob: f64,
    #[serde(default = "most_positions")]
    max_position_embeddings: i64,
    #[serde(default)]
    type_vocab_size: i64,
    #[serde(default = "epsilon")]
    layer_norm_eps: f64,
    #[serde(default)]
    relative_attention: bool,
    #[serde(default)]
    max_relative_positions: i64,
    #[serde(default)]
    position_buckets: i64,
    #[serde(default)]
    pos_att_type: Option<Value>,
    #[serde(default)]
    share_att_key: bool,
    #[serde(default)]
    norm_rel_ebd: Option<Value>,
    #[serde(default = "usual::tied")]
    position_biased_input: bool,
    #[serde(default = "usual::tied")]
    legacy: bool,
    #[serde(default = "usual::tied")]
    tie_word_embeddings: bool,
}

fn most_positions() -> i64 {
    512
}
fn epsilon() -> f64 {
    1e-7
}

/// The words of a key, in a list, or in a text with strokes between them.
fn words(key: &str, kinds: Option<&Value>) -> Result<Vec<String>, String> {
    let list = |list: &[Value]| list.iter().map(|word| word.as_str().map(str::to_owned)).collect();
    let words = match kinds {
        None => Some(Vec::new()),
        Some(Value::String(text)) => {
            Some(text.to_lowercase().split('|').map(|kind| kind.trim().to_owned()).collect())
        }
        Some(Value::Array(words)) => list(words),
        Some(_) => None,
    };
    words.ok_or_else(|| {
        let found = kinds.unwrap_or(&Value::Null);
        format!("{key} is {found}, it must be a text or a list of texts")
    })
}

impl File {
    fn positions(&self) -> Result<Disentangled, String> {
        if !self.relative_attention {
            return Err(
                "relative_attention is false, in this family this version of cloze takes true".to_owned()
            );
        }
        let kinds = words("pos_att_type", self.pos_att_type.as_ref())?;
        if kinds.is_empty() || !kinds.iter().all(|kind| ["c2p", "p2c"].contains(&kind.as_str())) {
            return Err(format!(
                "pos_att_type is {:?}, this version of cloze takes \"c2p\", \"p2c\" and both",
                kinds.join("|")
            ));
        }
        let has = |kind: &str| kinds.iter().any(|known| known == kind);
        let most = if self.max_relative_positions < 1 {
            self.max_position_embeddings
        } else {
            self.max_relative_positions
        };
        check_sizes(&[
            ("max_relative_positions", most, MOST / 2),
            // There may be none.
            ("position_buckets", self.position_buckets.max(1), MOST / 2),
        ])?;
        let buckets = match self.position_buckets {
            ..1 => Buckets { span: most, farthest: None },
            // Else there is nothing that logarithms could share out.
            span if span >= 2 && span / 2 < most - 1 => Buckets { span, farthest: Some(most) },
            span => {
                return Err(format!(
                    "position_buckets is {span}, it must be from 2 to below twice the farthest distance, {}",
                    2 * (most - 1)
                ));
            }
        };
        Ok(Disentangled { buckets, with_queries: has("c2p"), with_keys: has("p2c") })
    }

    /// Whether distances have a layer norm.
    fn has_distance_norm(&self) -> Result<bool, String> {
        let kinds = words("norm_rel_ebd", self.norm_rel_ebd.as_ref())?;
        match kinds.iter().find(|kind| !["none", "layer_norm"].contains(&kind.as_str())) {
            Some(other) => Err(format!(
                "norm_rel_ebd is {other:?}, this version of cloze takes \"none\" and \"layer_norm\""
            )),
            None => Ok(kinds.iter().any(|kind| kind == "layer_norm")),
        }
    }

    fn embedding_size(&self) -> i64 {
        self.embedding_size.unwrap_or(self.hidden_size)
    }

    fn check(&self) -> Result<(), String> {
        let (hidden, heads) = (self.hidden_size, self.num_attention_heads);
        check_sizes(&[
            ("vocab_size", self.vocab_size, MOST),
            ("embedding_size", self.embedding_size(), MOST),
            ("hidden_size", hidden, MOST),
            ("num_hidden_layers", self.num_hidden_layers, MOST_LAYERS),
            ("num_attention_heads", heads, MOST),
            ("intermediate_size", self.intermediate_size, MOST),
            ("max_position_embeddings", self.max_position_embeddings, MOST),
            // There may be none.
            ("type_vocab_size", self.type_vocab_size.max(1), MOST),
        ])?;
        check_heads(["hidden_size", "num_attention_heads"], hidden, heads)?;
        if let Some(size) = self.attention_head_size.filter(|size| *size != hidden / heads) {
            return Err(format!(
                "attention_head_size is {size}, this version of cloze takes {}",
                hidden / heads
            ));
        }
        if self.type_vocab_size < 0 {
            return Err(format!("type_vocab_size is {}, it must be at least 0", self.type_vocab_size));
        }
        // This head has no decoder but the word embeddings.
        if !self.legacy && self.embedding_size() != hidden {
            return Err(format!(
                "embedding_size is {}: with legacy false it must be hidden_size, {hidden}",
                self.embedding_size()
            ));
        }
        if !self.legacy && !self.tie_word_embeddings {
            return Err("tie_word_embeddings is false: with legacy false it must be true".to_owned());
        }
        Ok(())
    }
}

/// Reads and checks the text of a DeBERTa's `config.json`.
pub(super) fn config(_model_type: &str, text: &str) -> Result<Config, String> {
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    file.check()?;
    let positions = file.positions()?;
    Ok(Config {
        arch: Arch::Deberta,
        tensors: Arc::new(tensors(&file, positions, file.has_distance_norm()?)),
        python_class: ["DebertaV2ForMaskedLM", "transformers.models.deberta_v2.modeling_deberta_v2"],
        positions: Positions::Disentangled(positions),
        vocab_size: file.vocab_size,
        embedding_size: file.embedding_size(),
        hidden_size: file.hidden_size,
        num_hidden_layers: file.num_hidden_layers,
        num_attention_heads: file.num_attention_heads,
        intermediate_size: file.intermediate_size,
        hidden_act: file.hidden_act,
        head_act: file.hidden_act,
        embedding_dropout_prob: file.hidden_dropout_prob,
        hidden_dropout_prob: file.hidden_dropout_prob,
        attention_probs_dropout_prob: file.attention_probs_dropout_prob,
        max_position_embeddings: file.max_position_embeddings,
        type_vocab_size: file.type_vocab_size,
        layer_norm_eps: file.layer_norm_eps,
        untrained_head: Some(UNTRAINED_HEAD),
        unknown_keys: Vec::new(),
    })
}

fn tensors(file: &File, positions: Disentangled, has_distance_norm: bool) -> TensorMap {
    let (vocabulary, narrow, hidden) = (file.vocab_size, file.embedding_size(), file.hidden_size);
    let inner = file.intermediate_size;
    let mut map = TensorMap::new("deberta.", "deberta.encoder.layer.");
    for (module, part, rows) in [
        (Module::WordEmbeddings, "word", vocabulary),
        (Module::PositionEmbeddings, "position", file.max_position_embeddings),
        (Module::TypeEmbeddings, "token_type", file.type_vocab_size),
    ] {
        let is_there = match module {
            Module::PositionEmbeddings => file.position_biased_input,
            _ => rows > 0,
        };
        if is_there {
            map.embeddings(module, &format!("deberta.embeddings.{part}_embeddings"), [rows, narrow]);
        }
    }
    if narrow != hidden {
        map.linear(Module::EmbeddingProjection, "deberta.embeddings.embed_proj", [hidden, narrow], false);
    }
    map.norm(Module::EmbeddingNorm, "deberta.embeddings.LayerNorm", hidden, true);
    let span = positions.buckets.span;
    map.embeddings(Module::SharedDistances, "deberta.encoder.rel_embeddings", [2 * span, hidden]);
    if has_distance_norm {
        map.norm(Module::DistanceNorm, "deberta.encoder.LayerNorm", hidden, true);
    }
    for layer in 0..usize::try_from(file.num_hidden_layers).unwrap_or(0) {
        let name = |part: &str| format!("deberta.encoder.layer.{layer}.{part}");
        let own = !file.share_att_key;
        for (role, part, size, is_there) in [
            (Role::Query, "attention.self.query_proj", [hidden, hidden], true),
            (Role::Key, "attention.self.key_proj", [hidden, hidden], true),
            (Role::Value, "attention.self.value_proj", [hidden, hidden], true),
            (
                Role::DistanceKey,
                "attention.self.pos_key_proj",
                [hidden, hidden],
                own && positions.with_queries,
            ),
            (
                Role::DistanceQuery,
                "attention.self.pos_query_proj",
                [hidden, hidden],
                own && positions.with_keys,
            ),
            (Role::AttentionOutput, "attention.output.dense", [hidden, hidden], true),
            (Role::Intermediate, "intermediate.dense", [inner, hidden], true),
            (Role::Output, "output.dense", [hidden, inner], true),
        ] {
            if is_there {
                map.linear(Module::Linear(layer, role), &name(part), size, true);
            }
        }
        map.norm(Module::AttentionNorm(layer), &name("attention.output.LayerNorm"), hidden, true);
        map.norm(Module::OutputNorm(layer), &name("output.LayerNorm"), hidden, true);
    }
    head_tensors(&mut map, file);
    // A head for another task, the discriminator's, and buffers and vectors that are added to nothing.
    for name in ["pooler.", "mask_predictions.", "embeddings.position_ids"] {
        map.besides(name);
    }
    if !file.position_biased_input {
        map.besides("embeddings.position_embeddings.");
    }
    map
}

/// The two heads compute the same and differ in their names. Hugging Face's class makes the one that is
/// called legacy unless `config.json` says otherwise, and Microsoft's files have the other and say nothing.
fn head_tensors(map: &mut TensorMap, file: &File) {
    const LEGACY: [&str; 4] = ["transform.dense", "transform.LayerNorm", "decoder", "bias"];
    const OWN: [&str; 4] = ["dense", "LayerNorm", "decoder", "bias"];
    let (narrow, hidden) = (file.embedding_size(), file.hidden_size);
    let legacy = LEGACY.map(|part| format!("cls.predictions.{part}"));
    let own = OWN.map(|part| format!("lm_predictions.lm_head.{part}"));
    let [names, others] = if file.legacy { [legacy, own] } else { [own, legacy] };
    let [dense, norm, decoder, bias] = &names;
    map.linear(Module::Transform, dense, [narrow, hidden], true);
    map.norm(Module::TransformNorm, norm, narrow, true);
    match file.legacy {
        true => map.decoder(decoder, bias, [file.vocab_size, narrow], file.tie_word_embeddings),
        // Hugging Face's class reads no decoder of this head, whatever lies in the file.
        false => map.decoder_bias(decoder, bias, file.vocab_size),
    }
    for (other, name) in others.iter().zip(&names) {
        map.also(other, name);
    }
}

/// Embeddings and layers. It is a view of [`Parameters`], made anew when they move.
#[derive(Clone)]
pub(crate) struct Network {
    words: Shared,
    positions: Option<Shared>,
    types: Option<Shared>,
    projection: Option<Linear>,
    norm: LayerNorm,
    dropout: f64,
    /// The vectors of distances, `[2S,H]`, from -S to S-1.
    distances: Shared,
    buckets: Buckets,
    layers: Vec<Layer>,
}

#[derive(Clone)]
struct Layer {
    inner: bert::Layer,
    with_queries: bool,
    with_keys: bool,
    /// What makes keys of distances, where that is another than of words.
    distance_key: Option<Linear>,
    /// What makes queries of them, scaled as those of words are.
    distance_query: Option<Linear>,
    dropout: f64,
}

impl Network {
    pub(super) fn new(config: &Config, parameters: &Parameters) -> Network {
        let Positions::Disentangled(positions) = config.positions else {
            unreachable!("a DeBERTa has distances")
        };
        let has = |module: &Module| parameters.map().weight_name(*module).is_some();
        let embedding = |module| parameters.weight(module).shallow_clone().into();
        let distances = parameters.weight(Module::SharedDistances);
        let norm = |module| LayerNorm::of(parameters, module, config.layer_norm_eps);
        let depth = usize::try_from(config.num_hidden_layers).unwrap_or(0);
        Network {
            words: embedding(Module::WordEmbeddings),
            positions: Some(Module::PositionEmbeddings).filter(has).map(embedding),
            types: Some(Module::TypeEmbeddings).filter(has).map(embedding),
            projection: Some(Module::EmbeddingProjection)
                .filter(has)
                .map(|module| Linear::of(parameters, module)),
            norm: norm(Module::EmbeddingNorm),
            dropout: config.embedding_dropout_prob,
            distances: match has(&Module::DistanceNorm) {
                true => norm(Module::DistanceNorm).forward(distances).into(),
                false => distances.shallow_clone().into(),
            },
            buckets: positions.buckets,
            layers: (0..depth).map(|index| Layer::new(config, positions, parameters, index)).collect(),
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

    /// The distances among L tokens.
    pub(super) fn near(&self, length: i64) -> Near {
        Near::new(&self.distances, self.buckets, length)
    }

    /// Word embeddings, and those of positions and types where it has them, summed, widened and normalised:
    /// `[B,L,H]`.
    pub(super) fn embed(&self, batch: &Batch, additions: &Additions, mode: Mode) -> Tensor {
        let (_, length) = batch.size();
        let words = batch.embedded(&self.words, additions.soft.as_deref());
        let placed = match &self.positions {
            Some(positions) => words + positions.narrow(0, additions.first_position, length),
            None => words,
        };
        let sum = match &self.types {
            Some(types) => placed + Tensor::embedding(types, &batch.types, -1, false, false),
            None => placed,
        };
        let wide = self.projection.as_ref().map_or_else(|| sum.shallow_clone(), |wider| wider.forward(&sum));
        drop_out(self.norm.forward(&wide), self.dropout, mode)
    }

    pub(super) fn layer(
        &self,
        index: usize,
        pass: &Pass,
        added: &LayerAdditions,
        states: &Tensor,
        positions: Option<&Tensor>,
    ) -> Tensor {
        let layer = &self.layers[index];
        match positions {
            Some(some) => layer.forward(pass, added, &rows_at(states, some), states, positions),
            None => layer.forward(pass, added, states, states, None),
        }
    }

    pub(super) fn key_and_value(&self, index: usize, states: &Tensor) -> [Tensor; 2] {
        self.layers[index].inner.key_and_value(states)
    }

    pub(super) fn linears(&mut self) -> Vec<(&mut Linear, Option<Range>)> {
        self.layers.iter_mut().flat_map(Layer::linears).collect()
    }
}

impl Layer {
    fn new(config: &Config, positions: Disentangled, parameters: &Parameters, index: usize) -> Layer {
        let is_last = index as i64 + 1 == config.num_hidden_layers;
        let inner = bert::Layer::new(config, parameters, index, is_last);
        let scale = inner.heads().scale();
        let linear = |role, scale: f64| {
            let module = Module::Linear(index, role);
            parameters.map().weight_name(module)?;
            let bias = parameters.bias(module).map(|bias| bias * scale);
            Some(Linear::new(parameters.weight(module) * scale, bias))
        };
        Layer {
            with_queries: positions.with_queries,
            with_keys: positions.with_keys,
            distance_key: linear(Role::DistanceKey, 1.0),
            distance_query: linear(Role::DistanceQuery, scale),
            dropout: config.hidden_dropout_prob,
            inner,
        }
    }

    fn linears(&mut self) -> Vec<(&mut Linear, Option<Range>)> {
        let mut linears = self.inner.linears();
        // Distances are few beside words.
        linears.extend(
            self.distance_key.iter_mut().chain(&mut self.distance_query).map(|linear| (linear, None)),
        );
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
        let [query, key, value] = self.inner.project(added, rows, states, pass.mode);
        let scores = pass.near.as_ref().and_then(|near| {
            let vectors = near.vectors.unsqueeze(0).to_kind(states.kind());
            let [near_query, near_key] = self.of_distances(added, &vectors, pass.mode);
            near.scores([&query, &key], [near_query.as_ref(), near_key.as_ref()], positions)
        });
        self.inner.attend(pass, added, rows, [query, key, value], scores)
    }

    /// Queries and keys of distances, those that score.
    ///
    /// # Shapes
    /// `[1,N,H]` → `[1,A,N,D]`
    fn of_distances(&self, added: &LayerAdditions, vectors: &Tensor, mode: Mode) -> [Option<Tensor>; 2] {
        let heads = self.inner.heads();
        let vectors = drop_out(vectors.shallow_clone(), self.dropout, mode);
        let (query, key) = match (&self.distance_query, &self.distance_key) {
            // What makes those of words, and so with all that tuning puts beside it.
            (None, None) => {
                let [query, key, _] = self.inner.project(added, &vectors, &vectors, mode);
                (Some(query), Some(key))
            }
            (query, key) => {
                let query = query.as_ref().map(|linear| {
                    let projected = linear.forward(&vectors);
                    match added.low_rank(Role::DistanceQuery) {
                        None => projected,
                        Some(low_rank) => projected + low_rank.forward(&vectors, mode) * heads.scale(),
                    }
                });
                let key = key.as_ref().map(|linear| {
                    let projected = linear.forward(&vectors);
                    LowRank::add(added.low_rank(Role::DistanceKey), projected, &vectors, mode)
                });
                (query.map(|query| heads.split(&query)), key.map(|key| heads.split(&key)))
            }
        };
        [query.filter(|_| self.with_keys), key.filter(|_| self.with_queries)]
    }
}
