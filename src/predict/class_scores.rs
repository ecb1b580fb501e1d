//! Label words' logits become class scores.

use tch::{Kind as Type, Tensor};

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
    /// `ln prior`, `[C·W]`, 0 where there is none; none where no word has one.
    pub(super) log_priors: Option<Shared>,
    /// The tree that the classes stand in, where it has a part in their scores; behind the C classes are then
    /// the branches that have words of their own.
    pub(super) tree: Option<Box<TreeScores>>,
}

impl ClassScores {
    /// Class scores by the verbalizer's [`Aggregate`]; their softmax over the classes are the class
    /// probabilities.
    ///
    /// # Shapes
    /// logits `[B,C·W]` in the classes' order → `[B,C]`
    pub fn of(&self, logits: &Tensor) -> Tensor {
        self.in_tree(self.of_words(logits))
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
    fn of_words(&self, logits: &Tensor) -> Tensor {
        let size = self.weights.size();
        let without_prior = self.log_priors.as_ref().map(|priors| logits - &**priors);
        let logits = without_prior.as_ref().unwrap_or(logits).view([-1, size[0], size[1]]);
        let present = self.weights.gt(0.0);
        let absent = present.logical_not();
        match self.aggregate {
            Aggregate::MeanLogit => self.weighted_mean(&logits),
            Aggregate::MeanLogProb => {
                let normaliser =
                    logits.masked_fill(&absent, f64::NEG_INFINITY).flatten(1, 2).logsumexp([1], true);
                self.weighted_mean(&(logits - normaliser.unsqueeze(2)))
            }
            Aggregate::LogSumExp => (logits + self.weights.log()).logsumexp([2], false),
            Aggregate::Max => logits.masked_fill(&absent, f64::NEG_INFINITY).amax([2], false),
        }
    }

    /// Each label word's share of the probability of all of them, 0 where a class has fewer words.
    ///
    /// # Shapes
    /// logits `[B,C·W]` in the classes' order → `[B,C·W]`
    pub fn shares(&self, logits: &Tensor) -> Tensor {
        let without_prior = self.log_priors.as_ref().map(|priors| logits - &**priors);
        let absent = self.weights.gt(0.0).logical_not().flatten(0, 1);
        let logits = without_prior.as_ref().unwrap_or(logits);
        logits.masked_fill(&absent, f64::NEG_INFINITY).softmax(-1, Type::Double)
    }

    /// `[B,C,W] → [B,C]`
    fn weighted_mean(&self, values: &Tensor) -> Tensor {
        (values * &*self.weights).sum_dim_intlist([2].as_slice(), false, Type::Float)
            / self.weights.sum_dim_intlist([1].as_slice(), false, Type::Float)
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
