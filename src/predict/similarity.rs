//! What rows are like to the model itself, for demonstrations that are chosen by that.

use std::rc::Rc;

use crate::error::{Kind, Result};
use crate::model::features::Features;
use crate::predict::classifier::Classifier;
use crate::predict::encode::encode;
use crate::predict::task::Task;
use crate::text::data::{Columns, Example};
use crate::text::demonstrations::{Likeness, Strategy};
use crate::text::template::Template;

/// Inputs whose states are computed at once.
const AT_ONCE: usize = 16;

/// Lets tasks whose demonstrations are chosen by what rows are like ask a model for that: the mean of its
/// last states over the words of the columns that the pattern reads.
pub fn with_likeness(
    tasks: Vec<Task>,
    classifier: &Classifier,
    columns: &Columns,
    max_length: usize,
) -> Result<Vec<Task>> {
    let chooses = |task: &Task| task.drawing().is_some_and(|drawing| drawing.strategy == Strategy::Similar);
    let own =
        |task: Task| if chooses(&task) { of_task(task, classifier, columns, max_length) } else { Ok(task) };
    tasks.into_iter().map(own).collect()
}

fn of_task(task: Task, classifier: &Classifier, columns: &Columns, max_length: usize) -> Result<Task> {
    let Some(Classifier::Prompt(model, _)) = classifier.share() else {
        return Err(Kind::ReferenceCannot {
            reason: "it gives no states, by which rows are compared".to_owned(),
        }
        .into());
    };
    let words = Task::check(Template::of_columns(&task.columns()), columns)
        .map_err(|mut errors| errors.swap_remove(0))?;
    let columns = columns.clone();
    let likeness: Likeness = Rc::new(move |examples: &[Example]| {
        let mut vectors = Vec::with_capacity(examples.len());
        for examples in examples.chunks(AT_ONCE) {
            let encoded = examples.iter().map(|example| {
                encode(&words.wrap(example), model.tokenizer(), max_length)
                    .map_err(|error| error.at(columns.place(example, None)))
            });
            let features: Vec<Features> = encoded.collect::<Result<_>>()?;
            vectors.extend(model.mean_states(&features.iter().collect::<Vec<_>>())?);
        }
        Ok(vectors)
    });
    task.with_likeness(&likeness)
}
