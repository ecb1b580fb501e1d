//! Word vectors and a bidirectional LSTM (Hochreiter & Schmidhuber 1997; Graves & Schmidhuber 2005): what
//! texts were classified with before language models were trained on more than one task.
//!
//! `h = LSTM(x)` in both directions, `v = max over the text's tokens of h`, `scores = W·v + b`
//!
//! The vectors x are a model's own input embeddings of word pieces, which stay as they are; all else starts
//! at random and learns from a run's train rows. Vectors go in with [`SCALE`], and where it learns some of
//! their numbers, and of those of v, are left out.

use std::collections::{BTreeMap, HashMap};
use std::ops::{ControlFlow, Range};
use std::time::Instant;

use rand::Rng as _;
use rand::distributions::{Distribution as _, Uniform};
use tch::{Device, Kind as Type, Tensor, no_grad};

use crate::learn::adamw::{AdamW, clip_gradients};
use crate::learn::encoded::EpochOrder;
use crate::learn::objective::Losses;
use crate::learn::schedule::linear;
use crate::learn::train::Event;
use crate::predict::report::Prediction;
use crate::seed;

/// H: what each direction remembers.
const HIDDEN: i64 = 128;
/// What vectors are multiplied by: a model's numbers are small, and an LSTM that starts at random hears
/// nothing.
const SCALE: f64 = 20.0;
/// How many numbers are left out in training.
const DROPOUT: f64 = 0.5;
/// Rows in a step.
const ROWS_IN_STEP: usize = 16;
/// The learning rate at its highest, the share of steps that leads to it, and the weights' decay.
const RATE: f64 = 1e-3;
const WARM_UP: f64 = 0.1;
const DECAY: f64 = 0.01;
/// The common norm that gradients have at most.
const CLIP: f64 = 1.0;
/// Texts that are read at once without learning.
const AT_ONCE: usize = 64;

/// The steps on so many rows: all of them eight times, but at least a hundred steps and at most two thousand.
/// More made development rows of SST-2 worse.
pub fn lstm_steps(rows: usize) -> usize {
    rows.saturating_mul(8).div_ceil(ROWS_IN_STEP).clamp(100, 2000)
}

/// The word vectors of some texts.
pub struct WordVectors {
    /// `[D,E]`
    table: Tensor,
    /// Where each id stands in it.
    places: HashMap<i64, i64>,
}

impl WordVectors {
    /// Of all ids in some texts, from what gives a model's vectors of N ids, `[N,E]`; none where it gives
    /// none.
    pub fn of<'a>(
        texts: impl IntoIterator<Item = &'a [i64]>,
        vectors: impl FnOnce(&[i64]) -> Option<Tensor>,
    ) -> Option<WordVectors> {
        let mut ids: Vec<i64> = texts.into_iter().flatten().copied().collect();
        ids.sort_unstable();
        ids.dedup();
        let table = no_grad(|| vectors(&ids))?.detach();
        Some(WordVectors { table, places: (0..).zip(ids).map(|(place, id)| (id, place)).collect() })
    }

    /// The vectors of the texts' words, first those of all first words, then of all second ones, and how many
    /// texts have a word there: as [`Tensor::lstm_data`] takes them. Texts come from the longest to the
    /// shortest.
    ///
    /// # Shapes
    /// B texts of L words → `[ΣL,E]`, `[L]`
    fn packed(&self, texts: &[&[i64]]) -> (Tensor, Tensor) {
        let longest = texts.first().map_or(0, |text| text.len());
        let there = |at: usize| texts.partition_point(|text| text.len() > at);
        let counts: Vec<i64> = (0..longest).map(|at| there(at) as i64).collect();
        let places: Vec<i64> = (0..longest)
            .flat_map(|at| texts[..there(at)].iter().map(move |text| self.places[&text[at]]))
            .collect();
        let places = Tensor::from_slice(&places).to_device(self.table.device());
        (self.table.index_select(0, &places), Tensor::from_slice(&counts))
    }
}

/// The LSTM with its head.
pub struct BiLstm {
    weights: BTreeMap<String, Tensor>,
}

impl BiLstm {
    /// With these weights, named as PyTorch names those of `lstm` and of the linear layer `head`.
    pub fn of(weights: BTreeMap<String, Tensor>) -> BiLstm {
        BiLstm { weights }
    }

    /// For vectors of E numbers, started as PyTorch's are, by a seed.
    fn begin(width: i64, classes: usize, seed: u64, device: Device) -> BiLstm {
        let draw = |name: &str, shape: &[i64], inputs: i64| {
            let bound = 1.0 / (inputs as f64).sqrt();
            let mut generator = seed::generator(seed, &format!("start of LSTM's {name}"));
            let count = usize::try_from(shape.iter().product::<i64>()).unwrap_or(0);
            #[allow(clippy::cast_possible_truncation)] // To the type of weights.
            let numbers: Vec<f32> = Uniform::new_inclusive(-bound, bound)
                .sample_iter(&mut generator)
                .take(count)
                .map(|number| number as f32)
                .collect();
            Tensor::from_slice(&numbers).view(shape).to_device(device).set_requires_grad(true)
        };
        let mut weights: BTreeMap<String, Tensor> = lstm_parts()
            .map(|part| {
                let shape = match (part.starts_with("bias"), part.contains("_ih")) {
                    (true, _) => vec![4 * HIDDEN],
                    (false, true) => vec![4 * HIDDEN, width],
                    (false, false) => vec![4 * HIDDEN, HIDDEN],
                };
                let name = format!("lstm.{part}");
                let tensor = draw(&name, &shape, HIDDEN);
                (name, tensor)
            })
            .collect();
        for (name, shape) in
            [("head.weight", vec![classes as i64, 2 * HIDDEN]), ("head.bias", vec![classes as i64])]
        {
            weights.insert(name.to_owned(), draw(name, &shape, 2 * HIDDEN));
        }
        BiLstm { weights }
    }

    /// The class scores of texts, each a list of ids, none empty.
    ///
    /// # Shapes
    /// B texts → `[B,C]`
    pub fn scores(&self, vectors: &WordVectors, texts: &[&[i64]]) -> Tensor {
        self.scores_without(vectors, texts, 0.0)
    }

    /// The same where some numbers are left out, with this probability.
    fn scores_without(&self, vectors: &WordVectors, texts: &[&[i64]], dropout: f64) -> Tensor {
        let left_out = |tensor: Tensor| if dropout > 0.0 { tensor.dropout(dropout, true) } else { tensor };
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|text| std::cmp::Reverse(texts[*text].len()));
        let longest_first: Vec<&[i64]> = order.iter().map(|text| texts[*text]).collect();
        let (words, counts) = vectors.packed(&longest_first);
        let weights: Vec<&Tensor> = lstm_parts().map(|part| &self.weights[&format!("lstm.{part}")]).collect();
        let hidden = weights[1].size()[1];
        let state = Tensor::zeros([2, texts.len() as i64, hidden], (Type::Float, words.device()));
        let (states, ..) = Tensor::lstm_data(
            &left_out(words * SCALE),
            &counts,
            &[&state, &state],
            &weights,
            true,
            1,
            0.0,
            false,
            true,
        );
        let (states, _) =
            Tensor::internal_pad_packed_sequence(&states, &counts, true, f64::NEG_INFINITY, counts.size()[0]);
        let pooled = states.amax([1].as_slice(), false);
        let scores = left_out(pooled).linear(&self.weights["head.weight"], Some(&self.weights["head.bias"]));
        let mut back = vec![0_i64; order.len()];
        (0..).zip(&order).for_each(|(place, text)| back[*text] = place);
        scores.index_select(0, &Tensor::from_slice(&back).to_device(scores.device()))
    }

    /// Learns from rows, each a text's ids and its class. None if whoever watches said stop.
    pub fn fit(
        rows: &[(&[i64], usize)],
        vectors: &WordVectors,
        classes: usize,
        seed: u64,
        watch: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Option<BiLstm> {
        let lstm = BiLstm::begin(vectors.table.size()[1], classes, seed, vectors.table.device());
        let steps = lstm_steps(rows.len());
        let warm_up = (steps as f64 * WARM_UP).ceil() as usize;
        let mut optimizer = AdamW::new(&lstm.weights);
        let mut order = EpochOrder::new(seed, "order of the LSTM's rows", rows.len());
        for step in 0..if rows.is_empty() { 0 } else { steps } {
            let started = Instant::now();
            let of_step: Range<usize> = step * ROWS_IN_STEP..(step + 1) * ROWS_IN_STEP;
            let drawn: Vec<(&[i64], usize)> = order.items(of_step).into_iter().map(|row| rows[row]).collect();
            let texts: Vec<&[i64]> = drawn.iter().map(|(text, _)| *text).collect();
            let truths: Vec<i64> = drawn.iter().map(|(_, class)| *class as i64).collect();
            tch::manual_seed(seed::generator(seed, &format!("dropout of the LSTM's step {step}")).r#gen());
            let scores = lstm.scores_without(vectors, &texts, DROPOUT);
            let truths = Tensor::from_slice(&truths).to_device(scores.device());
            let loss = scores.cross_entropy_for_logits(&truths);
            loss.backward();
            let gradient_norm = clip_gradients(&lstm.weights, CLIP);
            let share = linear(step + 1, warm_up, steps + 1);
            optimizer
                .step(&lstm.weights, |name| (RATE * share, if name.contains("bias") { 0.0 } else { DECAY }));
            for weight in lstm.weights.values() {
                let _ = weight.grad().zero_();
            }
            let event = Event::Step {
                step: step + 1,
                task: None,
                losses: Losses { classification: Some(loss.double_value(&[])), language_modelling: None },
                learning_rate: RATE * share,
                gradient_norm,
                rows: drawn.len(),
                seconds: started.elapsed().as_secs_f64(),
            };
            if watch(&event).is_break() {
                return None;
            }
        }
        Some(lstm)
    }

    /// What it says of texts, in their order.
    pub fn predictions(&self, vectors: &WordVectors, texts: &[&[i64]]) -> Vec<Prediction> {
        // Texts of like length together: hardly anything is computed in vain.
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|text| texts[*text].len());
        let mut found = vec![Prediction::default(); texts.len()];
        for part in order.chunks(AT_ONCE) {
            let texts: Vec<&[i64]> = part.iter().map(|text| texts[*text]).collect();
            let scores =
                no_grad(|| self.scores(vectors, &texts).softmax(-1, Type::Double)).to_device(Device::Cpu);
            for (row, text) in part.iter().enumerate() {
                let probabilities = Vec::try_from(scores.get(row as i64));
                found[*text].probabilities =
                    probabilities.unwrap_or_else(|error| unreachable!("a list of numbers: {error}"));
            }
        }
        found
    }
}

/// The LSTM's weights, in PyTorch's order.
fn lstm_parts() -> impl Iterator<Item = String> {
    ["", "_reverse"].into_iter().flat_map(|direction| {
        ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map(|part| format!("{part}_l0{direction}"))
    })
}
