//! The encoder: a family's layers over named tensors, with nothing computed that the mask's state does not
//! need.
//!
//! Letters: B batch, L tokens, H hidden, M masks, P prefix length.

use tch::{Device, Kind as Type, Tensor};

use crate::error::{ModelError, Result};
use crate::model::arch::{Config, Network};
use crate::model::batch::{Batch, sample_inputs};
use crate::model::dtype::Dtype;
use crate::model::layers::Range;
use crate::model::parameters::Parameters;
use crate::model::tokenizer::Tokenizer;

pub(crate) use crate::model::layers::drop_out;
pub use crate::model::layers::{
    Adapter, Additions, ClassVectors, LayerAdditions, Linear, LowRank, Mode, Prefix, load_kernels,
};

/// An encoder: a view of [`Parameters`], made anew when they move.
#[derive(Clone)]
pub struct Encoder {
    network: Network,
    /// The most positions that an input may take.
    positions: i64,
    /// The type of the states.
    kind: Type,
}

impl Encoder {
    /// The encoder over these parameters.
    pub fn new(config: &Config, parameters: &Parameters) -> Encoder {
        Encoder {
            network: Network::new(config, parameters),
            positions: config.max_position_embeddings,
            kind: Type::Float,
        }
    }

    /// Computes in bfloat16 from now on, if that is what is computed in here ([`Dtype::on`]), and lets
    /// gradients through: the parameters stay in single precision, and what is made of them here is a part of
    /// the graph.
    pub fn narrow(&mut self) {
        if Dtype::Bf16.on(self.network.device()) != Dtype::Bf16 {
            return;
        }
        self.kind = Type::BFloat16;
        for (linear, _) in self.network.linears() {
            *linear = linear.narrowed();
        }
    }

    /// Makes ready to score in a type, or in what is computed in for it here ([`Dtype::on`]), fast and
    /// without gradients. For int8 the model looks at a sample of inputs. An error where libtorch cannot
    /// compute in the type here; then the encoder is of no more use.
    ///
    /// # Panics
    /// If it was made ready before.
    pub fn prepare(&mut self, dtype: Dtype, tokenizer: &Tokenizer, additions: &Additions) -> Result<()> {
        let dtype = dtype.on(self.network.device());
        let no_kernels = || ModelError::NoKernels { dtype: dtype.name() }.into();
        self.kind = dtype.kind();
        match dtype {
            Dtype::F32 | Dtype::Bf16 => self.each_linear(|linear, _| Ok(linear.prepared(dtype))),
            Dtype::Int8 if self.network.device() != Device::Cpu => Err(no_kernels()),
            Dtype::Int8 => {
                self.each_linear(|linear, range| {
                    Ok(range.map_or_else(|| linear.prepared(Dtype::F32), |_| linear.observed()))
                })?;
                let inputs = sample_inputs(tokenizer, self.positions - additions.first_position);
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
        for (linear, range) in self.network.linears() {
            *linear = other(linear, range)?;
        }
        Ok(())
    }

    /// The vectors of some words of the vocabulary, as the first layer's sum has them.
    ///
    /// # Shapes
    /// N ids → `[N,E]`
    pub fn word_vectors(&self, ids: &[i64]) -> Tensor {
        let ids = Tensor::from_slice(ids).to_device(self.network.device());
        self.network.words().index_select(0, &ids).to_kind(Type::Float)
    }

    /// The last layer's states of all tokens.
    ///
    /// # Shapes
    /// batch of B inputs, L tokens → `[B,L,H]`, in single precision; rows at padding have no meaning.
    pub fn forward(&self, batch: &Batch, additions: &Additions, mode: Mode) -> Tensor {
        let pass = self.network.pass(batch, additions, mode);
        let states = (0..self.network.depth()).fold(self.embed(batch, additions, mode), |states, index| {
            self.network.layer(index, &pass, additions.of_layer(index), &states, None)
        });
        self.network.finish(states).to_kind(Type::Float)
    }

    /// The last layer's states at the masks. The last layer computes queries, attention and feed-forward for
    /// those rows alone.
    ///
    /// # Shapes
    /// batch of B inputs, L tokens, M masks → `[B,M,H]`, in single precision
    pub fn states_at_masks(&self, batch: &Batch, additions: &Additions, mode: Mode) -> Tensor {
        let pass = self.network.pass(batch, additions, mode);
        let last = self.network.depth() - 1;
        let states = (0..last).fold(self.embed(batch, additions, mode), |states, index| {
            self.network.layer(index, &pass, additions.of_layer(index), &states, None)
        });
        let masks = Some(&batch.mask_positions);
        let rows = self.network.layer(last, &pass, additions.of_layer(last), &states, masks);
        self.network.finish(rows).to_kind(Type::Float)
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
        let pass = self.network.pass(&batch, &Additions::default(), Mode::Score);
        let mut states = self.embed(&batch, &Additions::default(), Mode::Score);
        let mut prefixes = Vec::with_capacity(self.network.depth());
        for index in 0..self.network.depth() {
            let parts = self.network.key_and_value(index, &pass, &states);
            let [key, value] = parts.map(|part| part.squeeze_dim(0));
            prefixes.push(Prefix { key: key.into(), value: value.into() });
            states = self.network.layer(index, &pass, LayerAdditions::NONE, &states, None);
        }
        prefixes
    }

    fn embed(&self, batch: &Batch, additions: &Additions, mode: Mode) -> Tensor {
        self.network.embed(batch, additions, mode).to_kind(self.kind)
    }
}
