//! How much each word of a row moves the score of a class.
//!
//! A class's score is the logarithm of its odds, `ln(p/(1-p))`, in nats. Two methods:
//!
//! * Leave one out (Li et al. 2016): the score less that of the same row without the word. It asks nothing but the
//!   answers, so it explains whatever answers.
//! * Integrated gradients (Sundararajan et al. 2017): the gradients of the score along the straight way from a row
//!   of masks to the row, word vector by word vector. The sum over the words is the difference of the two scores.

mod gradients;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use crate::error::{EncodeError, Error, Result};
use crate::model::threads::Threads;
use crate::predict::blueprint::{Blueprint, Loaded};
use crate::predict::classifier::{Classifier, VerbalizedLm};
use crate::predict::encode::{FieldWord, encode_with_words};
use crate::predict::mask_words::WordShare;
use crate::predict::report::Prediction;
use crate::predict::score::Scorer;
use crate::predict::showing::{self, Showing};
use crate::predict::task::{Task, TaskSet};
use crate::text::data::{Columns, Example};

/// Label words at the mask that are told.
const WORDS_AT_MASK: usize = 8;

/// The most words of a field that are looked at where steps read it: more than a model has room for.
const MOST_READ_BY_STEPS: usize = 512;

/// The most steps of integrated gradients.
pub const MOST_STEPS: usize = 1000;

/// The usual number of steps: with Gauss's places the sum was then exact to 0.0015 on reviews.
pub const STEPS: usize = 32;

/// How words are weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The score less that without the word.
    LeaveOneOut,
    /// Integrated gradients, in so many steps.
    Gradients {
        /// Places on the way.
        steps: usize,
    },
}

/// A word of a row, and what it does to the score of the class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WordEffect {
    /// The column in which it stands.
    pub column: String,
    /// The word.
    pub word: String,
    /// What it adds to the score, in nats: above 0 it speaks for the class, below 0 against it.
    pub effect: f64,
}

/// What moved a row's answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The row's number in the file, from 1.
    #[serde(rename = "row")]
    pub record: u64,
    /// The class whose score is explained.
    #[serde(skip)]
    pub class: usize,
    /// Its name.
    pub label: String,
    /// The likeliest class's name.
    pub predicted: String,
    /// How the words were weighed.
    pub method: Method,
    /// What the model says of the row.
    #[serde(skip)]
    pub prediction: Prediction,
    /// The class's probability, from 0 to 1.
    pub probability: f64,
    /// The class's score: the logarithm of its odds, of several patterns and models with integrated gradients
    /// the mean.
    pub score: f64,
    /// The score of the row of masks from which gradients were followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
    /// The words that are read, in their order.
    pub words: Vec<WordEffect>,
    /// Words that no pattern has room for: they move nothing.
    pub unread_words: usize,
    /// The likeliest label words at the mask.
    #[serde(skip)]
    pub at_mask: Vec<WordShare>,
}

/// A classifier whose answers are explained.
pub struct Explainer {
    labels: Vec<String>,
    base: VerbalizedLm,
    classifiers: Vec<Classifier>,
    tasks: Vec<Task>,
    columns: Arc<Columns>,
    max_length: usize,
    _threads: Threads,
}

/// A word that some pattern reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    /// The field's place in the row.
    field: usize,
    /// The word's number in it.
    word: usize,
}

impl Explainer {
    /// Loads a classifier, to compute on so many threads for as long as it lives, libtorch's own number by
    /// default. `showing` are the rows that patterns with demonstrations show.
    pub fn load(
        blueprint: Blueprint,
        tasks: TaskSet,
        columns: Arc<Columns>,
        showing: Option<&Showing>,
        threads: Option<usize>,
    ) -> Result<Explainer> {
        Explainer::of(blueprint.load()?, tasks, columns, showing, threads)
    }

    /// The same of a classifier's parts in memory.
    pub(crate) fn of(
        loaded: Loaded,
        tasks: TaskSet,
        columns: Arc<Columns>,
        showing: Option<&Showing>,
        threads: Option<usize>,
    ) -> Result<Explainer> {
        let threads = Threads::on(threads.unwrap_or_else(Threads::usual));
        let Loaded { verbalizer, base, members, .. } = loaded;
        let max_length = tasks.max_length;
        let tasks = showing::ready(tasks, showing, (&base, &members), &columns)?;
        Ok(Explainer {
            labels: verbalizer.labels().map(str::to_owned).collect(),
            base,
            classifiers: members,
            tasks,
            columns,
            max_length,
            _threads: threads,
        })
    }

    /// The labels in class order.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Explains the answer to a text, for patterns that read one column.
    pub fn explain_text(&self, text: &str, class: Option<usize>, method: Method) -> Result<Explanation> {
        let mut fields = vec![String::new(); self.columns.names().len()];
        if let Some(place) = self.places().first() {
            text.clone_into(&mut fields[*place]);
        }
        self.explain(&Example { record: 1, line: 1, fields, label: None, values: None }, class, method)
    }

    /// Explains the score that a row gets for a class, or for its likeliest. A row without a word that is
    /// read is refused.
    pub fn explain(&self, example: &Example, class: Option<usize>, method: Method) -> Result<Explanation> {
        let at = |error: Error| error.at(self.columns.place(example, None));
        let (read, unread_words) = self.words(example)?;
        if read.is_empty() {
            let names = self.places().iter().map(|&place| self.columns.in_file()[place].clone()).collect();
            return Err(at(EncodeError::NothingToExplain { columns: names }.into()));
        }
        let scorer = Scorer::of(&self.base, &self.classifiers, &self.tasks, self.max_length);
        let rows = std::slice::from_ref(example);
        let prediction = scorer.averages(&self.columns, rows)?.remove(0);
        let class = class.unwrap_or_else(|| prediction.class());
        let (effects, score, baseline) = match method {
            Method::LeaveOneOut => {
                let score = log_odds(&prediction, class);
                let without = self.without_each(example, &read);
                let said = scorer.averages(&self.columns, &without)?;
                (said.iter().map(|said| score - log_odds(said, class)).collect(), score, None)
            }
            Method::Gradients { steps } => {
                let found = self.gradients(example, &read, class, steps).map_err(at)?;
                (found.effects, found.score, Some(found.baseline))
            }
        };
        let mut words = Vec::with_capacity(read.len());
        for (place, effect) in read.iter().zip::<Vec<f64>>(effects) {
            let word = example.fields[place.field].split_whitespace().nth(place.word).unwrap_or_default();
            let column = self.columns.names()[place.field].clone();
            words.push(WordEffect { column, word: word.to_owned(), effect });
        }
        Ok(Explanation {
            record: example.record,
            class,
            label: self.labels[class].clone(),
            predicted: self.labels[prediction.class()].clone(),
            method,
            probability: prediction.probabilities[class],
            prediction,
            score,
            baseline,
            words,
            unread_words,
            at_mask: scorer.label_words(&self.columns, rows, WORDS_AT_MASK)?.remove(0),
        })
    }

    /// The places of the fields that some pattern reads.
    fn places(&self) -> Vec<usize> {
        let all: BTreeSet<usize> = self.tasks.iter().flat_map(Task::places).collect();
        all.into_iter().collect()
    }

    /// The words that some pattern has room for, in their order, and how many there are beside them.
    fn words(&self, example: &Example) -> Result<(Vec<Place>, usize)> {
        let mut read = BTreeSet::new();
        for task in &self.tasks {
            if !task.template().steps().is_empty() {
                for field in task.places() {
                    let words = example.fields[field].split_whitespace().count().min(MOST_READ_BY_STEPS);
                    read.extend((0..words).map(|word| Place { field, word }));
                }
                continue;
            }
            let Some(prompt) = task.prompts(std::slice::from_ref(example))?.into_iter().flatten().next()
            else {
                continue;
            };
            let (_, words) = encode_with_words(&prompt, self.base.tokenizer(), self.max_length)
                .map_err(|error| error.at(self.columns.place(example, None)))?;
            let place = |word: FieldWord| Some(Place { field: task.place_of(word.field)?, word: word.word });
            read.extend(words.into_iter().flatten().filter_map(place));
        }
        let all: usize =
            self.places().iter().map(|&place| example.fields[place].split_whitespace().count()).sum();
        let unread = all.saturating_sub(read.len());
        Ok((read.into_iter().collect(), unread))
    }

    /// The row without each of some words. Words that are not read are left out of all of these: one that is
    /// left out must not make room for another.
    fn without_each(&self, example: &Example, read: &[Place]) -> Vec<Example> {
        let without = |left_out: &Place| {
            let mut fields = example.fields.clone();
            for field in self.places() {
                let last = read.iter().filter(|place| place.field == field).map(|place| place.word).max();
                let skipped = Some(left_out.word).filter(|_| left_out.field == field);
                fields[field] = kept(&example.fields[field], last, skipped);
            }
            Example { fields, ..example.clone() }
        };
        read.iter().map(without).collect()
    }
}

/// A text up to its `last` word, and without another; the blanks between the words stay as they are.
fn kept(text: &str, last: Option<usize>, skipped: Option<usize>) -> String {
    let Some(last) = last else { return String::new() };
    let mut kept = String::with_capacity(text.len());
    let (mut rest, mut number) = (text, 0);
    loop {
        let begin = rest.find(|letter: char| !letter.is_whitespace());
        let Some(begin) = begin.filter(|_| number <= last) else { break };
        let end = rest[begin..].find(char::is_whitespace).map_or(rest.len(), |end| begin + end);
        if skipped != Some(number) {
            kept.push_str(&rest[..end]);
        }
        rest = &rest[end..];
        number += 1;
    }
    kept
}

/// The logarithm of a class's odds.
fn log_odds(prediction: &Prediction, class: usize) -> f64 {
    let others: f64 = prediction
        .probabilities
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != class)
        .map(|(_, p)| p)
        .sum();
    prediction.probabilities[class].max(f64::MIN_POSITIVE).ln() - others.max(f64::MIN_POSITIVE).ln()
}
