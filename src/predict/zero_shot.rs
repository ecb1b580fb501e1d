//! From texts and labels to a classifier: no template, no verbalizer, no labelled row.

use crate::error::{DataError, Errors, Result};
use crate::model::folder::ModelFolder;
use crate::model::masked_lm::Options;
use crate::predict::blueprint::Blueprint;
use crate::predict::calibration::Method;
use crate::predict::calibrator::{CalibrationRequest, Calibrator};
use crate::predict::general::{self, Ask};
use crate::predict::task::TaskSet;
use crate::predict::usual_labels::usual;
use crate::text::data::{Example, Rows};
use crate::text::dataset::{Dataset, perhaps_labels};
use crate::text::labels::NamedLabel;
use crate::text::structured_labels;
use crate::text::template::Template;
use crate::text::text_column::text_column;
use crate::text::verbalizer::{StructureRequest, Verbalizer};

/// So many of the first rows are looked at: for the column of texts, for labels, and for whether there are
/// enough to correct by.
pub const LOOKED_AT: usize = 2048;

/// From so many rows on, the rows and their words say what the model prefers ([`Method::Mixed`]); below,
/// inputs without content do, which cost less and do as well on few rows. `tools/correction.py` measures
/// both.
pub const ROWS_TO_CORRECT_BY: usize = 50;

/// What is asked of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// What the labels' names say, or whatever they are.
    ByLabels,
    /// One of the sets of patterns that cloze has.
    Ask(Ask),
    /// A pattern of one's own: "This message is about {mask}."
    Own(String),
}

impl Question {
    /// What is asked of texts with these labels, and the labels with their words: usual labels that have none
    /// get some, unless the question is another than they are for. Gives what they are labels of, where they
    /// are usual.
    #[must_use]
    pub fn of(self, labels: Vec<NamedLabel>) -> (Question, Vec<NamedLabel>, Option<Ask>) {
        match (usual(&labels), &self) {
            (Some((ask, labels)), Question::ByLabels) => (Question::Ask(ask), labels, Some(ask)),
            (Some((ask, labels)), Question::Ask(asked)) if *asked == ask => (self, labels, Some(ask)),
            (_, Question::ByLabels) => (Question::Ask(Ask::General), labels, None),
            _ => (self, labels, None),
        }
    }

    /// The patterns for these columns.
    pub fn templates(&self, columns: &[String]) -> Result<Vec<Template>> {
        match self {
            Question::ByLabels => Ask::General.templates(columns),
            Question::Ask(ask) => ask.templates(columns),
            Question::Own(pattern) => general::own(pattern, columns),
        }
    }
}

/// How the probabilities are corrected.
#[derive(Debug, Clone, PartialEq)]
pub enum Correcting {
    /// By the rows, where there are enough of them, or by inputs without content.
    ByWhatThereIs,
    /// By the rows, to the shares of the classes that a text tells.
    ToPrior(String),
    /// Not at all.
    Not,
}

/// What is wanted.
pub struct ZeroShotRequest {
    /// The labels.
    pub labels: Vec<NamedLabel>,
    /// The tree or the order that they stand in.
    pub structure: StructureRequest,
    /// What is asked.
    pub question: Question,
    /// The columns to read; found, if there are none.
    pub text_columns: Vec<String>,
    /// How the probabilities are corrected.
    pub correcting: Correcting,
    /// Whether what is fitted will be written, for later.
    pub keeps: bool,
    /// The longest input, in tokens; the model's own by default.
    pub max_length: Option<usize>,
    /// How the model is loaded.
    pub options: Options,
}

/// What was found in the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The columns that are read.
    pub text_columns: Vec<String>,
    /// Whether they were found, and not named.
    pub text_found: bool,
    /// What is known of true labels.
    pub truths: Truths,
}

/// Where the true labels are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truths {
    /// In no column.
    Nowhere,
    /// In this one.
    In(String),
    /// This column has others than the labels, such as this one: it is not looked at.
    Others {
        /// The column.
        column: String,
        /// What stands in it.
        label: String,
        /// The labels that were given.
        classes: Vec<String>,
    },
    /// Perhaps in this column, which is not called as one of labels is.
    Perhaps(String),
}

/// A zero-shot classifier before its weights.
pub struct ZeroShot {
    /// Its patterns as they could stand in files.
    pub templates: Vec<Template>,
    /// The classifier.
    pub blueprint: Blueprint,
    /// Its patterns on the rows' columns.
    pub tasks: TaskSet,
    /// The rows.
    pub rows: Rows,
    /// What corrects the probabilities.
    pub calibrator: Calibrator,
    /// What was found in the data.
    pub found: Found,
}

impl ZeroShot {
    /// Looks at the first rows, and binds patterns and label words to a model.
    pub fn prepare(
        request: ZeroShotRequest,
        rows: Rows,
        model: impl FnOnce() -> Result<ModelFolder>,
    ) -> Result<ZeroShot, Errors> {
        let verbalizer = structured_labels::verbalizer(&request.labels, &request.structure)?;
        let mut rows = rows;
        let sample: Vec<Example> = rows.look_ahead(LOOKED_AT + 1).cloned().collect();
        if sample.is_empty() {
            let none = DataError::WithoutRows { data: rows.columns().data().to_owned() };
            return Err(rows.next().and_then(Result::err).unwrap_or_else(|| none.into()).into());
        }
        let truths = truths(&mut rows, &sample, &verbalizer);
        rows = match truths {
            // Behind the first rows there may be others, which end nothing where nobody asked for an
            // evaluation.
            Truths::In(_) => rows.with_guessed_labels(),
            _ => rows.labelled_by(None),
        };
        let text_found = request.text_columns.is_empty();
        let text_columns = text_columns(&mut rows, &request.text_columns)?;
        let templates = request.question.templates(&text_columns)?;
        let (options, max_length) = (request.options, request.max_length);
        let (blueprint, tasks, rows) =
            Blueprint::of_parts(templates.clone(), verbalizer, rows, model()?, options, max_length)?;
        let (method, prior) = match request.correcting {
            Correcting::Not => (None, None),
            Correcting::ToPrior(prior) if sample.len() >= ROWS_TO_CORRECT_BY => {
                (Some(Method::Prior), Some(prior))
            }
            // The mean of a few rows says more of them than of what the model prefers.
            Correcting::ToPrior(prior) => (Some(Method::Contextual), Some(prior)),
            Correcting::ByWhatThereIs if sample.len() >= ROWS_TO_CORRECT_BY => (Some(Method::Mixed), None),
            Correcting::ByWhatThereIs => (Some(Method::Contextual), None),
        };
        let keeps = request.keeps && method.is_some();
        let asked = CalibrationRequest { method, prior, keeps, ..CalibrationRequest::default() };
        let columns = rows.columns().clone();
        let mut calibrator = Calibrator::check(&asked, &blueprint, &tasks.tasks, &columns)?;
        // More rows than these are not held in memory.
        if calibrator.on_own_rows() && sample.len() > LOOKED_AT {
            let truths = vec![None; sample.len()];
            calibrator = calibrator.fitted_on(Dataset { columns, truths, examples: sample });
        }
        let found = Found { text_columns, text_found, truths };
        Ok(ZeroShot { templates, blueprint, tasks, rows, calibrator, found })
    }
}

/// The columns to read: those named, or the one of texts. Columns that are not there are refused, all at
/// once.
pub fn text_columns(rows: &mut Rows, named: &[String]) -> Result<Vec<String>, Errors> {
    let columns = rows.columns().clone();
    if named.is_empty() {
        let sample: Vec<Example> = rows.look_ahead(LOOKED_AT + 1).cloned().collect();
        return Ok(vec![text_column(&columns, &sample)?]);
    }
    let absent = named.iter().filter(|column| !columns.names().contains(column));
    let error = |column: &String| {
        let absent = || {
            let (data, columns) = (columns.data().to_owned(), columns.names().to_vec());
            DataError::NoTextColumn { column: column.clone(), data, columns }
        };
        columns.no_text(column).unwrap_or_else(absent).into()
    };
    let mut errors = Errors::new();
    errors.extend(absent.map(error));
    errors.none().map(|()| named.to_vec())
}

/// Where the first rows have true labels.
fn truths(rows: &mut Rows, sample: &[Example], verbalizer: &Verbalizer) -> Truths {
    let is_class = |label: &&str| verbalizer.class_of(label).or(verbalizer.class_near(label)).is_some();
    let Some(column) = rows.columns().label().map(str::to_owned) else {
        return perhaps_labels(rows, verbalizer, &[]).map_or(Truths::Nowhere, Truths::Perhaps);
    };
    let mut labels = sample.iter().filter_map(|example| example.label.as_deref());
    match labels.find(|label| !is_class(label)) {
        None => Truths::In(column),
        Some(label) => {
            let classes = verbalizer.labels().map(str::to_owned).collect();
            Truths::Others { column, label: label.to_owned(), classes }
        }
    }
}
