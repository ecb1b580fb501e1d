//! How long and how fast a training goes.

use serde::{Deserialize, Serialize};
use tch::Device;

use crate::error::{Errors, Result, TuningError};
use crate::learn::schedule;
use crate::model::dtype::Dtype;
use crate::tune::{SOFT_RATE, Tuning};

/// How long and how fast to train. Every number is one that a user may set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Optimiser steps.
    pub steps: usize,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// The highest learning rate of soft tokens that stand beside another method.
    pub soft_learning_rate: f64,
    /// The share of the steps in which the rate goes up from 0; it goes down to 0 in the rest.
    pub warm_up: f64,
    /// Rows in a batch.
    pub batch_size: usize,
    /// Batches in an optimiser step.
    pub accumulation: usize,
    /// Most tokens that go through the model at once, padding counted; a larger batch goes through in parts.
    pub batch_tokens: usize,
    /// AdamW's λ: none on biases, layer norms and soft tokens.
    pub weight_decay: f64,
    /// The most that the norm of all gradients together may be.
    pub clip_norm: f64,
    /// The probability of dropout in place of the model's own.
    pub dropout: Option<f64>,
    /// R-Drop's α (Liang et al. 2021): rows of classes go through the model twice, with dropout of their own
    /// each time, and this times how far their answers differ is added to the mean of both losses; 0 for
    /// once.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub r_drop: f64,
    /// What rows of classes teach.
    #[serde(default, skip_serializing_if = "ClassLoss::is_usual")]
    pub loss: ClassLoss,
    /// Whether the encoder's products are computed in bfloat16, where there are instructions for it; what is
    /// learned, its gradients and AdamW stay in single precision.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bf16: bool,
    /// Steps from one evaluation on held-out rows to the next.
    pub evaluate_every: usize,
    /// Early stopping: so many evaluations without a better one end the training.
    pub patience: usize,
}

/// What rows of classes teach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum ClassLoss {
    /// Which class is likeliest.
    #[default]
    CrossEntropy,
    /// ADAPET: each class by itself among all words, and tokens beside a label word (Tam et al. 2021)
    Adapet,
    /// That none is likelier than others: the loss of null inputs (He, Long & Roy 2024).
    #[cfg_attr(feature = "cli", value(skip))]
    Even,
}

impl ClassLoss {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde asks so.
    fn is_usual(&self) -> bool {
        *self == ClassLoss::default()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks so.
fn is_nothing(number: &f64) -> bool {
    *number == 0.0
}

/// The usual rate of null inputs, and their usual number of steps: one, with all of them, at which the authors
/// stop.
const NULL_INPUTS: (f64, usize) = (1e-3, 1);

/// The most rows in a batch, batches in a step, and rows in a step.
pub(crate) const MOST_ROWS: usize = 1 << 20;

impl Plan {
    /// So many steps at a rate, and the usual rest.
    pub fn usual(steps: usize, learning_rate: f64) -> Plan {
        Plan {
            steps,
            learning_rate,
            soft_learning_rate: SOFT_RATE,
            warm_up: 0.1,
            batch_size: 16,
            accumulation: 1,
            batch_tokens: 4096,
            weight_decay: 0.01,
            clip_norm: 1.0,
            dropout: None,
            r_drop: 0.0,
            loss: ClassLoss::default(),
            bf16: false,
            evaluate_every: (steps / 10).max(1),
            patience: 5,
        }
    }

    /// Refuses numbers that no training can have. All problems at once.
    pub fn check(&self) -> Result<(), Errors> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let most_batches = MOST_ROWS / self.batch_size.clamp(1, MOST_ROWS);
        let with_batch = format!("at most {most_batches} with {} rows in a batch", self.batch_size);
        let checks = [
            ("steps", self.steps as f64, self.steps >= 1, "1 or more"),
            ("learning_rate", self.learning_rate, positive(self.learning_rate), "a number above 0"),
            (
                "soft_learning_rate",
                self.soft_learning_rate,
                positive(self.soft_learning_rate),
                "a number above 0",
            ),
            ("warm_up", self.warm_up, (0.0..=1.0).contains(&self.warm_up), "from 0 to 1"),
            (
                "batch_size",
                self.batch_size as f64,
                (1..=MOST_ROWS).contains(&self.batch_size),
                "1 to 1048576",
            ),
            (
                "accumulation",
                self.accumulation as f64,
                (1..=MOST_ROWS).contains(&self.accumulation),
                "1 to 1048576",
            ),
            (
                "accumulation",
                self.accumulation as f64,
                // What is too many whatever the batch is told above.
                self.accumulation <= most_batches || self.accumulation > MOST_ROWS,
                &with_batch,
            ),
            ("weight_decay", self.weight_decay, (0.0..1.0).contains(&self.weight_decay), "from 0 to below 1"),
            ("clip_norm", self.clip_norm, positive(self.clip_norm), "a number above 0"),
            (
                "dropout",
                self.dropout.unwrap_or(0.0),
                (0.0..1.0).contains(&self.dropout.unwrap_or(0.0)),
                "from 0 to below 1",
            ),
            ("r_drop", self.r_drop, self.r_drop.is_finite() && self.r_drop >= 0.0, "0 or more"),
            ("evaluate_every", self.evaluate_every as f64, self.evaluate_every >= 1, "1 or more"),
            ("patience", self.patience as f64, self.patience >= 1, "1 or more"),
        ];
        out_of_range(checks).none()
    }

    /// What a reader of results should know of the type that it computes in on a device.
    pub fn remark(&self, device: Device) -> Option<String> {
        if self.bf16 { Dtype::Bf16.remark(device) } else { None }
    }

    /// The share of the highest rates at a step, from 0.
    pub(crate) fn rate(&self, step: usize) -> f64 {
        // At least one step is taken at the full rate.
        let warm_up = ((self.warm_up * self.steps as f64).round() as usize).min(self.steps.saturating_sub(1));
        schedule::linear(step, warm_up, self.steps)
    }
}

/// The errors of options with their numbers, of which some are not what is allowed.
pub(crate) fn out_of_range<const N: usize>(checks: [(&str, f64, bool, &str); N]) -> Errors {
    let wrong = checks.into_iter().filter(|(_, _, is, _)| !is).map(|(name, found, _, allowed)| {
        TuningError::OptionOutOfRange { name: format!("plan.{name}"), found, allowed: allowed.to_owned() }
            .into()
    });
    wrong.collect()
}

/// A plan of which only a part may be given.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // As in [`Plan`].
pub struct PlanOptions {
    pub steps: Option<usize>,
    pub learning_rate: Option<f64>,
    pub soft_learning_rate: Option<f64>,
    pub warm_up: Option<f64>,
    pub batch_size: Option<usize>,
    pub accumulation: Option<usize>,
    pub batch_tokens: Option<usize>,
    pub weight_decay: Option<f64>,
    pub clip_norm: Option<f64>,
    pub dropout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r_drop: Option<f64>,
    #[serde(skip_serializing_if = "ClassLoss::is_usual")]
    pub loss: ClassLoss,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bf16: bool,
}

impl PlanOptions {
    /// The plan, with a method's defaults where nothing is said. Nothing is held out, so it goes to its last
    /// step.
    pub fn plan(&self, tuning: &Tuning, classes: usize) -> Plan {
        let defaults = tuning.defaults(classes);
        let usual = Plan::usual(
            self.steps.unwrap_or(defaults.steps),
            self.learning_rate.unwrap_or(defaults.learning_rate),
        );
        Plan {
            soft_learning_rate: self.soft_learning_rate.unwrap_or(usual.soft_learning_rate),
            warm_up: self.warm_up.unwrap_or(usual.warm_up),
            batch_size: self.batch_size.unwrap_or(usual.batch_size),
            accumulation: self.accumulation.unwrap_or(usual.accumulation),
            batch_tokens: self.batch_tokens.unwrap_or(usual.batch_tokens),
            weight_decay: self.weight_decay.unwrap_or(usual.weight_decay),
            clip_norm: self.clip_norm.unwrap_or(usual.clip_norm),
            dropout: self.dropout,
            r_drop: self.r_drop.unwrap_or(usual.r_drop),
            loss: self.loss,
            bf16: self.bf16,
            ..usual
        }
    }

    /// The same for so many null inputs, in all patterns together: all of them in each step, without dropout,
    /// so that they say the same each time.
    #[must_use]
    pub fn for_null_inputs(self, inputs: usize) -> PlanOptions {
        let (rate, steps) = NULL_INPUTS;
        PlanOptions {
            steps: self.steps.or(Some(steps)),
            learning_rate: self.learning_rate.or(Some(rate)),
            warm_up: self.warm_up.or(Some(0.0)),
            batch_size: self.batch_size.or(Some(inputs.clamp(1, MOST_ROWS))),
            dropout: self.dropout.or(Some(0.0)),
            loss: ClassLoss::Even,
            ..self
        }
    }

    /// A plan with everything said: a later version of cloze may have other defaults.
    pub fn of(plan: &Plan) -> PlanOptions {
        PlanOptions {
            steps: Some(plan.steps),
            learning_rate: Some(plan.learning_rate),
            soft_learning_rate: Some(plan.soft_learning_rate),
            warm_up: Some(plan.warm_up),
            batch_size: Some(plan.batch_size),
            accumulation: Some(plan.accumulation),
            batch_tokens: Some(plan.batch_tokens),
            weight_decay: Some(plan.weight_decay),
            clip_norm: Some(plan.clip_norm),
            dropout: plan.dropout,
            r_drop: (plan.r_drop > 0.0).then_some(plan.r_drop),
            loss: plan.loss,
            bf16: plan.bf16,
        }
    }
}
