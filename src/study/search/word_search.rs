//! A search for label words.

use std::path::Path;

use serde_json::json;

use super::basis::{Basis, LabelledFile, LabelledRows, Loaded, SearchFiles};
use super::pattern::of_chosen;
use super::words::{self, MaskLogProbabilities, Method, Words};
use super::{Candidate, Chosen, SearchReport, SearchStep, ranking};
use crate::error::{Errors, Result, SearchError};
use crate::learn::sample;
use crate::model::folder::ModelFolder;
use crate::model::masked_lm::Options;
use crate::model::threads::Threads;
use crate::predict::blueprint::Blueprint;
use crate::predict::classifier::{Classifier, VerbalizedLm};
use crate::predict::prompt_model::PromptModel;
use crate::predict::report::Prediction;
use crate::predict::score::Scorer;
use crate::predict::task::TaskSet;
use crate::text::whole_file::write_text;

/// Numbers of words a class that are tried.
const WORD_COUNTS: [usize; 4] = [1, 3, 5, 10];

/// Folds in which words are looked for on the other rows.
const FOLDS: usize = 4;

/// What the model says of whole vocabularies is held in memory: at most so many numbers.
const MOST_NUMBERS: usize = 400_000_000;

/// How label words are looked for.
#[derive(Debug, Clone)]
pub struct WordOptions {
    /// The method.
    pub method: Method,
    /// Words a class; the best of 1, 3, 5 and 10 on the rows by default, without rows 10. [`Method::Ranked`]
    /// finds one, whatever is asked for.
    pub count: Option<usize>,
    /// The seed of the draw, of the folds and of the shuffles.
    pub seed: u64,
}

/// A search for label words: everything read and checked, no weights loaded.
///
/// Each row is answered by words that were found on other rows, so that the accuracies are those of new rows.
pub struct WordSearch {
    basis: Basis,
    rows: Option<LabelledRows>,
    options: WordOptions,
}

/// Label words that were found.
pub struct FoundWords {
    /// The labels in class order.
    pub labels: Vec<String>,
    /// Each class's words with their weights, the best first.
    pub words: Vec<Vec<(String, f64)>>,
    /// The method.
    pub method: Method,
    /// The candidates with their measures; none without labelled rows.
    pub report: Option<SearchReport>,
}

impl WordSearch {
    /// Reads and checks files, a model, and the labelled rows to learn from, which all methods but
    /// [`Method::Nearest`] need.
    pub fn prepare(
        files: SearchFiles<'_>,
        rows: Option<&LabelledFile>,
        options: WordOptions,
        loading: Options,
        model: impl FnOnce() -> Result<ModelFolder>,
    ) -> Result<WordSearch, Errors> {
        WordSearch::on(|| Basis::read(files, loading, model), rows, options)
    }

    /// The same with a classifier's own patterns, label words and weights.
    pub fn of(
        blueprint: Blueprint,
        rows: Option<&LabelledFile>,
        options: WordOptions,
    ) -> Result<WordSearch, Errors> {
        WordSearch::on(|| Basis::of(blueprint), rows, options)
    }

    fn on(
        basis: impl FnOnce() -> Result<Basis, Errors>,
        rows: Option<&LabelledFile>,
        options: WordOptions,
    ) -> Result<WordSearch, Errors> {
        if rows.is_none() && options.method != Method::Nearest {
            return Err(SearchError::WithoutLabelledRows { method: options.method.name() }.into());
        }
        let basis = basis()?;
        basis.check_single_tokens()?;
        let rows = rows.map(|file| basis.draw(file, options.seed, None)).transpose()?;
        Ok(WordSearch { basis, rows, options })
    }

    /// Loads the weights and searches, on so many threads, libtorch's own number by default. `progress` is told
    /// what is done, and which share of it is.
    pub fn run(
        self,
        threads: Option<usize>,
        progress: &mut dyn FnMut(SearchStep, f64),
    ) -> Result<FoundWords, Errors> {
        let _threads = Threads::on(threads.unwrap_or_else(Threads::usual));
        let WordSearch { basis, rows, options } = self;
        let labels = basis.labels();
        let (base, models, loaded) = basis.load()?;
        let given = base.words.of_classes();
        let finder = Finder { base: &base, given, options };
        match rows {
            None => {
                let counts = finder.counts();
                let words = finder.nearest(*counts.last().unwrap_or(&1));
                Ok(finder.found(labels, &words, None))
            }
            Some(rows) => finder.on_rows(&rows, models, &loaded, labels, progress),
        }
    }
}

impl FoundWords {
    /// Each class's words.
    pub fn listed(&self) -> Vec<Vec<&str>> {
        self.words.iter().map(|words| words.iter().map(|(word, _)| word.as_str()).collect()).collect()
    }

    /// Writes a verbalizer file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let word = |(word, weight): &(String, f64)| {
            if self.method == Method::Nearest {
                json!({ "word": word, "weight": weight })
            } else {
                json!(word)
            }
        };
        let class = |(label, words): (&String, &Vec<(String, f64)>)| json!({ "label": label, "words": words.iter().map(word).collect::<Vec<_>>() });
        let classes: Vec<serde_json::Value> = self.labels.iter().zip(&self.words).map(class).collect();
        let about = match self.method {
            Method::LikelihoodRatio => "found by cloze search, by likelihood ratio",
            Method::Ranked => "found by cloze search, assignments ranked on held-out rows",
            Method::Nearest => "found by cloze search, nearest in the model's embeddings",
        };
        let verbalizer = json!({ "version": 1, "about": about, "classes": classes });
        write_text(path, &format!("{verbalizer:#}\n"))
    }
}

/// A method at work.
struct Finder<'a> {
    base: &'a VerbalizedLm,
    /// The given words that the model has, as ids.
    given: Vec<Vec<i64>>,
    options: WordOptions,
}

impl Finder<'_> {
    /// The numbers of words that are tried.
    fn counts(&self) -> Vec<usize> {
        match (self.options.method, self.options.count) {
            (Method::Ranked, _) => vec![1],
            (_, None) => WORD_COUNTS.to_vec(),
            (_, Some(count)) => vec![count],
        }
    }

    fn nearest(&self, count: usize) -> Words {
        words::nearest(self.base, &self.given, count)
    }

    /// So many words of each class, found on some rows.
    fn find(&self, said: &MaskLogProbabilities, truths: &[usize], count: usize) -> Words {
        let classes = self.given.len();
        match self.options.method {
            Method::LikelihoodRatio => words::by_likelihood_ratio(said, truths, classes, count),
            Method::Ranked => words::ranked(said, truths, classes, self.options.seed).swap_remove(0),
            Method::Nearest => self.nearest(count),
        }
    }

    fn on_rows(
        &self,
        rows: &LabelledRows,
        models: Vec<PromptModel>,
        loaded: &Loaded,
        labels: Vec<String>,
        progress: &mut dyn FnMut(SearchStep, f64),
    ) -> Result<FoundWords, Errors> {
        let (truths, seed, counts) = (&rows.truths, self.options.seed, self.counts());
        let step = SearchStep::Asking { rows: truths.len(), patterns: loaded.templates.len() };
        progress(step, 0.0);
        let said = self.ask(rows, &models, loaded, &mut |share| progress(step, share))?;
        progress(SearchStep::LookingForWords { rows: truths.len() }, 0.0);
        let all: Vec<Words> = counts.iter().map(|&count| self.find(&said, truths, count)).collect();
        let is_without = |class: &usize| all.iter().any(|words| words[*class].is_empty());
        if let Some(class) = (0..labels.len()).find(is_without) {
            return Err(SearchError::WithoutWords { label: labels[class].clone() }.into());
        }
        let with_words = |model| Classifier::Prompt(model, self.base.words.clone());
        let classifiers: Vec<Classifier> = models.into_iter().map(with_words).collect();
        let by_given = score(self.base, &classifiers, rows, loaded)?;
        let given: Words =
            self.given.iter().map(|class| class.iter().map(|id| (*id, 1.0)).collect()).collect();
        let about = self.brief(&given);
        let mut candidates = vec![Candidate::of("given".to_owned(), about, &by_given, truths, &labels)];
        let every: Vec<usize> = (0..truths.len()).collect();
        let by_count: Vec<Vec<Prediction>> =
            counts.iter().map(|&count| self.held_out(&said, truths, &every, count)).collect();
        for ((count, words), held_out) in counts.iter().zip(&all).zip(&by_count) {
            let plural = if *count == 1 { "" } else { "s" };
            let name = format!("{}, {count} word{plural} a class", self.options.method.name());
            candidates.push(Candidate::of(name, self.brief(words), held_out, truths, &labels));
        }
        let choosing = match by_count.len() {
            1 => by_count[0].clone(),
            _ => of_chosen(&by_count, truths, seed, |others| {
                counts.iter().map(|&count| self.held_out(&said, truths, others, count)).collect()
            }),
        };
        let chosen = Chosen::of(&choosing, truths);
        let order = ranking(&candidates, Candidate::accuracy);
        // The given words come first, and behind them one candidate for each number of words.
        let winner = order.iter().copied().find(|&index| index > 0).unwrap_or(1);
        let accuracy = (by_count.len() > 1).then_some(chosen.accuracy);
        let report = SearchReport::of(candidates, order, winner, Some(&chosen), truths, seed, accuracy);
        Ok(self.found(labels, &all[winner - 1], Some(report)))
    }

    /// What words say of some rows: words that were found on a row say more of it than of others, so each row
    /// is answered by words of the other folds.
    fn held_out(
        &self,
        said: &MaskLogProbabilities,
        truths: &[usize],
        rows: &[usize],
        count: usize,
    ) -> Vec<Prediction> {
        let (said, truths) = part(said, truths, rows);
        let mut held_out = vec![Prediction::default(); truths.len()];
        for fold in sample::folds(&truths, FOLDS, self.options.seed) {
            let others: Vec<usize> = (0..truths.len()).filter(|row| !fold.contains(row)).collect();
            let (of_others, their_truths) = part(&said, &truths, &others);
            let found = self.find(&of_others, &their_truths, count);
            fold.into_iter().for_each(|row| held_out[row] = said.predict(row, &found));
        }
        held_out
    }

    /// What the model says at the masks of labelled rows.
    fn ask(
        &self,
        rows: &LabelledRows,
        models: &[PromptModel],
        loaded: &Loaded,
        progress: &mut dyn FnMut(f64),
    ) -> Result<MaskLogProbabilities, Errors> {
        let TaskSet { tasks, max_length, .. } = loaded.on(self.base, &rows.columns)?;
        let scorer = Scorer::of(self.base, &[], &tasks, max_length);
        let numbers =
            rows.examples.len() * tasks.len() * models.len() * self.base.tokenizer().vocabulary_size();
        if numbers > MOST_NUMBERS {
            return Err(SearchError::TooMuch { rows: rows.examples.len(), patterns: tasks.len() }.into());
        }
        let of_task =
            |task| Ok(scorer.features(task, &rows.columns, &rows.examples)?.into_iter().flatten().collect());
        let by_pattern = tasks.iter().map(of_task).collect::<Result<Vec<_>>>()?;
        let also = self.given.concat();
        Ok(MaskLogProbabilities::of(models, self.base.tokenizer(), &also, &by_pattern, progress))
    }

    fn word(&self, id: i64) -> &str {
        self.base.tokenizer().written(id)
    }

    /// Each class's first words.
    fn brief(&self, words: &Words) -> String {
        let of_class = |class: &Vec<(i64, f64)>| {
            class.iter().take(2).map(|(id, _)| self.word(*id)).collect::<Vec<_>>().join(", ")
        };
        words.iter().map(of_class).collect::<Vec<_>>().join(" / ")
    }

    fn found(&self, labels: Vec<String>, words: &Words, report: Option<SearchReport>) -> FoundWords {
        let of_class = |class: &Vec<(i64, f64)>| {
            class.iter().map(|(id, weight)| (self.word(*id).to_owned(), *weight)).collect()
        };
        let words = words.iter().map(of_class).collect();
        FoundWords { labels, words, method: self.options.method, report }
    }
}

/// Some of the rows.
fn part(said: &MaskLogProbabilities, truths: &[usize], rows: &[usize]) -> (MaskLogProbabilities, Vec<usize>) {
    (said.pick(rows), rows.iter().map(|&row| truths[row]).collect())
}

/// What the given words say of rows, as in any scoring.
fn score(
    base: &VerbalizedLm,
    classifiers: &[Classifier],
    rows: &LabelledRows,
    loaded: &Loaded,
) -> Result<Vec<Prediction>, Errors> {
    let TaskSet { tasks, max_length, .. } = loaded.on(base, &rows.columns)?;
    let scorer = Scorer::of(base, classifiers, &tasks, max_length);
    Ok(scorer.averages(&rows.columns, &rows.examples)?)
}
