//! A search for a pattern.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::basis::{Basis, LabelledFile, LabelledRows, Loaded, SearchFiles};
use super::pattern::{Writer, cross_validated, intervals, mutual_information, of_chosen};
use super::{Candidate, Chosen, SearchReport, SearchStep, WRITTEN, ranking};
use crate::error::{DataError, Errors, Result, SearchError};
use crate::model::folder::ModelFolder;
use crate::model::masked_lm::Options;
use crate::model::threads::Threads;
use crate::predict::blueprint::Blueprint;
use crate::predict::classifier::{Classifier, VerbalizedLm};
use crate::predict::prompt_model::PromptModel;
use crate::predict::report::Prediction;
use crate::predict::score::Scorer;
use crate::predict::task::TaskSet;
use crate::text::data::{Columns, Example, Reading};
use crate::text::dataset::{Dataset, Labels, read_columns};
use crate::text::json;
use crate::text::json_files;
use crate::text::template::Template;
use crate::text::whole_file::write_text;

/// Rows that a pattern is written for: each is a forward pass for each word that is tried.
const WRITTEN_FOR: usize = 32;

/// How a pattern is looked for.
#[derive(Debug, Clone)]
pub struct PatternOptions {
    /// At most so many of the rows without labels, from the first.
    pub data_rows: usize,
    /// So many patterns that the model writes itself are among the candidates; for this there must be
    /// labelled rows.
    pub generate: Option<usize>,
    /// The seed of the draw, of the folds and of the shuffles.
    pub seed: u64,
}

/// A search for a pattern: everything read and checked, no weights loaded.
///
/// Patterns are ranked by their accuracy on labelled rows, each row answered without its own label, or,
/// without labelled rows, by [`mutual_information`].
pub struct PatternSearch {
    basis: Basis,
    texts: Vec<String>,
    columns: Arc<Columns>,
    unlabelled: Vec<Example>,
    rows: Option<LabelledRows>,
    options: PatternOptions,
}

/// A pattern that was found.
pub struct FoundPattern {
    /// The pattern.
    pub template: Template,
    /// The text of its file; none if the model wrote it.
    pub text: Option<String>,
    /// The candidates with their measures.
    pub report: SearchReport,
}

impl PatternSearch {
    /// Reads and checks files, a model, and rows: `data` without labels, `rows` with them.
    pub fn prepare(
        files: SearchFiles<'_>,
        (data, reading): (&Path, &Reading),
        rows: Option<&LabelledFile>,
        options: PatternOptions,
        loading: Options,
        model: impl FnOnce() -> Result<ModelFolder>,
    ) -> Result<PatternSearch, Errors> {
        // What is wrong with names is told with all else.
        let mut problems = Errors::new();
        let paths = json_files::files(files.templates, &mut problems);
        if paths.len() < 2 && problems.is_empty() && options.generate.is_none() {
            return Err(SearchError::SpaceOfOne.into());
        }
        let basis = Basis::read(files, loading, model)?;
        let texts = paths.iter().map(|path| json::read_text(path)).collect::<Result<_>>()?;
        PatternSearch::on(basis, texts, (data, reading), rows, options)
    }

    /// The same with a classifier's own patterns, label words and weights; `texts` are those of the patterns'
    /// files.
    pub fn of(
        blueprint: Blueprint,
        texts: Vec<String>,
        data: (&Path, &Reading),
        rows: Option<&LabelledFile>,
        options: PatternOptions,
    ) -> Result<PatternSearch, Errors> {
        if blueprint.patterns.pvps.len() < 2 && options.generate.is_none() {
            return Err(SearchError::SpaceOfOne.into());
        }
        if options.generate.is_some() && blueprint.learned.len() > 1 {
            return Err(SearchError::SeveralWriters { models: blueprint.learned.len() }.into());
        }
        PatternSearch::on(Basis::of(blueprint)?, texts, data, rows, options)
    }

    fn on(
        basis: Basis,
        texts: Vec<String>,
        (data, reading): (&Path, &Reading),
        rows: Option<&LabelledFile>,
        options: PatternOptions,
    ) -> Result<PatternSearch, Errors> {
        let read = read_columns(&basis.templates, reading.open(data)?.columns());
        let set = Dataset::read(data, reading, &read, &basis.blueprint.verbalizer, None, Labels::Ignored)?;
        if set.examples.is_empty() {
            return Err(DataError::WithoutRows { data: set.columns.data().to_owned() }.into());
        }
        let unlabelled = set.examples.into_iter().take(options.data_rows).collect();
        let rows = rows.map(|file| basis.draw(file, options.seed, Some(&set.columns))).transpose()?;
        if options.generate.is_some() && rows.is_some() {
            basis.check_single_tokens()?;
        }
        Ok(PatternSearch { basis, texts, columns: set.columns, unlabelled, rows, options })
    }

    /// Loads the weights and searches, on so many threads, libtorch's own number by default. `progress` is told
    /// what is done, and which share of it is.
    pub fn run(
        self,
        threads: Option<usize>,
        progress: &mut dyn FnMut(SearchStep, f64),
    ) -> Result<FoundPattern, Errors> {
        let _threads = Threads::on(threads.unwrap_or_else(Threads::usual));
        let PatternSearch { basis, texts, columns, unlabelled, rows, options } = self;
        let labels = basis.labels();
        let (base, models, mut loaded) = basis.load()?;
        if let (Some(count), Some(rows)) = (options.generate, &rows) {
            progress(SearchStep::Writing { rows: rows.truths.len() }, 0.0);
            let written = write_patterns(count, rows, &loaded, &base, &models[0])?;
            loaded.templates.extend(written);
        }
        let with_words = |model| Classifier::Prompt(model, base.words.clone());
        let classifiers: Vec<Classifier> = models.into_iter().map(with_words).collect();
        let TaskSet { tasks, max_length, .. } = loaded.on(&base, &columns)?;
        let scorer = Scorer::of(&base, &classifiers, &tasks, max_length);
        let step = SearchStep::Scoring { rows: unlabelled.len(), patterns: loaded.templates.len() };
        let labelled_rows = rows.as_ref().map_or(0, |rows| rows.examples.len());
        let all = (unlabelled.len() + labelled_rows) as f64;
        let mut by_pattern = |examples: &[Example], before: usize| -> Result<Vec<Vec<Prediction>>> {
            let scored = scorer.score(&columns, examples, &mut |share| {
                progress(step, (before as f64 + share * examples.len() as f64) / all);
            })?;
            let of_task = |task: usize| scored.iter().map(|row| row.by_pattern[task].clone()).collect();
            Ok((0..tasks.len()).map(of_task).collect())
        };
        let said = by_pattern(&unlabelled, 0)?;
        let labelled = rows.as_ref().map(|rows| by_pattern(&rows.examples, unlabelled.len())).transpose()?;
        let labelled = labelled.unwrap_or_default();
        let truths: &[usize] = rows.as_ref().map_or(&[], |rows| &rows.truths);
        let report = rank(&loaded.templates, &labels, &said, &labelled, truths, options.seed);
        let template = loaded.templates.swap_remove(report.winner);
        Ok(FoundPattern { template, text: texts.get(report.winner).cloned(), report })
    }
}

impl FoundPattern {
    /// Writes a template file. One that was given is written as it is.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = match &self.text {
            Some(text) => text.clone(),
            None => {
                let (pattern, about) = (self.template.pattern(), self.template.about());
                format!("{:#}\n", json!({ "version": 1, "pattern": pattern, "about": about }))
            }
        };
        write_text(path, &text)
    }
}

/// The patterns by what they say of rows without labels (`said`) and with them (`labelled`, none without
/// truths).
fn rank(
    templates: &[Template],
    labels: &[String],
    said: &[Vec<Prediction>],
    labelled: &[Vec<Prediction>],
    truths: &[usize],
    seed: u64,
) -> SearchReport {
    let corrected: Vec<Vec<Prediction>> =
        labelled.iter().map(|said| cross_validated(said, truths, labels.len(), seed)).collect();
    let candidate = |(index, template): (usize, &Template)| {
        let (name, about) = (template.name().to_owned(), template.pattern().to_owned());
        let held_out = corrected.get(index).map_or(&[][..], Vec::as_slice);
        let score = Some(mutual_information(&said[index]));
        Candidate { score, ..Candidate::of(name, about, held_out, truths, labels) }
    };
    let mut candidates: Vec<Candidate> = templates.iter().enumerate().map(candidate).collect();
    let order = ranking(&candidates, |candidate| candidate.accuracy().or(candidate.score));
    let winner = order[0];
    for (candidate, (own, less)) in candidates.iter_mut().zip(intervals(said, winner, seed)) {
        (candidate.score_95, candidate.first_less_95) = (Some(own), Some(less));
    }
    let without = |others: &[usize]| -> Vec<Vec<Prediction>> {
        let own: Vec<usize> = others.iter().map(|&row| truths[row]).collect();
        let part = |said: &Vec<Prediction>| others.iter().map(|&row| said[row].clone()).collect::<Vec<_>>();
        labelled.iter().map(|said| cross_validated(&part(said), &own, labels.len(), seed)).collect()
    };
    let choosing = (!labelled.is_empty())
        .then(|| Chosen::of(&of_chosen(&corrected, truths, seed, without), truths).accuracy);
    SearchReport::of(candidates, order, winner, None, truths, seed, choosing)
}

/// Patterns of the columns of the first template that the model writes itself, for the first of the rows of
/// each class.
fn write_patterns(
    count: usize,
    rows: &LabelledRows,
    loaded: &Loaded,
    base: &VerbalizedLm,
    model: &PromptModel,
) -> Result<Vec<Template>> {
    let classes = loaded.verbalizer.classes();
    let fields: Vec<String> = loaded.templates[0].columns().map(|column| format!("{{{column}}}")).collect();
    let of_class = WRITTEN_FOR / classes.len().max(1);
    let mut taken = vec![0; classes.len()];
    let first = |(index, truth): (usize, &usize)| {
        taken[*truth] += 1;
        (taken[*truth] <= of_class.max(1)).then_some(index)
    };
    let chosen: Vec<usize> = rows.truths.iter().enumerate().filter_map(first).collect();
    let examples: Vec<Example> = chosen.iter().map(|&row| rows.examples[row].clone()).collect();
    let word = |row: &usize| {
        let word = classes[rows.truths[*row]].words[0].word();
        base.tokenizer().word_ids(word).first().copied()
    };
    let words: Vec<i64> = chosen.iter().filter_map(word).collect();
    let writer = Writer { model, tokenizer: base.tokenizer(), max_length: loaded.max_length };
    let written = writer.write(&fields.join(" "), &rows.columns, &examples, &words, count)?;
    let template = |(index, written): (usize, super::pattern::Written)| {
        let about = format!(
            "written by the model for {} rows, mean log probability of its words {:.2}",
            chosen.len(),
            written.score
        );
        let text = json!({ "version": 1, "pattern": written.pattern, "about": about }).to_string();
        Template::parse(&format!("{WRITTEN}{}", index + 1), "a pattern that was written", &text)
    };
    written.into_iter().enumerate().map(template).collect()
}
