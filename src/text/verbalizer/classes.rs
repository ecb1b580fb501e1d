//! The list of classes in a verbalizer file, flat or nested.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Class, LabelWord, Order, Prior, SEPARATOR, Tree, TreeMode, VerbalizerError, other_shapes};
use crate::error::{Errors, Result};
use crate::text::json::{Node, Text};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClass<'a> {
    #[serde(borrow)]
    label: &'a RawValue,
    #[serde(borrow)]
    words: &'a RawValue,
    #[serde(borrow)]
    description: Option<&'a RawValue>,
    #[serde(borrow)]
    examples: Option<&'a RawValue>,
    #[serde(borrow)]
    texts: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    // Named here for messages: a class with this key is a branch, and read as one.
    #[serde(borrow, rename = "children")]
    _children: Option<&'a RawValue>,
}

/// A class with others below it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBranch<'a> {
    #[serde(borrow)]
    label: &'a RawValue,
    #[serde(borrow)]
    words: Option<&'a RawValue>,
    #[serde(borrow)]
    description: Option<&'a RawValue>,
    #[serde(borrow)]
    examples: Option<&'a RawValue>,
    #[serde(borrow)]
    texts: Option<&'a RawValue>,
    #[serde(borrow)]
    children: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWord<'a> {
    #[serde(borrow)]
    word: &'a RawValue,
    #[serde(borrow)]
    weight: Option<&'a RawValue>,
    #[serde(borrow)]
    prior: Option<&'a RawValue>,
}

/// What was read of the list; it is whole only if no problem was found.
#[derive(Default)]
pub(super) struct Read {
    /// The classes; in a nested list each label is a path.
    pub(super) classes: Vec<Class>,
    /// Branches that have words of their own, by their paths.
    pub(super) branches: Vec<Class>,
    /// Where the labels stand.
    places: Vec<Text>,
    values: Vec<Option<f64>>,
    nested: bool,
    /// Classes that stand in the list, whether they could be read or not.
    found: usize,
    allowed: Allowed,
}

/// What words may be.
#[derive(Clone, Copy, Default)]
pub(super) struct Allowed {
    /// Words may stand for several classes.
    pub(super) shared_words: bool,
    /// So many patterns a list of priors is for.
    pub(super) patterns: usize,
}

/// Reads the list.
pub(super) fn read(list: &Node<'_>, allowed: Allowed, problems: &mut Errors) -> Read {
    let mut read = Read { allowed, ..Read::default() };
    let Some(raw) = problems.keep(list.read::<Vec<&RawValue>>()) else { return read };
    read.level(list, raw, &[], problems);
    let found = read.found;
    if found < 2 {
        problems.push(list.error(VerbalizerError::TooFewClasses { found }));
    }
    read
}

impl Read {
    /// The classes and branches of a list below these branches.
    fn level(&mut self, list: &Node<'_>, raw: Vec<&RawValue>, above: &[String], problems: &mut Errors) {
        for (index, value) in raw.into_iter().enumerate() {
            let node = list.element(index, value);
            if node.is_object() && node.at("children").is_some() {
                self.branch(&node, above, problems);
            } else {
                self.class(&node, above, problems);
            }
        }
    }

    fn branch(&mut self, node: &Node<'_>, above: &[String], problems: &mut Errors) {
        self.nested = true;
        let Some(raw) = problems.keep(node.read_object::<RawBranch>()) else { return };
        let Some(label) = problems.keep(node.key("label", raw.label).text()) else { return };
        check_name(&label, problems);
        let path = [above, std::slice::from_ref(&label.value)].concat();
        let label = path.join("/");
        let texts = texts(node, [raw.description, raw.examples, raw.texts], problems);
        if let Some(words) = raw.words {
            let earlier = if self.allowed.shared_words { &[][..] } else { &self.branches };
            let words = read_words(&node.key("words", words), &label, earlier, self.allowed, problems);
            self.branches.push(Class { label: label.clone(), words, texts });
        }
        let children = node.key("children", raw.children);
        let Some(below) = problems.keep(children.read::<Vec<&RawValue>>()) else { return };
        if below.is_empty() {
            problems.push(children.error(VerbalizerError::BranchWithoutChildren { label }));
        }
        self.level(&children, below, &path, problems);
    }

    fn class(&mut self, node: &Node<'_>, above: &[String], problems: &mut Errors) {
        self.found += 1;
        let Some(raw) = problems.keep(node.read_object::<RawClass>()) else { return };
        let Some(place) = problems.keep(node.key("label", raw.label).text()) else { return };
        if !above.is_empty() {
            check_name(&place, problems);
        } else if place.value.is_empty() {
            problems.push(place.whole_error(VerbalizerError::EmptyLabel));
        }
        let label = above.iter().chain([&place.value]).map(String::as_str).collect::<Vec<_>>().join("/");
        if self.classes.iter().any(|class| class.label == label) {
            problems.push(place.whole_error(VerbalizerError::SameLabel { label: label.clone() }));
        }
        let earlier = if self.allowed.shared_words { &[][..] } else { &self.classes };
        let words = read_words(&node.key("words", raw.words), &label, earlier, self.allowed, problems);
        let texts = texts(node, [raw.description, raw.examples, raw.texts], problems);
        let value = raw.value.and_then(|value| problems.keep(node.key("value", value).read()));
        self.classes.push(Class { label, words, texts });
        self.places.push(place);
        self.values.push(value);
    }

    /// The order that `"ordered"` tells, with the classes' values.
    pub(super) fn order(&self, node: Option<&Node<'_>>, problems: &mut Errors) -> Option<Order> {
        let labels: Vec<&str> = self.classes.iter().map(|class| class.label.as_str()).collect();
        let has_value = self.values.iter().position(Option::is_some);
        let named = node.filter(|node| node.is_list());
        let is_asked = match node {
            None => false,
            Some(_) if named.is_some() => true,
            Some(node) => problems.keep(node.read::<bool>()).unwrap_or_default(),
        };
        if let (Some(class), Some(named)) = (has_value, named) {
            let label = labels[class].to_owned();
            problems.push(named.error(VerbalizerError::ValueAndOrder { label }));
            return None;
        }
        if let Some(named) = named {
            let names = problems.keep(named.read::<Vec<String>>())?;
            return problems.keep(Order::of_names(&names, &labels).map_err(|problem| named.error(problem)));
        }
        let error = match (is_asked, has_value, self.values.iter().position(Option::is_none)) {
            (false, None, _) => return None,
            (true, None, _) => return Some(Order::of_labels(labels.into_iter())),
            (false, Some(class), _) => {
                (class, VerbalizerError::ValueWithoutOrder { label: labels[class].to_owned() })
            }
            (true, Some(_), Some(class)) => {
                (class, VerbalizerError::WithoutValue { label: labels[class].to_owned() })
            }
            (true, Some(first), None) => {
                let order = Order::of_values(self.values.iter().copied().flatten().collect());
                return problems.keep(order.map_err(|problem| self.places[first].whole_error(problem)));
            }
        };
        problems.push(self.places[error.0].whole_error(error.1));
        None
    }

    /// The tree that `"tree"`, or the nesting, tells.
    pub(super) fn tree(&self, node: Option<&Node<'_>>, problems: &mut Errors) -> Option<Tree> {
        let mode = match node {
            None if self.nested => TreeMode::default(),
            None => return None,
            Some(node) => match problems.keep(read_mode(node)) {
                Some(Some(mode)) => mode,
                Some(None) if self.nested => TreeMode::default(),
                Some(None) | None => return None,
            },
        };
        let labels: Vec<&str> = self.classes.iter().map(|class| class.label.as_str()).collect();
        // What could not be read is told already.
        if labels.is_empty() || !problems.is_empty() {
            return None;
        }
        match Tree::of_paths(&labels, mode) {
            Ok(tree) => Some(tree.with_own(self.branches.clone())),
            Err(found) => {
                let error = |(class, problem): (usize, VerbalizerError)| match (&problem, node) {
                    (VerbalizerError::TreeWithoutBranches, Some(node)) => node.error(problem),
                    _ => self.places[class].whole_error(problem),
                };
                problems.extend(found.into_iter().map(error));
                None
            }
        }
    }
}

/// `true`, or how the tree is scored; none for `false`.
fn read_mode(node: &Node<'_>) -> Result<Option<TreeMode>> {
    if let Ok(is_tree) = node.read::<bool>() {
        return Ok(is_tree.then(TreeMode::default));
    }
    let name: String = node.read()?;
    let mode = TreeMode::ALL.into_iter().find(|mode| mode.name() == name);
    mode.map(Some).ok_or_else(|| {
        let allowed = TreeMode::ALL.iter().map(|mode| mode.name()).collect();
        node.error(VerbalizerError::UnknownTreeMode { name, allowed })
    })
}

/// Refuses a name in a nested list that a path could not tell apart.
fn check_name(name: &Text, problems: &mut Errors) {
    let label = name.value.clone();
    if label.trim().is_empty() {
        problems.push(name.whole_error(VerbalizerError::EmptyLabel));
    } else if label.contains(SEPARATOR) {
        problems.push(name.whole_error(VerbalizerError::SeparatorInName { label }));
    }
}

/// A class's description, examples and texts.
fn texts(node: &Node<'_>, raw: [Option<&RawValue>; 3], problems: &mut Errors) -> Vec<String> {
    let keys = ["description", "examples", "texts"].into_iter().zip(raw);
    keys.filter_map(|(key, value)| Some(read_texts(&node.key(key, value?), key == "description", problems)))
        .flatten()
        .collect()
}

/// One text, or a list of some.
fn read_texts(node: &Node<'_>, is_one: bool, problems: &mut Errors) -> Vec<String> {
    let read = if is_one { node.read().map(|text| vec![text]) } else { node.read() };
    let texts: Vec<String> = problems.keep(read).unwrap_or_default();
    if texts.iter().any(|text| text.trim().is_empty()) {
        problems.push(node.error(VerbalizerError::EmptyText));
    }
    texts
}

fn read_words(
    list: &Node<'_>,
    label: &str,
    earlier: &[Class],
    allowed: Allowed,
    problems: &mut Errors,
) -> Vec<LabelWord> {
    if let Ok(word) = list.read::<String>() {
        problems.push(list.error(VerbalizerError::WordsWithoutList { list: other_shapes::list_of(&word) }));
        return Vec::new();
    }
    let Some(raw) = problems.keep(list.read::<Vec<&RawValue>>()) else { return Vec::new() };
    if raw.is_empty() {
        problems.push(list.error(VerbalizerError::ClassWithoutWords { label: label.to_owned() }));
    }
    let mut words: Vec<LabelWord> = Vec::with_capacity(raw.len());
    for (index, value) in raw.into_iter().enumerate() {
        let Some(word) = problems.keep(read_word(&list.element(index, value), allowed)) else { continue };
        if word.word().trim().is_empty() {
            problems.push(word.error(VerbalizerError::EmptyWord));
        }
        if words.iter().any(|known| known.word() == word.word()) {
            problems.push(
                word.error(VerbalizerError::SameWord {
                    word: word.word().to_owned(),
                    label: label.to_owned(),
                }),
            );
        } else if let Some(first) =
            earlier.iter().find(|class| class.words.iter().any(|known| known.word() == word.word()))
        {
            let kind = VerbalizerError::SharedWord {
                word: word.word().to_owned(),
                first: first.label.clone(),
                second: label.to_owned(),
            };
            problems.push(word.error(kind));
        }
        words.push(word);
    }
    words
}

/// A word is a string, or an object with the word and its weight.
fn read_word(node: &Node<'_>, allowed: Allowed) -> Result<LabelWord> {
    if !node.is_object() {
        return Ok(LabelWord { text: node.text()?, weight: 1.0, prior: None });
    }
    let raw: RawWord = node.read()?;
    let weight = raw.weight.map_or(Ok(1.0), |weight| read_weight(&node.key("weight", weight)))?;
    let prior = raw.prior.map(|prior| read_prior(&node.key("prior", prior), allowed)).transpose()?;
    Ok(LabelWord { text: node.key("word", raw.word).text()?, weight, prior })
}

/// A prior is a number, or a list with one for each pattern.
fn read_prior(node: &Node<'_>, allowed: Allowed) -> Result<Prior> {
    if !node.is_list() {
        return Ok(Prior::Everywhere(read_probability(node)?));
    }
    let raw: Vec<&RawValue> = node.read()?;
    if raw.len() != allowed.patterns {
        let (found, patterns) = (raw.len(), allowed.patterns);
        return Err(node.error(VerbalizerError::PriorsOfPatterns { found, patterns }));
    }
    let priors =
        raw.into_iter().enumerate().map(|(index, value)| read_probability(&node.element(index, value)));
    Ok(Prior::ByPattern(priors.collect::<Result<_>>()?))
}

fn read_probability(node: &Node<'_>) -> Result<f64> {
    let prior: f64 = node.read()?;
    // Its logarithm must be a number in fp32.
    if prior >= f64::from(f32::MIN_POSITIVE) && prior <= 1.0 {
        Ok(prior)
    } else {
        Err(node.error(VerbalizerError::BadPrior { found: prior }))
    }
}

fn read_weight(node: &Node<'_>) -> Result<f64> {
    let weight: f64 = node.read()?;
    // Scores are fp32: a weight must be a number there too.
    #[allow(clippy::cast_possible_truncation)]
    let usable = weight > 0.0 && (weight as f32).is_normal();
    if usable { Ok(weight) } else { Err(node.error(VerbalizerError::BadWeight { found: weight })) }
}
