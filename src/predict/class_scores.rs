//! Label words' logits become class scores.

use tch::{Kind as Type, Tensor};

use crate::model::features::Features;
use crate::model::shared::Shared;
use crate::predict::tree_scores::TreeScores;
use crate::text::verbalizer::Aggregate;

/// How the logits of C classes with W words at most become C scores.
#[derive(Clone)]
pub struct ClassScores {
    /// How a class's words are put together.
    pub(super) aggregate: Aggregate,
    /// `[C,W]`, 0 where a class has fewer words.
    pub(super) weights: Shared,
    /// `ln prior`, `[P,C·W]` for P patterns or for all, 0 where there is none; none where no word has one.
    pub(super) log_priors: Option<Shared>,
    /// The tree that the classes stand in, where it has a part in their scores; behind the C classes are then
    /// the branches that have words of their own.
    pub(super) tree: Option<Box<TreeScores>>,
}

impl ClassScores {
    /// Class scores by the verbalizer's [`Aggregate`]; their softmax over the classes are the class
    /// probabilities. `learned` are numbers whose softmax weighs each class's words in place of the usual
    /// weights.
    ///
    /// # Shapes
    /// B inputs, logits `[B,C·W]` in the classes' order, learned `[C,W]` → `[B,C]`
    pub fn of(&self, logits: &Tensor, inputs: &[&Features], learned: Option<&Tensor>) -> Tensor {
        let logits = self.without_priors(logits, inputs);
        let weights = learned.map(|learned| {
            let absent = self.weights.gt(0.0).logical_not();
            learned.masked_fill(&absent, f64::NEG_INFINITY).softmax(-1, Type::Float)
        });
        self.in_tree(self.of_words(&logits, weights.as_ref().unwrap_or(&*self.weights)))
    }

    /// Whether any word has a prior.
    pub(super) fn has_priors(&self) -> bool {
        self.log_priors.is_some()
    }

    /// What learned weights start from: the logarithms of the words' own, 0 where a class has fewer words.
    ///
    /// # Shapes
    /// `[C,W]`
    pub fn start_of_weights(&self) -> Tensor {
        let absent = self.weights.gt(0.0).logical_not();
        self.weights.log().masked_fill(&absent, 0.0)
    }

    /// The logits without the words' priors in the patterns of the inputs.
    ///
    /// # Shapes
    /// `[B,C·W]` → `[B,C·W]`
    fn without_priors(&self, logits: &Tensor, inputs: &[&Features]) -> Tensor {
        let Some(priors) = &self.log_priors else { return logits.shallow_clone() };
        if priors.size()[0] == 1 {
            return logits - &**priors;
        }
        let patterns: Vec<i64> = inputs.iter().map(|input| input.priors as i64).collect();
        logits - priors.index_select(0, &Tensor::from_slice(&patterns).to_device(priors.device()))
    }

    /// The scores of classes that have some by themselves, where a tree has a part in them.
    ///
    /// # Shapes
    /// `[B,N]`, of classes and of branches with words of their own → `[B,C]`
    pub fn in_tree(&self, scores: Tensor) -> Tensor {
        match &self.tree {
            Some(tree) => tree.of(&scores),
            None => scores,
        }
    }

    /// Of classes and of branches with words of their own.
    ///
    /// # Shapes
    /// `[B,N·W]` → `[B,N]`
    fn of_words(&self, logits: &Tensor, weights: &Tensor) -> Tensor {
        let size = self.weights.size();
        let logits = logits.view([-1, size[0], size[1]]);
        let present = self.weights.gt(0.0);
        let absent = present.logical_not();
        match self.aggregate {
            Aggregate::MeanLogit => weighted_mean(&logits, weights),
            Aggregate::MeanLogProb => {
                let normaliser =
                    logits.masked_fill(&absent, f64::NEG_INFINITY).flatten(1, 2).logsumexp([1], true);
                weighted_mean(&(logits - normaliser.unsqueeze(2)), weights)
            }
            Aggregate::LogSumExp => (logits + weights.log()).logsumexp([2], false),
            Aggregate::Max => logits.masked_fill(&absent, f64::NEG_INFINITY).amax([2], false),
        }
    }

    /// Each label word's share of the probability of all of them, 0 where a class has fewer words.
    ///
    /// # Shapes
    /// B inputs, logits `[B,C·W]` in the classes' order → `[B,C·W]`
    pub fn shares(&self, logits: &Tensor, inputs: &[&Features]) -> Tensor {
        let absent = self.weights.gt(0.0).logical_not().flatten(0, 1);
        self.without_priors(logits, inputs).masked_fill(&absent, f64::NEG_INFINITY).softmax(-1, Type::Double)
    }

    /// The weighted mean of what belongs to each class's words.
    ///
    /// # Shapes
    /// rows `[C·W,…]` in the classes' order → `[C,…]`
    pub fn mean_of_words(&self, rows: &Tensor) -> Tensor {
        let size = self.weights.size();
        let rows = rows.view([size[0], size[1], -1]);
        let shares = &*self.weights / self.weights.sum_dim_intlist([1].as_slice(), true, Type::Float);
        (rows * shares.unsqueeze(2)).sum_dim_intlist([1].as_slice(), false, Type::Float)
    }
}

/// `[B,C,W]`, weights `[C,W]` → `[B,C]`
fn weighted_mean(values: &Tensor, weights: &Tensor) -> Tensor {
    (values * weights).sum_dim_intlist([2].as_slice(), false, Type::Float)
        / weights.sum_dim_intlist([1].as_slice(), false, Type::Float)
}
