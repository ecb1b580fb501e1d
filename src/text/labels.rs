//! Labels as people give them: names on one line, or a file of names with their words.
//!
//! A file has, beside each label, its words, a description and examples, as far as they are there:
//!
//! | file | a label is |
//! |---|---|
//! | `.csv`, `.tsv` | a row of the columns `label`, `words`, `description`, `examples` and `text` |
//! | `.json` | an element of a list, a name or an object with these keys |
//! | `.json` too | a key of an object, its words the value |
//! | `.jsonl` | a line, with such a name or object |
//! | else | a line: `label`, `label: word, word`, or `label: word, word: description` |
//!
//! Commas stand between words and bars between examples, wherever they are one text; in JSON they may be
//! lists. A label may stand in several places, if all but one have only texts: a description, examples, or
//! one `text` of either kind.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::error::source::Source;
use crate::error::{Error, Errors, JsonError, Place, Result, VerbalizerError};
use crate::text::commas::between;
use crate::text::data::{Format, Reading, Rows};
use crate::text::json::{self, Node};
use crate::text::verbalizer::{VERSION, Verbalizer};

/// A label, and what speaks for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamedLabel {
    /// The label as it is in the output, and in the data's column of labels.
    pub label: String,
    /// Its words; none where its own name is one.
    pub words: Vec<String>,
    /// Texts that are like those with this label: a description, examples. A text is compared with them too.
    pub texts: Vec<String>,
}

/// What a file can say of a label.
const COLUMNS: [&str; 5] = ["label", "words", "description", "examples", "text"];

/// What one place says of a label.
pub(super) type Entry = (NamedLabel, Place);

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
    of_names(between(line, ',').ok_or(VerbalizerError::QuoteOpen)?)
}

/// Labels of which the names are all that is known.
pub fn of_names(names: impl IntoIterator<Item = String>) -> Result<Vec<NamedLabel>, Errors> {
    checked(names.into_iter().map(|name| (named(&name), Place::Nowhere)).collect())
}

fn named(label: &str) -> NamedLabel {
    NamedLabel { label: label.trim().to_owned(), ..NamedLabel::default() }
}

/// Labels of a file, with what it says of each. All problems at once.
pub fn read(path: &Path) -> Result<Vec<NamedLabel>, Errors> {
    let entries = match Format::of(path) {
        Some(Format::Csv | Format::Tsv | Format::Arrow | Format::Parquet | Format::Xlsx) => {
            of_table(Reading::default().open(path)?)
        }
        _ => entries(&path.display().to_string(), &json::read_text(path)?),
    };
    checked(entries?)
}

/// What the text of a file, whose name tells its format, says of labels.
pub(super) fn entries(file: &str, text: &str) -> Result<Vec<Entry>, Errors> {
    match Format::of(Path::new(file)) {
        Some(format @ (Format::Csv | Format::Tsv | Format::Arrow | Format::Parquet | Format::Xlsx)) => {
            of_table(Rows::read(Box::new(Cursor::new(text.to_owned())), file, format, None)?)
        }
        Some(Format::Json) => of_json(&Source::new(file, text)),
        Some(Format::JsonLines) => of_json_lines(&Source::new(file, text)),
        None => of_lines(file, text),
    }
}

fn of_lines(file: &str, text: &str) -> Result<Vec<Entry>, Errors> {
    let (mut errors, mut labels) = (Errors::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let place =
            Place::Row { file: file.to_owned(), line: number, record: number, batch: None, column: None };
        match of_text_line(line.trim_start_matches('\u{feff}')) {
            Some(label) => labels.push((label, place)),
            None => errors.push(Error::new(VerbalizerError::QuoteOpen).at(place)),
        }
    }
    errors.none().map(|()| labels)
}

/// `label: word, word: description`; none where a quote is left open. Colons and quotes in a description are
/// its own.
fn of_text_line(line: &str) -> Option<NamedLabel> {
    let (label, rest) = before_colon(line);
    let (words, description) = before_colon(rest);
    let label = between(label, '\0')?.concat();
    let words = without_empty(between(words, ',')?);
    Some(NamedLabel { label, words, texts: without_empty(vec![description.trim().to_owned()]) })
}

/// What stands before the first colon outside quotes, and behind it.
fn before_colon(text: &str) -> (&str, &str) {
    let mut quoted = false;
    let at = text.find(|letter| {
        quoted ^= letter == '"';
        letter == ':' && !quoted
    });
    at.map_or((text, ""), |at| (&text[..at], &text[at + 1..]))
}

fn of_table(rows: Rows) -> Result<Vec<Entry>, Errors> {
    let columns = rows.columns().clone();
    let unknown = columns.names().iter().find(|name| !COLUMNS.contains(&name.as_str()));
    if let Some(column) = unknown.cloned() {
        let (file, allowed) = (columns.data().to_owned(), COLUMNS.to_vec());
        return Err(VerbalizerError::UnknownColumn { column, file, allowed }.into());
    }
    if columns.label().is_none() {
        return Err(VerbalizerError::NoLabelColumn { file: columns.data().to_owned() }.into());
    }
    let (mut errors, mut labels) = (Errors::new(), Vec::new());
    for row in rows {
        let Some(row) = errors.keep(row) else { continue };
        let field = |column: &str| {
            let at = columns.names().iter().position(|name| name == column);
            at.map_or("", |at| row.fields[at].trim())
        };
        let place = |column: &str| columns.place(&row, Some(column));
        let Some(words) = between(field("words"), ',') else {
            errors.push(Error::new(VerbalizerError::QuoteOpen).at(place("words")));
            continue;
        };
        if columns.names().iter().any(|name| name == "text") && field("text").is_empty() {
            errors.push(Error::new(VerbalizerError::EmptyText).at(place("text")));
        }
        let mut texts = vec![field("description").to_owned()];
        texts.extend(between_bars(field("examples")));
        texts.push(field("text").to_owned());
        let (words, texts) = (without_empty(words), without_empty(texts));
        let label = NamedLabel { words, texts, ..named(field("label")) };
        labels.push((label, place("label")));
    }
    errors.none().map(|()| labels)
}

/// A label in JSON, as an object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLabel<'a> {
    label: String,
    #[serde(borrow)]
    words: Option<&'a RawValue>,
    description: Option<String>,
    #[serde(borrow)]
    examples: Option<&'a RawValue>,
    text: Option<String>,
}

fn of_json(source: &Arc<Source>) -> Result<Vec<Entry>, Errors> {
    let root = Node::root(source);
    let mut errors = Errors::new();
    let mut labels = Vec::new();
    if root.is_list() {
        let elements: Vec<&RawValue> = root.read()?;
        for (index, value) in elements.into_iter().enumerate() {
            let node = root.element(index, value);
            let label = errors.keep(of_element(&node));
            labels.extend(label.map(|label| (label, node.place_of_all())));
        }
    } else if root.is_object() {
        for (label, value) in root.entries()? {
            let node = root.key(&label, value);
            let words = errors.keep(words(&node)).unwrap_or_default();
            labels.push((NamedLabel { words, ..named(&label) }, node.place_of_all()));
        }
    } else {
        let message =
            "a file of labels is a list of labels, or an object of labels with their words".to_owned();
        return Err(root.error(JsonError::Shape { message }).into());
    }
    errors.none().map(|()| labels)
}

fn of_json_lines(source: &Arc<Source>) -> Result<Vec<Entry>, Errors> {
    let (mut errors, mut labels) = (Errors::new(), Vec::new());
    for node in Node::root(source).lines() {
        let label = errors.keep(of_element(&node));
        labels.extend(label.map(|label| (label, node.place_of_all())));
    }
    errors.none().map(|()| labels)
}

fn of_element(node: &Node<'_>) -> Result<NamedLabel> {
    if !node.is_object() {
        return node.read::<String>().map(|label| named(&label));
    }
    let raw: RawLabel = node.read_object()?;
    let words = raw.words.map(|value| words(&node.key("words", value))).transpose()?;
    let examples = raw.examples.map(|value| examples(&node.key("examples", value))).transpose()?;
    let texts: Vec<String> =
        raw.description.into_iter().chain(examples.unwrap_or_default()).chain(raw.text).collect();
    if texts.iter().any(|text| text.trim().is_empty()) {
        return Err(node.error(VerbalizerError::EmptyText));
    }
    Ok(NamedLabel { words: words.unwrap_or_default(), texts, ..named(&raw.label) })
}

/// A list of words, or a text with commas between them.
fn words(node: &Node<'_>) -> Result<Vec<String>> {
    let words = if node.is_list() {
        node.read()?
    } else {
        between(&node.read::<String>()?, ',').ok_or_else(|| node.error(VerbalizerError::QuoteOpen))?
    };
    Ok(without_empty(words))
}

/// A list of examples, or a text with bars between them.
fn examples(node: &Node<'_>) -> Result<Vec<String>> {
    if node.is_list() { node.read() } else { Ok(between_bars(&node.read::<String>()?)) }
}

fn between_bars(texts: &str) -> Vec<String> {
    without_empty(texts.split('|').map(|text| text.trim().to_owned()).collect())
}

/// Refuses labels that are none, or that cannot be told apart. All problems at once.
fn checked(entries: Vec<Entry>) -> Result<Vec<NamedLabel>, Errors> {
    let (mut errors, labels) = (Errors::new(), merged(entries));
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

/// Texts of a label that has stood before, put beside those it had there.
fn merged(entries: Vec<Entry>) -> Vec<Entry> {
    let mut labels: Vec<Entry> = Vec::with_capacity(entries.len());
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (label, place) in entries {
        let first = *places.entry(label.label.clone()).or_insert(labels.len());
        match labels.get_mut(first) {
            Some((known, _)) if label.words.is_empty() && !label.texts.is_empty() => {
                known.texts.extend(label.texts)
            }
            _ => labels.push((label, place)),
        }
    }
    labels
}

/// The verbalizer of labels: a label without words of its own has its name for one, as people would say it.
/// Words may have several tokens, which are read at one blank.
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
    let class =
        |label: &NamedLabel| json!({ "label": label.label, "words": [label.label], "texts": label.texts });
    let classes: Vec<Value> = labels.iter().map(class).collect();
    let text = json!({ "version": VERSION, "multi_token": "pieces", "classes": classes }).to_string();
    // Messages are about the words themselves, not about a text that no one wrote.
    let weighted = |label| words(label).into_iter().map(|word| (word, 1.0)).collect();
    Ok(Verbalizer::parse("labels", "the labels", &text)?.with_words(labels.iter().map(weighted).collect()))
}

/// A name as people would say it: `card_arrival` is "card arrival".
pub fn as_said(label: &str) -> String {
    let spaced = label.replace(['_', '-', '/'], " ");
    let words = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() { label.to_owned() } else { words }
}

fn without_empty(texts: Vec<String>) -> Vec<String> {
    texts.into_iter().filter(|text| !text.trim().is_empty()).collect()
}
