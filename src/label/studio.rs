//! Label Studio's tasks: rows with what was said of them as annotations.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::export::Exported;
use super::opinion::Opinion;
use super::project::{Kept, Project, ShownRow};
use crate::error::{Error, LabelError, Result};
use crate::predict::report::Prediction;
use crate::text::whole_file::WholeFile;

/// What Label Studio's configuration calls the choice, and the text that it is of.
const FROM: &str = "label";
const TO: &str = "text";

/// So many rows are asked about at once.
const TOGETHER: usize = 512;

/// Writes the answered rows, or with `all` every row, as tasks: a JSON array that Label Studio imports. Each
/// labeller's answer is an annotation, a skipped row one that was cancelled, and a note its `meta`. What a model
/// says of the row is a prediction, which Label Studio shows to whoever labels there.
///
/// # Errors
/// A project in which nothing has a label, unless all rows are wanted.
pub fn export_tasks(project: &Project, out: &Path, all: bool, opinion: Option<&Opinion>) -> Result<Exported> {
    let answers = project.answers()?;
    if !all && !answers.values().flatten().any(|kept| kept.label.is_some()) {
        return Err(LabelError::NothingLabelled { project: project.path().to_owned() }.into());
    }
    let mut file = match out == Path::new("-") {
        true => WholeFile::stdout(),
        false => WholeFile::create(out)?,
    };
    let places = match all {
        true => (0..u32::try_from(project.rows()?).unwrap_or(u32::MAX)).collect(),
        false => answers.keys().copied().collect::<Vec<u32>>(),
    };
    let mut exported = Exported::default();
    let writing = |error: io::Error| Error::writing(out, &error);
    let mut before = "[";
    for places in places.chunks(TOGETHER) {
        let rows: Vec<ShownRow> = places.iter().map(|place| project.row(*place)).collect::<Result<_>>()?;
        let mut said =
            opinion.map(|opinion| opinion.of_rows(&rows)).transpose()?.unwrap_or_default().into_iter();
        for row in rows {
            let answers = answers.get(&row.place).map(Vec::as_slice).unwrap_or_default();
            let mut task = task(project, row, answers);
            if let (Some(opinion), Some(said)) = (opinion, said.next()) {
                task["predictions"] = json!([prediction(&opinion.classifier.labels()[said.class()], &said)]);
            }
            write!(file, "{before}\n{task}").map_err(writing)?;
            before = ",";
            match answers {
                [] => {}
                _ if answers.iter().any(|kept| kept.label.is_some()) => exported.rows += 1,
                _ => exported.skipped += 1,
            }
        }
    }
    file.write_all(b"\n]\n").map_err(writing)?;
    file.commit()?;
    Ok(exported)
}

fn task(project: &Project, row: ShownRow, answers: &[Kept]) -> Value {
    let about = project.about();
    let fields = about.columns.iter().zip(row.fields).enumerate();
    let data: Map<String, Value> = fields
        .filter(|(index, _)| Some(*index) != about.label_column)
        .map(|(_, (column, field))| (column.clone(), Value::from(field)))
        .collect();
    let annotations: Vec<Value> = answers.iter().map(annotation).collect();
    let meta = json!({ "row": row.record, "held_out": row.held_out });
    json!({ "id": u64::from(row.place) + 1, "data": data, "meta": meta, "annotations": annotations })
}

fn prediction(label: &str, said: &Prediction) -> Value {
    json!({ "model_version": "cloze", "score": said.confidence(), "result": [choice(label)] })
}

fn choice(label: &str) -> Value {
    json!({ "from_name": FROM, "to_name": TO, "type": "choices", "value": { "choices": [label] } })
}

fn annotation(kept: &Kept) -> Value {
    let mut marks = Vec::new();
    if let Some(label) = &kept.label {
        let mut mark = choice(label);
        if !kept.note.is_empty() {
            mark["meta"] = json!({ "text": [kept.note] });
        }
        marks.push(mark);
    }
    json!({ "created_username": kept.labeller, "was_cancelled": kept.label.is_none(), "result": marks })
}
