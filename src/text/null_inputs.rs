//! Texts that say nothing, by which a model shows what it prefers whatever it reads (He, Long & Roy 2024).

use std::path::Path;
use std::sync::Arc;

use crate::error::{Result, TrainingError};
use crate::text::data::{Columns, Example, ID};
use crate::text::dataset::Dataset;
use crate::text::json;

/// English ones. The paper's were written by a larger model and chosen by another.
const USUAL: [&str; 32] = [
    "N/A",
    "...",
    "-",
    "Nothing.",
    "No text.",
    "Empty.",
    "This is a text.",
    "This is a sentence.",
    "This is an example.",
    "Here are some words.",
    "There is nothing to read here.",
    "The text says nothing.",
    "This sentence has no content.",
    "This sentence means nothing.",
    "These words are about nothing.",
    "Nothing is said in this text.",
    "The page was left blank.",
    "This field was left empty.",
    "This line is here to fill the space.",
    "Some words follow each other.",
    "The sentence begins and ends.",
    "It says what it says.",
    "And so on, and so on.",
    "One, two, three.",
    "To be filled in later.",
    "No information was given.",
    "There is no message.",
    "The content is missing.",
    "Any text could stand here.",
    "What follows has no meaning.",
    "Words without a subject.",
    "This text ends here.",
];

/// The usual texts.
///
/// ```
/// assert_eq!(cloze::text::null_inputs::usual().len(), 32);
/// ```
pub fn usual() -> Vec<String> {
    USUAL.iter().map(|text| (*text).to_owned()).collect()
}

/// The texts of a file, one a line. Empty lines are passed over; a file of them alone is refused.
pub fn read(path: &Path) -> Result<Vec<String>> {
    let text = json::read_text(path)?;
    let texts: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if texts.is_empty() {
        return Err(TrainingError::NoNullInputs { path: path.to_owned() }.into());
    }
    Ok(texts)
}

/// The texts as rows of these columns, in each that is read. They have no class: every truth is the first.
pub(crate) fn as_rows(texts: &[String], columns: &Columns, read: &[String]) -> Result<Dataset> {
    let example = |(number, text): (u64, &String)| {
        let field = |name: &String| match name.as_str() {
            _ if read.contains(name) => text.clone(),
            ID => number.to_string(),
            _ => String::new(),
        };
        let fields = columns.names().iter().map(field).collect();
        Example { record: number, line: number, fields, label: None, values: None }
    };
    let own = Columns::check("null inputs", columns.names().to_vec(), None)?.with_label_of(columns);
    Ok(Dataset {
        columns: Arc::new(own),
        examples: (1..).zip(texts).map(example).collect(),
        truths: vec![Some(0); texts.len()],
    })
}
