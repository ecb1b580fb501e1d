//! Label words as ids of one model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::Rng;
use tch::{Device, Kind as Type, Tensor};

use crate::error::{EncodeError, Error, Errors, Kind, Result, SearchError, VerbalizerError};
use crate::model::shared::Shared;
use crate::model::tokenizer::Tokenizer;
use crate::model::values::values;
use crate::predict::class_scores::ClassScores;
use crate::predict::tree_scores::TreeScores;
use crate::text::template::Template;
use crate::text::verbalizer::{
    Aggregate, Class, LabelWord, MultiToken, Scoring, Structure, Tree, Verbalizer, VerbalizerKind,
};

/// A verbalizer's words in a model's vocabulary: C classes, W words in the largest.
#[derive(Clone)]
pub struct LabelWords {
    /// How their logits become class scores.
    scores: ClassScores,
    /// The ids of all classes' words, `[C·W]`; a class with fewer words than W repeats its first.
    ids: Shared,
    /// Where words may have several tokens and all of them count.
    several: Option<Box<Several>>,
    /// What they are.
    kind: VerbalizerKind,
    /// Words of a list that are not among them.
    left_out: Vec<String>,
    /// Each class's texts, as tokens.
    texts: Vec<Vec<Vec<i64>>>,
    /// What stands between the classes.
    structure: Arc<Structure>,
    /// The patterns that their priors are for, as written; none where these are for all.
    patterns: Arc<Vec<String>>,
    /// Whether training moves their weights.
    learns_weights: bool,
    /// The same words as they are behind what is no space, where the model has other pieces for them there
    /// and has each.
    bare: Option<Box<LabelWords>>,
}

/// Where a word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// Behind a space.
    Space,
    /// Behind a bracket, say, or at the beginning of a text.
    NoSpace,
}

/// Label words of several tokens.
#[derive(Clone)]
pub struct Several {
    /// How they are scored.
    pub multi_token: MultiToken,
    /// Each word's tokens, once; the ids of these label words are indices into them.
    pub words: Vec<Vec<i64>>,
}

impl Several {
    /// The words by their number of tokens.
    pub fn by_length(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        self.words
            .iter()
            .enumerate()
            .for_each(|(index, word)| by_length.entry(word.len()).or_default().push(index));
        by_length
    }

    /// Forward passes for a row in a pattern.
    pub fn forwards(&self) -> usize {
        let by_length = self.by_length();
        let beyond_first: usize = self.words.iter().map(|word| word.len() - 1).sum();
        match self.multi_token.scoring {
            Scoring::First | Scoring::Pieces => 1,
            Scoring::MeanLogit | Scoring::Joint => by_length.len(),
            Scoring::Pll => {
                let longer = self.words.iter().map(Vec::len).filter(|&length| length > 1).sum::<usize>();
                longer + usize::from(by_length.contains_key(&1))
            }
            Scoring::Greedy => by_length.len() + beyond_first,
        }
    }
}

impl LabelWords {
    /// Looks every word up: each must be one token of the vocabulary, unless the verbalizer lets words have
    /// several, and no two classes' words the same. All problems at once.
    pub fn check(
        verbalizer: &Verbalizer,
        tokenizer: &Tokenizer,
        device: Device,
    ) -> Result<LabelWords, Errors> {
        let words = LabelWords::check_behind(Behind::Space, verbalizer, tokenizer, device)?;
        if !tokenizer.has_bare_words() {
            return Ok(words);
        }
        let bare = LabelWords::check_behind(Behind::NoSpace, verbalizer, tokenizer, device).ok();
        let is_another = |bare: &LabelWords| {
            bare.left_out == words.left_out && bare.tokens_of_classes() != words.tokens_of_classes()
        };
        Ok(LabelWords { bare: bare.filter(is_another).map(Box::new), ..words })
    }

    fn check_behind(
        behind: Behind,
        verbalizer: &Verbalizer,
        tokenizer: &Tokenizer,
        device: Device,
    ) -> Result<LabelWords, Errors> {
        let mut problems = Errors::new();
        let mut known: Vec<(Vec<i64>, &str, &str)> = Vec::new();
        let mut left_out = Vec::new();
        let is_list = verbalizer.kind() == VerbalizerKind::Knowledge;
        let shared = if is_list { shared_tokens(behind, verbalizer, tokenizer) } else { BTreeSet::new() };
        let count = verbalizer.patterns().len().max(1);
        let mut log_priors: Vec<Vec<f64>> = vec![Vec::new(); count];
        let all_count = verbalizer.multi_token().filter(|multi_token| multi_token.scoring != Scoring::First);
        let widest = verbalizer.scored().map(|class| class.words.len()).max().unwrap_or(0);
        let mut of_branches = 0;
        let mut ids = Vec::new();
        let mut weights = Vec::new();
        for (index, class) in verbalizer.scored().enumerate() {
            if index == verbalizer.classes().len() {
                // A branch may have a word of a class: they are never beside each other.
                of_branches = known.len();
            }
            let mut class_ids = Vec::with_capacity(widest);
            let left_before = left_out.len();
            for word in &class.words {
                let tokens = match tokens_of(behind, word, verbalizer.multi_token(), tokenizer) {
                    Ok(tokens)
                        if shared.contains(&tokens)
                            || (is_list
                                && known[of_branches..].iter().any(|(known, ..)| *known == tokens)) =>
                    {
                        left_out.push(word.word().to_owned());
                        continue;
                    }
                    Ok(tokens) => tokens,
                    Err(_) if is_list => {
                        left_out.push(word.word().to_owned());
                        continue;
                    }
                    Err(problem) => {
                        problems.push(problem);
                        continue;
                    }
                };
                let beside = &known[of_branches..];
                if let Some((_, first_word, first)) = beside.iter().find(|(known, ..)| *known == tokens) {
                    problems.push(word.error(VerbalizerError::WordsSameToken {
                        first_word: (*first_word).to_owned(),
                        first: (*first).to_owned(),
                        second_word: word.word().to_owned(),
                        second: class.label.clone(),
                        token: pieces(&tokens, tokenizer).join(" "),
                    }));
                }
                #[allow(clippy::cast_possible_wrap)] // Words are few.
                class_ids.push(if all_count.is_some() { known.len() as i64 } else { tokens[0] });
                known.push((tokens, word.word(), &class.label));
                weights.push(word.weight());
                for (pattern, logs) in log_priors.iter_mut().enumerate() {
                    logs.push(word.prior().map_or(0.0, |prior| prior.within(pattern).ln()));
                }
            }
            if is_list && class_ids.is_empty() {
                let left_out =
                    left_out[left_before..].iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
                problems.push(SearchError::NothingLeft { label: class.label.clone(), left_out });
            }
            let first = class_ids.first().copied().unwrap_or_default();
            weights.extend(std::iter::repeat_n(0.0, widest - class_ids.len()));
            for logs in &mut log_priors {
                logs.extend(std::iter::repeat_n(0.0, widest - class_ids.len()));
            }
            class_ids.resize(widest, first);
            ids.extend(class_ids);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let several = all_count.map(|multi_token| {
            let words = known.into_iter().map(|(tokens, ..)| tokens).collect();
            Box::new(Several { multi_token, words })
        });
        let texts = |class: &Class| {
            let tokens = |text: &String| {
                let found = tokenizer.tokenize_around(&[text]).map_err(|error| match error.kind() {
                    Kind::Encode(EncodeError::TokenizerFailed { reason }) => {
                        let reason =
                            format!("{reason}; it is among the texts of the class {:?}", class.label);
                        Error::from(EncodeError::TokenizerFailed { reason })
                    }
                    _ => error,
                })?;
                Ok(found.concat().into_iter().map(|token| token.id).collect())
            };
            class.texts.iter().map(tokens).collect::<Result<Vec<Vec<i64>>>>()
        };
        let texts = verbalizer.scored().map(texts).collect::<Result<_>>()?;
        let shape = [-1, i64::try_from(widest).unwrap_or(i64::MAX)];
        Ok(LabelWords {
            scores: ClassScores {
                aggregate: verbalizer.aggregate(),
                weights: Tensor::from_slice(&weights)
                    .to_kind(Type::Float)
                    .view(shape)
                    .to_device(device)
                    .into(),
                log_priors: log_priors.iter().flatten().any(|prior| *prior != 0.0).then(|| {
                    let logs = Tensor::from_slice(&log_priors.concat()).view([count as i64, -1]);
                    logs.to_kind(Type::Float).to_device(device).into()
                }),
                tree: verbalizer
                    .structure()
                    .tree
                    .as_ref()
                    .and_then(|tree| TreeScores::new(tree, device))
                    .map(Box::new),
            },
            ids: Tensor::from_slice(&ids).to_device(device).into(),
            several,
            kind: verbalizer.kind(),
            left_out,
            texts,
            structure: Arc::new(verbalizer.structure().clone()),
            patterns: Arc::new(verbalizer.patterns().to_vec()),
            learns_weights: verbalizer.learns_weights(),
            bare: None,
        })
    }

    /// A sentence about words of a list that were left out, if there are any.
    pub fn left_out(&self) -> Option<String> {
        let count = self.left_out.len();
        let named = self.left_out.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = if count > MOST_NAMED { ", …" } else { "" };
        let words = if count == 1 { "word is" } else { "words are" };
        (count > 0).then(|| {
            format!("{count} label {words} left out, unknown to this model, of several tokens or of several classes: {named}{more}")
        })
    }

    /// Each class's words, as ids, and behind them those of branches of a tree that have words of their own.
    pub fn of_classes(&self) -> Vec<Vec<i64>> {
        let size = self.scores.weights.size();
        let ids: Vec<i64> = values(&self.ids);
        let weights: Vec<f64> = values(&self.scores.weights);
        let width = usize::try_from(size[1]).unwrap_or(1);
        let of_class = |(ids, weights): (&[i64], &[f64])| {
            ids.iter().zip(weights).filter(|(_, weight)| **weight > 0.0).map(|(id, _)| *id).collect()
        };
        ids.chunks(width).zip(weights.chunks(width)).map(of_class).collect()
    }

    /// Of no class: for models that learn from texts alone.
    pub fn none(device: Device) -> LabelWords {
        LabelWords {
            scores: ClassScores {
                aggregate: Aggregate::MeanLogit,
                weights: Tensor::zeros([0, 1], (Type::Float, device)).into(),
                log_priors: None,
                tree: None,
            },
            ids: Tensor::zeros([0], (Type::Int64, device)).into(),
            several: None,
            kind: VerbalizerKind::Words,
            left_out: Vec::new(),
            texts: Vec::new(),
            structure: Arc::default(),
            patterns: Arc::default(),
            learns_weights: false,
            bare: None,
        }
    }

    /// The same with one word of each class, drawn.
    ///
    /// # Panics
    /// If all tokens of words count that have several: such words are not apart from each other.
    #[must_use]
    pub fn one_of_each(&self, dice: &mut impl Rng) -> LabelWords {
        assert!(self.several.is_none(), "words of several tokens");
        let drawn: Vec<usize> =
            self.of_classes().iter().map(|words| dice.gen_range(0..words.len())).collect();
        self.only(&drawn)
    }

    /// The same with one word of each class, by its number in the class.
    fn only(&self, numbers: &[usize]) -> LabelWords {
        let classes = self.of_classes();
        let ids: Vec<i64> = classes.iter().zip(numbers).map(|(words, &number)| words[number]).collect();
        let (count, device) = (i64::try_from(ids.len()).unwrap_or(i64::MAX), self.ids.device());
        LabelWords {
            scores: ClassScores {
                aggregate: self.scores.aggregate,
                weights: Tensor::ones([count, 1], (Type::Float, device)).into(),
                log_priors: None,
                tree: self.scores.tree.clone(),
            },
            ids: Tensor::from_slice(&ids).to_device(device).into(),
            several: None,
            kind: self.kind,
            left_out: Vec::new(),
            texts: Vec::new(),
            structure: self.structure.clone(),
            patterns: Arc::default(),
            learns_weights: false,
            bare: self.bare.as_ref().map(|bare| Box::new(bare.only(numbers))),
        }
    }

    /// What stands between the classes.
    pub fn structure(&self) -> &Structure {
        &self.structure
    }

    /// So many classes they are of; branches of a tree with words of their own stand behind these.
    pub fn classes(&self) -> usize {
        let of_tree = self.structure.tree.as_ref().map(Tree::classes);
        of_tree.unwrap_or_else(|| usize::try_from(self.scores.weights.size()[0]).unwrap_or_default())
    }

    /// Whether they are other pieces behind what is no space.
    pub fn has_bare(&self) -> bool {
        self.bare.is_some()
    }

    /// The words as they are there, or behind a space.
    pub fn behind(&self, is_bare: bool) -> &LabelWords {
        self.bare.as_deref().filter(|_| is_bare).unwrap_or(self)
    }

    /// Which of the words' priors count in a pattern; an error where they are for others.
    pub fn priors_in(&self, template: &Template) -> Result<usize> {
        if self.patterns.is_empty() || !self.scores.has_priors() || !template.has_blank() {
            return Ok(0);
        }
        let place = self.patterns.iter().position(|pattern| pattern == template.pattern());
        place.ok_or_else(|| {
            let (pattern, patterns) = (template.pattern().to_owned(), self.patterns.to_vec());
            template.error(VerbalizerError::NoPriorFor { pattern, patterns })
        })
    }

    /// Whether training moves their weights.
    pub fn learns_weights(&self) -> bool {
        self.learns_weights
    }

    /// Whether training learns something for each class beside the model: see
    /// [`Verbalizer::learns_of_classes`].
    pub fn learns_of_classes(&self) -> bool {
        self.learns_weights || matches!(self.kind, VerbalizerKind::Soft | VerbalizerKind::Prototype)
    }

    /// What they are.
    pub fn kind(&self) -> VerbalizerKind {
        self.kind
    }

    /// The vocabulary ids to compute logits of, `[C·W]`; with words of several tokens their indices in
    /// [`Several::words`].
    pub fn ids(&self) -> &Tensor {
        &self.ids
    }

    /// The words of several tokens, where all of these count.
    pub fn several(&self) -> Option<&Several> {
        self.several.as_deref()
    }

    /// So many masks the blank grows to.
    pub fn most_masks(&self) -> usize {
        let grows = |several: &&Several| several.multi_token.scoring != Scoring::Pieces;
        let several = self.several.as_deref().filter(grows);
        let own = several.and_then(|several| several.words.iter().map(Vec::len).max()).unwrap_or(1);
        own.max(self.bare.as_ref().map_or(1, |bare| bare.most_masks()))
    }

    /// Forward passes for a row in a pattern, at most.
    pub fn forwards(&self) -> usize {
        let own = self.several.as_deref().map_or(1, Several::forwards);
        own.max(self.bare.as_ref().map_or(1, |bare| bare.forwards()))
    }

    /// Every token of the label words once, in the classes' order.
    pub fn distinct_ids(&self) -> Vec<i64> {
        let mut ids = match &self.several {
            None => values(&self.ids),
            Some(several) => several.words.concat(),
        };
        let mut seen = std::collections::BTreeSet::new();
        ids.retain(|id| seen.insert(*id));
        ids
    }

    /// Each class's texts as tokens.
    pub fn texts(&self) -> &[Vec<Vec<i64>>] {
        &self.texts
    }

    /// Each class's words as tokens.
    pub fn tokens_of_classes(&self) -> Vec<Vec<Vec<i64>>> {
        let tokens = |id: i64| match &self.several {
            // The ids are indices.
            Some(several) => several.words[usize::try_from(id).unwrap_or_default()].clone(),
            None => vec![id],
        };
        self.of_classes().into_iter().map(|ids| ids.into_iter().map(tokens).collect()).collect()
    }

    /// The words as people write them in the place of their ids, `[C·W]`, each with its class; none in places
    /// of a class with fewer words than W.
    pub fn written(&self, tokenizer: &Tokenizer) -> Vec<Option<(usize, String)>> {
        let (ids, weights): (Vec<i64>, Vec<f64>) = (values(&self.ids), values(&self.scores.weights));
        // Classes and, behind them, the branches of a tree.
        let rows = usize::try_from(self.scores.weights.size()[0]).unwrap_or_default();
        let width = ids.len() / rows.max(1);
        let written = |id: i64| match &self.several {
            // The ids are indices.
            Some(several) => {
                let pieces = several.words[usize::try_from(id).unwrap_or_default()].iter();
                pieces.map(|piece| tokenizer.written(*piece)).collect()
            }
            None => tokenizer.written(id).to_owned(),
        };
        let word = |(place, (id, weight)): (usize, (&i64, &f64))| {
            (*weight > 0.0 && place / width < self.classes()).then(|| (place / width, written(*id)))
        };
        ids.iter().zip(&weights).enumerate().map(word).collect()
    }

    /// How their logits become class scores.
    pub fn scores(&self) -> &ClassScores {
        &self.scores
    }
}

/// So many words are named.
const MOST_NAMED: usize = 8;

/// The tokens of words that stand for several classes.
fn shared_tokens(behind: Behind, verbalizer: &Verbalizer, tokenizer: &Tokenizer) -> BTreeSet<Vec<i64>> {
    let mut class_of: BTreeMap<Vec<i64>, usize> = BTreeMap::new();
    let mut shared = BTreeSet::new();
    for (class, words) in verbalizer.classes().iter().enumerate() {
        for tokens in words
            .words
            .iter()
            .filter_map(|word| tokens_of(behind, word, verbalizer.multi_token(), tokenizer).ok())
        {
            if *class_of.entry(tokens.clone()).or_insert(class) != class {
                shared.insert(tokens);
            }
        }
    }
    shared
}

/// The tokens of a word that count: one, or as many as the verbalizer lets it have.
fn tokens_of(
    behind: Behind,
    word: &LabelWord,
    multi_token: Option<MultiToken>,
    tokenizer: &Tokenizer,
) -> Result<Vec<i64>, Error> {
    let mut tokens = match behind {
        Behind::Space => tokenizer.word_ids(word.word()),
        Behind::NoSpace => tokenizer.bare_word_ids(word.word()).unwrap_or_default(),
    };
    if tokens.is_empty()
        || (tokens.contains(&tokenizer.special().unk) && (tokens.len() == 1 || multi_token.is_some()))
    {
        // What it fails on has no tokens.
        tokenizer.tokenize_around(&[&format!(" {}", word.word())]).map_err(|error| match error.kind() {
            Kind::Encode(failed) => word.error(failed.clone()),
            _ => error,
        })?;
        return Err(word.error(VerbalizerError::WordUnknown { word: word.word().to_owned() }));
    }
    match multi_token {
        None if tokens.len() > 1 => {
            let pieces = pieces(&tokens, tokenizer).into_iter().map(str::to_owned).collect();
            return Err(word.error(VerbalizerError::WordSplits { word: word.word().to_owned(), pieces }));
        }
        Some(MultiToken { scoring: Scoring::First, .. }) => tokens.truncate(1),
        _ => {}
    }
    Ok(tokens)
}

fn pieces<'a>(tokens: &[i64], tokenizer: &'a Tokenizer) -> Vec<&'a str> {
    tokens.iter().map(|id| tokenizer.token(*id)).collect()
}
