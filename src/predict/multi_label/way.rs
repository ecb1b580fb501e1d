//! How labels are asked for, each against its absence.

use serde::{Deserialize, Serialize};

use crate::error::{Errors, MultiLabelError, Result, TemplateError};
use crate::predict::general::Ask;
use crate::text::labels::{NamedLabel, as_said};
use crate::text::template::{self, Template};
use crate::text::verbalizer::Verbalizer;

/// How labels are asked for, each against its absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// One question for all labels: the words of each against reference words, at the same blank
    ///
    /// A label's probability is σ(its score - the reference's score), so one forward pass answers for all of
    /// them.
    #[default]
    Reference,
    /// One question for each label, answered by yes or no (PET: Schick & Schütze 2021)
    ///
    /// Patterns name the label by `{label_name}` and its description by `{label_text}`; a label's probability
    /// is σ(yes - no). It costs a forward pass for each label.
    YesNo,
}

impl Way {
    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Way::Reference => "reference",
            Way::YesNo => "yes-no",
        }
    }
}

/// What the class of the reference words is called in files.
pub const REFERENCE: &str = "(reference)";

/// What labels are held against, unless told: of a few words it did best with the default model on sentences
/// to a bank (`docs/several-labels.md`).
pub const REFERENCE_WORDS: [&str; 1] = ["other"];

/// In patterns of [`Way::YesNo`]: the label's name, as people say it.
pub const LABEL_NAME: &str = "label_name";

/// In patterns of [`Way::YesNo`]: the label's description, or its name where it has none.
pub const LABEL_TEXT: &str = "label_text";

/// A label as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedLabel {
    /// The label as it is in the data.
    pub label: String,
    /// Its name as people say it.
    pub name: String,
    /// What describes it; its name where nothing does.
    pub text: String,
}

impl AskedLabel {
    /// Labels with what is known of them.
    pub fn of(labels: &[NamedLabel]) -> Vec<AskedLabel> {
        let asked = |label: &NamedLabel| {
            let name = as_said(&label.label);
            let text = label.texts.first().unwrap_or(&name).clone();
            AskedLabel { label: label.label.clone(), name, text }
        };
        labels.iter().map(asked).collect()
    }

    /// The classes of a verbalizer, with the first text of each.
    pub fn of_verbalizer(verbalizer: &Verbalizer) -> Vec<AskedLabel> {
        let label = |class: &crate::text::verbalizer::Class| NamedLabel {
            label: class.label.clone(),
            words: Vec::new(),
            texts: class.texts.clone(),
        };
        let classes = verbalizer.classes().iter().filter(|class| class.label != REFERENCE);
        AskedLabel::of(&classes.map(label).collect::<Vec<_>>())
    }
}

/// A verbalizer whose last class is what the others are held against.
///
/// ```
/// use cloze::Verbalizer;
/// use cloze::predict::multi_label::way::{REFERENCE, with_reference};
/// let verbalizer = Verbalizer::of(&[("bill", &["money"]), ("card", &["card"])])?;
/// let held = with_reference(&verbalizer, &["other".to_owned()])?;
/// assert_eq!(held.labels().collect::<Vec<_>>(), ["bill", "card", REFERENCE]);
/// # Ok::<(), cloze::Error>(())
/// ```
pub fn with_reference(verbalizer: &Verbalizer, words: &[String]) -> Result<Verbalizer> {
    check_reference(words)?;
    check_labels(verbalizer.labels())?;
    Ok(verbalizer.with_class(REFERENCE, words))
}

/// Labels given by name, and last what they are held against.
pub fn reference_labels(labels: &[NamedLabel], words: &[String]) -> Result<Vec<NamedLabel>> {
    check_reference(words)?;
    check_labels(labels.iter().map(|label| label.label.as_str()))?;
    let reference = NamedLabel { label: REFERENCE.to_owned(), words: words.to_vec(), texts: Vec::new() };
    Ok(labels.iter().cloned().chain([reference]).collect())
}

fn check_reference(words: &[String]) -> Result<()> {
    match words.is_empty() || words.iter().any(|word| word.trim().is_empty()) {
        true => Err(MultiLabelError::EmptyReference.into()),
        false => Ok(()),
    }
}

fn check_labels<'a>(mut labels: impl Iterator<Item = &'a str>) -> Result<()> {
    match labels.find(|label| *label == REFERENCE) {
        Some(label) => Err(MultiLabelError::ReservedLabel { label: label.to_owned() }.into()),
        None => Ok(()),
    }
}

/// The words of [`Way::YesNo`].
pub fn yes_no() -> Result<Verbalizer, Errors> {
    Verbalizer::of(&[("no", &["no"]), ("yes", &["yes"])])
}

/// Refuses patterns of [`Way::YesNo`] in which no label stands.
pub fn check_names_label(templates: &[Template]) -> Result<()> {
    let names = |template: &Template| {
        template.fields().any(|field| [LABEL_NAME, LABEL_TEXT].contains(&field.column.as_str()))
    };
    match templates.iter().find(|template| !names(template)) {
        Some(template) => {
            let pattern = template.pattern().to_owned();
            Err(template.error(MultiLabelError::PatternWithoutLabel { pattern }))
        }
        None => Ok(()),
    }
}

/// A pattern of the user's own for [`Way::YesNo`]: the text stands before it, unless it names columns itself.
///
/// ```
/// use cloze::predict::multi_label::way::own_yes_no;
/// let template = own_yes_no("Is it {label_name}? {mask}.", &["text".to_owned()])?;
/// assert_eq!(template.pattern(), "{text|shorten} Is it {label_name}? {mask}.");
/// # Ok::<(), cloze::Error>(())
/// ```
pub fn own_yes_no(pattern: &str, columns: &[String]) -> Result<Template> {
    let of_label = |column: &str| [LABEL_NAME, LABEL_TEXT].contains(&column);
    let alone = Template::from_pattern(pattern)?.fields().all(|field| of_label(&field.column));
    match alone {
        true => question("ask", &format!("{} {pattern}", fields(columns)?)),
        false => question("ask", pattern),
    }
}

/// The columns as a pattern has them. A long row must not push the label out.
fn fields(columns: &[String]) -> Result<String> {
    if let Some(column) = columns.iter().find(|column| column.contains(['{', '}', '|'])) {
        return Err(TemplateError::ColumnUnwritable { column: column.clone() }.into());
    }
    Ok(columns.iter().map(|column| format!("{{{column}|shorten}}")).collect::<Vec<_>>().join(" "))
}

fn question(name: &str, pattern: &str) -> Result<Template> {
    let text = serde_json::json!({ "version": template::VERSION, "pattern": pattern }).to_string();
    Template::parse(name, "the pattern", &text)
}

/// The patterns of [`Way::YesNo`] for these columns; `described` is whether labels have descriptions.
///
/// ```
/// use cloze::predict::general::Ask;
/// use cloze::predict::multi_label::way::yes_no_templates;
/// let templates = yes_no_templates(Ask::General, &["text".to_owned()], false)?;
/// assert_eq!(templates[0].pattern(), "{text|shorten} Is this about {label_name}? {mask}.");
/// # Ok::<(), cloze::Error>(())
/// ```
pub fn yes_no_templates(ask: Ask, columns: &[String], described: bool) -> Result<Vec<Template>> {
    let fields = fields(columns)?;
    let patterns: &[&str] = match (described, ask) {
        (true, _) => &["TEXT {label_text} {mask}.", "TEXT Question: {label_text} Answer: {mask}."],
        (false, Ask::Emotion) => {
            &["TEXT Does the writer feel {label_name}? {mask}.", "TEXT Is there {label_name}? {mask}."]
        }
        (false, _) => &["TEXT Is this about {label_name}? {mask}.", "TEXT Is it {label_name}? {mask}."],
    };
    let template = |(index, pattern): (usize, &&str)| {
        question(&format!("yes-no-{}", index + 1), &pattern.replace("TEXT", &fields))
    };
    patterns.iter().enumerate().map(template).collect()
}
