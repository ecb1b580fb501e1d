//! Columns of tables that are written, and their cells.

use std::borrow::Cow;

use arrow_array::ArrayRef;
use arrow_schema::DataType;

use crate::text::typed;

/// Stands between the entries of a list, in formats that have no lists.
pub const BETWEEN: &str = "|";

/// A column of a table that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its cells are, for formats whose columns have types.
    pub holds: Holds,
}

/// What the cells of a column are. Any may be nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// Texts.
    Text,
    /// Whole numbers.
    Whole,
    /// Numbers between others, in single precision.
    Share,
    /// One of some words: a dictionary of them.
    Word(Vec<String>),
    /// Lists of words.
    List,
    /// Values of the input, of this type.
    Kept(DataType),
}

impl Column {
    /// A column of this name.
    pub fn new(name: impl Into<String>, holds: Holds) -> Column {
        Column { name: name.into(), holds }
    }

    /// Columns of texts.
    pub fn texts(names: &[String]) -> Vec<Column> {
        names.iter().map(|name| Column::new(name, Holds::Text)).collect()
    }
}

/// One field of a row.
#[derive(Debug, Clone)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A number, as it is written.
    Number(String),
    /// A number that text has with six decimals.
    Share(f64),
    /// Several words.
    List(Vec<String>),
    /// A value of a file whose columns have types: where it stands in which array.
    Value(ArrayRef, usize),
    /// Nothing.
    Nothing,
}

impl Cell {
    /// The cell where there are neither numbers nor lists.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match self {
            Cell::Text(text) | Cell::Number(text) => Cow::Borrowed(text),
            Cell::Share(share) => Cow::Owned(format!("{share:.6}")),
            Cell::List(words) => Cow::Owned(words.join(BETWEEN)),
            Cell::Value(array, row) => {
                Cow::Owned(typed::text(array, *row, Some(BETWEEN)).unwrap_or_default())
            }
            Cell::Nothing => Cow::Borrowed(""),
        }
    }
}
