//! Patterns for whoever writes none: what is asked of texts, in general or of a kind.

use crate::error::{Result, TemplateError};
use crate::text::template::Template;

/// What is asked of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Ask {
    /// Whatever the labels are
    #[default]
    General,
    /// What it is about
    Topic,
    /// Whether its writer is pleased
    Sentiment,
    /// What its writer feels
    Emotion,
    /// What its writer wants
    Intent,
    /// What kind of message it is
    Spam,
    /// Whether something is so
    YesNo,
}

/// What a pattern of the user's own is called.
const OWN: &str = "ask";

/// Where the row's words stand in cloze's patterns.
const TEXT: &str = "TEXT";

impl Ask {
    /// The patterns, with [`TEXT`] for the row's words.
    fn patterns(self) -> &'static [&'static str] {
        match self {
            Ask::General => &[
                "[ Category: {mask} ] TEXT",
                "{mask}: TEXT",
                "The following text is about {mask}. TEXT",
                "TEXT It is {mask}.",
                "This is {mask}: TEXT",
            ],
            Ask::Topic => &[
                "[ Category: {mask} ] TEXT",
                "{mask}: TEXT",
                "The following text is about {mask}. TEXT",
                "TEXT This is about {mask}.",
                "Topic: {mask}. TEXT",
            ],
            Ask::Sentiment => &[
                "TEXT It was {mask}.",
                "TEXT All in all, it was {mask}.",
                "This is {mask}: TEXT",
                "A {mask} message: TEXT",
                "TEXT It is {mask}.",
            ],
            Ask::Emotion => &[
                "TEXT The writer is full of {mask}.",
                "A message of {mask}: TEXT",
                "TEXT In one word: {mask}.",
                "The feeling is {mask}. TEXT",
            ],
            Ask::Intent => &[
                "[ Request: {mask} ] TEXT",
                "TEXT My question is about {mask}.",
                "The following question is about {mask}. TEXT",
                "{mask}: TEXT",
            ],
            Ask::Spam => &[
                "A {mask} message: TEXT",
                "[ Category: {mask} ] TEXT",
                "TEXT This was {mask}.",
                "This is {mask}: TEXT",
            ],
            Ask::YesNo => &["TEXT Is that so? {mask}.", "TEXT The answer is {mask}.", "{mask}: TEXT"],
        }
    }

    /// The templates for these columns, and one that compares the text with the labels.
    ///
    /// ```
    /// use cloze::predict::general::Ask;
    /// let templates = Ask::Topic.templates(&["title".to_owned(), "body".to_owned()])?;
    /// assert_eq!(templates[0].pattern(), "[ Category: {mask} ] {title} {body}");
    /// assert!(templates.last().unwrap().compares());
    /// # Ok::<(), cloze::Error>(())
    /// ```
    pub fn templates(self, columns: &[String]) -> Result<Vec<Template>> {
        self.patterns()
            .iter()
            .enumerate()
            .map(|(index, pattern)| template(index, pattern, columns))
            .chain([compared(columns)])
            .collect()
    }
}

/// A pattern of the user's own for these columns: the text stands before it, unless it names columns itself. It is
/// asked beside the comparison with the labels.
pub fn own(pattern: &str, columns: &[String]) -> Result<Vec<Template>> {
    let alone = Template::from_pattern(pattern)?.fields().next().is_none();
    let asked = match alone {
        true => parsed(OWN, "pattern", &format!("{} {pattern}", fields(columns)?))?,
        false => parsed(OWN, "pattern", pattern)?,
    };
    Ok(vec![asked, compared(columns)?])
}

fn template(index: usize, pattern: &str, columns: &[String]) -> Result<Template> {
    parsed(&format!("ask-{}", index + 1), "pattern", &pattern.replace(TEXT, &fields(columns)?))
}

fn compared(columns: &[String]) -> Result<Template> {
    parsed("compared", "compare", &fields(columns)?)
}

fn parsed(name: &str, key: &str, pattern: &str) -> Result<Template> {
    let text = serde_json::json!({ "version": crate::text::template::VERSION, key: pattern }).to_string();
    Template::parse(name, "the pattern", &text)
}

/// The columns as a pattern has them. A name with a brace or a bar in it is none that a pattern can have.
fn fields(columns: &[String]) -> Result<String> {
    if let Some(column) = columns.iter().find(|column| column.contains(['{', '}', '|'])) {
        return Err(TemplateError::ColumnUnwritable { column: column.clone() }.into());
    }
    Ok(columns.iter().map(|column| format!("{{{column}}}")).collect::<Vec<_>>().join(" "))
}
