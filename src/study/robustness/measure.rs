//! Rows scored as they are and under each change.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::variations::{self, Variation};
use super::{Changed, RobustnessReport};
use crate::error::{DataError, Errors, Result, TemplateError};
use crate::model::dtype::Dtype;
use crate::model::features::Features;
use crate::model::threads::Threads;
use crate::predict::blueprint::{Blueprint, Loaded};
use crate::predict::classifier::{Classifier, VerbalizedLm};
use crate::predict::report::Prediction;
use crate::predict::score::Scorer;
use crate::predict::task::{Task, TaskSet};
use crate::text::data::{Columns, Example, Rows};
use crate::text::dataset::truth;
use crate::text::json_files;
use crate::text::template::Template;
use crate::tune::Tuning;

/// A classifier and rows whose robustness is to be measured: everything read and checked, no weights loaded.
pub struct Robustness {
    blueprint: Blueprint,
    tasks: Vec<Task>,
    max_length: usize,
    columns: Arc<Columns>,
    examples: Vec<Example>,
    truths: Vec<Option<usize>>,
    paraphrases: Vec<Task>,
    left_out: Vec<String>,
    /// The files of the other patterns.
    pub paraphrase_files: Vec<PathBuf>,
}

impl Robustness {
    /// Takes a classifier's patterns on the columns of rows, and of the rows the first `most`, or all.
    /// `paraphrases` is a folder of templates that ask the same in other words. Patterns with demonstrations
    /// are refused. What was learned may read no pattern or no words: such changes are left out.
    pub fn prepare(
        blueprint: Blueprint,
        tasks: TaskSet,
        rows: Rows,
        most: Option<usize>,
        paraphrases: Option<&Path>,
    ) -> Result<Robustness, Errors> {
        let columns = rows.columns().clone();
        let showing = tasks.tasks.iter().map(Task::template).find_map(without_demonstrations);
        if let Some(error) = showing {
            return Err(error.into());
        }
        let (mut examples, mut truths, mut rows) = (Vec::new(), Vec::new(), rows);
        while examples.len() < most.unwrap_or(usize::MAX) {
            let Some(example) = rows.next().transpose()? else { break };
            match truth(&blueprint.verbalizer, &columns, &example) {
                Ok(class) => {
                    truths.push(class);
                    examples.push(example);
                }
                Err(error) => rows.leave_out(error, &example)?,
            }
        }
        if examples.is_empty() {
            return Err(DataError::WithoutRows { data: columns.data().to_owned() }.into());
        }
        let mut problems = Errors::new();
        let paraphrase_files = paraphrases.map(|name| json_files::files(&[name], &mut problems));
        problems.none()?;
        let paraphrase_files = paraphrase_files.unwrap_or_default();
        let left_out = left_out(&blueprint);
        let paraphrases = match reads_patterns(&blueprint) {
            true => read_paraphrases(&paraphrase_files, &blueprint, &columns)?,
            false => Vec::new(),
        };
        Ok(Robustness {
            blueprint,
            tasks: tasks.tasks,
            max_length: tasks.max_length,
            columns,
            examples,
            truths,
            paraphrases,
            left_out,
            paraphrase_files,
        })
    }

    /// The rows' columns, and the rows.
    pub fn rows(&self) -> (&Columns, &[Example]) {
        (&self.columns, &self.examples)
    }

    /// Loads the weights and scores the rows under every change, on so many threads, libtorch's own number by
    /// default. `progress` is told how many rows are done, and of how many, counted once for each change and once
    /// without any.
    pub fn run(
        self,
        threads: Option<usize>,
        progress: &mut dyn FnMut(f64, usize),
    ) -> Result<RobustnessReport, Errors> {
        let _threads = Threads::on(threads.unwrap_or_else(Threads::usual));
        let Robustness { blueprint, tasks, max_length, columns, examples, truths, .. } = self;
        let (paraphrases, left_out) = (self.paraphrases, self.left_out);
        let (patterns_read, words_read) = (reads_patterns(&blueprint), reads_words(&blueprint));
        let Loaded { verbalizer, base, patterns, learned, members } = blueprint.load()?;
        let prepared = members.into_iter().map(|member| member.prepared(Dtype::F32));
        let plain = prepared.collect::<Result<Vec<Classifier>>>()?;
        let mut all = variations::of_rows(&tasks, &columns, &examples);
        if patterns_read {
            all.extend(variations::of_patterns(&tasks, &columns)?);
        }
        if words_read {
            all.extend(variations::of_words(&tasks, &verbalizer, &base, &patterns, &learned)?);
        }
        all.extend(variations::of_paraphrases(paraphrases));
        let mut bench = Bench { base, columns, examples, max_length, plain, read: Vec::new() };
        let (rows, of) = (bench.examples.len(), (all.len() + 1) * bench.examples.len());
        let mut at = |before: usize, share: f64| progress((before as f64 + share) * rows as f64, of);
        let said = bench.say(&tasks, &bench.examples, &bench.plain, &mut |share| at(0, share))?;
        bench.read = bench.read(&tasks, &bench.examples, &bench.plain)?;
        let mut changed = Vec::with_capacity(all.len());
        for (done, variation) in all.into_iter().enumerate() {
            changed.push(bench.changed(variation, &mut |share| at(done + 1, share))?);
        }
        let records: Vec<u64> = bench.examples.iter().map(|example| example.record).collect();
        Ok(RobustnessReport { left_out, ..RobustnessReport::new(&records, &said, &truths, changed) })
    }
}

/// What all scorings have in common.
struct Bench {
    base: VerbalizedLm,
    columns: Arc<Columns>,
    examples: Vec<Example>,
    max_length: usize,
    /// The models whose probabilities are averaged.
    plain: Vec<Classifier>,
    /// What the model reads of the rows without a change: pattern by pattern, row by row.
    read: Vec<Vec<Vec<Features>>>,
}

impl Bench {
    fn changed(&self, variation: Variation, progress: &mut dyn FnMut(f64)) -> Result<Changed> {
        let Variation { target, name, tasks, examples, classifiers } = variation;
        let examples = examples.as_deref().unwrap_or(&self.examples);
        // What is read alike is answered alike.
        let unseen = classifiers.is_none() && self.read(&tasks, examples, &self.plain)? == self.read;
        let said = if unseen {
            None
        } else {
            Some(self.say(&tasks, examples, classifiers.as_ref().unwrap_or(&self.plain), progress)?)
        };
        Ok(Changed { target, name, said })
    }

    fn read(
        &self,
        tasks: &[Task],
        examples: &[Example],
        classifiers: &[Classifier],
    ) -> Result<Vec<Vec<Vec<Features>>>> {
        let scorer = Scorer::of(&self.base, classifiers, tasks, self.max_length);
        tasks.iter().map(|task| scorer.features(task, &self.columns, examples)).collect()
    }

    fn say(
        &self,
        tasks: &[Task],
        examples: &[Example],
        classifiers: &[Classifier],
        progress: &mut dyn FnMut(f64),
    ) -> Result<Vec<Prediction>> {
        let scorer = Scorer::of(&self.base, classifiers, tasks, self.max_length);
        let scored = scorer.score(&self.columns, examples, progress)?;
        Ok(scored.into_iter().map(|scored| scored.average).collect())
    }
}

/// Whether a pattern is read: `cls` reads the columns alone.
fn reads_patterns(blueprint: &Blueprint) -> bool {
    !matches!(blueprint.learned.first(), Some((Tuning::Cls(_), _)))
}

/// Whether label words are read: `cls` has a head of its own, and what a soft or a prototype verbalizer
/// learned stands in the words' place. Learned weights are those of their words alone.
fn reads_words(blueprint: &Blueprint) -> bool {
    blueprint.learned.is_empty() || (reads_patterns(blueprint) && !blueprint.words.learns_of_classes())
}

/// The changes that make no sense for what was learned, and why.
fn left_out(blueprint: &Blueprint) -> Vec<String> {
    match (reads_patterns(blueprint), reads_words(blueprint)) {
        (false, _) => vec!["the pattern and the label words: cls reads the columns alone".to_owned()],
        (true, false) => {
            vec!["the label words: vectors were learned in their place, or weights of theirs".to_owned()]
        }
        (true, true) => Vec::new(),
    }
}

/// The error of a pattern that shows rows, which would be changed too.
fn without_demonstrations(template: &Template) -> Option<crate::error::Error> {
    let error = TemplateError::WithDemonstrations { command: "cloze robustness" };
    template.demonstrations().map(|_| template.error(error))
}

/// The patterns of these files, bound to the model and the columns. All problems at once.
fn read_paraphrases(
    paths: &[PathBuf],
    blueprint: &Blueprint,
    columns: &Columns,
) -> Result<Vec<Task>, Errors> {
    let mut errors = Errors::new();
    let mut templates = Template::read_all(paths, &mut errors);
    let plain = |template: &Template| {
        let soft = template.soft().next().map(|soft| template.soft_error(soft, TemplateError::SoftUntrained));
        without_demonstrations(template).or(soft).map_or(Ok(()), Err)
    };
    templates.retain(|template| errors.keep(plain(template)).is_some());
    let patterns = blueprint.bind_others(templates, &mut errors);
    let tasks = patterns.on_fitting(columns, &mut errors).tasks;
    errors.none()?;
    Ok(tasks)
}
