//! The BERT encoder: embeddings and layers over named tensors, with nothing computed that the mask's state
//! does not need.
//!
//! Letters: B batch, L tokens, H hidden, A heads, D = H/A, F feed-forward, P prefix length.

mod additions;
mod int8;
mod kernels;
mod layers;

use tch::{Device, Kind as Type, Tensor};

use crate::error::{Kind, Result};
use crate::model::batch::{Batch, sample_inputs};
use crate::model::config::Config;
use crate::model::dtype::Dtype;
use crate::model::parameters::Parameters;
use crate::model::shared::Shared;
use crate::model::tokenizer::Tokenizer;

use int8::Range;

pub use additions::{Adapter, Additions, ClassVectors, LayerAdditions, LowRank, Prefix};
pub use kernels::load_kernels;
pub(crate) use layers::{LayerNorm, drop_out};
pub use layers::{Linear, Mode};

/// A BERT encoder. It is a view of [`Parameters`], made anew when they move: query, key and value are one
/// matrix in it, and where parameters take gradients the making of that matrix is part of the graph.
#[derive(Clone)]
pub struct Encoder {
    config: Config,
    words: Shared,
    positions: Shared,
    types: Shared,
    norm: LayerNorm,
    layers: Vec<Layer>,
    /// The type of the states.
    kind: Type,
}

#[derive(Clone)]
struct Layer {
    projection: Projection,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
}

impl Encoder {
    /// The encoder over these parameters.
    pub fn new(config: &Config, parameters: &Parameters) -> Encoder {
        let embedding = |part: &str| {
            parameters.get(&format!("bert.embeddings.{part}_embeddings.weight")).shallow_clone().into()
        };
        Encoder {
            words: embedding("word"),
            positions: embedding("position"),
            types: embedding("token_type"),
            norm: LayerNorm::of(parameters, "bert.embeddings.LayerNorm", config.layer_norm_eps),
            layers: (0..config.num_hidden_layers)
                .map(|index| Layer::new(config, parameters, index))
                .collect(),
            kind: Type::Float,
            config: config.clone(),
        }
    }

    /// Computes in bfloat16 from now on, and lets gradients through: the parameters stay in single precision,
    /// and what is made of them here is a part of the graph.
    pub fn narrow(&mut self) {
        self.kind = Type::BFloat16;
        for (linear, _) in self.layers.iter_mut().flat_map(Layer::linears) {
            *linear = linear.narrowed();
        }
    }

    /// Makes ready to score in a type, fast and without gradients. For int8 the model looks at a sample of
    /// inputs. An error where libtorch cannot compute in the type here; then the encoder is of no more use.
    ///
    /// # Panics
    /// If it was made ready before.
    pub fn prepare(&mut self, dtype: Dtype, tokenizer: &Tokenizer, additions: &Additions) -> Result<()> {
        let no_kernels = || Kind::NoKernels { dtype: dtype.name() }.into();
        self.kind = dtype.kind();
        match dtype {
            Dtype::F32 | Dtype::Bf16 => self.each_linear(|linear, _| Ok(linear.prepared(dtype))),
            Dtype::Int8 if self.words.device() != Device::Cpu => Err(no_kernels()),
            Dtype::Int8 => {
                self.each_linear(|linear, range| {
                    Ok(range.map_or_else(|| linear.prepared(Dtype::F32), |_| linear.observed()))
                })?;
                let inputs =
                    sample_inputs(tokenizer, self.config.max_position_embeddings - additions.first_position);
                let batch =
                    Batch::collate(&inputs.iter().collect::<Vec<_>>(), tokenizer.special().pad, Device::Cpu);
                let _ = tch::no_grad(|| self.forward(&batch, additions, Mode::Score));
                let quantized = |linear: &Linear, range| linear.quantized(range).ok_or_else(no_kernels);
                self.each_linear(|linear, range| {
                    range.map_or_else(|| Ok(linear.clone()), |range| quantized(linear, range))
                })
            }
        }
    }

    /// Puts another in place of each layer's linear ones.
    fn each_linear(&mut self, mut other: impl FnMut(&Linear, Option<Range>) -> Result<Linear>) -> Result<()> {
        for (linear, range) in self.layers.iter_mut().flat_map(Layer::linears) {
            *linear = other(linear, range)?;
        }
        Ok(())
    }

    /// The last layer's states of all tokens.
    ///
    /// # Shapes
    /// batch of B inputs, L tokens → `[B,L,H]`, in single precision; rows at padding have no meaning.
    pub fn forward(&self, batch: &Batch, additions: &Additions, mode: Mode) -> Tensor {
        let pass = Pass { config: &self.config, mask: batch.additive_mask(), mode };
        let embedded = self.embed(batch, additions, mode);
        let states = self
            .with_additions(additions)
            .fold(embedded, |states, (layer, added)| layer.forward(&pass, added, &states, &states));
        states.to_kind(Type::Float)
    }

    /// The last layer's states at the masks. The last layer computes queries, attention and feed-forward for
    /// those rows alone.
    ///
    /// # Shapes
    /// batch of B inputs, L tokens, M masks → `[B,M,H]`, in single precision
    pub fn states_at_masks(&self, batch: &Batch, additions: &Additions, mode: Mode) -> Tensor {
        let pass = Pass { config: &self.config, mask: batch.additive_mask(), mode };
        let mut states = self.embed(batch, additions, mode);
        let last = self.layers.len() - 1;
        for (index, (layer, added)) in self.with_additions(additions).enumerate() {
            if index == last {
                return layer.forward(&pass, added, &batch.at_masks(&states), &states).to_kind(Type::Float);
            }
            states = layer.forward(&pass, added, &states, &states);
        }
        unreachable!("a configuration has at least one layer")
    }

    /// Each layer's keys and values of a text without padding or position offset: what a prefix made of that
    /// text would be.
    ///
    /// # Shapes
    /// ids `[P]` → for each layer key and value `[P,H]`
    pub fn keys_and_values(&self, ids: &[i64], device: Device) -> Vec<Prefix> {
        let ids = Tensor::from_slice(ids).to_device(device).unsqueeze(0);
        let batch = Batch {
            types: ids.zeros_like(),
            attention: ids.ones_like(),
            mask_positions: Tensor::zeros([1, 1], (Type::Int64, device)),
            padded: false,
            soft: None,
            ids,
        };
        let pass = Pass { config: &self.config, mask: None, mode: Mode::Score };
        let none = LayerAdditions::default();
        let hidden = self.config.hidden_size;
        let mut states = self.embed(&batch, &Additions::default(), Mode::Score);
        let mut prefixes = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let [_, key_value] = layer.projection.apart(&states, &states);
            let key_value = key_value.squeeze_dim(0);
            prefixes.push(Prefix {
                key: key_value.narrow(1, 0, hidden).into(),
                value: key_value.narrow(1, hidden, hidden).into(),
            });
            states = layer.forward(&pass, &none, &states, &states);
        }
        prefixes
    }

    fn with_additions<'a>(
        &'a self,
        additions: &'a Additions,
    ) -> impl Iterator<Item = (&'a Layer, &'a LayerAdditions)> {
        const NONE: &LayerAdditions = &LayerAdditions {
            query_key_value: [None, None, None],
            attention_output: None,
            intermediate: None,
            output: None,
            prefix: None,
            attention_adapter: None,
            output_adapter: None,
        };
        self.layers
            .iter()
            .enumerate()
            .map(|(index, layer)| (layer, additions.layers.get(index).unwrap_or(NONE)))
    }

    /// Word, position and type embeddings, summed and normalised: `[B,L,H]`.
    fn embed(&self, batch: &Batch, additions: &Additions, mode: Mode) -> Tensor {
        let (_, length) = batch.size();
        // Without padding index: its row takes no part in scores, because padding is masked.
        let words = Tensor::embedding(&self.words, &batch.ids, -1, false, false);
        let words = match (&batch.soft, &additions.soft) {
            (Some(places), Some(vectors)) => places.fill(&words, vectors),
            (Some(_), None) => unreachable!("a batch with soft tokens and no vectors for them"),
            (None, _) => words,
        };
        let types = Tensor::embedding(&self.types, &batch.types, -1, false, false);
        let sum = words + types + self.positions.narrow(0, additions.first_position, length);
        drop_out(self.norm.forward(&sum), self.config.hidden_dropout_prob, mode).to_kind(self.kind)
    }
}

/// What all layers of one forward pass share.
struct Pass<'a> {
    config: &'a Config,
    mask: Option<Tensor>,
    mode: Mode,
}

/// How states become queries, keys and values; the query's rows are scaled by 1/√D.
#[derive(Clone)]
enum Projection {
    /// In one product, `[3H,H]`.
    Joined(Linear),
    /// In two, `[H,H]` and `[2H,H]`: of the last layer, whose queries are wanted at the masks alone.
    Apart(Linear, Linear),
}

impl Projection {
    /// Queries of the rows, which are all of the states where the projection is joined; keys and values of
    /// the states.
    ///
    /// # Shapes
    /// rows `[B,R,H]`, states `[B,L,H]` → `[B,R,H]`, `[B,L,2H]`
    fn apart(&self, rows: &Tensor, states: &Tensor) -> [Tensor; 2] {
        match self {
            Projection::Joined(joined) => {
                let all = joined.forward(states);
                let hidden = states.size()[2];
                [all.narrow(-1, 0, hidden), all.narrow(-1, hidden, 2 * hidden)]
            }
            Projection::Apart(query, key_value) => [query.forward(rows), key_value.forward(states)],
        }
    }
}

impl Layer {
    fn new(config: &Config, parameters: &Parameters, index: i64) -> Layer {
        let part = |name: &str| Linear::of(parameters, &format!("bert.encoder.layer.{index}.{name}"));
        let norm = |name: &str| {
            LayerNorm::of(
                parameters,
                &format!("bert.encoder.layer.{index}.{name}.LayerNorm"),
                config.layer_norm_eps,
            )
        };
        let [query, key, value] = ["query", "key", "value"].map(|name| {
            layers::weight_and_bias(parameters, &format!("bert.encoder.layer.{index}.attention.self.{name}"))
        });
        let query = query.map(|part| part * query_scale(config));
        let joined = |parts: &[&[Tensor; 2]]| {
            let [weight, bias] = [0, 1]
                .map(|which| Tensor::cat(&parts.iter().map(|part| &part[which]).collect::<Vec<_>>(), 0));
            Linear::new(weight, bias)
        };
        let is_last = index + 1 == config.num_hidden_layers;
        Layer {
            projection: match is_last {
                true => Projection::Apart(joined(&[&query]), joined(&[&key, &value])),
                false => Projection::Joined(joined(&[&query, &key, &value])),
            },
            attention_output: part("attention.output.dense"),
            attention_norm: norm("attention.output"),
            intermediate: part("intermediate.dense"),
            output: part("output.dense"),
            output_norm: norm("output"),
        }
    }

    /// The linear layers, and the range of their inputs in int8. What the last layer does for the masks alone
    /// stays wide: it is little work, and nothing evens its errors out.
    fn linears(&mut self) -> Vec<(&mut Linear, Option<Range>)> {
        let (mut linears, all_rows) = match &mut self.projection {
            Projection::Joined(joined) => (vec![(joined, Some(Range::Even))], true),
            Projection::Apart(query, key_value) => {
                (vec![(query, None), (key_value, Some(Range::Even))], false)
            }
        };
        let range = |range| all_rows.then_some(range);
        linears.push((&mut self.attention_output, range(Range::Even)));
        linears.push((&mut self.intermediate, range(Range::Even)));
        linears.push((&mut self.output, range(Range::Raised)));
        linears
    }

    /// One layer for the rows that are asked for, which look at all states.
    ///
    /// # Shapes
    /// rows `[B,R,H]`, states `[B,L,H]`, mask `[B,1,1,L]` → `[B,R,H]`; only the last layer's rows may be
    /// fewer than the states.
    fn forward(&self, pass: &Pass<'_>, added: &LayerAdditions, rows: &Tensor, states: &Tensor) -> Tensor {
        let Pass { config, mask, mode } = pass;
        let mode = *mode;
        let [query, key, value] = self.project(config, added, rows, states, mode);
        let (key, value, mask) = with_prefix(config, added.prefix.as_ref(), key, value, mask.as_ref());
        let context = attend(&query, &key, &value, mask.as_ref(), config.attention_probs_dropout_prob, mode);
        let context = context.transpose(1, 2).reshape(rows.size());
        let attended = LowRank::add(
            added.attention_output.as_ref(),
            self.attention_output.forward(&context),
            &context,
            mode,
        );
        let attended = drop_out(attended, config.hidden_dropout_prob, mode);
        let attended = Adapter::apply(added.attention_adapter.as_ref(), config.hidden_act, attended);
        let attended = self.attention_norm.forward(&(attended + rows));
        let inner =
            LowRank::add(added.intermediate.as_ref(), self.intermediate.forward(&attended), &attended, mode);
        let inner = config.hidden_act.forward(&inner);
        let output = LowRank::add(added.output.as_ref(), self.output.forward(&inner), &inner, mode);
        let output = drop_out(output, config.hidden_dropout_prob, mode);
        let output = Adapter::apply(added.output_adapter.as_ref(), config.hidden_act, output);
        self.output_norm.forward(&(output + attended))
    }

    /// Queries of the rows, keys and values of all states, by heads.
    ///
    /// # Shapes
    /// rows `[B,R,H]`, states `[B,L,H]` → query `[B,A,R,D]`, key and value `[B,A,L,D]`
    fn project(
        &self,
        config: &Config,
        added: &LayerAdditions,
        rows: &Tensor,
        states: &Tensor,
        mode: Mode,
    ) -> [Tensor; 3] {
        let hidden = config.hidden_size;
        let [query, key_value] = self.projection.apart(rows, states);
        let [low_query, low_key, low_value] = &added.query_key_value;
        // The query is scaled already, so its update is too.
        let query = match low_query {
            None => query,
            Some(low_rank) => query + low_rank.forward(rows, mode) * query_scale(config),
        };
        let key = LowRank::add(low_key.as_ref(), key_value.narrow(-1, 0, hidden), states, mode);
        let value = LowRank::add(low_value.as_ref(), key_value.narrow(-1, hidden, hidden), states, mode);
        [query, key, value].map(|part| by_heads(config, &part))
    }
}

/// 1/√D
#[allow(clippy::cast_precision_loss)] // Head sizes are small.
fn query_scale(config: &Config) -> f64 {
    1.0 / ((config.hidden_size / config.num_attention_heads) as f64).sqrt()
}

/// # Shapes
/// `[B,L,H] → [B,A,L,D]`
fn by_heads(config: &Config, projected: &Tensor) -> Tensor {
    let size = projected.size();
    let heads = config.num_attention_heads;
    projected.reshape([size[0], size[1], heads, config.hidden_size / heads]).transpose(1, 2)
}

/// Keys and values with the prefix before them, which no padding hides.
///
/// # Shapes
/// key and value `[B,A,L,D]`, mask `[B,1,1,L]` → `[B,A,P+L,D]`, `[B,1,1,P+L]`
fn with_prefix(
    config: &Config,
    prefix: Option<&Prefix>,
    key: Tensor,
    value: Tensor,
    mask: Option<&Tensor>,
) -> (Tensor, Tensor, Option<Tensor>) {
    let Some(prefix) = prefix else { return (key, value, mask.map(Tensor::shallow_clone)) };
    let (batch, length) = (key.size()[0], prefix.key.size()[0]);
    let join = |prefix: &Tensor, states: &Tensor| {
        let prefix =
            by_heads(config, &prefix.unsqueeze(0)).expand([batch, -1, -1, -1], false).to_kind(states.kind());
        Tensor::cat(&[&prefix, states], 2)
    };
    let mask = mask.map(|mask| mask.constant_pad_nd([length, 0]));
    (join(&prefix.key, &key), join(&prefix.value, &value), mask)
}

/// From this many tokens on, libtorch's fused attention is faster on a processor than two matrix products
/// with a softmax between them: 0.7 times the time at 128 tokens and a quarter at 256 and 512 (12 heads of
/// 32, fp32, one thread), but slower at 16 and 64.
const FUSED_FROM: i64 = 128;

/// Scaled dot-product attention (Vaswani et al. 2017); the scale is in the query already.
///
/// # Shapes
/// query `[B,A,R,D]`, key and value `[B,A,L,D]`, mask `[B,1,1,L]` → `[B,A,R,D]`
fn attend(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    mask: Option<&Tensor>,
    dropout: f64,
    mode: Mode,
) -> Tensor {
    let (on_processor, back) = (query.device() == Device::Cpu, value.kind());
    if mode == Mode::Score && (query.size()[2] >= FUSED_FROM || !on_processor) {
        // On a processor it is twice as fast in single precision as in bfloat16.
        let kind = if on_processor { Type::Float } else { value.kind() };
        let [query, key, value] = [query, key, value].map(|part| part.to_kind(kind));
        if let Some(context) =
            kernels::attend(&query, &key, &value, mask.map(|mask| mask.to_kind(kind)).as_ref())
        {
            return context.to_kind(back);
        }
    }
    let scores = query.matmul(&key.transpose(-2, -1));
    let scores = match mask {
        Some(mask) => scores + mask,
        None => scores,
    };
    drop_out(scores.softmax(-1, Type::Float), dropout, mode).to_kind(value.kind()).matmul(value)
}
