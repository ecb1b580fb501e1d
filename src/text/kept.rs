//! The input's columns in what is written: with their types where they have some.

use crate::error::{FileError, Result};
use crate::text::data::{Columns, Example};
use crate::text::format::Format;
use crate::text::table::{Cell, Column, Holds};
use crate::text::typed;

/// The columns that are kept.
pub struct Kept {
    /// Where those with types stand in a batch; none where the input's columns are texts.
    places: Option<Vec<usize>>,
}

impl Kept {
    /// Puts the input's columns behind those of a table. What no text has is kept in formats with types
    /// alone.
    pub fn behind(header: &mut Vec<Column>, columns: &Columns, format: Format) -> Result<Kept> {
        let (places, kept) = match columns.types() {
            None => (None, Column::texts(columns.in_file())),
            Some(schema) => {
                let fields = schema.fields().iter().enumerate();
                let fields = fields.filter(|(_, field)| {
                    format.has_types() || typed::without_text(field.data_type(), true).is_none()
                });
                let column = |(place, field): (usize, &arrow_schema::FieldRef)| {
                    (place, Column::new(field.name(), Holds::Kept(field.data_type().clone())))
                };
                let (places, kept) = fields.map(column).unzip::<_, _, Vec<_>, Vec<_>>();
                (Some(places), kept)
            }
        };
        let is_there = |column: &&Column| header.iter().any(|other| other.name == column.name);
        if let Some(column) = kept.iter().find(is_there) {
            return Err(FileError::SameColumn { column: column.name.clone() }.into());
        }
        header.extend(kept);
        Ok(Kept { places })
    }

    /// What a row has in them.
    pub fn cells(&self, example: &Example) -> Vec<Cell> {
        match (&self.places, &example.values) {
            (Some(places), Some(values)) => {
                let cell = |place: &usize| {
                    let (array, row) = values.value(*place);
                    Cell::Value(array, row)
                };
                places.iter().map(cell).collect()
            }
            _ => example.fields.iter().cloned().map(Cell::Text).collect(),
        }
    }
}
