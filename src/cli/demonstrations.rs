//! The rows that patterns show: read, checked, and given to the tasks.

use anyhow::Result;
use cloze::data::{Columns, Example};
use cloze::demonstrations::{Drawing, Strategy};
use cloze::error::{Error, Kind};
use cloze::task::Task;
use cloze::template::Template;
use cloze::verbalizer::Verbalizer;

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

/// Gives the tasks the rows that their patterns show.
pub fn with_support(
    tasks: Vec<Task>,
    args: &Demonstrations,
    reading: &Reading,
    verbalizer: &Verbalizer,
    columns: &Columns,
) -> Result<Vec<Task>> {
    let showing = tasks.iter().find(|task| task.template().demonstrations().is_some()).map(Task::template);
    let path = match (&args.demos, showing) {
        (None, None) => {
            return if args.drawing.any() { Err(Error::from(Kind::NothingToShow).into()) } else { Ok(tasks) };
        }
        (None, Some(template)) => return Err(template.error(Kind::PatternWithoutSupport).into()),
        (Some(_), None) => return Err(Error::from(Kind::NothingToShow).into()),
        (Some(path), Some(_)) => path,
    };
    let templates: Vec<Template> = tasks.iter().map(|task| task.template().clone()).collect();
    let set = read_rows(path, reading, &read_columns(&templates, columns), verbalizer, Some(columns), Labels::Needed)?;
    let drawing = drawing(&args.drawing);
    let rows: Vec<(Example, usize)> = set.examples.into_iter().zip(set.truths.into_iter().flatten()).collect();
    let data = || set.columns.data().to_owned();
    if rows.is_empty() {
        return Err(Error::from(Kind::DataWithoutRows { data: data() }).into());
    }
    let absent = |class: &usize| rows.iter().all(|(_, other)| other != class);
    if let Some(class) = (0..verbalizer.classes().len()).find(absent).filter(|_| drawing.strategy != Strategy::Random) {
        let label = verbalizer.classes()[class].label.clone();
        return Err(Error::from(Kind::SupportWithoutClass { label, data: data() }).into());
    }
    Ok(tasks.into_iter().map(|task| task.with_support(&rows, &verbalizer.first_words(), drawing)).collect())
}

/// Forward passes for a row in the pattern that shows most, where one question takes so many.
pub fn forwards(tasks: &[Task], of_question: usize) -> usize {
    let of_task = |task: &Task| {
        task.drawing().map_or(of_question, |drawing| drawing.draws * of_question + usize::from(drawing.strategy == Strategy::Similar))
    };
    tasks.iter().map(of_task).max().unwrap_or(of_question)
}
