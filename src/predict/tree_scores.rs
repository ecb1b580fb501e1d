//! Scores of classes and branches of a tree become class scores.

use tch::{Device, Kind as Type, Tensor};

use crate::model::shared::Shared;
use crate::text::verbalizer::{Tree, TreeMode, TreeNode};

/// What of a branch's score its own words have, where it has some; the rest is the mean of its classes. On
/// rows of clinc150 the words alone, which are few and general, did worse than no words, and half of each
/// better than either.
const OF_OWN_WORDS: f64 = 0.5;

/// How the scores of C classes, and behind them those of the branches with words of their own, N in all,
/// become C class scores. The tree has T classes and branches, in G groups of siblings, K in the largest.
#[derive(Clone)]
pub struct TreeScores {
    /// `[N,T]`: what of each score a class or a branch has: see [`TreeMode`].
    nodes: Shared,
    /// The groups, level by level.
    siblings: Option<Siblings>,
    /// `[T,C]`: how often a class or a branch counts for a class.
    paths: Shared,
}

/// Which of the T stand beside each other.
#[derive(Clone)]
struct Siblings {
    /// `[G·K]`; a group with fewer than K repeats its first.
    members: Shared,
    /// `[G,K]`, true where it repeats.
    absent: Shared,
    /// `[T]`: each one's group.
    group: Shared,
}

impl TreeScores {
    /// Of a tree; none where the classes are scored as if there were none, and nothing stands behind them.
    pub fn new(tree: &Tree, device: Device) -> Option<TreeScores> {
        let own: Vec<Option<usize>> = (0..tree.branches().len())
            .scan(tree.classes(), |next, branch| {
                let is_own = tree.branches()[branch].own.is_some();
                *next += usize::from(is_own);
                Some(is_own.then(|| *next - 1))
            })
            .collect();
        let scored = tree.classes() + own.iter().flatten().count();
        if tree.mode() == TreeMode::Flat && scored == tree.classes() {
            return None;
        }
        let nodes = (0..tree.classes()).map(TreeNode::Class);
        let nodes: Vec<TreeNode> = nodes.chain((0..tree.branches().len()).map(TreeNode::Branch)).collect();
        let place = |node: TreeNode| match node {
            TreeNode::Class(class) => class,
            TreeNode::Branch(branch) => tree.classes() + branch,
        };
        let mut shares = Matrix::zeros(scored, nodes.len());
        for node in &nodes {
            match node {
                TreeNode::Class(class) => shares.set(*class, place(*node), 1.0),
                TreeNode::Branch(branch) => {
                    let below = tree.below(*branch);
                    let of_own = if own[*branch].is_some() { OF_OWN_WORDS } else { 0.0 };
                    let share = (1.0 - of_own) / below.len() as f64;
                    below.iter().for_each(|class| shares.set(*class, place(*node), share));
                    own[*branch].iter().for_each(|score| shares.set(*score, place(*node), of_own));
                }
            }
        }
        let levels = tree.levels();
        let mut paths = Matrix::zeros(nodes.len(), tree.classes());
        for class in 0..tree.classes() {
            let path = tree.path(class);
            let counts_for_itself = match tree.mode() {
                TreeMode::Flat | TreeMode::TopDown => 1,
                // A class above the lowest level stands for itself on the levels below, so that every class
                // has as many scores: what is added to all logits of a row changes nothing.
                TreeMode::Joint => levels - path.len() + 1,
            };
            let above = if tree.mode() == TreeMode::Flat { &[][..] } else { &path[..path.len() - 1] };
            above.iter().for_each(|node| paths.set(place(*node), class, 1.0));
            paths.set(class, class, counts_for_itself as f64);
        }
        let siblings = (tree.mode() == TreeMode::TopDown).then(|| Siblings::new(tree, &nodes, device));
        Some(TreeScores { nodes: shares.tensor(device), siblings, paths: paths.tensor(device) })
    }

    /// # Shapes
    /// `[B,N]` → `[B,C]`
    pub fn of(&self, scores: &Tensor) -> Tensor {
        let nodes = scores.matmul(&self.nodes);
        let steps = match &self.siblings {
            None => nodes,
            Some(siblings) => &nodes - siblings.log_sums(&nodes),
        };
        steps.matmul(&self.paths)
    }
}

impl Siblings {
    fn new(tree: &Tree, nodes: &[TreeNode], device: Device) -> Siblings {
        let parents: Vec<Option<usize>> = nodes.iter().map(|node| tree.parent(*node)).collect();
        let mut groups: Vec<(Option<usize>, Vec<i64>)> = Vec::new();
        let mut group = Vec::with_capacity(nodes.len());
        for (node, parent) in (0..).zip(&parents) {
            let known = groups.iter().position(|(of, _)| of == parent).unwrap_or_else(|| {
                groups.push((*parent, Vec::new()));
                groups.len() - 1
            });
            groups[known].1.push(node);
            group.push(known as i64);
        }
        let widest = groups.iter().map(|(_, members)| members.len()).max().unwrap_or(0);
        let (mut members, mut absent) = (Vec::new(), Vec::new());
        for (_, group) in &groups {
            members.extend(group.iter().copied().chain(std::iter::repeat_n(group[0], widest - group.len())));
            absent.extend((0..widest).map(|place| place >= group.len()));
        }
        let shape = [groups.len() as i64, widest as i64];
        Siblings {
            members: Tensor::from_slice(&members).to_device(device).into(),
            absent: Tensor::from_slice(&absent).view(shape).to_device(device).into(),
            group: Tensor::from_slice(&group).to_device(device).into(),
        }
    }

    /// The logarithm of the sum of exponentials over each one's group.
    ///
    /// # Shapes
    /// `[B,T]` → `[B,T]`
    fn log_sums(&self, nodes: &Tensor) -> Tensor {
        let size = self.absent.size();
        let grouped = nodes.index_select(1, &self.members).view([-1, size[0], size[1]]);
        let sums = grouped.masked_fill(&self.absent, f64::NEG_INFINITY).logsumexp([2], false);
        sums.index_select(1, &self.group)
    }
}

/// Numbers in rows, on their way to a tensor.
struct Matrix {
    width: usize,
    values: Vec<f64>,
}

impl Matrix {
    fn zeros(rows: usize, width: usize) -> Matrix {
        Matrix { width, values: vec![0.0; rows * width] }
    }

    fn set(&mut self, row: usize, column: usize, value: f64) {
        self.values[row * self.width + column] = value;
    }

    fn tensor(&self, device: Device) -> Shared {
        let values = Tensor::from_slice(&self.values).to_kind(Type::Float);
        values.view([-1, self.width as i64]).to_device(device).into()
    }
}
