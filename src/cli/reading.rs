//! Files of rows that are wanted whole.

use std::path::Path;
use std::sync::Arc;

use cloze::error::{Error, Kind};
use cloze::learn::dataset::RowSet;
use cloze::learn::sample::ID;
use cloze::predict::task::truth;
use cloze::text::data::{Columns, Example};
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;

use super::args::Reading;
use super::setup::{self, Problems};

/// What is done with a file's labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// Every row must have one.
    Needed,
    /// They are used where there are any.
    Known,
    /// They are not looked at.
    Ignored,
}

/// All rows of a file with their classes, their fields in the order of `wanted`, if given.
pub fn read_rows(
    path: &Path,
    reading: &Reading,
    read: &[String],
    verbalizer: &Verbalizer,
    wanted: Option<&Columns>,
    labels: Labels,
) -> Result<RowSet, Problems> {
    let must_be_labelled = labels == Labels::Needed;
    let rows = match setup::open_rows(path, reading) {
        // Labels are no need: a test file may have none.
        Err(error) if !must_be_labelled && matches!(error.kind(), Kind::DataNoLabelColumn { .. }) => {
            setup::open_rows(path, &Reading { label_column: None, format: reading.format })?
        }
        rows => rows?,
    };
    let found = rows.columns().clone();
    if must_be_labelled && found.label().is_none() {
        return Err(Error::from(Kind::DataWithoutLabels {
            data: found.data().to_owned(),
            columns: found.names().to_vec(),
        })
        .into());
    }
    let order = match wanted {
        None => None,
        Some(wanted) => Some(order_of(&found, wanted, read)?),
    };
    let columns = match (&order, wanted) {
        (Some(_), Some(wanted)) => Arc::new(
            Columns::check(found.data(), wanted.names().to_vec(), None)
                .map(|columns| columns.with_label_of(wanted))?,
        ),
        _ => found.clone(),
    };
    let mut problems = Problems(Vec::new());
    let (mut examples, mut truths) = (Vec::new(), Vec::new());
    for row in rows {
        let row = row?;
        match if labels == Labels::Ignored { Ok(None) } else { truth(verbalizer, &found, &row) } {
            Ok(None) if must_be_labelled => {
                let error = Error::from(Kind::RowWithoutLabel { data: found.data().to_owned() });
                problems.0.push(error.at(found.place(&row, found.label())));
            }
            Ok(class) => truths.push(class),
            Err(error) => problems.0.push(error),
        }
        let fields = match (&order, wanted) {
            (Some(order), Some(wanted)) => {
                let field = |(column, name): (&Option<usize>, &String)| match column {
                    Some(column) => row.fields[*column].clone(),
                    None if name == ID => row.record.to_string(),
                    None => String::new(),
                };
                order.iter().zip(wanted.names()).map(field).collect()
            }
            _ => row.fields,
        };
        examples.push(Example { fields, ..row });
    }
    problems.none()?;
    Ok(RowSet { columns, examples, truths })
}

/// Where each of the wanted columns stands. Only those that are read must be there.
fn order_of(found: &Columns, wanted: &Columns, read: &[String]) -> Result<Vec<Option<usize>>, Error> {
    let place = |name: &String| found.names().iter().position(|other| other == name);
    if let Some(column) = read.iter().find(|name| place(name).is_none()) {
        return Err(Kind::DataOtherColumns {
            data: found.data().to_owned(),
            columns: found.names().to_vec(),
            first: wanted.data().to_owned(),
            column: column.clone(),
        }
        .into());
    }
    Ok(wanted.names().iter().map(place).collect())
}

/// The columns that the patterns read, each once; without patterns all but labels and ids.
pub fn read_columns(templates: &[Template], columns: &Columns) -> Vec<String> {
    let mut read: Vec<String> = Vec::new();
    for column in templates.iter().flat_map(Template::columns) {
        if !read.iter().any(|known| known == column) {
            read.push(column.to_owned());
        }
    }
    if read.is_empty() {
        let text = |name: &&String| Some(name.as_str()) != columns.label() && *name != ID;
        read.extend(columns.names().iter().filter(text).cloned());
    }
    read
}
