//! Rows of a pool as the model sees them, less those that have labels already.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Candidate, Chosen, Strategy, Wish, select};
use crate::error::{DataError, Result, TemplateError};
use crate::model::threads::Threads;
use crate::predict::calibration::Method;
use crate::predict::calibrator::Calibrator;
use crate::predict::prompt_classifier::PromptClassifier;
use crate::predict::score::Scorer;
use crate::predict::task::Task;
use crate::predict::zero_shot::ROWS_TO_CORRECT_BY;
use crate::text::data::{Columns, Example, Rows};
use crate::text::dataset::words_hash;

/// What a pool is made of.
pub struct PoolRequest<'a> {
    /// The rows to choose among. Those that have a label are labelled already.
    pub rows: Rows,
    /// Other rows that are labelled already, their fields in the order of these rows' columns.
    pub labelled: Vec<Example>,
    /// The patterns on the rows' columns: what they read tells rows apart. Without any, all columns do but the
    /// one of labels.
    pub tasks: &'a [Task],
}

/// Rows to choose among: each text once, and none that is labelled already.
pub struct Pool {
    /// Their columns.
    pub columns: Arc<Columns>,
    /// The rows.
    pub examples: Vec<Example>,
    /// So many rows of the file are labelled already, there or elsewhere.
    pub labelled_rows: usize,
    /// So many rows of the file say what another one says.
    pub repeated_rows: usize,
    /// What is labelled already.
    labelled: Vec<Example>,
}

impl Pool {
    /// Reads all rows: they stay in memory. A file without a row that could be chosen is refused.
    pub fn read(request: PoolRequest<'_>) -> Result<Pool> {
        let columns = request.rows.columns().clone();
        let mut places: Vec<usize> = request.tasks.iter().flat_map(Task::places).collect();
        if request.tasks.is_empty() {
            let names = columns.names().iter().enumerate();
            places.extend(names.filter(|(_, name)| Some(name.as_str()) != columns.label()).map(|(at, _)| at));
        }
        places.sort_unstable();
        places.dedup();
        let mut known: HashSet<u64> = HashSet::new();
        let mut labelled = request.labelled;
        known.extend(labelled.iter().map(|row| words_hash(row, &places)));
        let all = request.rows.collect::<Result<Vec<Example>>>()?;
        let (own, free): (Vec<Example>, Vec<Example>) = all.into_iter().partition(|row| row.label.is_some());
        known.extend(own.iter().map(|row| words_hash(row, &places)));
        let (mut seen, mut examples) = (HashSet::new(), Vec::new());
        let (mut labelled_rows, mut repeated_rows) = (own.len(), 0);
        for row in free {
            let words = words_hash(&row, &places);
            if known.contains(&words) {
                labelled_rows += 1;
            } else if seen.insert(words) {
                examples.push(row);
            } else {
                repeated_rows += 1;
            }
        }
        if examples.is_empty() {
            let data = columns.data().to_owned();
            let error = match labelled_rows {
                0 => DataError::WithoutRows { data },
                _ => DataError::NothingToLabel { data, labelled_rows },
            };
            return Err(error.into());
        }
        labelled.extend(own);
        Ok(Pool { columns, examples, labelled_rows, repeated_rows, labelled })
    }

    /// Some of its rows, by their places, as a pool of their own.
    #[must_use]
    pub fn part(&self, places: &[usize]) -> Pool {
        Pool {
            columns: self.columns.clone(),
            examples: places.iter().map(|&place| self.examples[place].clone()).collect(),
            labelled_rows: self.labelled_rows,
            repeated_rows: self.repeated_rows,
            labelled: self.labelled.clone(),
        }
    }

    /// How answers are corrected that nobody trained: by the rows themselves, where there are enough.
    pub fn correction(&self) -> Option<Method> {
        (self.examples.len() >= ROWS_TO_CORRECT_BY).then_some(Method::Batch)
    }

    /// Chooses rows of it. A calibration is fitted on these rows, if it is asked for. `progress` is told which
    /// share of the work is done.
    ///
    /// # Errors
    /// A strategy that looks at where rows lie needs a model that gives states; disagreement needs two
    /// patterns.
    pub fn select(
        &self,
        classifier: &PromptClassifier,
        tasks: Vec<Task>,
        calibrator: &mut Calibrator,
        wish: Wish,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Vec<Chosen>> {
        if wish.strategy == Strategy::Disagreement && tasks.len() < 2 {
            return Err(TemplateError::OnePattern.into());
        }
        let scoring = classifier.on(tasks, self.columns.clone())?;
        let scorer = scoring.scorer();
        let _threads = Threads::on(scorer.threads);
        let mut candidates = vec![Candidate::default(); self.examples.len()];
        let strategy = wish.strategy;
        // Where both are wanted, each is about half of the work.
        let halves = f64::from(u8::from(strategy.needs_predictions()) + u8::from(strategy.needs_vectors()));
        let mut done = 0.0;
        if strategy.needs_predictions() {
            self.predict(&scorer, calibrator, &mut candidates, &mut |share| progress(share / halves))?;
            done = 1.0 / halves;
        }
        let mut labelled = Vec::new();
        if strategy.needs_vectors() {
            let vectors =
                scorer.states(&self.columns, &self.examples, &mut |share| progress(done + share / halves))?;
            candidates.iter_mut().zip(vectors).for_each(|(candidate, vector)| candidate.vector = vector);
        }
        if strategy == Strategy::KCenter {
            labelled = scorer.states(&self.columns, &self.labelled, &mut |_| {})?;
        }
        Ok(select(&candidates, &labelled, wish))
    }

    fn predict(
        &self,
        scorer: &Scorer<'_>,
        calibrator: &mut Calibrator,
        candidates: &mut [Candidate],
        progress: &mut dyn FnMut(f64),
    ) -> Result<()> {
        let mut scored = scorer.score(&self.columns, &self.examples, progress)?;
        calibrator.fit_corrections(scorer, &self.columns, &self.examples, &[], &scored)?;
        for (candidate, scored) in candidates.iter_mut().zip(&mut scored) {
            candidate.prediction = calibrator.fitted().apply(&mut scored.by_pattern, &scored.levels);
            candidate.by_pattern = std::mem::take(&mut scored.by_pattern);
        }
        Ok(())
    }
}
