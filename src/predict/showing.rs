//! The rows that patterns show: read, checked, and given to the patterns.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Errors, Result, TemplateError};
use crate::predict::classifier::{Classifier, VerbalizedLm};
use crate::predict::score::{Chain, Scorer};
use crate::predict::similarity::with_similarity;
use crate::predict::task::{Task, TaskSet};
use crate::text::data::{Columns, Example, Reading};
use crate::text::dataset::{Dataset, Labels, read_columns};
use crate::text::demonstrations::{Drawing, Strategy};
use crate::text::verbalizer::Verbalizer;

/// A classifier's patterns as its models are asked in them, with the rows that they show, if they show any.
pub(crate) fn ready(
    tasks: TaskSet,
    showing: Option<&Showing>,
    (base, members): (&VerbalizedLm, &[Classifier]),
    columns: &Columns,
) -> Result<Vec<Task>> {
    let TaskSet { tasks, max_length, .. } = tasks;
    match showing {
        None => Ok(tasks),
        Some(showing) => showing.asked_of(tasks, &Scorer::of(base, members, &[], max_length), columns),
    }
}

/// Labelled rows for patterns with demonstrations to show, and how they are drawn.
#[derive(Clone)]
pub struct Showing {
    rows: Vec<(Example, usize)>,
    columns: Arc<Columns>,
    /// What stands in the blank for each class.
    words: Vec<String>,
    drawing: Drawing,
}

impl Showing {
    /// Labelled rows from a file. A strategy that goes by classes needs a row of each.
    pub fn read(
        path: &Path,
        reading: &Reading,
        drawing: Drawing,
        tasks: &[Task],
        verbalizer: &Verbalizer,
        columns: &Columns,
    ) -> Result<Showing, Errors> {
        let read = read_columns(tasks.iter().map(Task::template), columns);
        let set = Dataset::read(path, reading, &read, verbalizer, Some(columns), Labels::Needed)?;
        set.check_rows()?;
        Ok(Showing::of(set, verbalizer, drawing)?)
    }

    /// The labelled rows of a data set.
    pub fn of(set: Dataset, verbalizer: &Verbalizer, drawing: Drawing) -> Result<Showing> {
        let rows: Vec<(Example, usize)> =
            set.examples.into_iter().zip(set.truths.into_iter().flatten()).collect();
        let absent = |class: &usize| rows.iter().all(|(_, other)| other != class);
        let first_absent = (0..verbalizer.classes().len()).find(absent);
        if let Some(class) = first_absent.filter(|_| drawing.strategy != Strategy::Random) {
            let label = verbalizer.classes()[class].label.clone();
            let data = set.columns.data().to_owned();
            return Err(TemplateError::SupportWithoutClass { label, data }.into());
        }
        Ok(Showing { rows, columns: set.columns, words: verbalizer.first_words(), drawing })
    }

    /// Refuses patterns that show rows where there are none to show, and the other way round.
    pub fn check_wanted(tasks: &[Task], given: bool) -> Result<()> {
        let showing = tasks.iter().find(|task| task.template().demonstrations().is_some());
        match (showing, given) {
            (Some(task), false) => Err(task.template().error(TemplateError::WithoutSupport)),
            (None, true) => Err(Error::from(TemplateError::NothingToShow)),
            _ => Ok(()),
        }
    }

    /// The patterns with the rows that they show.
    #[must_use]
    pub fn in_tasks(&self, tasks: Vec<Task>) -> Vec<Task> {
        tasks.into_iter().map(|task| task.with_support(&self.rows, &self.words, self.drawing)).collect()
    }

    /// The same with what only a model tells: what the steps' blanks of the rows that are shown would say,
    /// and which rows are similar. `columns` are those of the rows that are asked about.
    pub fn asked_of(&self, tasks: Vec<Task>, scorer: &Scorer<'_>, columns: &Columns) -> Result<Vec<Task>> {
        let worked = self.in_tasks(tasks).into_iter().map(|task| self.worked(task, scorer));
        let tasks = worked.collect::<Result<Vec<Task>>>()?;
        with_similarity(tasks, &scorer.classifiers[0], columns, scorer.max_length)
    }

    /// Demonstrations of a pattern with steps show the likeliest chain of each row.
    fn worked(&self, task: Task, scorer: &Scorer<'_>) -> Result<Task> {
        if task.template().steps().is_empty() || task.drawing().is_none() {
            return Ok(task);
        }
        let examples: Vec<Example> = self.rows.iter().map(|(example, _)| example.clone()).collect();
        let chains = scorer.chains(&task, &self.columns, &examples)?;
        let examples =
            chains.iter().filter_map(|chains| likeliest(chains)).map(|(example, _)| example.clone());
        let rows: Vec<(Example, usize)> = examples.zip(self.rows.iter().map(|(_, class)| *class)).collect();
        Ok(task.with_support(&rows, &self.words, self.drawing))
    }
}

/// The most probable of a row's chains; the first of equals.
pub fn likeliest(chains: &[Chain]) -> Option<&Chain> {
    chains.iter().reduce(|best, next| if next.1 > best.1 { next } else { best })
}

/// Forward passes for a row in the pattern that takes most, where one question takes so many.
pub fn forwards(tasks: &[Task], of_question: usize) -> usize {
    let of_task = |task: &Task| {
        let (draws, similar) = task
            .drawing()
            .map_or((1, 0), |drawing| (drawing.draws, usize::from(drawing.strategy == Strategy::Similar)));
        let (mut chains, mut steps) = (1, 0);
        for step in task.template().steps() {
            steps += chains;
            chains *= step.words();
        }
        steps + chains * draws * of_question + similar
    };
    tasks.iter().map(of_task).max().unwrap_or(of_question)
}
