//! Padded tensors from rows of ids.

use std::iter;

use rand::Rng as _;
use tch::{Device, Kind as Type, Tensor};

use crate::model::features::Features;
use crate::model::tokenizer::Tokenizer;
use crate::model::values::rows_at;
use crate::seed;

/// Inputs of a small batch: enough to keep a processor busy, few enough for its caches.
pub(crate) const AT_ONCE: usize = 16;

/// Inputs in batches of up to 16, in their order: for questions about a few of them, whose answers do not
/// depend on a budget. Rows by the thousand are sorted by length and batched by tokens: see
/// `predict::score::Scorer`.
pub fn small_batches(inputs: &[Features]) -> impl Iterator<Item = Vec<&Features>> {
    inputs.chunks(AT_ONCE).map(|inputs| inputs.iter().collect())
}

/// B inputs padded to the longest, L tokens.
pub struct Batch {
    /// Token ids `[B,L]`, int64.
    pub ids: Tensor,
    /// Token types `[B,L]`, int64: 0 in the first segment, 1 in the second.
    pub types: Tensor,
    /// 1 for tokens, 0 for padding `[B,L]`, int64.
    pub attention: Tensor,
    /// The masks' positions in each input `[B,M]`, int64.
    pub mask_positions: Tensor,
    /// Whether any input is padded.
    pub padded: bool,
    /// Where soft tokens stand, if there are any.
    pub soft: Option<SoftPlaces>,
}

/// The N places of a batch that take soft vectors.
pub struct SoftPlaces {
    /// Positions in the batch's tokens, row after row `[N]`, int64.
    pub positions: Tensor,
    /// Which vector stands there `[N]`, int64.
    pub vectors: Tensor,
}

impl Batch {
    /// Pads inputs to the longest. All have as many masks.
    ///
    /// # Panics
    /// If there are no inputs.
    pub fn collate(inputs: &[&Features], pad: i64, device: Device) -> Batch {
        let longest = inputs.iter().map(|input| input.ids.len()).max().unwrap_or(0);
        assert!(longest > 0, "an empty batch");
        let tokens = inputs.len() * longest;
        let (mut ids, mut types, mut attention) =
            (vec![pad; tokens], vec![0_i64; tokens], vec![0_i64; tokens]);
        for (row, input) in inputs.iter().enumerate() {
            let (start, length) = (row * longest, input.ids.len());
            ids[start..start + length].copy_from_slice(&input.ids);
            types[start + input.second_segment..start + length].fill(1);
            attention[start..start + length].fill(1);
        }
        #[allow(clippy::cast_possible_wrap)] // Lengths of inputs are at most a model's positions.
        let masks: Vec<i64> = inputs
            .iter()
            .flat_map(|input| input.mask..input.mask + input.masks)
            .map(|mask| mask as i64)
            .collect();
        let soft: Vec<[i64; 2]> = inputs
            .iter()
            .enumerate()
            .flat_map(|(row, input)| {
                input.soft.iter().map(move |slot| [(row * longest + slot.at) as i64, slot.vector as i64])
            })
            .collect();
        let soft_column =
            |column: usize| on_device(&soft.iter().map(|slot| slot[column]).collect::<Vec<_>>(), device);
        let shape =
            [i64::try_from(inputs.len()).unwrap_or(i64::MAX), i64::try_from(longest).unwrap_or(i64::MAX)];
        let tensor = |values: &[i64]| on_device(values, device).view(shape);
        Batch {
            ids: tensor(&ids),
            types: tensor(&types),
            attention: tensor(&attention),
            mask_positions: on_device(&masks, device).view([shape[0], -1]),
            soft: (!soft.is_empty())
                .then(|| SoftPlaces { positions: soft_column(0), vectors: soft_column(1) }),
            padded: inputs.iter().any(|input| input.ids.len() < longest),
        }
    }

    /// Sequences of one length and one segment, each to be read at as many places.
    ///
    /// # Shapes
    /// B sequences of L ids, B·M places → ids `[B,L]`, mask positions `[B,M]`
    pub fn of_sequences(sequences: &[&[i64]], places: &[i64], device: Device) -> Batch {
        let count = i64::try_from(sequences.len()).unwrap_or(i64::MAX);
        let ids = on_device(&sequences.concat(), device).view([count, -1]);
        Batch {
            types: ids.zeros_like(),
            attention: ids.ones_like(),
            mask_positions: on_device(places, device).view([count, -1]),
            padded: false,
            soft: None,
            ids,
        }
    }

    /// The tokens' vectors of `words` `[V,E]`, and in soft tokens' places those of `soft` `[S,E]`: `[B,L,E]`.
    ///
    /// # Panics
    /// If the batch has soft tokens, and there are no vectors for them.
    pub fn embedded(&self, words: &Tensor, soft: Option<&Tensor>) -> Tensor {
        // Without padding index: its row takes no part in scores, because padding is masked.
        let words = Tensor::embedding(words, &self.ids, -1, false, false);
        match (&self.soft, soft) {
            (Some(places), Some(vectors)) => places.fill(&words, vectors),
            (Some(_), None) => unreachable!("a batch with soft tokens and no vectors for them"),
            (None, _) => words,
        }
    }

    /// B and L.
    pub fn size(&self) -> (i64, i64) {
        let size = self.ids.size();
        (size[0], size[1])
    }

    /// What is added to attention scores, `[B,1,1,L]`: 0 at tokens, the lowest float at padding; none where
    /// nothing is padded.
    pub fn additive_mask(&self) -> Option<Tensor> {
        self.padded.then(|| {
            (self.attention.eq(0).to_kind(Type::Float) * f64::from(f32::MIN)).unsqueeze(1).unsqueeze(1)
        })
    }

    /// The rows of `states` `[B,L,H]` at the masks, `[B,M,H]`.
    pub fn at_masks(&self, states: &Tensor) -> Tensor {
        rows_at(states, &self.mask_positions)
    }

    /// The rows of `states` `[B,L,H]` at M places, each an input and a position in it, `[M,H]`.
    pub fn at_places(states: &Tensor, places: &[(usize, usize)]) -> Tensor {
        let size = states.size();
        let index: Vec<i64> =
            places.iter().map(|&(input, position)| input as i64 * size[1] + position as i64).collect();
        states.reshape([-1, size[2]]).index_select(0, &Tensor::from_slice(&index).to_device(states.device()))
    }
}

/// The numbers where they are needed. An accelerator fetches them by itself, from memory that stays where it
/// is, while this thread goes on.
fn on_device(values: &[i64], device: Device) -> Tensor {
    let here = Tensor::from_slice(values);
    if device.is_cuda() {
        here.pin_memory(device).to_device_(device, Type::Int64, true, false)
    } else {
        here.to_device(device)
    }
}

/// Inputs of words drawn from the vocabulary with a seed of their own, for looking at what a model does with
/// whatever comes: 16 of 32 tokens, or of as many as there is room for in a model.
///
/// # Panics
/// If there is room for fewer than three: `[CLS]`, the mask and `[SEP]`.
pub fn sample_inputs(tokenizer: &Tokenizer, room: i64) -> Vec<Features> {
    let (inputs, words) =
        (16, usize::try_from(room.min(32) - 3).expect("room for [CLS], the mask and [SEP]"));
    let known = tokenizer.common_words();
    let special = tokenizer.special();
    let mut random = seed::generator(0, "sample of inputs");
    let mut input = || {
        let drawn = (0..words).map(|_| known[random.gen_range(0..known.len())]);
        let ids = iter::once(special.cls).chain(drawn).chain([special.mask, special.sep]).collect();
        Features {
            ids,
            second_segment: words + 3,
            mask: words + 1,
            masks: 1,
            is_bare: false,
            priors: 0,
            removed: 0,
            left_out: 0,
            windows: 1,
            soft: Vec::new(),
        }
    };
    (0..inputs).map(|_| input()).collect()
}

impl SoftPlaces {
    /// The embeddings of a batch's tokens with the vectors in their places. Gradients reach both.
    ///
    /// # Shapes
    /// words `[B,L,H]`, vectors `[S,H]` → `[B,L,H]`
    pub fn fill(&self, words: &Tensor, vectors: &Tensor) -> Tensor {
        let size = words.size();
        words
            .view([-1, size[2]])
            .index_copy(0, &self.positions, &vectors.index_select(0, &self.vectors))
            .view(size.as_slice())
    }
}
