//! Verbalizers: which words at the mask speak for which class, and how their logits become one score a class.
//!
//! A verbalizer file is JSON; classes are a list, and their order is the order of all output:
//!
//! ```json
//! { "version": 1, "aggregate": "mean_logit",
//!   "classes": [ { "label": "World", "words": ["world", { "word": "politics", "weight": 0.5 }] },
//!                { "label": "Sports", "words": ["sports"] } ] }
//! ```
//!
//! `"kind"` says what the words are: `"words"`, or nothing, for the above; `"one2one"` for exactly one word a
//! class; `"soft"` for a vector a class that training moves, which starts from its words; `"knowledge"` for
//! long lists, of which words that the model does not have whole are left out ([`VerbalizerKind`]). A word's
//! `"prior"`, its probability without a row, is taken out of its score: one number, or a list with one for each
//! of the `"priors_of"` ([`Prior`]). `"learn_weights": true` lets training move the words' weights.
//!
//! `"description"`, a text, and `"examples"`, a list, beside a class's words say what it is about; `"texts"`
//! is a list of either. Where a pattern compares texts with classes, the class's vector is the mean over its
//! words and these; a training may learn from them in place of rows ([`crate::text::descriptions`]).
//!
//! `"tree"` says that labels are paths of a tree, as `sport/football`, and how it is scored ([`TreeMode`]);
//! or classes are nested: a branch has `"children"`, a list of classes or branches, and words if it likes.
//! `"ordered": true` says that classes stand in an order, as stars do; then each may have a number as its
//! `"value"`. Or `"ordered"` is a list of all labels, from the lowest to the highest.
//!
//! `"range": [0, 5]` says that rows have a number between 0 and 5 in place of a class. The verbalizer then has
//! two classes: the words of the first speak for the low end, those of the second for the high one
//! ([`ValueRange`]).
//!
//! A word is one token of the model, unless `"multi_token"` says how one of several is scored: `"joint"`, or
//! with more to say `{ "score": "joint", "normalise": false }` ([`Scoring`]).

mod aggregate;
mod multi_token;
mod order;
mod other_shapes;
mod range;
mod tree;

// what stands between classes, and the list of them
mod classes;
mod structure;

use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub use aggregate::Aggregate;
pub use multi_token::{MultiToken, Scoring};
pub use order::Order;
pub use range::ValueRange;
pub use structure::{Ordered, Structure, StructureRequest};
pub use tree::{Branch, LabelProblem, SEPARATOR, Tree, TreeMode, TreeNode, name_of};

use crate::error::source::Source;
use crate::error::{Error, Errors, JsonError, Kind, Result, VerbalizerError};
use crate::text::json::{self, Node, Text};

/// The version of verbalizer files that this cloze reads.
pub const VERSION: u64 = 1;

/// Classes, the words that speak for each, and how their scores are put together.
///
/// ```
/// use cloze::text::verbalizer::{Aggregate, Verbalizer};
/// let verbalizer = Verbalizer::parse("mood", "mood.json", r#"{ "version": 1, "classes": [
///     { "label": "down", "words": ["bad", "terrible"] }, { "label": "up", "words": ["good"] } ] }"#).unwrap();
/// assert_eq!(verbalizer.labels().collect::<Vec<_>>(), ["down", "up"]);
/// assert_eq!(verbalizer.aggregate(), Aggregate::MeanLogit);
/// assert_eq!(verbalizer.class_of("up"), Some(1));
/// ```
#[derive(Debug, Clone)]
pub struct Verbalizer {
    name: String,
    file: String,
    about: Option<String>,
    classes: Vec<Class>,
    aggregate: Aggregate,
    multi_token: Option<MultiToken>,
    kind: VerbalizerKind,
    structure: Structure,
    /// The patterns that lists of priors are for, as written.
    patterns: Vec<String>,
    learns_weights: bool,
}

/// What a verbalizer's words are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VerbalizerKind {
    /// What stands in the blank for the class; as many as one likes.
    #[default]
    Words,
    /// The same, exactly one a class.
    OneToOne,
    /// Long lists (KPT: Hu et al. 2022): words that the model does not have whole, and words of several
    /// classes, are left out and told.
    Knowledge,
    /// What a vector of the class starts from, which training moves (WARP: Hambardzumyan et al. 2021): the
    /// class's score is the state at the mask times the vector, and a bias. Without training it is the
    /// weighted mean of the words' logits.
    Soft,
    /// What a prototype of the class starts from, which training moves (ProtoVerb: Cui et al. 2022): states
    /// at the mask are projected, and the class's score is the cosine with its prototype, over a temperature.
    /// Without training it is a verbalizer of words.
    Prototype,
}

impl VerbalizerKind {
    /// All of them.
    pub const ALL: [VerbalizerKind; 5] = [
        VerbalizerKind::Words,
        VerbalizerKind::OneToOne,
        VerbalizerKind::Knowledge,
        VerbalizerKind::Soft,
        VerbalizerKind::Prototype,
    ];

    /// The name in verbalizer files.
    pub fn name(self) -> &'static str {
        match self {
            VerbalizerKind::Words => "words",
            VerbalizerKind::OneToOne => "one2one",
            VerbalizerKind::Knowledge => "knowledge",
            VerbalizerKind::Soft => "soft",
            VerbalizerKind::Prototype => "prototype",
        }
    }
}

/// A class: its label as the data has it, and the words that speak for it.
#[derive(Debug, Clone)]
pub struct Class {
    /// The label, as in the data's label column.
    pub label: String,
    /// At least one word.
    pub words: Vec<LabelWord>,
    /// Texts that are like those of the class, or say what they are about: a text that is compared with the
    /// class's words is compared with them too.
    pub texts: Vec<String>,
}

/// A word at the mask that speaks for a class.
#[derive(Debug, Clone)]
pub struct LabelWord {
    text: Text,
    weight: f64,
    prior: Option<Prior>,
}

/// A word's probability without a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Prior {
    /// Whatever the pattern.
    Everywhere(f64),
    /// In each of the verbalizer's patterns, in their order.
    ByPattern(Vec<f64>),
}

impl Prior {
    /// That in one of the patterns.
    pub fn within(&self, pattern: usize) -> f64 {
        match self {
            Prior::Everywhere(prior) => *prior,
            Prior::ByPattern(priors) => priors[pattern],
        }
    }
}

impl LabelWord {
    /// The word.
    pub fn word(&self) -> &str {
        &self.text.value
    }

    /// How much it counts beside the class's other words; 1 unless the file says otherwise.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// Its probability without a row, which is taken out of its score: `ln prior` off its logit (Hu et al.
    /// 2022).
    pub fn prior(&self) -> Option<&Prior> {
        self.prior.as_ref()
    }

    /// An error about this word.
    pub fn error(&self, kind: impl Into<Kind>) -> Error {
        self.text.whole_error(kind)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVerbalizer<'a> {
    #[serde(borrow, rename = "version")]
    _version: &'a RawValue,
    #[serde(borrow)]
    about: Option<&'a RawValue>,
    #[serde(borrow)]
    aggregate: Option<&'a RawValue>,
    #[serde(borrow)]
    multi_token: Option<&'a RawValue>,
    #[serde(borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    tree: Option<&'a RawValue>,
    #[serde(borrow)]
    ordered: Option<&'a RawValue>,
    #[serde(borrow)]
    range: Option<&'a RawValue>,
    #[serde(borrow)]
    priors_of: Option<&'a RawValue>,
    #[serde(borrow)]
    learn_weights: Option<&'a RawValue>,
    #[serde(borrow)]
    classes: &'a RawValue,
}

impl Verbalizer {
    /// Reads a verbalizer file; its name is the file's without `.json`. All problems at once.
    pub fn read(path: &Path) -> Result<Verbalizer, Errors> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Verbalizer::parse(&name, &path.display().to_string(), &json::read_text(path)?)
    }

    /// Classes with words that count alike, for programs that write no file.
    ///
    /// ```
    /// use cloze::Verbalizer;
    /// let mood = Verbalizer::of(&[("down", &["bad", "terrible"]), ("up", &["great"])])?;
    /// assert_eq!(mood.labels().collect::<Vec<_>>(), ["down", "up"]);
    /// assert!(Verbalizer::of(&[("up", &["great"])]).is_err());
    /// # Ok::<(), cloze::Error>(())
    /// ```
    pub fn of(classes: &[(&str, &[&str])]) -> Result<Verbalizer, Errors> {
        let class = |(label, words): &(&str, &[&str])| json!({ "label": label, "words": words });
        let classes: Vec<Value> = classes.iter().map(class).collect();
        let text = json!({ "version": VERSION, "classes": classes }).to_string();
        Verbalizer::parse("verbalizer", "the verbalizer", &text)
    }

    /// A verbalizer from the text of its file, which messages call `file`. All problems at once.
    pub fn parse(name: &str, file: &str, text: &str) -> Result<Verbalizer, Errors> {
        let source = Source::new(file, text);
        let root = Node::root(&source);
        if let Some(rewritten) =
            serde_json::from_str(source.text()).ok().and_then(|file| other_shapes::rewritten(&file))
        {
            let place = root.at("classes").unwrap_or_else(|| root.clone());
            return Err(place.error(VerbalizerError::OtherShape { rewritten }).into());
        }
        let raw: RawVerbalizer = root.check_version(VERSION).and_then(|()| root.read_object())?;
        let mut problems = Errors::new();
        let about = raw.about.and_then(|about| problems.keep(root.key("about", about).read()));
        let aggregate =
            raw.aggregate.and_then(|value| problems.keep(read_aggregate(&root.key("aggregate", value))));
        let multi_token = raw
            .multi_token
            .and_then(|value| problems.keep(MultiToken::read(&root.key("multi_token", value))));
        let kind = raw.kind.map(|value| root.key("kind", value));
        let found = kind.as_ref().and_then(|node| problems.keep(read_kind(node))).unwrap_or_default();
        let patterns = raw.priors_of.map(|value| root.key("priors_of", value));
        let patterns: Vec<String> = patterns.and_then(|node| problems.keep(node.read())).unwrap_or_default();
        let read = classes::read(
            &root.key("classes", raw.classes),
            classes::Allowed { shared_words: found == VerbalizerKind::Knowledge, patterns: patterns.len() },
            &mut problems,
        );
        let learns = raw.learn_weights.map(|value| root.key("learn_weights", value));
        let learns_weights =
            learns.as_ref().and_then(|node| problems.keep(node.read::<bool>())).unwrap_or_default();
        if let Some(node) = learns.filter(|_| learns_weights) {
            problems.extend(problem_of_learned_weights(found, aggregate).map(|kind| node.error(kind)));
        }
        if let Some(node) = kind {
            problems
                .extend(problem_of_kind(found, &read, aggregate, multi_token).map(|kind| node.error(kind)));
        }
        let (tree, ordered) = (raw.tree, raw.ordered);
        let (tree, ordered) =
            (tree.map(|value| root.key("tree", value)), ordered.map(|value| root.key("ordered", value)));
        let order = read.order(ordered.as_ref(), &mut problems);
        let tree = read.tree(tree.as_ref(), &mut problems);
        let range = raw.range.map(|value| root.key("range", value));
        let range = range.and_then(|node| {
            let contrasts = found == VerbalizerKind::Prototype;
            let beside = [("ordered", order.is_some()), ("tree", tree.is_some()), ("kind", contrasts)];
            problems.keep(read_range(&node, read.classes.len(), beside))
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        let aggregate = aggregate.unwrap_or_default();
        Ok(Verbalizer {
            name: name.to_owned(),
            file: file.to_owned(),
            about,
            classes: read.classes,
            aggregate,
            multi_token,
            kind: found,
            structure: Structure { order, tree, range },
            patterns,
            learns_weights,
        })
    }

    /// The verbalizer's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its author says of it.
    pub fn about(&self) -> Option<&str> {
        self.about.as_deref()
    }

    /// The file it came from, as messages name it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The classes, in their order.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// The classes' labels, in their order.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &str> {
        self.classes.iter().map(|class| class.label.as_str())
    }

    /// The same classes with other words, each with its weight.
    #[must_use]
    pub fn with_words(&self, words: Vec<Vec<(String, f64)>>) -> Verbalizer {
        let word = |(word, weight): (String, f64)| LabelWord {
            text: Text::unwritten("label word", &word),
            weight,
            prior: None,
        };
        let class = |(class, words): (&Class, Vec<(String, f64)>)| Class {
            label: class.label.clone(),
            words: words.into_iter().map(word).collect(),
            texts: class.texts.clone(),
        };
        Verbalizer { classes: self.classes.iter().zip(words).map(class).collect(), ..self.clone() }
    }

    /// The same with one more class, the last, whose words count alike.
    #[must_use]
    pub fn with_class(&self, label: &str, words: &[String]) -> Verbalizer {
        let word =
            |word: &String| LabelWord { text: Text::unwritten("label word", word), weight: 1.0, prior: None };
        let words = words.iter().map(word).collect();
        let class = Class { label: label.to_owned(), words, texts: Vec::new() };
        Verbalizer { classes: self.classes.iter().cloned().chain([class]).collect(), ..self.clone() }
    }

    /// Each class's first word: what stands in the blank where the class is shown.
    pub fn first_words(&self) -> Vec<String> {
        self.classes.iter().map(|class| class.words[0].word().to_owned()).collect()
    }

    /// How the words' logits become class scores.
    pub fn aggregate(&self) -> Aggregate {
        self.aggregate
    }

    /// What the words are.
    pub fn kind(&self) -> VerbalizerKind {
        self.kind
    }

    /// How words of several tokens are scored; none where every word is one token.
    pub fn multi_token(&self) -> Option<MultiToken> {
        self.multi_token
    }

    /// The classes, and behind them the branches of a tree that have words of their own: what is scored.
    pub fn scored(&self) -> impl Iterator<Item = &Class> {
        let branches = self.structure.tree.iter().flat_map(Tree::branches);
        self.classes.iter().chain(branches.filter_map(|branch| branch.own.as_ref()))
    }

    /// The patterns that words' priors are for, as written; none where each prior is for all patterns.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// Whether training moves the words' weights (KPT: Hu et al. 2022). A class's weights are then the
    /// softmax of numbers that start as the logarithms of those of the file.
    pub fn learns_weights(&self) -> bool {
        self.learns_weights
    }

    /// Whether training learns something for each class beside the model, without which what it learned is
    /// worth nothing.
    pub fn learns_of_classes(&self) -> bool {
        self.learns_weights || matches!(self.kind, VerbalizerKind::Soft | VerbalizerKind::Prototype)
    }

    /// How scores come about, in words: `mean_logit`, or `mean_logit of joint`, or `mean_logit, top-down`.
    pub fn scoring(&self) -> String {
        let mode = self.structure.tree.as_ref().map_or(TreeMode::Flat, Tree::mode);
        match mode {
            TreeMode::Flat => self.scoring_of_words(),
            TreeMode::TopDown => format!("{}, level by level", self.scoring_of_words()),
            TreeMode::Joint => format!("{}, branches added", self.scoring_of_words()),
        }
    }

    fn scoring_of_words(&self) -> String {
        let aggregate = self.aggregate.name();
        match self.multi_token {
            None => aggregate.to_owned(),
            Some(MultiToken { scoring, normalised: true }) => format!("{aggregate} of {}", scoring.name()),
            Some(MultiToken { scoring, normalised: false }) => {
                format!("{aggregate} of {}, not normalised", scoring.name())
            }
        }
    }

    /// The index of a label among the classes; in a tree a class may be called without the branches above it.
    /// In a range of numbers it is the end that a number is nearer to.
    pub fn class_of(&self, label: &str) -> Option<usize> {
        if let Some(range) = &self.structure.range {
            return range.share_of(label).map(ValueRange::half);
        }
        let whole = self.classes.iter().position(|class| class.label == label);
        whole.or_else(|| {
            let tree = self.structure.tree.as_ref()?;
            (0..tree.classes()).find(|class| tree.name(*class) == label)
        })
    }

    /// The index of the only class whose label this is but for case, and blanks at the ends.
    ///
    /// ```
    /// use cloze::text::verbalizer::Verbalizer;
    /// let verbalizer = Verbalizer::of(&[("Up", &["good"]), ("down", &["bad"])])?;
    /// assert_eq!((verbalizer.class_of(" up"), verbalizer.class_near(" up")), (None, Some(0)));
    /// # Ok::<(), cloze::Error>(())
    /// ```
    pub fn class_near(&self, label: &str) -> Option<usize> {
        if self.structure.range.is_some() {
            return None;
        }
        let plain = |label: &str| label.trim().to_lowercase();
        let tree = self.structure.tree.as_ref();
        let mut near = (0..self.classes.len()).filter(|&class| {
            plain(&self.classes[class].label) == plain(label)
                || tree.is_some_and(|tree| plain(tree.name(class)) == plain(label))
        });
        near.next().filter(|_| near.next().is_none())
    }
}

/// The two ends of a range of numbers, for so many classes. None where a problem with these is told already.
fn read_range(node: &Node<'_>, classes: usize, beside: [(&'static str, bool); 3]) -> Result<ValueRange> {
    let ends: Vec<f64> = node.read()?;
    let ends: [f64; 2] = ends.try_into().map_err(|_| {
        node.error(JsonError::Shape { message: "a range is two numbers, its ends".to_owned() })
    })?;
    let range = ValueRange::new(ends).map_err(|problem| node.error(problem))?;
    if let Some((key, _)) = beside.iter().find(|(_, is_there)| *is_there) {
        return Err(node.error(VerbalizerError::RangeWith { key }));
    }
    match classes {
        2 => Ok(range),
        found => Err(node.error(VerbalizerError::RangeOfClasses { found })),
    }
}

fn read_aggregate(node: &Node<'_>) -> Result<Aggregate> {
    let name: String = node.read()?;
    Aggregate::from_name(&name).ok_or_else(|| {
        let allowed = Aggregate::ALL.iter().map(|aggregate| aggregate.name()).collect();
        node.error(VerbalizerError::UnknownAggregate { name, allowed })
    })
}

fn read_kind(node: &Node<'_>) -> Result<VerbalizerKind> {
    let name: String = node.read()?;
    VerbalizerKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
        let allowed = VerbalizerKind::ALL.iter().map(|kind| kind.name()).collect();
        node.error(VerbalizerError::UnknownKind { name, allowed })
    })
}

/// What learned weights do not go with.
fn problem_of_learned_weights(kind: VerbalizerKind, aggregate: Option<Aggregate>) -> Option<VerbalizerError> {
    let is_mean = |aggregate| matches!(aggregate, Aggregate::MeanLogit | Aggregate::MeanLogProb);
    match (kind, aggregate) {
        (VerbalizerKind::Words | VerbalizerKind::Knowledge, Some(aggregate)) if !is_mean(aggregate) => {
            Some(VerbalizerError::LearnsWeightsOf { what: "aggregate", name: aggregate.name() })
        }
        (VerbalizerKind::Words | VerbalizerKind::Knowledge, _) => None,
        _ => Some(VerbalizerError::LearnsWeightsOf { what: "kind", name: kind.name() }),
    }
}

/// What a kind does not go with.
fn problem_of_kind(
    kind: VerbalizerKind,
    read: &classes::Read,
    aggregate: Option<Aggregate>,
    multi_token: Option<MultiToken>,
) -> Option<VerbalizerError> {
    let classes = &read.classes;
    match kind {
        VerbalizerKind::Words | VerbalizerKind::Knowledge => None,
        VerbalizerKind::OneToOne => {
            let class = classes.iter().find(|class| class.words.len() > 1)?;
            Some(VerbalizerError::NotOneToOne { label: class.label.clone(), found: class.words.len() })
        }
        VerbalizerKind::Soft | VerbalizerKind::Prototype => {
            if let Some(branch) = read.branches.first() {
                let label = branch.label.clone();
                return Some(VerbalizerError::BranchWordsWith { kind: kind.name(), label });
            }
            let has_prior = classes.iter().flat_map(|class| &class.words).any(|word| word.prior.is_some());
            let other_mean = aggregate.is_some_and(|aggregate| aggregate != Aggregate::MeanLogit);
            let wrong =
                [("multi_token", multi_token.is_some()), ("aggregate", other_mean), ("prior", has_prior)];
            wrong
                .into_iter()
                .find(|(_, is)| *is)
                .map(|(key, _)| VerbalizerError::LearnedWith { kind: kind.name(), key })
        }
    }
}
