//! Labels as people give them: names on one line, or a file of names with their words.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::error::source::Source;
use crate::error::{Error, Errors, JsonError, Place, Result, VerbalizerError};
use crate::text::commas::{between_commas, unquoted};
use crate::text::json::{self, Node};
use crate::text::verbalizer::{VERSION, Verbalizer};

/// A label, and the words that speak for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedLabel {
    /// The label as it is in the output, and in the data's column of labels.
    pub label: String,
    /// Its words; none where its own name is one.
    pub words: Vec<String>,
}

/// Labels on one line, between commas; quotes round a label with a comma in it.
///
/// ```
/// use cloze::text::labels::of_line;
/// let labels = of_line(r#"billing, "sales, orders",account"#)?;
/// let names: Vec<&str> = labels.iter().map(|label| label.label.as_str()).collect();
/// assert_eq!(names, ["billing", "sales, orders", "account"]);
/// assert!(of_line("billing").is_err());
/// # Ok::<(), cloze::Errors>(())
/// ```
pub fn of_line(line: &str) -> Result<Vec<NamedLabel>, Errors> {
    let label = |label: String| NamedLabel { label, words: Vec::new() };
    checked(between_commas(line).into_iter().map(|name| (label(name), Place::Nowhere)).collect())
}

/// Labels of a file. `.json`: a list of labels, or an object of labels with their words. Else a label a line, with
/// or without its words: `label: word, word`.
pub fn read(path: &Path) -> Result<Vec<NamedLabel>, Errors> {
    let (file, text) = (path.display().to_string(), json::read_text(path)?);
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        return of_json(&Source::new(file, text));
    }
    let line = |(number, line): (u64, &str)| {
        let (label, words) = line.split_once(':').unwrap_or((line, ""));
        let words = between_commas(words).into_iter().filter(|word| !word.is_empty()).collect();
        let place = Place::Row { file: file.clone(), line: number, record: number, column: None };
        (NamedLabel { label: unquoted(label.trim()), words }, place)
    };
    checked((1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()).map(line).collect())
}

fn of_json(source: &Arc<Source>) -> Result<Vec<NamedLabel>, Errors> {
    let root = Node::root(source);
    let value: Value = root.read()?;
    let words = |value: &Value| -> Option<Vec<String>> {
        match value {
            Value::String(word) => Some(vec![word.clone()]),
            Value::Array(words) => words.iter().map(|word| Some(word.as_str()?.to_owned())).collect(),
            _ => None,
        }
    };
    let labels: Option<Vec<NamedLabel>> = match &value {
        Value::Array(labels) => labels
            .iter()
            .map(|label| Some(NamedLabel { label: label.as_str()?.to_owned(), words: Vec::new() }))
            .collect(),
        Value::Object(labels) => labels
            .iter()
            .map(|(label, found)| Some(NamedLabel { label: label.clone(), words: words(found)? }))
            .collect(),
        _ => None,
    };
    let message = "a file of labels is a list of labels, or an object of labels with their words".to_owned();
    let labels = labels.ok_or_else(|| Errors::from(root.error(JsonError::Shape { message })))?;
    checked(labels.into_iter().map(|label| (label, root.place_of_all())).collect())
}

/// Refuses labels that are none, or that cannot be told apart. All problems at once.
fn checked(labels: Vec<(NamedLabel, Place)>) -> Result<Vec<NamedLabel>, Errors> {
    let mut errors = Errors::new();
    if labels.len() < 2 {
        errors.push(VerbalizerError::TooFewLabels { found: labels.len() });
    }
    let mut known: BTreeMap<String, &str> = BTreeMap::new();
    for (NamedLabel { label, .. }, place) in &labels {
        let first = *known.entry(label.to_lowercase()).or_insert(label);
        let kind = match label {
            _ if label.is_empty() => VerbalizerError::EmptyLabel,
            _ if std::ptr::eq(first, label.as_str()) => continue,
            _ if first == label => VerbalizerError::SameLabel { label: label.clone() },
            _ => VerbalizerError::SameButForCase { first: first.to_owned(), second: label.clone() },
        };
        errors.push(Error::new(kind).at(place.clone()));
    }
    errors.none()?;
    Ok(labels.into_iter().map(|(label, _)| label).collect())
}

/// The verbalizer of labels: a label without words of its own has its name for one, as people would say it. Words
/// may have several tokens, which are read at one blank.
///
/// ```
/// use cloze::text::labels::{of_line, verbalizer};
/// let verbalizer = verbalizer(&of_line("card_arrival, lost card")?)?;
/// assert_eq!(verbalizer.labels().collect::<Vec<_>>(), ["card_arrival", "lost card"]);
/// assert_eq!(verbalizer.first_words(), ["card arrival", "lost card"]);
/// # Ok::<(), cloze::Errors>(())
/// ```
pub fn verbalizer(labels: &[NamedLabel]) -> Result<Verbalizer, Errors> {
    let words = |label: &NamedLabel| match label.words.is_empty() {
        true => vec![as_said(&label.label)],
        false => label.words.clone(),
    };
    let class = |label: &NamedLabel| json!({ "label": label.label, "words": [label.label] });
    let classes: Vec<Value> = labels.iter().map(class).collect();
    let text = json!({ "version": VERSION, "multi_token": "pieces", "classes": classes }).to_string();
    // Messages are about the words themselves, not about a text that no one wrote.
    let weighted = |label| words(label).into_iter().map(|word| (word, 1.0)).collect();
    Ok(Verbalizer::parse("labels", "the labels", &text)?.with_words(labels.iter().map(weighted).collect()))
}

/// A name as people would say it: `card_arrival` is "card arrival".
fn as_said(label: &str) -> String {
    let spaced = label.replace(['_', '-', '/'], " ");
    let words = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() { label.to_owned() } else { words }
}
