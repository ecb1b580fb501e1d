//! The rows that patterns show: read, checked, and given to the tasks.

use std::sync::Arc;

use anyhow::Result;
use cloze::error::{Error, Kind};
use cloze::predict::score::{Chain, Scorer};
use cloze::predict::task::Task;
use cloze::text::data::{Columns, Example};
use cloze::text::demonstrations::{Drawing, Strategy};
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;

use super::args::{Demonstrations, DrawingArgs, Reading};
use super::reading::{Labels, read_columns, read_rows};

/// How demonstrations are drawn, as the flags say.
pub fn drawing(args: &DrawingArgs) -> Drawing {
    let usual = Drawing::default();
    Drawing {
        strategy: args.demo_strategy.map_or(usual.strategy, Into::into),
        draws: args.demo_draws.map_or(usual.draws, usize::from),
        seed: args.demo_seed.unwrap_or(usual.seed),
    }
}

/// The rows that patterns show.
pub struct Support {
    rows: Vec<(Example, usize)>,
    columns: Arc<Columns>,
    words: Vec<String>,
}

/// Gives the tasks the rows that their patterns show, if there are any.
pub fn with_support(
    tasks: Vec<Task>,
    args: &Demonstrations,
    reading: &Reading,
    verbalizer: &Verbalizer,
    columns: &Columns,
) -> Result<(Vec<Task>, Option<Support>)> {
    let showing = tasks.iter().find(|task| task.template().demonstrations().is_some()).map(Task::template);
    let path = match (&args.demos, showing) {
        (None, None) => {
            return if args.drawing.any() {
                Err(Error::from(Kind::NothingToShow).into())
            } else {
                Ok((tasks, None))
            };
        }
        (None, Some(template)) => return Err(template.error(Kind::PatternWithoutSupport).into()),
        (Some(_), None) => return Err(Error::from(Kind::NothingToShow).into()),
        (Some(path), Some(_)) => path,
    };
    let templates: Vec<Template> = tasks.iter().map(|task| task.template().clone()).collect();
    let set = read_rows(
        path,
        reading,
        &read_columns(&templates, columns),
        verbalizer,
        Some(columns),
        Labels::Needed,
    )?;
    let drawing = drawing(&args.drawing);
    let rows: Vec<(Example, usize)> =
        set.examples.into_iter().zip(set.truths.into_iter().flatten()).collect();
    let data = || set.columns.data().to_owned();
    if rows.is_empty() {
        return Err(Error::from(Kind::DataWithoutRows { data: data() }).into());
    }
    let absent = |class: &usize| rows.iter().all(|(_, other)| other != class);
    if let Some(class) =
        (0..verbalizer.classes().len()).find(absent).filter(|_| drawing.strategy != Strategy::Random)
    {
        let label = verbalizer.classes()[class].label.clone();
        return Err(Error::from(Kind::SupportWithoutClass { label, data: data() }).into());
    }
    let words = verbalizer.first_words();
    let tasks = tasks.into_iter().map(|task| task.with_support(&rows, &words, drawing)).collect();
    Ok((tasks, Some(Support { rows, columns: set.columns.clone(), words })))
}

/// The most probable of a row's chains; the first of equals.
pub fn likeliest(chains: &[Chain]) -> Option<&Chain> {
    chains.iter().reduce(|best, next| if next.1 > best.1 { next } else { best })
}

/// Lets demonstrations of patterns with steps show what their steps' blanks would say: the likeliest chain of
/// each row.
pub fn worked(
    tasks: Vec<Task>,
    scorer: &Scorer<'_>,
    args: &Demonstrations,
    support: &Support,
) -> Result<Vec<Task>, Error> {
    let work = |task: Task| {
        if task.template().steps().is_empty() || task.drawing().is_none() {
            return Ok(task);
        }
        let examples: Vec<Example> = support.rows.iter().map(|(example, _)| example.clone()).collect();
        let chains = scorer.chains(&task, &support.columns, &examples)?;
        let examples =
            chains.iter().filter_map(|chains| likeliest(chains)).map(|(example, _)| example.clone());
        let rows: Vec<(Example, usize)> =
            examples.zip(support.rows.iter().map(|(_, class)| *class)).collect();
        Ok(task.with_support(&rows, &support.words, drawing(&args.drawing)))
    };
    tasks.into_iter().map(work).collect()
}

/// Forward passes for a row in the pattern that takes most, where one question takes so many.
pub fn forwards(tasks: &[Task], of_question: usize) -> usize {
    let of_task = |task: &Task| {
        let (draws, likeness) = task
            .drawing()
            .map_or((1, 0), |drawing| (drawing.draws, usize::from(drawing.strategy == Strategy::Similar)));
        let (mut chains, mut steps) = (1, 0);
        for step in task.template().steps() {
            steps += chains;
            chains *= step.words();
        }
        steps + chains * draws * of_question + likeness
    };
    tasks.iter().map(of_task).max().unwrap_or(of_question)
}
