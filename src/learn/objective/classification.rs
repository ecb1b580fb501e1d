//! Cross-entropy of class scores: of label words at the mask, of a verbalizer's own vectors, or of a
//! classifier on `[CLS]`; with soft labels distillation.

use tch::{Kind as Type, Tensor};

use super::prototype_contrast::contrastive_losses;
use super::step::{Input, Step};
use crate::error::{Error, Kind, TrainingError};
use crate::learn::encoded::{EncodedRows, EpochOrder};
use crate::learn::target::Target;
use crate::model::encoder::Mode;
use crate::model::features::Features;
use crate::predict::classifier::Classifier;
use crate::predict::label_words::LabelWords;

/// The mean loss over rows with targets: see [`Target`], and with prototypes [`contrastive_losses`].
pub struct Classification {
    rows: EncodedRows,
    targets: Vec<Target>,
    words: LabelWords,
    order: EpochOrder,
}

impl Classification {
    /// Of rows with what each is to be answered with, by these label words, in the order of a seed.
    pub(crate) fn new(
        rows: EncodedRows,
        targets: Vec<Target>,
        words: LabelWords,
        seed: u64,
    ) -> Classification {
        let order = EpochOrder::new(seed, "order", rows.items().len());
        Classification { rows, targets, words, order }
    }

    pub(super) fn add_gradients(
        &mut self,
        step: &mut Step<'_>,
        weight: f64,
    ) -> Result<(Option<f64>, Vec<usize>), Vec<usize>> {
        let drawn = self.order.items(step.places(step.plan.batch_size));
        let inputs: Vec<Input<(&Features, &Target)>> = drawn
            .into_iter()
            .map(|item| {
                let item = &self.rows.items()[item];
                let content = (&item.features, &self.targets[item.row]);
                Input { row: item.row, length: item.features.ids.len(), losses: 1, content }
            })
            .collect();
        let mean = step.add_gradients(&inputs, weight, |classifier, part| {
            let (inputs, targets): (Vec<&Features>, Vec<&Target>) = part.iter().copied().copied().unzip();
            let (scores, vectors) = match classifier {
                Classifier::Prompt(model, _) => model.scores_and_vectors(&inputs, &self.words, Mode::Train),
                Classifier::Sequence(model) => (model.class_scores(&inputs, Mode::Train), None),
            };
            let losses = losses(&scores, &targets);
            match vectors {
                None => losses,
                Some(vectors) => losses + contrastive_losses(&vectors, &targets),
            }
        })?;
        Ok((mean, inputs.into_iter().map(|input| input.row).collect()))
    }

    pub(super) fn not_finite(&self, step: usize, rows: &[usize]) -> Error {
        self.rows.not_finite(rows, |records| {
            Kind::Training(TrainingError::LossNotFinite { step: step + 1, records })
        })
    }
}

/// Each row's loss: see [`Target`].
///
/// # Shapes
/// scores `[B,C]` → `[B]`
pub fn losses(scores: &Tensor, targets: &[&Target]) -> Tensor {
    let size = scores.size();
    // Of two axes by construction.
    let classes = scores.numel() / targets.len().max(1);
    let (probabilities, temperatures): (Vec<Vec<f64>>, Vec<f64>) =
        targets.iter().map(|target| target.soft(classes)).unzip();
    let to_tensor =
        |values: &[f64]| Tensor::from_slice(values).to_kind(Type::Float).to_device(scores.device());
    let probabilities = to_tensor(&probabilities.concat()).view(&size[..]);
    let temperatures = to_tensor(&temperatures).unsqueeze(1);
    let found = (scores / &temperatures).log_softmax(-1, Type::Float);
    let divergence = (probabilities.xlogy(&probabilities) - &probabilities * found).sum_dim_intlist(
        -1,
        false,
        Type::Float,
    );
    divergence * temperatures.squeeze_dim(1).square()
}
