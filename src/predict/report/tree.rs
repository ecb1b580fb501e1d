//! The measures of classes in a tree: how much of the path is right.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::numbers::wilson;
use crate::text::verbalizer::TreeNode;

/// What is measured of classes in a tree. A class is taken for the set of itself and the branches above it;
/// precision and recall count these, over all rows together (Kiritchenko et al. 2006).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TreeEvaluation {
    /// Level by level, from the top.
    pub levels: Vec<LevelAccuracy>,
    /// Of the predicted classes and branches above them, the share that is true.
    pub precision: f64,
    /// Of the true classes and branches above them, the share that is predicted.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
}

/// How often a level of the path is right. A class above a level stands there for itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LevelAccuracy {
    /// So many classes and branches stand on the level.
    pub nodes: usize,
    /// The share of rows.
    pub accuracy: f64,
    /// The 95 % interval of the accuracy over other rows ([`wilson`]).
    pub accuracy_95: [f64; 2],
}

impl TreeEvaluation {
    /// Of how often which class was predicted as which, `[true, predicted]`, and each class's path from the
    /// top ([`Tree::path`](crate::text::verbalizer::Tree::path)); there must be a row.
    pub(super) fn of(counts: &Array2<u64>, paths: &[Vec<TreeNode>]) -> TreeEvaluation {
        let levels = paths.iter().map(Vec::len).max().unwrap_or(0);
        let (mut shared, mut predicted, mut real) = (0, 0, 0);
        for ((truth, class), count) in counts.indexed_iter() {
            let (truth, class) = (&paths[truth], &paths[class]);
            shared += count * truth.iter().filter(|node| class.contains(node)).count() as u64;
            predicted += count * class.len() as u64;
            real += count * truth.len() as u64;
        }
        let ratio = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        TreeEvaluation {
            levels: (0..levels).map(|level| LevelAccuracy::of(counts, paths, level)).collect(),
            precision: ratio(shared, predicted),
            recall: ratio(shared, real),
            f1: ratio(2 * shared, predicted + real),
        }
    }
}

impl LevelAccuracy {
    fn of(counts: &Array2<u64>, paths: &[Vec<TreeNode>], level: usize) -> LevelAccuracy {
        let on_level: Vec<TreeNode> = paths.iter().map(|path| path[level.min(path.len() - 1)]).collect();
        let is_right = |((truth, class), _): &((usize, usize), &u64)| on_level[*truth] == on_level[*class];
        let (right, rows) =
            (counts.indexed_iter().filter(is_right).map(|(_, count)| count).sum(), counts.sum());
        let mut nodes = on_level.clone();
        nodes.sort();
        nodes.dedup();
        LevelAccuracy {
            nodes: nodes.len(),
            accuracy: right as f64 / rows as f64,
            accuracy_95: wilson(right, rows),
        }
    }
}
