//! Steps before the question: blanks whose words later patterns see.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Piece, Template};
use crate::error::{Error, Kind, Result, TemplateError, TuningError};
use crate::text::json::{Node, Text};

/// A question before the question: the words in its blank stand for its name in later patterns of the
/// template.
#[derive(Debug, Clone)]
pub struct Step {
    name: Text,
    template: Template,
    fill: Fill,
}

/// What fills a step's blank: each of the words is a chain of its own, weighted by its probability among
/// them.
#[derive(Debug, Clone)]
pub enum Fill {
    /// So many of the likeliest whole words.
    Likeliest(usize),
    /// Each of these.
    OneOf(Vec<Text>),
}

/// Words of a step where its file does not say how many.
const USUAL_TOP: usize = 3;
/// Every word of a step is a forward pass more for the next.
const MOST_TOP: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep<'a> {
    #[serde(borrow, rename = "as")]
    name: &'a RawValue,
    #[serde(borrow)]
    pattern: &'a RawValue,
    #[serde(borrow)]
    top: Option<&'a RawValue>,
    #[serde(borrow)]
    words: Option<&'a RawValue>,
}

impl Fill {
    /// The words that it names, or how many it takes.
    pub fn words(&self) -> Vec<String> {
        match self {
            Fill::Likeliest(top) => vec![top.to_string()],
            Fill::OneOf(words) => words.iter().map(|word| word.value.clone()).collect(),
        }
    }
}

impl Step {
    /// The name that stands for its words.
    pub fn name(&self) -> &str {
        &self.name.value
    }

    /// Its pattern.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// What fills its blank.
    pub fn fill(&self) -> &Fill {
        &self.fill
    }

    /// The number of words that fill its blank, at most.
    pub fn words(&self) -> usize {
        match &self.fill {
            Fill::Likeliest(top) => *top,
            Fill::OneOf(words) => words.len(),
        }
    }

    /// An error about its name.
    pub fn name_error(&self, kind: impl Into<Kind>) -> Error {
        self.name.whole_error(kind)
    }

    fn read(node: &Node<'_>) -> Result<Step> {
        let raw: RawStep = node.read_object()?;
        let name = node.key("as", raw.name).text()?;
        let is_name = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
        if name.value.is_empty()
            || !name.value.chars().all(is_name)
            || ["mask", "sep", "soft", "demos"].contains(&name.value.as_str())
        {
            return Err(name.whole_error(TemplateError::StepName));
        }
        let template =
            Template::checked(&name.value, None, None, node.key("pattern", raw.pattern).text()?, false)?;
        if template.pieces.iter().any(|piece| matches!(piece, Piece::Soft(_) | Piece::Demonstrations(_))) {
            return Err(template.error(Kind::Template(TemplateError::StepPieces)));
        }
        let fill = match (raw.top, raw.words) {
            (Some(top), Some(_)) => return Err(node.key("top", top).error(TemplateError::StepFilledTwice)),
            (None, None) => Fill::Likeliest(USUAL_TOP),
            (Some(top), None) => {
                let node = node.key("top", top);
                let top: usize = node.read()?;
                if !(1..=MOST_TOP).contains(&top) {
                    return Err(node.error(TuningError::OptionOutOfRange {
                        name: "top".to_owned(),
                        found: top as f64,
                        allowed: format!("from 1 to {MOST_TOP}"),
                    }));
                }
                Fill::Likeliest(top)
            }
            (None, Some(words)) => {
                let list = node.key("words", words);
                let raw: Vec<&RawValue> = list.read()?;
                if raw.is_empty() {
                    return Err(list.error(TemplateError::StepWithoutWords));
                }
                let words = raw.into_iter().enumerate().map(|(index, word)| list.element(index, word).text());
                Fill::OneOf(words.collect::<Result<_>>()?)
            }
        };
        Ok(Step { name, template, fill })
    }
}

/// The steps of a template whose own pattern is `last`. Each name is another and is used behind its step, and
/// only there.
pub(super) fn read(list: &Node<'_>, last: &Template) -> Result<Vec<Step>> {
    let raw: Vec<&RawValue> = list.read()?;
    let steps = raw.into_iter().enumerate().map(|(index, value)| Step::read(&list.element(index, value)));
    let steps: Vec<Step> = steps.collect::<Result<_>>()?;
    for (index, step) in steps.iter().enumerate() {
        if steps[..index].iter().any(|other| other.name() == step.name()) {
            return Err(step.name_error(TemplateError::StepNameTaken { name: step.name().to_owned() }));
        }
        let early = steps[..=index].iter().find_map(|earlier| {
            let field = earlier.template.fields().find(|field| field.column == step.name())?;
            Some(
                earlier
                    .template
                    .field_error(field, TemplateError::StepTooEarly { name: step.name().to_owned() }),
            )
        });
        if let Some(error) = early {
            return Err(error);
        }
        let mut later = steps[index + 1..].iter().map(Step::template).chain([last]);
        if !later.any(|template| template.fields().any(|field| field.column == step.name())) {
            return Err(step.name_error(TemplateError::StepUnused { name: step.name().to_owned() }));
        }
    }
    Ok(steps)
}
