//! A verbalizer's words that a model says of rows, without the others.

use std::path::Path;
use std::sync::Arc;

use ndarray::{Array2, Axis};
use serde_json::{Value, json};
use tch::{Kind as Type, Tensor, no_grad};

use super::refine::{Fate, WordsSaid, refine};
use crate::error::{DataError, Errors, Result, SearchError};
use crate::model::batch::small_batches;
use crate::model::features::Features;
use crate::model::threads::Threads;
use crate::model::values::values;
use crate::predict::blueprint::{Blueprint, Loaded};
use crate::predict::classifier::VerbalizedLm;
use crate::predict::prompt_model::PromptModel;
use crate::predict::score::Scorer;
use crate::predict::task::{Task, TaskSet};
use crate::text::data::{Columns, Example, Rows};
use crate::text::verbalizer::{LabelWord, Verbalizer};
use crate::text::whole_file::write_text;

/// Which words are kept, and what is written of them.
#[derive(Debug, Clone)]
pub struct RefineOptions {
    /// So many rows are looked at, from the first.
    pub rows: usize,
    /// The share of the vocabulary, by how often the model says its words, within which words are kept: above
    /// 0, at most 1.
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
    /// The patterns, as written, in the order of the words' priors.
    pub patterns: Vec<String>,
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
    /// Its prior in each pattern: its mean probability over the rows.
    pub priors: Vec<f64>,
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
        let said = WordsSaid::ask(&models, &given.concat(), &by_pattern);
        let patterns = tasks.iter().map(|task| task.template().pattern().to_owned()).collect();
        let class_of: Vec<usize> =
            given.iter().enumerate().flat_map(|(class, words)| words.iter().map(move |_| class)).collect();
        let fates = refine(&said, &class_of, options.keep, options.relevance).into_iter();
        let priors = said.priors.axis_iter(Axis(1)).map(|of_word| of_word.to_vec());
        let mut found = fates.zip(priors);
        let of_class = |(class, ids): (usize, Vec<i64>)| {
            let words = &verbalizer.classes()[class].words;
            let word = |(id, (fate, priors)): (i64, (Fate, Vec<f64>))| RefinedWord {
                word: base.tokenizer().written(id).to_owned(),
                weight: weight_of(words, id, &base),
                fate,
                priors,
            };
            ids.into_iter().zip(found.by_ref()).map(word).collect()
        };
        let classes = given.into_iter().enumerate().map(of_class).collect();
        let (rows, calibration) = (examples.len(), options.calibration);
        Ok(Refined { verbalizer, classes, patterns, rows, calibration })
    }
}

impl WordsSaid {
    /// What models say of words, by their ids, at the masks of the rows of each pattern.
    pub fn ask(models: &[PromptModel], ids: &[i64], by_pattern: &[Vec<Features>]) -> WordsSaid {
        let (mut logits, mut priors) = (Vec::new(), Vec::new());
        for rows in by_pattern {
            // The whole vocabulary's probabilities, summed over rows and models.
            let mut sum: Option<Tensor> = None;
            for model in models {
                let columns = Tensor::from_slice(ids).to_device(model.device());
                let mut of_words = Vec::with_capacity(rows.len() * ids.len());
                for inputs in small_batches(rows) {
                    no_grad(|| {
                        let said = model.vocabulary_logits(&inputs).to_kind(Type::Double);
                        of_words.extend(values::<f64>(&said.index_select(1, &columns)));
                        let said = said.softmax(-1, Type::Double).sum_dim_intlist(0, false, Type::Double);
                        sum = Some(sum.take().map_or_else(|| said.shallow_clone(), |sum| sum + &said));
                    });
                }
                logits.push(Array2::from_shape_vec((rows.len(), ids.len()), of_words).unwrap_or_default());
            }
            let asked = (rows.len() * models.len()) as f64;
            priors.push(values::<f64>(&sum.unwrap_or_default()).into_iter().map(|sum| sum / asked).collect());
        }
        let vocabulary = priors.first().map_or(0, Vec::len);
        let mean: Vec<f64> =
            (0..vocabulary).map(|id| priors.iter().map(|of: &Vec<f64>| of[id]).sum::<f64>()).collect();
        let mut sorted = mean.clone();
        sorted.sort_by(f64::total_cmp);
        let place = |id: &i64| usize::try_from(*id).unwrap_or_default();
        let of_words: Vec<f64> = priors.iter().flat_map(|of| ids.iter().map(|id| of[place(id)])).collect();
        WordsSaid {
            logits,
            priors: Array2::from_shape_vec((by_pattern.len(), ids.len()), of_words).unwrap_or_default(),
            ranks: ids.iter().map(|id| sorted.partition_point(|other| *other < mean[place(id)])).collect(),
            vocabulary,
        }
    }
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
            let mut word = json!({ "word": found.word, "weight": found.weight });
            if self.calibration {
                word["prior"] = json!(found.priors);
            }
            (found.fate == Fate::Kept).then_some(word)
        };
        let class = |(label, words): (&str, &Vec<RefinedWord>)| json!({ "label": label, "words": words.iter().filter_map(word).collect::<Vec<_>>() });
        let classes: Vec<Value> = self.verbalizer.labels().zip(&self.classes).map(class).collect();
        let about = format!("{} refined by cloze on {} rows", self.verbalizer.name(), self.rows);
        let aggregate = self.verbalizer.aggregate().name();
        let mut verbalizer = json!({
            "version": 1, "kind": "knowledge", "about": about, "aggregate": aggregate, "classes": classes
        });
        if self.calibration {
            verbalizer["priors_of"] = json!(self.patterns);
        }
        if self.verbalizer.learns_weights() {
            verbalizer["learn_weights"] = json!(true);
        }
        write_text(path, &format!("{verbalizer:#}\n"))
    }
}
