//! What stands between classes: an order, a tree, or nothing.

use super::{Class, LabelWord, Order, Tree, TreeMode, ValueRange, Verbalizer};
use crate::error::{Error, Errors, Result, VerbalizerError};
use crate::text::json::Text;

/// What stands between classes.
#[derive(Debug, Clone, Default)]
pub struct Structure {
    /// The order that they stand in.
    pub order: Option<Order>,
    /// The tree that they stand in.
    pub tree: Option<Tree>,
    /// The numbers that they are the ends of.
    pub range: Option<ValueRange>,
}

/// What is asked for beside what a verbalizer says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StructureRequest {
    /// The labels are paths of a tree, whose scores come about so; of a tree that the verbalizer has, only
    /// that.
    pub tree: Option<TreeMode>,
    /// The classes stand in an order.
    pub ordered: Option<Ordered>,
}

/// In which order classes stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ordered {
    /// In class order, or by the values that the verbalizer gives them.
    AsTheyStand,
    /// As these labels, from the lowest to the highest.
    As(Vec<String>),
}

impl Verbalizer {
    /// What stands between the classes.
    pub fn structure(&self) -> &Structure {
        &self.structure
    }

    /// Refuses a range of numbers where `what` takes classes.
    pub fn check_classes(&self, what: &'static str) -> Result<()> {
        match self.structure.range {
            None => Ok(()),
            Some(_) => Err(VerbalizerError::RangeNotFor { what, name: self.name.clone() }.into()),
        }
    }

    /// The same with words for the branches of its tree, which stand in the tree's order.
    #[must_use]
    pub fn with_branch_words(mut self, words: Vec<Vec<String>>) -> Verbalizer {
        let word =
            |word: &String| LabelWord { text: Text::unwritten("label word", word), weight: 1.0, prior: None };
        self.structure.tree = self.structure.tree.map(|tree| {
            let branches = tree.branches().iter().zip(&words);
            let own = branches.map(|(branch, words)| Class {
                label: branch.path.clone(),
                words: words.iter().map(word).collect(),
                texts: Vec::new(),
            });
            let own = own.collect();
            tree.with_own(own)
        });
        self
    }

    /// The same classes in a tree that their labels are paths of, or in an order. All problems at once.
    ///
    /// ```
    /// use cloze::Verbalizer;
    /// use cloze::text::verbalizer::{StructureRequest, TreeMode};
    /// let plain = Verbalizer::of(&[("sport/football", &["football"]), ("sport/tennis", &["tennis"])])?;
    /// let request = StructureRequest { tree: Some(TreeMode::TopDown), ..StructureRequest::default() };
    /// let tree = plain.structured(&request)?;
    /// assert_eq!(tree.structure().tree.as_ref().map(|tree| tree.levels()), Some(2));
    /// // In a tree rows may name a class without what is above it.
    /// assert_eq!((plain.class_of("tennis"), tree.class_of("tennis")), (None, Some(1)));
    /// # Ok::<(), cloze::Errors>(())
    /// ```
    pub fn structured(&self, request: &StructureRequest) -> Result<Verbalizer, Errors> {
        let mut verbalizer = self.clone();
        let labels: Vec<&str> = self.labels().collect();
        let mut errors = Errors::new();
        let asked = [("tree", request.tree.is_some()), ("ordered", request.ordered.is_some())];
        if let (Some(_), Some((key, _))) = (self.structure.range, asked.iter().find(|(_, is)| *is)) {
            return Err(VerbalizerError::RangeWith { key }.into());
        }
        match (request.tree, verbalizer.structure.tree.take()) {
            (Some(mode), Some(tree)) => verbalizer.structure.tree = Some(tree.in_mode(mode)),
            (Some(mode), None) => match Tree::of_paths(&labels, mode) {
                Ok(tree) => verbalizer.structure.tree = Some(tree),
                Err(problems) => errors.extend(problems.into_iter().map(|(_, problem)| Error::from(problem))),
            },
            (None, tree) => verbalizer.structure.tree = tree,
        }
        match &request.ordered {
            None => {}
            Some(Ordered::AsTheyStand) => {
                let own = verbalizer.structure.order.take();
                let order = own.unwrap_or_else(|| Order::of_labels(labels.iter().copied()));
                verbalizer.structure.order = Some(order);
            }
            Some(Ordered::As(names)) => {
                verbalizer.structure.order = errors.keep(Order::of_names(names, &labels));
            }
        }
        errors.none().map(|()| verbalizer)
    }
}
