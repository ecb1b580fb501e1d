//! A verbalizer's words that a model says of rows, without the others.

use std::path::Path;
use std::sync::Arc;

use ndarray::Array2;
use serde_json::{Value, json};

use super::refine::{Fate, refine};
use crate::error::{DataError, Errors, Result, SearchError};
use crate::model::threads::Threads;
use crate::predict::blueprint::{Blueprint, Loaded};
use crate::predict::classifier::VerbalizedLm;
use crate::predict::score::Scorer;
use crate::predict::task::{Task, TaskSet};
use crate::study::search::words::MaskLogProbabilities;
use crate::text::data::{Columns, Example, Rows};
use crate::text::verbalizer::{LabelWord, Verbalizer};
use crate::text::whole_file::write_text;

/// Which words are kept, and what is written of them.
#[derive(Debug, Clone)]
pub struct RefineOptions {
    /// So many rows are looked at, from the first.
    pub rows: usize,
    /// The share of all words that is kept for how often the model says them: above 0, at most 1.
    pub keep: f64,
    /// Whether words must be relevant to their class.
    pub relevance: bool,
    /// Whether each word's prior is written, so that scoring divides by it.
    pub calibration: bool,
}

/// A verbalizer that is to have fewer words: everything read and checked, no weights loaded.
pub struct Refinement {
    blueprint: Blueprint,
    tasks: Vec<Task>,
    max_length: usize,
    columns: Arc<Columns>,
    examples: Vec<Example>,
    options: RefineOptions,
}

/// A verbalizer with what became of its words.
pub struct Refined {
    /// As it was.
    pub verbalizer: Verbalizer,
    /// For each class the words that the model has whole, in their order.
    pub classes: Vec<Vec<RefinedWord>>,
    /// The rows that were looked at.
    pub rows: usize,
    /// Whether the words' priors are written.
    pub calibration: bool,
}

/// A word, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RefinedWord {
    /// The word as the vocabulary has it.
    pub word: String,
    /// Its weight in its class.
    pub weight: f64,
    /// Whether it is kept.
    pub fate: Fate,
}

impl Refinement {
    /// Takes patterns on the columns of rows without labels, and the first of the rows. Patterns with
    /// demonstrations or steps, and words of several tokens, are refused.
    pub fn prepare(
        blueprint: Blueprint,
        tasks: TaskSet,
        rows: Rows,
        options: RefineOptions,
    ) -> Result<Refinement, Errors> {
        let TaskSet { tasks, max_length, .. } = tasks;
        tasks.iter().try_for_each(|task| task.template().check_plain("cloze verbalizer"))?;
        if blueprint.verbalizer.multi_token().is_some() {
            let verbalizer = blueprint.verbalizer.file().to_owned();
            return Err(SearchError::MultiToken { verbalizer }.into());
        }
        let columns = rows.columns().clone();
        let examples = rows.take(options.rows).collect::<Result<Vec<Example>>>()?;
        if examples.is_empty() {
            return Err(DataError::WithoutRows { data: columns.data().to_owned() }.into());
        }
        Ok(Refinement { blueprint, tasks, max_length, columns, examples, options })
    }

    /// Loads the weights and asks the model, on so many threads, libtorch's own number by default.
    pub fn run(self, threads: Option<usize>) -> Result<Refined> {
        let _threads = Threads::on(threads.unwrap_or_else(Threads::usual));
        let given = self.blueprint.words.of_classes();
        let Refinement { blueprint, tasks, max_length, columns, examples, options } = self;
        let Loaded { verbalizer, base, members, .. } = blueprint.load()?;
        let models = Loaded::models_at_mask(members)?;
        let scorer = Scorer::of(&base, &[], &tasks, max_length);
        let of_task = |task| Ok(scorer.features(task, &columns, &examples)?.into_iter().flatten().collect());
        let by_pattern = tasks.iter().map(of_task).collect::<Result<Vec<_>>>()?;
        let said = mean_probabilities(&MaskLogProbabilities::of_words(
            &models,
            given.concat(),
            &by_pattern,
            &mut |_| {},
        ));
        let class_of: Vec<usize> =
            given.iter().enumerate().flat_map(|(class, words)| words.iter().map(move |_| class)).collect();
        let mut fates = refine(&said, &class_of, options.keep, options.relevance).into_iter();
        let of_class = |(class, ids): (usize, Vec<i64>)| {
            let words = &verbalizer.classes()[class].words;
            let word = |(id, fate): (i64, Fate)| RefinedWord {
                word: base.tokenizer().written(id).to_owned(),
                weight: weight_of(words, id, &base),
                fate,
            };
            ids.into_iter().zip(fates.by_ref()).map(word).collect()
        };
        let classes = given.into_iter().enumerate().map(of_class).collect();
        let (rows, calibration) = (examples.len(), options.calibration);
        Ok(Refined { verbalizer, classes, rows, calibration })
    }
}

/// The words' mean probabilities over patterns and models, `[rows, words]`.
fn mean_probabilities(said: &MaskLogProbabilities) -> Array2<f64> {
    let asked = said.log_probabilities.len() as f64;
    let sum = said.log_probabilities.iter().map(|said| said.mapv(f64::exp)).reduce(|sum, next| sum + next);
    sum.unwrap_or_default() / asked
}

/// The weight that a token has among a class's words.
fn weight_of(words: &[LabelWord], id: i64, base: &VerbalizedLm) -> f64 {
    let is_own = |word: &&LabelWord| base.tokenizer().word_ids(word.word()).first() == Some(&id);
    words.iter().find(is_own).map_or(1.0, LabelWord::weight)
}

impl Refined {
    /// Writes a verbalizer of the kind `knowledge` with the words that are kept.
    pub fn write(&self, path: &Path) -> Result<()> {
        let word = |found: &RefinedWord| {
            let Fate::Kept(prior) = found.fate else { return None };
            let mut word = json!({ "word": found.word, "weight": found.weight });
            if self.calibration {
                word["prior"] = json!(prior);
            }
            Some(word)
        };
        let class = |(label, words): (&str, &Vec<RefinedWord>)| json!({ "label": label, "words": words.iter().filter_map(word).collect::<Vec<_>>() });
        let classes: Vec<Value> = self.verbalizer.labels().zip(&self.classes).map(class).collect();
        let about = format!("{} refined by cloze on {} rows", self.verbalizer.name(), self.rows);
        let aggregate = self.verbalizer.aggregate().name();
        let verbalizer = json!({
            "version": 1, "kind": "knowledge", "about": about, "aggregate": aggregate, "classes": classes
        });
        write_text(path, &format!("{verbalizer:#}\n"))
    }
}
