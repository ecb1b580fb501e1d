//! From texts and labels to a classifier for several labels a row: no template, no verbalizer, no labelled
//! row.

use super::MultiLabel;
use super::way::{Way, own_yes_no, yes_no_templates};
use crate::error::{DataError, Errors, Result};
use crate::model::folder::ModelFolder;
use crate::model::masked_lm::Options;
use crate::predict::general::Ask;
use crate::predict::zero_shot::{Question, text_columns};
use crate::text::data::{Adjust, Rows};
use crate::text::label_sets::LabelSets;
use crate::text::labels::NamedLabel;

/// What is wanted.
pub struct ManyZeroShotRequest<'a> {
    /// The labels.
    pub labels: Vec<NamedLabel>,
    /// What is asked: with [`Way::YesNo`] a pattern of one's own names the label.
    pub question: Question,
    /// How labels are asked for.
    pub way: Way,
    /// What they are held against with [`Way::Reference`].
    pub reference: Vec<String>,
    /// The columns to read; found, if there are none.
    pub text_columns: Vec<String>,
    /// What stands between labels in the data, if not what is found.
    pub separator: Option<&'a str>,
    /// What is taken otherwise than it stands in the data.
    pub adjust: &'a Adjust,
    /// The longest input, in tokens; the model's own by default.
    pub max_length: Option<usize>,
    /// How the model is loaded.
    pub options: Options,
}

/// A classifier before its weights, with the rows.
pub struct ManyZeroShot {
    /// The classifier.
    pub parts: MultiLabel,
    /// The rows.
    pub rows: Rows,
    /// Where their labels are.
    pub sets: LabelSets,
    /// The columns that are read.
    pub text_columns: Vec<String>,
}

impl ManyZeroShot {
    /// Looks at the first rows, and binds patterns and label words to a model.
    pub fn prepare(
        request: ManyZeroShotRequest<'_>,
        rows: Rows,
        model: impl FnOnce() -> Result<ModelFolder>,
    ) -> Result<ManyZeroShot, Errors> {
        let ManyZeroShotRequest { labels, question, way, reference, adjust, max_length, options, .. } =
            request;
        let names: Vec<String> = labels.iter().map(|label| label.label.clone()).collect();
        let (sets, mut rows) = LabelSets::find(&names, rows, request.separator, adjust)?;
        if rows.look_ahead(1).next().is_none() {
            let none = DataError::WithoutRows { data: rows.columns().data().to_owned() };
            return Err(rows.next().and_then(Result::err).unwrap_or_else(|| none.into()).into());
        }
        let text_columns = text_columns(&mut rows, &request.text_columns)?;
        let described = labels.iter().all(|label| !label.texts.is_empty());
        let templates = match (way, &question) {
            (Way::Reference, _) => question.templates(&text_columns)?,
            (Way::YesNo, Question::ByLabels) => yes_no_templates(Ask::General, &text_columns, described)?,
            (Way::YesNo, Question::Ask(ask)) => yes_no_templates(*ask, &text_columns, described)?,
            (Way::YesNo, Question::Own(pattern)) => vec![own_yes_no(pattern, &text_columns)?],
        };
        let parts =
            MultiLabel::of_labels(&labels, way, &reference, templates, model()?, options, max_length)?;
        Ok(ManyZeroShot { parts, rows, sets, text_columns })
    }
}
