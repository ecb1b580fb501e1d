//! Several labels a row: in one column with a separator between them, or in a column of 0 and 1 for each
//! label.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Errors, MultiLabelError, Result};
use crate::text::data::{Adjust, Columns, Example, Reading, Rows};
use crate::text::table::BETWEEN;

/// Separators that are recognised, the first that fits taken.
const SEPARATORS: [&str; 3] = ["|", ";", ","];

/// Another usual name of the column with labels.
const LABELS: &str = "labels";

/// So many rows are looked at for the separator.
const LOOKED_AT: usize = 2048;

/// Where the labels of rows stand, and how a row's are read.
///
/// ```
/// use cloze::text::data::{Format, Rows};
/// use cloze::text::label_sets::LabelSets;
/// let labels = ["bill".to_owned(), "card".to_owned()];
/// let csv = "text,labels\nmy card,card\nmy card bill,bill;card\nhello,\n";
/// let rows = Rows::read(Box::new(csv.as_bytes()), "demo", Format::Csv, None)?;
/// let (sets, rows) = LabelSets::find(&labels, rows, None, &Default::default())?;
/// let columns = rows.columns().clone();
/// let found: Vec<_> = rows.map(|row| sets.truth(&columns, &row?)).collect::<cloze::Result<_>>()?;
/// let [card, both, none] = &found[..] else { panic!() };
/// assert_eq!((card, both), (&Some(vec![false, true]), &Some(vec![true, true])));
/// assert_eq!(none, &Some(vec![false, false]));
/// # Ok::<(), cloze::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LabelSets {
    labels: Vec<String>,
    place: Where,
    adjust: Adjust,
}

#[derive(Debug, Clone)]
enum Where {
    Nowhere,
    /// One column, and what stands between its labels.
    Column(usize, String),
    /// A column of 0 and 1 for each label.
    Columns(Vec<usize>),
}

impl LabelSets {
    /// Where some rows have their labels: in their column of labels, in one called `labels`, or in columns
    /// that are called as the labels are. Without a separator the first of `|`, `;` and `,` is taken that no
    /// label holds and between which nothing but labels stands. Gives the rows with that column as theirs of
    /// labels.
    pub fn find(
        labels: &[String],
        rows: Rows,
        separator: Option<&str>,
        adjust: &Adjust,
    ) -> Result<(LabelSets, Rows)> {
        check_separator(separator, labels)?;
        let mut rows = match rows.columns().names().iter().any(|name| name == LABELS) {
            true if rows.columns().label().is_none() && !adjust.no_labels => rows.labelled_by(Some(LABELS)),
            _ => rows,
        };
        let columns = rows.columns().clone();
        let place_of = |name: &str| columns.names().iter().position(|column| column == name);
        let place = match columns.label().and_then(place_of) {
            Some(place) => {
                let guess = || guessed(labels, place, &mut rows, adjust).to_owned();
                Where::Column(place, separator.map_or_else(guess, str::to_owned))
            }
            None if adjust.no_labels => Where::Nowhere,
            None => {
                let places = labels.iter().map(|label| place_of(label)).collect::<Option<Vec<_>>>();
                places.map_or(Where::Nowhere, Where::Columns)
            }
        };
        Ok((LabelSets { labels: labels.to_vec(), place, adjust: adjust.clone() }, rows))
    }

    /// Of rows that have no labels.
    pub fn nowhere(labels: &[String]) -> LabelSets {
        LabelSets { labels: labels.to_vec(), place: Where::Nowhere, adjust: Adjust::default() }
    }

    /// Whether rows have labels at all.
    pub fn are_there(&self) -> bool {
        !matches!(self.place, Where::Nowhere)
    }

    /// The columns that hold labels, by name.
    pub fn columns<'a>(&'a self, columns: &'a Columns) -> Vec<&'a str> {
        let places = match &self.place {
            Where::Nowhere => &[][..],
            Where::Column(place, _) => std::slice::from_ref(place),
            Where::Columns(places) => places,
        };
        places.iter().map(|place| columns.names()[*place].as_str()).collect()
    }

    /// What stands between the labels of a row, in the data and in what is written.
    pub fn separator(&self) -> &str {
        match &self.place {
            Where::Column(_, separator) => separator,
            Where::Nowhere | Where::Columns(_) => BETWEEN,
        }
    }

    /// For each label whether the row has it; none where nothing is known of the row's labels. An empty cell
    /// is a row without a label.
    ///
    /// # Shapes
    /// `[L]`
    pub fn truth(&self, columns: &Columns, example: &Example) -> Result<Option<Vec<bool>>> {
        match &self.place {
            Where::Nowhere => Ok(None),
            Where::Column(place, separator) => {
                let cell = example.fields[*place].trim();
                if self.adjust.unlabelled.iter().any(|none| none == cell) {
                    return Ok(None);
                }
                let mut truth = vec![false; self.labels.len()];
                for part in parts(cell, separator) {
                    let Some(label) = known(&self.labels, part, &self.adjust) else {
                        let kind = MultiLabelError::UnknownLabel {
                            label: part.to_owned(),
                            cell: cell.to_owned(),
                            separator: separator.clone(),
                            labels: self.labels.clone(),
                        };
                        return Err(
                            Error::new(kind).at(columns.place(example, Some(&columns.names()[*place])))
                        );
                    };
                    truth[label] = true;
                }
                Ok(Some(truth))
            }
            Where::Columns(places) => {
                let of_column = |place: &usize| match example.fields[*place].trim() {
                    "1" | "true" | "True" | "TRUE" => Ok(true),
                    "0" | "false" | "False" | "FALSE" => Ok(false),
                    other => {
                        let kind = MultiLabelError::NotBinary { found: other.to_owned() };
                        Err(Error::new(kind).at(columns.place(example, Some(&columns.names()[*place]))))
                    }
                };
                places.iter().map(of_column).collect::<Result<_>>().map(Some)
            }
        }
    }

    /// Refuses rows that have no labels, where some are needed.
    pub fn check_there(&self, columns: &Columns) -> Result<()> {
        match self.are_there() {
            true => Ok(()),
            false => {
                let (data, columns) = (columns.data().to_owned(), columns.names().to_vec());
                Err(MultiLabelError::WithoutLabels { data, columns }.into())
            }
        }
    }
}

/// Refuses a separator that no cell could be read with, and, without one, labels that have what stands
/// between labels in the output.
pub fn check_separator(separator: Option<&str>, labels: &[String]) -> Result<()> {
    let separator = separator.unwrap_or(BETWEEN);
    if separator.is_empty() {
        return Err(MultiLabelError::EmptySeparator.into());
    }
    match labels.iter().find(|label| label.contains(separator)) {
        Some(label) => {
            let (separator, label) = (separator.to_owned(), label.clone());
            Err(MultiLabelError::SeparatorInLabel { separator, label }.into())
        }
        None => Ok(()),
    }
}

/// What stands between several of these labels in a cell where one is expected; none where it is not that.
///
/// ```
/// use cloze::text::label_sets::looks_like_several;
/// let labels = ["bill".to_owned(), "card".to_owned()];
/// assert_eq!(looks_like_several("bill; card", &labels), Some(";"));
/// assert_eq!(looks_like_several("bill; cart", &labels), None);
/// ```
pub fn looks_like_several(cell: &str, labels: &[String]) -> Option<&'static str> {
    let fits = |separator: &&&str| {
        let found: Vec<&str> = parts(cell, separator).collect();
        found.len() > 1 && found.iter().all(|part| known(labels, part, &Adjust::default()).is_some())
    };
    SEPARATORS.iter().find(fits).copied()
}

fn parts<'a>(cell: &'a str, separator: &'a str) -> impl Iterator<Item = &'a str> {
    cell.split(separator).map(str::trim).filter(|part| !part.is_empty())
}

/// The label that is meant: as it stands there or is mapped, or the only one that differs in case alone.
fn known(labels: &[String], part: &str, adjust: &Adjust) -> Option<usize> {
    let meant = adjust.labels.get(part).map_or(part, String::as_str);
    labels.iter().position(|label| label == meant).or_else(|| {
        let mut near =
            labels.iter().enumerate().filter(|(_, label)| label.to_lowercase() == meant.to_lowercase());
        near.next().filter(|_| near.next().is_none()).map(|(index, _)| index)
    })
}

fn guessed(labels: &[String], place: usize, rows: &mut Rows, adjust: &Adjust) -> &'static str {
    let cells: Vec<String> =
        rows.look_ahead(LOOKED_AT).map(|row| row.fields[place].trim().to_owned()).collect();
    let is_known = |cell: &String, separator: &str| {
        adjust.unlabelled.contains(cell)
            || parts(cell, separator).all(|part| known(labels, part, adjust).is_some())
    };
    let fits = |separator: &&&str| {
        !labels.iter().any(|label| label.contains(**separator))
            && cells.iter().all(|cell| is_known(cell, separator))
    };
    SEPARATORS.iter().find(fits).copied().unwrap_or(BETWEEN)
}

/// All rows of a file whose labels are known.
pub struct LabelledRows {
    /// Their columns.
    pub columns: Arc<Columns>,
    /// The rows.
    pub examples: Vec<Example>,
    /// For each row and label whether it has it, `[N,L]`.
    pub truths: Vec<Vec<bool>>,
    /// Where their labels stand.
    pub sets: LabelSets,
}

impl LabelledRows {
    /// The rows of a file that are labelled. All problems at once.
    pub fn read(
        path: &Path,
        reading: &Reading,
        labels: &[String],
        separator: Option<&str>,
    ) -> Result<LabelledRows, Errors> {
        let (sets, mut rows) = LabelSets::find(labels, reading.open(path)?, separator, &reading.adjust)?;
        let columns = rows.columns().clone();
        sets.check_there(&columns)?;
        let (mut errors, mut examples, mut truths) = (Errors::new(), Vec::new(), Vec::new());
        while let Some(row) = rows.next() {
            // Behind a row that cannot be read nothing is known; what was found before it is told too.
            let Some(row) = errors.keep(row) else { break };
            match sets.truth(&columns, &row) {
                Ok(Some(truth)) => {
                    truths.push(truth);
                    examples.push(row);
                }
                Ok(None) => {}
                Err(error) => drop(errors.keep(rows.leave_out(error, &row))),
            }
        }
        errors.none()?;
        Ok(LabelledRows { columns, examples, truths, sets })
    }
}
