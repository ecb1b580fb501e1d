//! The names and formulas of the ways to aggregate label words, which verbalizer files choose from.
//! [`crate::predict::class_scores`] computes them.

use serde::Serialize;

/// How label-word logits are put together into class scores, `[B,C,W] → [B,C]`.
///
/// `l_w` is the logit of a label word `w` at the mask and `a_w` its weight (1 unless the file gives one);
/// sums over `w` run over the class's own words. Class probabilities are the softmax of the scores over the
/// classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// `Σ a_w·l_w / Σ a_w`: the weighted mean of the logits (PET, Schick & Schütze 2021, where a class has
    /// several words).
    #[default]
    MeanLogit,
    /// `Σ a_w·log p_w / Σ a_w` with `p` the softmax over ALL classes' label words together: the weighted mean
    /// of the log probabilities. The classes' probabilities are those of `mean_logit`; the scores are
    /// comparable between rows.
    MeanLogProb,
    /// `log Σ a_w·exp(l_w)`: the logarithm of the summed probabilities, up to a constant of the row. A class
    /// with more words has more chances.
    LogSumExp,
    /// `max l_w`: the class's best word alone. Weights have no part in it.
    Max,
}

impl Aggregate {
    /// All of them.
    pub const ALL: [Aggregate; 4] =
        [Aggregate::MeanLogit, Aggregate::MeanLogProb, Aggregate::LogSumExp, Aggregate::Max];

    /// The name in verbalizer files.
    pub fn name(self) -> &'static str {
        match self {
            Aggregate::MeanLogit => "mean_logit",
            Aggregate::MeanLogProb => "mean_log_prob",
            Aggregate::LogSumExp => "log_sum_exp",
            Aggregate::Max => "max",
        }
    }

    /// The aggregate of that name.
    pub fn from_name(name: &str) -> Option<Aggregate> {
        Aggregate::ALL.into_iter().find(|aggregate| aggregate.name() == name)
    }
}
