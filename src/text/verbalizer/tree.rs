//! Classes that stand in a tree: `sport/football` below `sport`.

use serde::{Deserialize, Serialize};

use super::Class;
use crate::error::VerbalizerError;

/// What stands between the names of a path.
pub const SEPARATOR: char = '/';

/// How the scores of a tree's classes come about. A class's own score is what its words give it. A branch's
/// score is the mean of the own scores of all classes below it; where it has words of its own, half of that
/// and half of what its words give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum TreeMode {
    /// The classes beside each other, as if there were no tree
    Flat,
    /// Level by level: the product of each step's probability, a softmax over the branch's children
    TopDown,
    /// Each class's score and those of the branches above it, added up before one softmax
    #[default]
    Joint,
}

impl TreeMode {
    /// All of them.
    pub const ALL: [TreeMode; 3] = [TreeMode::Flat, TreeMode::TopDown, TreeMode::Joint];

    /// The name in verbalizer files.
    pub fn name(self) -> &'static str {
        match self {
            TreeMode::Flat => "flat",
            TreeMode::TopDown => "top-down",
            TreeMode::Joint => "joint",
        }
    }
}

/// What stands above classes: branches, each with its own branch above it or none.
///
/// ```
/// use cloze::text::verbalizer::{Tree, TreeMode};
/// let tree = Tree::of_paths(&["sport/football", "sport/tennis", "politics"], TreeMode::Joint).unwrap();
/// assert_eq!(tree.branches()[0].path, "sport");
/// assert_eq!((tree.above(1), tree.above(2)), (vec![0], vec![]));
/// assert_eq!((tree.levels(), tree.name(0)), (2, "football"));
/// assert!(Tree::of_paths(&["sport", "sport/tennis"], TreeMode::Joint).is_err());
/// ```
#[derive(Debug, Clone)]
pub struct Tree {
    mode: TreeMode,
    /// A branch stands behind the one above it.
    branches: Vec<Branch>,
    classes: Vec<Leaf>,
}

/// A branch of a tree.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Its name behind the names of those above it.
    pub path: String,
    /// The branch above it.
    pub parent: Option<usize>,
    /// Its words and texts, where it has words of its own.
    pub own: Option<Class>,
}

/// A class in its tree.
#[derive(Debug, Clone)]
struct Leaf {
    name: String,
    parent: Option<usize>,
}

/// A class or a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TreeNode {
    /// A class, by its place in class order.
    Class(usize),
    /// A branch, by its place among the branches.
    Branch(usize),
}

/// What is wrong with a label, by its place in class order.
pub type LabelProblem = (usize, VerbalizerError);

impl Tree {
    /// The tree that paths tell. All problems at once.
    pub fn of_paths(paths: &[&str], mode: TreeMode) -> Result<Tree, Vec<LabelProblem>> {
        let mut tree = Tree { mode, branches: Vec::new(), classes: Vec::new() };
        let mut problems = Vec::new();
        for (class, path) in paths.iter().enumerate() {
            let names: Vec<&str> = path.split(SEPARATOR).collect();
            problems.extend(problem_of_path(path, &names).map(|problem| (class, problem)));
            let (name, above) = names.split_last().unwrap_or((&"", &[]));
            let mut parent = None;
            for depth in 1..=above.len() {
                let path = above[..depth].join("/");
                let known = tree.branches.iter().position(|branch| branch.path == path);
                parent = Some(known.unwrap_or_else(|| {
                    tree.branches.push(Branch { path, parent, own: None });
                    tree.branches.len() - 1
                }));
            }
            tree.classes.push(Leaf { name: (*name).to_owned(), parent });
        }
        if tree.branches.is_empty() {
            problems.push((0, VerbalizerError::TreeWithoutBranches));
        }
        if problems.is_empty() {
            problems.extend(tree.problems_of_names(paths));
        }
        if problems.is_empty() { Ok(tree) } else { Err(problems) }
    }

    /// Refuses names that stand in two places: rows could not say which of them they mean.
    fn problems_of_names(&self, paths: &[&str]) -> Vec<LabelProblem> {
        let places = self.classes.iter().zip(paths).map(|(leaf, path)| (leaf.name.as_str(), *path));
        let mut known: Vec<(&str, &str)> = Vec::new();
        let mut problems = Vec::new();
        for (class, (name, path)) in places.enumerate() {
            let branch = self.branches.iter().find(|branch| name_of(&branch.path) == name);
            let other = known.iter().find(|(known, _)| *known == name);
            problems.extend(match (branch, other) {
                (Some(branch), _) => {
                    let (label, branch) = (path.to_owned(), branch.path.clone());
                    Some((class, VerbalizerError::LeafAndBranch { label, branch }))
                }
                (None, Some((_, first))) => {
                    let (name, first, second) = (name.to_owned(), (*first).to_owned(), path.to_owned());
                    Some((class, VerbalizerError::TwoParents { name, first, second }))
                }
                (None, None) => None,
            });
            known.push((name, path));
        }
        for (index, branch) in self.branches.iter().enumerate() {
            let name = name_of(&branch.path);
            let Some(first) = self.branches[..index].iter().find(|first| name_of(&first.path) == name) else {
                continue;
            };
            let class = (0..paths.len()).find(|class| self.above(*class).contains(&index)).unwrap_or(0);
            let (first, second) = (first.path.clone(), branch.path.clone());
            problems.push((class, VerbalizerError::TwoParents { name: name.to_owned(), first, second }));
        }
        problems
    }

    /// The same with the words and texts that branches have, by their paths, which the classes' labels are.
    pub(super) fn with_own(mut self, own: Vec<Class>) -> Tree {
        for class in own {
            if let Some(branch) = self.branches.iter_mut().find(|branch| branch.path == class.label) {
                branch.own = Some(class);
            }
        }
        self
    }

    /// The same with other scores.
    #[must_use]
    pub fn in_mode(self, mode: TreeMode) -> Tree {
        Tree { mode, ..self }
    }

    /// How scores come about.
    pub fn mode(&self) -> TreeMode {
        self.mode
    }

    /// The branches, each behind the one above it.
    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }

    /// So many classes stand in it.
    pub fn classes(&self) -> usize {
        self.classes.len()
    }

    /// A class's name without those above it.
    pub fn name(&self, class: usize) -> &str {
        &self.classes[class].name
    }

    /// The branch right above a class or a branch.
    pub fn parent(&self, node: TreeNode) -> Option<usize> {
        match node {
            TreeNode::Class(class) => self.classes[class].parent,
            TreeNode::Branch(branch) => self.branches[branch].parent,
        }
    }

    /// The branches above a class, from the top.
    pub fn above(&self, class: usize) -> Vec<usize> {
        let mut above: Vec<usize> =
            std::iter::successors(self.classes[class].parent, |branch| self.branches[*branch].parent)
                .collect();
        above.reverse();
        above
    }

    /// What a class's path meets, from the top, itself at the end.
    pub fn path(&self, class: usize) -> Vec<TreeNode> {
        self.above(class).into_iter().map(TreeNode::Branch).chain([TreeNode::Class(class)]).collect()
    }

    /// So many levels the longest path has.
    pub fn levels(&self) -> usize {
        (0..self.classes.len()).map(|class| self.path(class).len()).max().unwrap_or(0)
    }

    /// The classes below a branch.
    pub fn below(&self, branch: usize) -> Vec<usize> {
        (0..self.classes.len()).filter(|class| self.above(*class).contains(&branch)).collect()
    }
}

/// The last name of a path.
pub fn name_of(path: &str) -> &str {
    path.rsplit(SEPARATOR).next().unwrap_or(path)
}

fn problem_of_path(path: &str, names: &[&str]) -> Option<VerbalizerError> {
    if names.iter().any(|name| name.trim().is_empty()) {
        return Some(VerbalizerError::EmptyInPath { label: path.to_owned() });
    }
    let twice = (1..names.len()).find(|at| names[..*at].contains(&names[*at]));
    twice.map(|at| VerbalizerError::BelowItself { name: names[at].to_owned(), label: path.to_owned() })
}
