//! The gradients of a step: inputs go through the model in parts, each with what was learned so far.

use tch::{Kind as Type, Tensor};

use crate::learn::plan::Plan;
use crate::predict::classifier::{Classifier, VerbalizedLm};
use crate::predict::prompt_model::PromptModel;
use crate::tune::{Form, Trainable, Tuning, of_task};

/// One optimiser step, as objectives see it.
pub struct Step<'a> {
    /// Its number, from 0.
    pub number: usize,
    /// How many steps before it had the same loss: of several tasks each goes through its own rows.
    pub turn: usize,
    /// The seed of every random choice.
    pub seed: u64,
    /// Whose vectors the model has, where several tasks are learned together.
    pub task: Option<&'a str>,
    /// The base model.
    pub base: &'a VerbalizedLm,
    /// What moves.
    pub tuning: &'a Tuning,
    /// How long and how fast.
    pub plan: &'a Plan,
    /// What moves, as it is.
    pub trainable: &'a Trainable,
    /// The model that takes it.
    pub classifier: &'a mut Classifier,
}

/// An input of a step.
pub(super) struct Input<T> {
    /// Its row.
    pub row: usize,
    /// Its tokens.
    pub length: usize,
    /// How many losses it has.
    pub losses: usize,
    /// What they are computed from.
    pub content: T,
}

impl Step<'_> {
    /// The rows of a step in all epochs, one behind the other.
    pub(super) fn places(&self, batch_size: usize) -> std::ops::Range<usize> {
        let size = batch_size * self.plan.accumulation;
        self.turn * size..(self.turn + 1) * size
    }

    /// Adds the gradients of `weight` times the mean of the inputs' losses to the leaves; gives the mean,
    /// none of no losses, or the rows whose losses are not finite. `add` adds those of a part of the inputs,
    /// and gives the sum of its losses over the scale's count, or which of them are not finite.
    pub(super) fn add_gradients<T>(
        &mut self,
        inputs: &[Input<T>],
        weight: f64,
        add: impl Fn(&Classifier, &[&T], Scale) -> Result<f64, Vec<usize>>,
    ) -> Result<Option<f64>, Vec<usize>> {
        let count: usize = inputs.iter().map(|input| input.losses).sum();
        let scale = Scale { count, weight };
        let mut total = 0.0;
        for part in parts(inputs, self.plan.batch_tokens) {
            // Anew for each part: a part's backward pass uses its graph up.
            self.adapt();
            let contents: Vec<&T> = part.iter().map(|input| &input.content).collect();
            total += add(self.classifier, &contents, scale).map_err(|bad| {
                let rows: Vec<usize> = part.iter().flat_map(|input| vec![input.row; input.losses]).collect();
                bad.into_iter().map(|loss| rows[loss]).collect::<Vec<usize>>()
            })?;
        }
        Ok((count > 0).then_some(total))
    }

    /// The same of losses that a model of prompts has; inputs without any take no part.
    pub(super) fn add_gradients_of<T>(
        &mut self,
        inputs: Vec<Input<T>>,
        weight: f64,
        losses: impl Fn(&PromptModel, &[&T]) -> Tensor,
    ) -> Result<Option<f64>, Vec<usize>> {
        let inputs: Vec<Input<T>> = inputs.into_iter().filter(|input| input.losses > 0).collect();
        self.add_gradients(&inputs, weight, |classifier, part, scale| match classifier {
            Classifier::Prompt(model, _) => backward(&losses(model, part), scale),
            Classifier::Sequence(_) => unreachable!("a classifier on [CLS] learns from its classes alone"),
        })
    }

    /// What is made of each part of the inputs, without gradients; none where all go through at once.
    pub(super) fn of_parts<T, R>(
        &mut self,
        inputs: &[Input<T>],
        make: impl Fn(&Classifier, &[&T]) -> R,
    ) -> Option<Vec<R>> {
        let parts = parts(inputs, self.plan.batch_tokens);
        (parts.len() > 1).then(|| {
            tch::no_grad(|| {
                self.adapt();
                let contents = |part: Vec<&'_ Input<T>>| -> R {
                    make(self.classifier, &part.into_iter().map(|input| &input.content).collect::<Vec<_>>())
                };
                parts.into_iter().map(contents).collect()
            })
        })
    }

    /// The model with what was learned so far.
    fn adapt(&mut self) {
        let mut learned = self.trainable.learned();
        if let Some(task) = self.task {
            learned = of_task(self.tuning, &learned, task);
        }
        self.classifier.adapt(self.base, self.tuning, &learned, Form::Beside);
        if self.plan.bf16 {
            self.classifier.narrow();
        }
    }
}

/// The inputs in parts that fit the budget of tokens, like lengths together.
fn parts<T>(inputs: &[Input<T>], batch_tokens: usize) -> Vec<Vec<&Input<T>>> {
    let mut inputs: Vec<&Input<T>> = inputs.iter().collect();
    inputs.sort_by_key(|input| input.length);
    let mut parts: Vec<Vec<&Input<T>>> = Vec::new();
    for input in inputs {
        match parts.last_mut() {
            Some(part) if (part.len() + 1) * input.length <= batch_tokens => part.push(input),
            _ => parts.push(vec![input]),
        }
    }
    parts
}

/// What a part's losses count in a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// The losses of the whole step.
    pub count: usize,
    /// What their mean is multiplied by.
    pub weight: f64,
}

/// Adds the gradients of the weight times the sum of losses over the count to the leaves; gives that sum over
/// the count, or which losses are not finite.
///
/// # Shapes
/// losses `[B]`
pub(super) fn backward(losses: &Tensor, Scale { count, weight }: Scale) -> Result<f64, Vec<usize>> {
    let loss = losses.sum(Type::Float) / count as f64;
    let value = loss.double_value(&[]);
    if !value.is_finite() {
        let bad = |index: &usize| !losses.double_value(&[*index as i64]).is_finite();
        return Err((0..losses.numel()).filter(bad).collect());
    }
    // Where soft tokens alone are learned, rows in a pattern without any teach nothing.
    if loss.requires_grad() {
        (loss * weight).backward();
    }
    Ok(value)
}
