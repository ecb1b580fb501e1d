//! A pattern checked against a data set's columns, ready to wrap rows.

use crate::data::{Columns, Example};
use crate::error::{Error, Kind};
use crate::template::{Prompt, Template};
use crate::verbalizer::Verbalizer;

/// A template whose fields are known to be columns of the data.
#[derive(Debug, Clone)]
pub struct Task {
    template: Template,
    /// For each field of the pattern, the column's index.
    column_of: Vec<usize>,
}

impl Task {
    /// Finds each field's column. All problems at once.
    pub fn check(template: Template, columns: &Columns) -> Result<Task, Vec<Error>> {
        let mut problems = Vec::new();
        let mut column_of = Vec::new();
        for field in template.fields() {
            if columns.label() == Some(&field.column) {
                problems.push(template.field_error(field, Kind::PatternUsesLabel { column: field.column.clone() }));
            }
            match columns.names().iter().position(|name| *name == field.column) {
                Some(index) => column_of.push(index),
                None => problems.push(template.field_error(
                    field,
                    Kind::PatternUnknownColumn {
                        column: field.column.clone(),
                        data: columns.data().to_owned(),
                        columns: columns.names().to_vec(),
                    },
                )),
            }
        }
        if problems.is_empty() { Ok(Task { template, column_of }) } else { Err(problems) }
    }

    /// The template.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// The row in the pattern.
    pub fn wrap<'a>(&'a self, example: &'a Example) -> Prompt<'a> {
        self.template.wrap(|field| &example.fields[self.column_of[field]])
    }
}

/// The row's true class, if it has a label.
pub fn truth(verbalizer: &Verbalizer, columns: &Columns, example: &Example) -> Result<Option<usize>, Error> {
    let Some(label) = &example.label else { return Ok(None) };
    verbalizer.class_of(label).map(Some).ok_or_else(|| {
        let kind = Kind::DataUnknownLabel {
            label: label.clone(),
            verbalizer: verbalizer.file().to_owned(),
            classes: verbalizer.labels().map(str::to_owned).collect(),
        };
        Error::new(kind).at(columns.place(example, columns.label()))
    })
}
