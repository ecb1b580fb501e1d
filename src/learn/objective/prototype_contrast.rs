//! The contrast of rows and rows that a prototype verbalizer learns by (ProtoVerb: Cui et al. 2022).

use rand::Rng as _;
use tch::{Kind as Type, Tensor};

use super::step::{Input, Step};
use crate::learn::target::Target;
use crate::model::encoder::Mode;
use crate::model::features::Features;
use crate::model::head::TEMPERATURE;
use crate::predict::classifier::Classifier;
use crate::predict::label_words::LabelWords;
use crate::seed;
use crate::tune::{PROTOTYPES, owner};

/// A row of a step: which of its inputs, the input, and its answer.
pub(super) struct Contrasted<'a> {
    /// Which of the step's inputs it is.
    pub place: usize,
    /// The input.
    pub features: &'a Features,
    /// What is to be answered.
    pub target: &'a Target,
}

/// The contrast of all rows of a step that goes through the model in parts: each part has the gradients that
/// it has in the whole (Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited
/// setup"). The rows' vectors are made once before, without gradients and with the same dropout.
pub(super) struct WholeContrast {
    /// `[B]`, in the inputs' order.
    losses: Tensor,
    /// Of the losses' sum by the vectors, `[B,P]`.
    gradients: Tensor,
    seed: u64,
    number: usize,
}

/// A part's share of that.
pub(super) struct PartContrast {
    losses: Tensor,
    gradients: Tensor,
}

impl WholeContrast {
    /// Of a step's inputs; none where all go through at once, or where nothing is contrasted.
    pub(super) fn of(
        step: &mut Step<'_>,
        inputs: &[Input<Contrasted<'_>>],
        words: &LabelWords,
    ) -> Option<WholeContrast> {
        if !step.trainable.leaves().keys().any(|name| is_projection(name)) {
            return None;
        }
        let (seed, number) = (step.seed, step.number);
        let made = step.of_parts(inputs, |classifier, part| {
            dropout_of(seed, number, part);
            let features: Vec<&Features> = part.iter().map(|row| row.features).collect();
            let vectors = match classifier {
                Classifier::Prompt(model, _) => model.scores_and_vectors(&features, words, Mode::Train).1,
                Classifier::Sequence(_) => None,
            };
            (part.iter().map(|row| row.place as i64).collect::<Vec<_>>(), vectors)
        })?;
        let mut places = Vec::new();
        let mut vectors = Vec::new();
        for (of_part, found) in made {
            places.extend(of_part);
            vectors.push(found?);
        }
        // In the inputs' order.
        let order = Tensor::from_slice(&places).argsort(0, false).to_device(vectors[0].device());
        let vectors = Tensor::cat(&vectors, 0).index_select(0, &order).detach().set_requires_grad(true);
        let targets: Vec<&Target> = inputs.iter().map(|input| input.content.target).collect();
        let losses = contrastive_losses(&vectors, &targets);
        losses.sum(Type::Float).backward();
        Some(WholeContrast { losses: losses.detach(), gradients: vectors.grad(), seed, number })
    }

    /// Of some rows, whose dropout begins as it did.
    pub(super) fn of_part(&self, part: &[&Contrasted<'_>]) -> PartContrast {
        dropout_of(self.seed, self.number, part);
        let places: Vec<i64> = part.iter().map(|row| row.place as i64).collect();
        let places = Tensor::from_slice(&places).to_device(self.losses.device());
        let [losses, gradients] = [&self.losses, &self.gradients].map(|all| all.index_select(0, &places));
        PartContrast { losses, gradients }
    }
}

impl PartContrast {
    /// The rows' losses; their sum has the gradients by these vectors that the whole step's has.
    ///
    /// # Shapes
    /// vectors `[B,P]` → `[B]`
    pub(super) fn losses(&self, vectors: &Tensor) -> Tensor {
        let towards = (vectors * &self.gradients).sum_dim_intlist([-1].as_slice(), false, Type::Float);
        &self.losses + &towards - towards.detach()
    }
}

/// Whether a tensor is what a prototype verbalizer projects states by, one task's alone or not.
fn is_projection(name: &str) -> bool {
    owner(name).0 == PROTOTYPES[0]
}

/// Lets a part's dropout begin at the same place in every pass.
fn dropout_of(seed: u64, number: usize, part: &[&Contrasted<'_>]) {
    let first = part.first().map_or(0, |row| row.place);
    tch::manual_seed(
        seed::generator(seed, &format!("dropout of step {number}, part of row {first}")).r#gen(),
    );
}

/// What a prototype verbalizer's rows lose beside the cross-entropy of their scores, which is the loss of
/// rows and prototypes: that of rows and rows. For a row i it is the mean over the other rows j of its class
/// of `-ln(exp(s_ij) / Σ_k exp(s_ik))`, s the cosines over [`TEMPERATURE`] and k all rows but i; 0 for a row
/// without another of its class (Cui et al. 2022, who count the row itself).
///
/// # Shapes
/// vectors `[B,P]` of length 1 → `[B]`
pub fn contrastive_losses(vectors: &Tensor, targets: &[&Target]) -> Tensor {
    let rows = targets.len() as i64;
    let device = vectors.device();
    let classes: Vec<i64> = targets.iter().map(|target| target.class() as i64).collect();
    let classes = Tensor::from_slice(&classes).to_device(device);
    let itself = Tensor::eye(rows, (Type::Bool, device));
    let alike = classes
        .unsqueeze(0)
        .eq_tensor(&classes.unsqueeze(1))
        .logical_and(&itself.logical_not())
        .to_kind(Type::Float);
    // Of a row alone nothing is left to compare with.
    let cosines =
        (vectors.matmul(&vectors.transpose(0, 1)) / TEMPERATURE).masked_fill(&itself, f64::from(f32::MIN));
    let logs = cosines.log_softmax(-1, Type::Float).masked_fill(&itself, 0.0);
    let count = alike.sum_dim_intlist([-1].as_slice(), false, Type::Float).clamp_min(1.0);
    -(logs * alike).sum_dim_intlist([-1].as_slice(), false, Type::Float) / count
}
