//! Label Studio's tasks: objects whose `data` is the row, beside what annotators said of it.

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::LABEL;
use super::json_object::{Object, object};
use super::layout::Encoding;
use crate::error::DataError;
use crate::text::json::plain_message;

/// What a task without annotations has at most: a row with other columns that has an object called `data` is a
/// row.
const BESIDE: [&str; 5] = ["data", "id", "meta", "predictions", "drafts"];

/// What an annotator said of a task, as far as it is read.
#[derive(Deserialize)]
struct Annotation {
    #[serde(default)]
    was_cancelled: bool,
    #[serde(default)]
    result: Vec<Mark>,
}

#[derive(Deserialize)]
struct Mark {
    value: Option<Value>,
}

#[derive(Deserialize)]
struct Value {
    choices: Option<Vec<String>>,
}

/// A row; of a task its data, and the label that its annotators gave it, if the data has none itself.
pub(super) fn row(text: &[u8], encoding: Encoding) -> Result<Object, DataError> {
    let task = object(text, encoding)?;
    let of = |name: &str| task.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let is_task = of("annotations").is_some() || task.iter().all(|(key, _)| BESIDE.contains(&key.as_str()));
    let data = of("data").filter(|data| is_task && data.get().starts_with('{'));
    let Some(data) = data else { return Ok(task) };
    let mut row = object(data.get().as_bytes(), encoding)?;
    if row.iter().all(|(key, _)| key != LABEL) {
        let label = of("annotations").map_or_else(|| Ok(Vec::new()), |list| choices(list));
        let label = label.and_then(|choices| match &choices[..] {
            [] => to_raw_value(&()),
            [choice] => to_raw_value(choice),
            several => to_raw_value(several),
        });
        let refused = |error: serde_json::Error| DataError::NotObject {
            message: format!("annotations: {}", plain_message(&error)),
        };
        row.push((LABEL.to_owned(), label.map_err(refused)?));
    }
    Ok(row)
}

/// The choices that most annotators made who made some; none where as many made others.
fn choices(annotations: &RawValue) -> serde_json::Result<Vec<String>> {
    let annotations: Option<Vec<Annotation>> = serde_json::from_str(annotations.get())?;
    let mut counts: Vec<(Vec<String>, usize)> = Vec::new();
    for annotation in annotations.into_iter().flatten().filter(|annotation| !annotation.was_cancelled) {
        let marks = annotation.result.into_iter().filter_map(|mark| mark.value?.choices);
        let made: Vec<String> = marks.flatten().collect();
        match counts.iter_mut().find(|(other, _)| *other == made) {
            _ if made.is_empty() => {}
            Some((_, count)) => *count += 1,
            None => counts.push((made, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let is_even = counts.len() > 1 && counts[0].1 == counts[1].1;
    Ok(if is_even { Vec::new() } else { counts.into_iter().next().unwrap_or_default().0 })
}
