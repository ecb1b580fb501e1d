//! The BERT encoder: embeddings and layers over named tensors, with nothing computed that the mask's state does not need.
//!
//! Letters: B batch, L tokens, H hidden, A heads, D = H/A, F feed-forward.

use tch::{Kind as Type, Tensor};

use crate::batch::Batch;
use crate::config::{Activation, Config};
use crate::parameters::Parameters;

/// Whether dropout acts. Gradients flow in both, if the parameters ask for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// No dropout.
    Score,
    /// Dropout with the configuration's probabilities, from libtorch's global generator.
    Train,
}

/// A BERT encoder. It is a view of [`Parameters`], made anew when they move: query, key and value are one matrix in it, and
/// where parameters take gradients the making of that matrix is part of the graph.
pub struct Encoder {
    config: Config,
    words: Tensor,
    positions: Tensor,
    types: Tensor,
    norm: LayerNorm,
    layers: Vec<Layer>,
}

/// `x·Wᵀ + b`, `[…,in] → […,out]`.
pub(crate) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

/// Layer normalisation over H (Ba et al. 2016).
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

struct Layer {
    /// Query, key and value in one, `[3H,H]`; the query's rows are scaled by 1/√D.
    query_key_value: Linear,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
}

impl Linear {
    pub(crate) fn of(parameters: &Parameters, name: &str) -> Linear {
        Linear {
            weight: parameters.get(&format!("{name}.weight")).shallow_clone(),
            bias: parameters.get(&format!("{name}.bias")).shallow_clone(),
        }
    }

    pub(crate) fn forward(&self, input: &Tensor) -> Tensor {
        input.linear(&self.weight, Some(&self.bias))
    }

    /// The outputs `start..start + length` alone.
    fn rows(&self, start: i64, length: i64) -> Linear {
        Linear { weight: self.weight.narrow(0, start, length), bias: self.bias.narrow(0, start, length) }
    }
}

impl LayerNorm {
    pub(crate) fn of(parameters: &Parameters, name: &str, epsilon: f64) -> LayerNorm {
        let Linear { weight, bias } = Linear::of(parameters, name);
        LayerNorm { weight, bias, epsilon }
    }

    pub(crate) fn forward(&self, input: &Tensor) -> Tensor {
        input.layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), self.epsilon, false)
    }
}

impl Activation {
    pub(crate) fn forward(self, input: &Tensor) -> Tensor {
        match self {
            Activation::Gelu => input.gelu("none"),
            Activation::GeluNew => input.gelu("tanh"),
            Activation::Relu => input.relu(),
            Activation::Silu => input.silu(),
        }
    }
}

impl Encoder {
    /// The encoder over these parameters.
    pub fn new(config: &Config, parameters: &Parameters) -> Encoder {
        let embedding = |part: &str| parameters.get(&format!("bert.embeddings.{part}_embeddings.weight")).shallow_clone();
        Encoder {
            words: embedding("word"),
            positions: embedding("position"),
            types: embedding("token_type"),
            norm: LayerNorm::of(parameters, "bert.embeddings.LayerNorm", config.layer_norm_eps),
            layers: (0..config.num_hidden_layers).map(|index| Layer::new(config, parameters, index)).collect(),
            config: config.clone(),
        }
    }

    /// The last layer's states of all tokens.
    ///
    /// # Shapes
    /// batch of B inputs, L tokens → `[B,L,H]`; rows at padding have no meaning.
    pub fn forward(&self, batch: &Batch, mode: Mode) -> Tensor {
        let mask = batch.additive_mask();
        let embedded = self.embed(batch, mode);
        self.layers.iter().fold(embedded, |states, layer| layer.forward(&self.config, &states, &states, mask.as_ref(), mode))
    }

    /// The last layer's states at the masks. The last layer computes queries, attention and feed-forward for those rows alone.
    ///
    /// # Shapes
    /// batch of B inputs, L tokens → `[B,H]`
    pub fn state_at_mask(&self, batch: &Batch, mode: Mode) -> Tensor {
        let mask = batch.additive_mask();
        let mut states = self.embed(batch, mode);
        let Some((last, earlier)) = self.layers.split_last() else {
            return batch.at_mask(&states);
        };
        for layer in earlier {
            states = layer.forward(&self.config, &states, &states, mask.as_ref(), mode);
        }
        let rows = batch.at_mask(&states).unsqueeze(1);
        last.forward(&self.config, &rows, &states, mask.as_ref(), mode).squeeze_dim(1)
    }

    /// Word, position and type embeddings, summed and normalised: `[B,L,H]`.
    fn embed(&self, batch: &Batch, mode: Mode) -> Tensor {
        let (_, length) = batch.size();
        // Without padding index: its row takes no part in scores, because padding is masked.
        let words = Tensor::embedding(&self.words, &batch.ids, -1, false, false);
        let types = Tensor::embedding(&self.types, &batch.types, -1, false, false);
        let sum = words + types + self.positions.narrow(0, 0, length);
        drop_out(self.norm.forward(&sum), self.config.hidden_dropout_prob, mode)
    }
}

impl Layer {
    fn new(config: &Config, parameters: &Parameters, index: i64) -> Layer {
        let part = |name: &str| Linear::of(parameters, &format!("bert.encoder.layer.{index}.{name}"));
        let norm = |name: &str| LayerNorm::of(parameters, &format!("bert.encoder.layer.{index}.{name}.LayerNorm"), config.layer_norm_eps);
        let [query, key, value] = ["query", "key", "value"].map(|name| part(&format!("attention.self.{name}")));
        #[allow(clippy::cast_precision_loss)] // Head sizes are small.
        let scale = 1.0 / ((config.hidden_size / config.num_attention_heads) as f64).sqrt();
        Layer {
            query_key_value: Linear {
                weight: Tensor::cat(&[&query.weight * scale, key.weight, value.weight], 0),
                bias: Tensor::cat(&[&query.bias * scale, key.bias, value.bias], 0),
            },
            attention_output: part("attention.output.dense"),
            attention_norm: norm("attention.output"),
            intermediate: part("intermediate.dense"),
            output: part("output.dense"),
            output_norm: norm("output"),
        }
    }

    /// One layer for the rows that are asked for, which look at all states.
    ///
    /// # Shapes
    /// rows `[B,R,H]`, states `[B,L,H]`, mask `[B,1,1,L]` → `[B,R,H]`; with R < L only those rows' queries are computed.
    fn forward(&self, config: &Config, rows: &Tensor, states: &Tensor, mask: Option<&Tensor>, mode: Mode) -> Tensor {
        let hidden = config.hidden_size;
        let heads = |projected: Tensor| {
            let size = projected.size();
            projected.view([size[0], size[1], -1, config.num_attention_heads, hidden / config.num_attention_heads]).permute([2, 0, 3, 1, 4])
        };
        let (query, key, value) = if rows.size()[1] == states.size()[1] {
            let all = heads(self.query_key_value.forward(states));
            (all.get(0), all.get(1), all.get(2))
        } else {
            let query = heads(self.query_key_value.rows(0, hidden).forward(rows));
            let key_value = heads(self.query_key_value.rows(hidden, 2 * hidden).forward(states));
            (query.get(0), key_value.get(0), key_value.get(1))
        };
        let context = attend(&query, &key, &value, mask, config.attention_probs_dropout_prob, mode);
        let context = context.transpose(1, 2).reshape(rows.size());
        let attended = drop_out(self.attention_output.forward(&context), config.hidden_dropout_prob, mode);
        let attended = self.attention_norm.forward(&(attended + rows));
        let inner = config.hidden_act.forward(&self.intermediate.forward(&attended));
        let output = drop_out(self.output.forward(&inner), config.hidden_dropout_prob, mode);
        self.output_norm.forward(&(output + attended))
    }
}

/// From this many tokens on, libtorch's fused attention is faster than two matrix products with a softmax between them:
/// 0.7 times the time at 128 tokens and a quarter at 256 and 512 (12 heads of 32, fp32, one thread), but slower at 16 and 64.
const FUSED_FROM: i64 = 128;

/// Scaled dot-product attention (Vaswani et al. 2017); the scale is in the query already.
///
/// # Shapes
/// query `[B,A,R,D]`, key and value `[B,A,L,D]`, mask `[B,1,1,L]` → `[B,A,R,D]`
fn attend(query: &Tensor, key: &Tensor, value: &Tensor, mask: Option<&Tensor>, dropout: f64, mode: Mode) -> Tensor {
    let (rows, length) = (query.size()[2], key.size()[2]);
    if rows == length && length >= FUSED_FROM && mode == Mode::Score {
        // tch refuses an absent mask, so one of zeros stands for none.
        let none = Tensor::zeros([1, 1, 1, length], (query.kind(), query.device()));
        return Tensor::scaled_dot_product_attention(query, key, value, Some(mask.unwrap_or(&none)), 0.0, false, 1.0);
    }
    let scores = query.matmul(&key.transpose(-2, -1));
    let scores = match mask {
        Some(mask) => scores + mask,
        None => scores,
    };
    drop_out(scores.softmax(-1, Type::Float), dropout, mode).matmul(value)
}

fn drop_out(input: Tensor, probability: f64, mode: Mode) -> Tensor {
    match mode {
        Mode::Score => input,
        Mode::Train => input.dropout(probability, true),
    }
}
