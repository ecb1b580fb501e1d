//! Requests as they come: JSON by the one door, so that each mistake is told with its place.

use std::io::Cursor;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::error::source::Source;
use crate::error::{DataError, Error, Errors, JsonError, Result, ServeError};
use crate::predict::prompt_classifier::PromptClassifier;
use crate::text::data::{Columns, Example, Format, Rows};
use crate::text::json::Node;
use crate::text::template::{self, Template};
use crate::text::verbalizer::Verbalizer;

/// What messages call a request's body.
const REQUEST: &str = "request";

/// `POST /classify`: one of `text`, `texts` and `rows`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClassifyRequest)]
pub(super) struct RawClassify<'a> {
    /// A text, for patterns that read one column.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "What a lovely film!")]
    pub(super) text: Option<&'a RawValue>,
    /// Several texts.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub(super) texts: Option<&'a RawValue>,
    /// Rows: objects with the columns that the patterns read.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<Object>>)]
    pub(super) rows: Option<&'a RawValue>,
    /// Which classifier; the first by default.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    pub(super) run: Option<&'a RawValue>,
    /// Patterns in place of the classifier's: each as a text with a {mask}, or as a template file has it.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<Object>>)]
    pub(super) templates: Option<&'a RawValue>,
    /// Label words in place of the classifier's, as a verbalizer file has them.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    pub(super) verbalizer: Option<&'a RawValue>,
    /// Whether probabilities are corrected: by the classifier's calibration, or, if it has none, by what the
    /// patterns say to inputs without content. By default as the classifier was loaded.
    #[serde(default)]
    pub(super) correct: Option<bool>,
    /// Whether each pattern's probabilities are told too.
    #[serde(default)]
    pub(super) detail: bool,
}

/// `POST /fill-mask`, `/predict` and `/`: Hugging Face's shape, with the parameters of each.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InputsRequest)]
pub(super) struct RawInputs<'a> {
    /// A text, or a list of texts.
    #[serde(borrow)]
    #[schema(value_type = Object)]
    pub(super) inputs: &'a RawValue,
    /// What is asked of them.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    pub(super) parameters: Option<&'a RawValue>,
    /// Which classifier; the first by default.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    pub(super) run: Option<&'a RawValue>,
    /// Ignored: answers are computed anew.
    #[serde(borrow, default)]
    #[serde(rename = "options")]
    #[schema(value_type = Option<Object>)]
    _options: Option<&'a RawValue>,
}

/// The parameters of `/zero-shot`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ZeroShotParameters)]
pub(super) struct RawZeroShot<'a> {
    /// The labels: a list, or one text with commas between them.
    #[serde(borrow)]
    #[schema(value_type = Object)]
    pub(super) candidate_labels: &'a RawValue,
    /// Whether each label is true or not by itself.
    #[serde(default)]
    pub(super) multi_label: bool,
    /// A sentence with {} where the label stands.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "This is about {}.")]
    pub(super) hypothesis_template: Option<&'a RawValue>,
}

/// The parameters of `/fill-mask`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FillMaskParameters)]
pub(super) struct RawFill<'a> {
    /// How many words; 5 by default.
    #[serde(borrow, default)]
    #[schema(value_type = Option<usize>, minimum = 1)]
    pub(super) top_k: Option<&'a RawValue>,
    /// The words to tell the probabilities of, in place of the likeliest.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub(super) targets: Option<&'a RawValue>,
}

/// The parameters of a classification in Hugging Face's shape.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TopKParameters)]
pub(super) struct RawTopK<'a> {
    /// How many labels; all by default.
    #[serde(borrow, default)]
    #[schema(value_type = Option<usize>, minimum = 1)]
    pub(super) top_k: Option<&'a RawValue>,
    /// Only softmax, which is the default.
    #[serde(default, rename = "function_to_apply")]
    _function_to_apply: Option<Softmax>,
}

/// The one function that gives class probabilities.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Softmax {
    /// Probabilities whose sum is 1.
    Softmax,
}

/// `POST /predict`, in the shape of text-embeddings-inference.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PredictRequest)]
pub(super) struct RawPredict<'a> {
    /// A text; a list of one text, or of a pair of texts; or a list of such lists.
    #[serde(borrow)]
    #[schema(value_type = Object)]
    pub(super) inputs: &'a RawValue,
    /// Whether scores are logarithms of probabilities.
    #[serde(default)]
    pub(super) raw_scores: bool,
    /// Ignored: long texts are always cut.
    #[serde(default, rename = "truncate")]
    _truncate: Option<bool>,
    /// Ignored: the end is cut.
    #[serde(borrow, default, rename = "truncation_direction")]
    #[schema(value_type = Option<String>)]
    _truncation_direction: Option<&'a RawValue>,
    /// Which classifier; the first by default.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    pub(super) run: Option<&'a RawValue>,
}

/// How many of the likeliest are asked for; one at least.
pub(super) fn top_k(parameters: &Node<'_>, value: Option<&RawValue>) -> Result<Option<usize>> {
    let Some(node) = value.map(|value| parameters.key("top_k", value)) else { return Ok(None) };
    match node.read()? {
        0 => Err(node.error(JsonError::Shape { message: "top_k must be 1 or more, not 0".to_owned() })),
        most => Ok(Some(most)),
    }
}

/// A body as a text with places.
pub(super) fn source(body: Vec<u8>) -> Result<Arc<Source>> {
    let text = String::from_utf8(body)
        .map_err(|error| ServeError::NotUtf8 { byte: error.utf8_error().valid_up_to() })?;
    if text.trim().is_empty() {
        return Err(ServeError::EmptyRequest.into());
    }
    Ok(Source::new(REQUEST, text))
}

/// Refuses a request that has none or several of some keys.
pub(super) fn check_one_of(keys: &[(&'static str, bool)]) -> Result<()> {
    let found: Vec<&'static str> =
        keys.iter().filter(|(_, is_there)| *is_there).map(|(key, _)| *key).collect();
    match found.len() {
        1 => Ok(()),
        _ => Err(ServeError::OneOf { allowed: keys.iter().map(|(key, _)| *key).collect(), found }.into()),
    }
}

impl<'a> RawClassify<'a> {
    /// The rows, for a classifier that reads some columns. All problems at once.
    pub(super) fn rows(
        &self,
        root: &Node<'a>,
        classifier: &PromptClassifier,
        most: usize,
    ) -> Result<(Columns, Vec<Example>), Errors> {
        let is_there =
            [("text", self.text.is_some()), ("texts", self.texts.is_some()), ("rows", self.rows.is_some())];
        check_one_of(&is_there)?;
        let (columns, examples) = match (self.text, self.texts, self.rows) {
            (Some(text), ..) => texts(classifier, vec![root.key("text", text).read()?])?,
            (_, Some(list), _) => texts(classifier, root.key("texts", list).read()?)?,
            (_, _, Some(list)) => {
                let node = root.key("rows", list);
                if !node.is_list() {
                    node.read::<Vec<&RawValue>>()?;
                }
                rows(list.get(), most)?
            }
            (None, None, None) => unreachable!("one of them is there"),
        };
        classifier.check_columns(&columns)?;
        Ok((columns, examples))
    }

    /// The patterns and label words that the request brings, in place of those of a classifier. None if it
    /// brings neither. All problems at once.
    pub(super) fn question(
        &self,
        root: &Node<'a>,
        classifier: &PromptClassifier,
    ) -> Result<Option<(Vec<Template>, Verbalizer)>, Errors> {
        if self.templates.is_none() && self.verbalizer.is_none() {
            return Ok(None);
        }
        let mut errors = Errors::new();
        let templates = match self.templates {
            None => classifier.templates().cloned().collect(),
            Some(list) => {
                let list: Vec<&RawValue> = root.key("templates", list).read()?;
                let template = |(index, value): (usize, &RawValue)| errors.keep(template(index, value));
                list.into_iter().enumerate().filter_map(template).collect()
            }
        };
        let verbalizer = match self.verbalizer {
            None => Some(classifier.verbalizer().clone()),
            Some(value) => errors.keep(Verbalizer::parse("verbalizer", "verbalizer", value.get())),
        };
        errors.extend(verbalizer.iter().filter_map(|found| found.check_classes("a request").err()));
        errors.none()?;
        Ok(verbalizer.map(|verbalizer| (templates, verbalizer)))
    }
}

/// A pattern that a request brings: a text, or what a template file has.
fn template(index: usize, value: &RawValue) -> Result<Template> {
    let (name, file) = (format!("pattern-{}", index + 1), format!("templates[{index}]"));
    match value.get().starts_with('"') {
        false => Template::parse(&name, &file, value.get()),
        // On a line of its own, which is what is shown of it where it is wrong.
        true => {
            let version = template::VERSION;
            let text = format!("{{ \"version\": {version}, \"pattern\":\n{}\n}}", value.get());
            Template::parse(&name, &file, &text)
        }
    }
}

/// Texts as rows of the one column that a classifier reads.
pub(super) fn texts(classifier: &PromptClassifier, texts: Vec<String>) -> Result<(Columns, Vec<Example>)> {
    let columns = classifier.columns();
    if columns.len() != 1 {
        return Err(DataError::NotOneColumn { columns }.into());
    }
    fields(columns, texts.into_iter().map(|text| vec![text]))
}

/// Rows of these columns.
pub(super) fn fields(
    columns: Vec<String>,
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<(Columns, Vec<Example>)> {
    let columns = Columns::check("texts", columns, None)?;
    let example = |(record, fields)| Example { record, line: record, fields, label: None, values: None };
    Ok((columns, (1..).zip(rows).map(example).collect()))
}

/// Rows as a file of JSON has them, so many at most and one more, which shows that there are too many.
fn rows(list: &str, most: usize) -> Result<(Columns, Vec<Example>), Errors> {
    let rows = Rows::read(Box::new(Cursor::new(list.to_owned().into_bytes())), "rows", Format::Json, None)?;
    let columns = Columns::clone(rows.columns());
    let (mut errors, mut examples) = (Errors::new(), Vec::new());
    for row in rows.take(most + 1) {
        examples.extend(errors.keep(row));
    }
    errors.none().map(|()| (columns, examples))
}

/// Rows as text-embeddings-inference has them, and whether they are a batch: a text, a list of one text or of
/// a pair of texts, or a list of such lists.
pub(super) fn pairs(node: &Node<'_>) -> Result<(Vec<Vec<String>>, bool), Error> {
    if !node.is_list() {
        return Ok((vec![vec![node.read()?]], false));
    }
    let row = |node: &Node<'_>| {
        let texts: Vec<String> = node.read()?;
        match texts.len() {
            1 | 2 => Ok(texts),
            found => {
                let message = format!(
                    "a list has one text, or a pair of texts, not {found}: several rows are a list of such lists"
                );
                Err(node.error(JsonError::Shape { message }))
            }
        }
    };
    let elements: Vec<&RawValue> = node.read()?;
    let nodes: Vec<Node<'_>> =
        elements.into_iter().enumerate().map(|(index, value)| node.element(index, value)).collect();
    match nodes.first() {
        Some(first) if first.is_list() => {
            Ok((nodes.iter().map(row).collect::<Result<Vec<_>, Error>>()?, true))
        }
        _ => Ok((vec![row(node)?], false)),
    }
}

/// Reads a body in every shape that a route knows, as far as no classifier is needed for it: what is wrong
/// with it in each shape that it has not. For those who try damaged ones.
#[doc(hidden)]
pub fn read_any(body: Vec<u8>) -> Vec<Errors> {
    let source = match source(body) {
        Ok(source) => source,
        Err(error) => return vec![error.into()],
    };
    let root = Node::root(&source);
    let shapes = [read_classify, read_predict, read_zero_shot, read_fill, read_top_k];
    shapes.into_iter().filter_map(|read| read(&root).err()).collect()
}

fn read_classify(root: &Node<'_>) -> Result<(), Errors> {
    let raw: RawClassify<'_> = root.read_object()?;
    if let Some(text) = raw.text {
        root.key("text", text).read::<String>()?;
    }
    if let Some(list) = raw.texts {
        root.key("texts", list).read::<Vec<String>>()?;
    }
    if let Some(list) = raw.rows {
        rows(list.get(), usize::MAX - 1)?;
    }
    if let Some(list) = raw.templates {
        let list: Vec<&RawValue> = root.key("templates", list).read()?;
        list.into_iter().enumerate().try_for_each(|(index, value)| template(index, value).map(drop))?;
    }
    raw.verbalizer
        .map_or(Ok(()), |value| Verbalizer::parse("verbalizer", "verbalizer", value.get()).map(drop))
}

/// The inputs of Hugging Face's shape, and the parameters beside them.
fn read_inputs<'a>(root: &Node<'a>) -> Result<Option<Node<'a>>, Errors> {
    let raw: RawInputs<'a> = root.read_object()?;
    let node = root.key("inputs", raw.inputs);
    if node.is_list() {
        node.read::<Vec<String>>().map(drop)?
    } else {
        node.read::<String>().map(drop)?
    }
    Ok(raw.parameters.map(|parameters| root.key("parameters", parameters)))
}

fn read_zero_shot(root: &Node<'_>) -> Result<(), Errors> {
    let Some(node) = read_inputs(root)? else { return Ok(()) };
    let raw: RawZeroShot<'_> = node.read_object()?;
    labels(&node.key("candidate_labels", raw.candidate_labels))?;
    if let Some(value) = raw.hypothesis_template {
        node.key("hypothesis_template", value).read::<String>()?;
    }
    Ok(())
}

fn read_fill(root: &Node<'_>) -> Result<(), Errors> {
    let Some(node) = read_inputs(root)? else { return Ok(()) };
    let raw: RawFill<'_> = node.read_object()?;
    Ok(top_k(&node, raw.top_k).map(drop)?)
}

fn read_top_k(root: &Node<'_>) -> Result<(), Errors> {
    let Some(node) = read_inputs(root)? else { return Ok(()) };
    let raw: RawTopK<'_> = node.read_object()?;
    Ok(top_k(&node, raw.top_k).map(drop)?)
}

fn read_predict(root: &Node<'_>) -> Result<(), Errors> {
    let raw: RawPredict<'_> = root.read_object()?;
    Ok(pairs(&root.key("inputs", raw.inputs)).map(drop)?)
}

/// Labels as a request names them: a list, or one text with commas between them.
pub(super) fn labels(node: &Node<'_>) -> Result<Vec<String>, Error> {
    if node.is_list() {
        return node.read();
    }
    let line: String = node.read()?;
    Ok(line.split(',').map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()).collect())
}
