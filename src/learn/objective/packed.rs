//! Masked language modelling on packed sequences, as models are pre-trained (Devlin et al. 2019; Gururangan et
//! al. 2020, arXiv 2004.10964, on texts of one's own field).
//!
//! All sequences have L tokens and M masks, so the last layer computes the masks' rows alone, and the whole
//! vocabulary stands beside those rows only, a chunk of them at a time.
//!
//! Letters: B sequences, L tokens, H hidden, V vocabulary, M masks of a sequence, N masks of a part.

use tch::{Kind as Type, Reduction, Tensor, no_grad};

use super::masking::Masking;
use super::step::{Input, Scale, Step, backward};
use crate::error::{Error, Result, TrainingError};
use crate::learn::corpus::Corpus;
use crate::model::batch::Batch;
use crate::model::encoder::Mode;
use crate::model::tokenizer::Tokenizer;
use crate::predict::classifier::Classifier;
use crate::predict::prompt_model::PromptModel;
use crate::seed;

/// Rows that stand beside the whole vocabulary at once: 64 MB of logits for BERT's.
const CHUNK: i64 = 512;

/// What no target is: such a row has no loss.
const NOTHING: i64 = -100;

/// The mean loss over the masks of a corpus's sequences.
pub struct PackedLanguageModelling {
    corpus: Corpus,
    masking: Masking,
    batch_size: usize,
}

/// A sequence with masks: its ids `[L]`, and where M of them are to be predicted.
pub struct MaskedSequence {
    /// What the model reads.
    pub ids: Vec<i64>,
    /// The places, in order, with what stood there; fewer than M where there is no room for more.
    pub chosen: Vec<(usize, i64)>,
}

impl MaskedSequence {
    /// A sequence whose masks are drawn by a seed and a name.
    pub fn new(mut ids: Vec<i64>, masking: &Masking, tokenizer: &Tokenizer, seed: u64, name: &str) -> Self {
        let count = masking.chosen(ids.len());
        let chosen = masking.mask(&mut ids, count, tokenizer, &mut seed::generator(seed, name));
        MaskedSequence { ids, chosen }
    }
}

impl PackedLanguageModelling {
    /// On a corpus, so many sequences in a batch.
    pub fn new(corpus: Corpus, masking: Masking, batch_size: usize) -> PackedLanguageModelling {
        PackedLanguageModelling { corpus, masking, batch_size }
    }

    /// The texts, and how they are cut.
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    pub(super) fn add_gradients(
        &mut self,
        step: &mut Step<'_>,
        weight: f64,
    ) -> Result<(Option<f64>, Vec<usize>)> {
        let places = step.places(self.batch_size);
        let mut sequences = Vec::with_capacity(places.len());
        for place in places.clone() {
            let (ids, name) = (self.corpus.sequence(place)?, format!("masked tokens of sequence {place}"));
            let tokenizer = step.base.tokenizer();
            sequences.push(MaskedSequence::new(ids, &self.masking, tokenizer, step.seed, &name));
        }
        Ok((add_gradients_of(step, sequences, weight)?, places.collect()))
    }
}

/// The error of a step, counted from 0, whose loss or gradients are not finite.
pub(super) fn not_finite(step: usize) -> Error {
    TrainingError::LmLossNotFinite { step: step + 1 }.into()
}

fn language_model(classifier: &Classifier) -> &PromptModel {
    match classifier {
        Classifier::Prompt(model, _) => model,
        Classifier::Sequence(_) => unreachable!("a training on [CLS] has no language modelling"),
    }
}

/// Adds the gradients of `weight` times the mean loss over all masks of a step's sequences to its leaves; gives
/// the mean, none of no masks.
pub fn add_gradients_of(
    step: &mut Step<'_>,
    sequences: Vec<MaskedSequence>,
    weight: f64,
) -> Result<Option<f64>> {
    let input = |(row, content): (usize, MaskedSequence)| Input {
        row,
        length: content.ids.len(),
        losses: content.chosen.len(),
        content,
    };
    // One whose words are all too long to be masked whole teaches nothing.
    let inputs: Vec<_> =
        sequences.into_iter().enumerate().map(input).filter(|input| input.losses > 0).collect();
    let found = step.add_gradients(&inputs, weight, |classifier, part, scale| {
        // Which of them it was helps nobody: the step is named.
        add_gradients(language_model(classifier), part, scale).map_err(|_| Vec::new())
    });
    found.map_err(|_| not_finite(step.number))
}

/// Adds the gradients of a part's losses; gives their sum over the step's count.
///
/// The states are made once. The head's gradients, and those of the states, are added chunk by chunk, each of
/// which is given back before the next; then the encoder gets the states' gradients at one time.
fn add_gradients(model: &PromptModel, part: &[&MaskedSequence], scale: Scale) -> Result<f64, Vec<usize>> {
    let (states, targets) = states_and_targets(model, part, Mode::Train);
    let leaf = states.detach().set_requires_grad(states.requires_grad());
    let mut total = 0.0;
    for (states, targets) in leaf.split(CHUNK, 0).iter().zip(targets.split(CHUNK, 0)) {
        total += backward(&losses(model, states, &targets, Mode::Train), scale)?;
    }
    let gradients = leaf.grad();
    if gradients.defined() {
        // The gradient of this sum is, for each state, the one that was found.
        (states * gradients).sum(Type::Float).backward();
    }
    Ok(total)
}

/// # Shapes
/// B sequences → `[B·M,H]`, `[B·M]`
fn states_and_targets(model: &PromptModel, part: &[&MaskedSequence], mode: Mode) -> (Tensor, Tensor) {
    let most = part.iter().map(|sequence| sequence.chosen.len()).max().unwrap_or(0);
    let (mut places, mut targets) = (Vec::new(), Vec::new());
    for sequence in part {
        let chosen = sequence.chosen.iter().map(|&(at, id)| (at as i64, id));
        // A sequence with fewer is read at its beginning as well, for nothing.
        for (at, id) in chosen.chain(std::iter::repeat((0, NOTHING))).take(most) {
            places.push(at);
            targets.push(id);
        }
    }
    let ids: Vec<&[i64]> = part.iter().map(|sequence| &sequence.ids[..]).collect();
    let batch = Batch::of_sequences(&ids, &places, model.device());
    let states = model.states_at(&batch, mode).flatten(0, 1);
    (states, Tensor::from_slice(&targets).to_device(model.device()))
}

/// Each row's loss; 0 where there is nothing to predict.
///
/// # Shapes
/// states `[N,H]`, targets `[N]` → `[N]`
fn losses(model: &PromptModel, states: &Tensor, targets: &Tensor, mode: Mode) -> Tensor {
    let logits = model.vocabulary_logits_of(states, mode);
    logits.cross_entropy_loss::<Tensor>(targets, None, Reduction::None, NOTHING, 0.0)
}

/// What a model loses on sequences with masks that are given: the sum over the masks in nats, and how many
/// masks there are. Their perplexity is e to the mean.
pub fn loss_of(model: &PromptModel, sequences: &[MaskedSequence], batch_tokens: usize) -> (f64, usize) {
    let length = sequences.first().map_or(1, |sequence| sequence.ids.len());
    let masked: Vec<&MaskedSequence> =
        sequences.iter().filter(|sequence| !sequence.chosen.is_empty()).collect();
    let mut total = 0.0;
    for part in masked.chunks((batch_tokens / length).max(1)) {
        no_grad(|| {
            let (states, targets) = states_and_targets(model, part, Mode::Score);
            for (states, targets) in states.split(CHUNK, 0).iter().zip(targets.split(CHUNK, 0)) {
                total += losses(model, states, &targets, Mode::Score).sum(Type::Double).double_value(&[]);
            }
        });
    }
    (total, sequences.iter().map(|sequence| sequence.chosen.len()).sum())
}
