//! How rows look to a model: the prompt, its tokens, what was cut, and what the model says at the mask.

use std::sync::Arc;

use tch::{Kind as Type, Tensor, no_grad};

use crate::error::Result;
use crate::model::encoder::Mode;
use crate::model::features::Features;
use crate::model::threads::Threads;
use crate::model::tokenizer::Tokenizer;
use crate::predict::blueprint::{Blueprint, Loaded};
use crate::predict::classifier::{Classifier, VerbalizedLm, levels};
use crate::predict::encode::{Cut, encode_with_cuts};
use crate::predict::score::{Chain, Scorer, batch_tokens};
use crate::predict::showing::{self, Showing, likeliest};
use crate::predict::task::{Task, TaskSet};
use crate::text::data::{Columns, Example};
use crate::text::demonstrations::Shown;
use crate::text::template::{Part, Prompt, Step};
use crate::text::verbalizer::{Class, LabelWord, Verbalizer};

/// How many of the likeliest words are told.
const TOP_WORDS: i64 = 10;

/// A classifier whose view of rows is shown; of several models the mean of their probabilities.
pub struct Previewer {
    verbalizer: Verbalizer,
    base: VerbalizedLm,
    classifiers: Vec<Classifier>,
    tasks: Vec<Task>,
    columns: Arc<Columns>,
    max_length: usize,
    _threads: Threads,
}

/// A row in a pattern, as a model sees it.
#[derive(Debug, Clone)]
pub struct RowPreview {
    /// The pattern's name.
    pub pattern: String,
    /// The names of the pattern's steps.
    pub steps: Vec<String>,
    /// The words that fill the steps' blanks, and how probable each chain of them is; their sum is 1. Without
    /// steps one chain of no words.
    pub chains: Vec<(Vec<String>, f64)>,
    /// The prompt of the likeliest chain, segment by segment.
    pub segments: Vec<Vec<PreviewPart>>,
    /// Its tokens; behind a soft token's place stands no word, but a vector with a number: `<soft 0>`.
    pub tokens: Vec<String>,
    /// Where the classes are read.
    pub read: ReadAt,
    /// What had no room.
    pub cuts: Vec<PreviewCut>,
    /// What each class gets, in their order.
    pub classes: Vec<ClassPreview>,
    /// `ln Σ exp` of the class scores; of several models its mean.
    pub level: f64,
    /// The likeliest words at the mask with their probabilities among all words, from 0 to 1, the likeliest
    /// first; none where the model has no label words.
    pub likeliest: Vec<(String, f64)>,
}

/// Where a model reads the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadAt {
    /// At the mask, which has this place among the tokens, from 0.
    Mask(usize),
    /// At `[CLS]`, by a head of its own: no label words are read.
    Cls,
    /// Nowhere: the text is compared with the label words.
    Compared,
}

/// A part of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreviewPart {
    /// The pattern's own words.
    Text(String),
    /// The row's words.
    Field(String),
    /// The blank.
    Mask,
    /// A labelled row that is shown: its words and the pattern's, in turn.
    Demonstration(Vec<String>),
    /// So many soft tokens.
    Soft(usize),
}

/// A field's tokens that had no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewCut {
    /// The field's column.
    pub column: String,
    /// The tokens, in order.
    pub tokens: Vec<String>,
}

/// What a class gets.
#[derive(Debug, Clone)]
pub struct ClassPreview {
    /// The class.
    pub label: String,
    /// Its words; none where no label words are read.
    pub words: Vec<String>,
    /// Its score; the softmax of these are the probabilities. Of several models it is the logarithm of the
    /// mean probability.
    pub score: f64,
    /// Its probability, from 0 to 1.
    pub probability: f64,
}

impl Previewer {
    /// Loads a classifier, to compute on so many threads for as long as it lives, libtorch's own number by
    /// default. `showing` are the rows that patterns with demonstrations show.
    pub fn load(
        blueprint: Blueprint,
        tasks: TaskSet,
        columns: Arc<Columns>,
        showing: Option<&Showing>,
        threads: Option<usize>,
    ) -> Result<Previewer> {
        let threads = Threads::on(threads.unwrap_or_else(Threads::usual));
        let Loaded { verbalizer, base, members, .. } = blueprint.load()?;
        let max_length = tasks.max_length;
        let tasks = showing::ready(tasks, showing, (&base, &members), &columns)?;
        Ok(Previewer {
            verbalizer,
            base,
            classifiers: members,
            tasks,
            columns,
            max_length,
            _threads: threads,
        })
    }

    /// A row in each pattern.
    pub fn previews(&self, example: &Example) -> impl Iterator<Item = Result<RowPreview>> {
        let view = View {
            verbalizer: &self.verbalizer,
            tokenizer: self.base.tokenizer(),
            classifiers: &self.classifiers,
            columns: &self.columns,
            max_length: self.max_length,
        };
        self.tasks.iter().filter_map(move |task| view.preview(task, example).transpose())
    }
}

/// Models that rows are shown to, on the columns of rows.
pub(crate) struct View<'a> {
    /// The classes and their words.
    pub verbalizer: &'a Verbalizer,
    /// The tokenizer of all of the models.
    pub tokenizer: &'a Tokenizer,
    /// The models; with several, their probabilities are averaged.
    pub classifiers: &'a [Classifier],
    /// The rows' columns.
    pub columns: &'a Columns,
    /// The longest input, in tokens.
    pub max_length: usize,
}

impl View<'_> {
    /// A row in a pattern; nothing if no step's blank can be filled.
    pub(crate) fn preview(&self, task: &Task, example: &Example) -> Result<Option<RowPreview>> {
        let tokenizer = self.tokenizer;
        let scorer = Scorer {
            classifiers: self.classifiers,
            batch_tokens: batch_tokens(self.classifiers[0].device()),
            ..Scorer::to_encode(tokenizer, self.max_length)
        };
        let chains = scorer.chains(task, self.columns, std::slice::from_ref(example))?.remove(0);
        let Some((filled, _)) = likeliest(&chains) else { return Ok(None) };
        let prompts = task.prompts(std::slice::from_ref(filled))?.remove(0);
        let Some(prompt) = prompts.into_iter().next() else { return Ok(None) };
        let (features, cuts) = encode_with_cuts(&prompt, tokenizer, self.max_length)
            .map_err(|error| error.at(self.columns.place(example, None)))?;
        let columns: Vec<&str> = task.template().columns().collect();
        let token = |id: &i64| tokenizer.token(*id).to_owned();
        let cut = |cut: &Cut| PreviewCut {
            column: columns.get(cut.field).copied().unwrap_or_default().to_owned(),
            tokens: cut.ids.iter().map(token).collect(),
        };
        let (classes, level) = self.classes(&features);
        Ok(Some(RowPreview {
            pattern: task.template().name().to_owned(),
            steps: task.template().steps().iter().map(Step::name).map(str::to_owned).collect(),
            chains: chains.iter().map(|chain| filled_words(chain, example.fields.len())).collect(),
            segments: segments(&prompt),
            tokens: tokens(&features, tokenizer),
            read: match &self.classifiers[0] {
                Classifier::Sequence(_) => ReadAt::Cls,
                Classifier::Prompt(..) if features.masks > 0 => ReadAt::Mask(features.mask),
                Classifier::Prompt(..) => ReadAt::Compared,
            },
            cuts: cuts.iter().map(cut).collect(),
            classes,
            level,
            likeliest: self.likeliest(&features),
        }))
    }

    /// What each class gets, and the level of the scores.
    fn classes(&self, features: &Features) -> (Vec<ClassPreview>, f64) {
        let by_model: Vec<Tensor> = self
            .classifiers
            .iter()
            .map(|model| no_grad(|| model.class_scores(&[features], Mode::Score)))
            .collect();
        let level = mean(by_model.iter().map(levels)).double_value(&[0]);
        let (scores, probabilities) = match &by_model[..] {
            [only] => (only.shallow_clone(), only.softmax(-1, Type::Double)),
            several => {
                let mean = mean(several.iter().map(|scores| scores.softmax(-1, Type::Double)));
                (mean.log(), mean)
            }
        };
        let class = |(class, index): (&Class, i64)| ClassPreview {
            label: class.label.clone(),
            words: match &self.classifiers[0] {
                Classifier::Sequence(_) => Vec::new(),
                Classifier::Prompt(..) => {
                    class.words.iter().map(LabelWord::word).map(str::to_owned).collect()
                }
            },
            score: scores.double_value(&[0, index]),
            probability: probabilities.double_value(&[0, index]),
        };
        (self.verbalizer.classes().iter().zip(0..).map(class).collect(), level)
    }

    fn likeliest(&self, features: &Features) -> Vec<(String, f64)> {
        let at_mask = |model: &Classifier| match model {
            Classifier::Prompt(model, _) if features.masks > 0 => {
                Some(no_grad(|| model.vocabulary_logits(&[features]).softmax(-1, Type::Float)))
            }
            _ => None,
        };
        let Some(said) = self.classifiers.iter().map(at_mask).collect::<Option<Vec<Tensor>>>() else {
            return Vec::new();
        };
        let vocabulary = mean(said.into_iter());
        let (top, ids) = vocabulary.topk(TOP_WORDS.min(vocabulary.size()[1]), -1, true, true);
        let word = |rank: i64| {
            let word = self.tokenizer.written(ids.int64_value(&[0, rank]));
            (word.to_owned(), top.double_value(&[0, rank]))
        };
        (0..top.size()[1]).map(word).collect()
    }
}

/// The mean of some tensors of one shape, one at least.
fn mean(tensors: impl ExactSizeIterator<Item = Tensor>) -> Tensor {
    let count = tensors.len() as f64;
    tensors.reduce(|sum, next| sum + next).unwrap_or_default() / count
}

/// The words of a chain, which stand behind a row's fields.
fn filled_words((example, share): &Chain, fields: usize) -> (Vec<String>, f64) {
    (example.fields[fields..].to_vec(), *share)
}

fn segments(prompt: &Prompt<'_>) -> Vec<Vec<PreviewPart>> {
    let demonstration = |shown: &&[Shown]| {
        let words = |part: &Shown| match part {
            Shown::Text(text) | Shown::Field(text) => text.clone(),
        };
        PreviewPart::Demonstration(shown.iter().map(words).collect())
    };
    let parts = |part: &Part<'_>| match part {
        Part::Text(text) => vec![PreviewPart::Text((*text).to_owned())],
        Part::Field { text, .. } => vec![PreviewPart::Field(text.clone().into_owned())],
        Part::Mask | Part::Masked => vec![PreviewPart::Mask],
        Part::Demonstrations(all) => all.iter().map(demonstration).collect(),
        Part::Soft { vectors } => vec![PreviewPart::Soft(vectors.len())],
    };
    prompt.segments.iter().map(|segment| segment.iter().flat_map(parts).collect()).collect()
}

fn tokens(features: &Features, tokenizer: &Tokenizer) -> Vec<String> {
    let mut tokens: Vec<String> = features.ids.iter().map(|id| tokenizer.token(*id).to_owned()).collect();
    for slot in &features.soft {
        tokens[slot.at] = format!("<soft {}>", slot.vector);
    }
    tokens
}
