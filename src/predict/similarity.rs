//! What rows are like to the model itself, for demonstrations that are chosen by that.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{ModelError, Result};
use crate::model::batch::AT_ONCE;
use crate::model::features::Features;
use crate::predict::classifier::Classifier;
use crate::predict::encode::encode;
use crate::predict::prompt_model::PromptModel;
use crate::predict::pvp::Pvp;
use crate::predict::task::Task;
use crate::text::data::{Columns, Example};
use crate::text::demonstrations::{Similarity, Strategy};
use crate::text::template::Template;

/// Lets tasks whose demonstrations are chosen by what rows are like ask a model for that: the mean of its
/// last states over the words of the columns that the pattern reads.
pub fn with_similarity(
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
        return Err(ModelError::ReferenceCannot {
            reason: "it gives no states, by which rows are compared".to_owned(),
        }
        .into());
    };
    let words = words_of(&task, columns)?;
    let columns = columns.clone();
    // A tensor may be looked at by one thread at a time.
    let model = Mutex::new(model);
    let similarity: Similarity = Arc::new(move |examples: &[Example]| {
        let model = model.lock().unwrap_or_else(PoisonError::into_inner);
        mean_states(&model, &words, &columns, examples, max_length, &mut |_| {})
    });
    task.with_similarity(&similarity)
}

/// The columns that a pattern reads, one behind the other.
pub(crate) fn words_of(task: &Task, columns: &Columns) -> Result<Task> {
    Pvp::plain(Template::of_columns(&task.columns()))?.on(columns).map_err(Into::into)
}

/// N rows in such a pattern → N · `[H]`: the means of the model's last states, as vectors of length 1. The
/// share that is done is told.
pub(crate) fn mean_states(
    model: &PromptModel,
    words: &Task,
    columns: &Columns,
    examples: &[Example],
    max_length: usize,
    progress: &mut dyn FnMut(f64),
) -> Result<Vec<Vec<f32>>> {
    let encoded = examples.iter().map(|example| {
        encode(&words.wrap(example), model.tokenizer(), max_length)
            .map_err(|error| error.at(columns.place(example, None)))
    });
    let features: Vec<Features> = encoded.collect::<Result<_>>()?;
    // Rows of like length together: hardly any padding is computed.
    let mut order: Vec<usize> = (0..features.len()).collect();
    order.sort_by_key(|row| features[*row].ids.len());
    let mut vectors = vec![Vec::new(); examples.len()];
    for (chunk, rows) in order.chunks(AT_ONCE).enumerate() {
        let inputs: Vec<&Features> = rows.iter().map(|row| &features[*row]).collect();
        for (row, vector) in rows.iter().zip(model.mean_states(&inputs)?) {
            vectors[*row] = vector;
        }
        #[allow(clippy::cast_precision_loss)] // A share.
        progress((chunk * AT_ONCE + rows.len()) as f64 / order.len() as f64);
    }
    Ok(vectors)
}
