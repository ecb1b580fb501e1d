//! How files of rows are read: their format, and what is taken otherwise than it stands there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::part_files::{Piece, files};
use super::skipped::BadRows;
use super::{Columns, Rows};
use crate::error::{DataError, Error, Kind, Result};
use crate::text::commas::{between, split};
use crate::text::format::Format;

/// How a file of rows is read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The format, where its name does not tell.
    pub format: Option<Format>,
    /// The column of labels, if not `label`.
    pub label_column: Option<String>,
    /// What is taken otherwise than it stands in the file.
    pub adjust: Adjust,
    /// What becomes of rows that cannot be used.
    pub bad_rows: BadRows,
    /// What stands between the entries of a list of texts in JSON, made one text; none where lists are
    /// refused.
    pub lists: Option<String>,
    /// Whether rows keep their values with their types, where the format has some.
    pub keep_types: bool,
}

/// What is taken otherwise than it stands in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Adjust {
    /// Names that patterns use, each with the column that it stands for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
    /// Labels of the file, each with the class that it stands for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What stands where a row has no label.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unlabelled: Vec<String>,
    /// Whether no row has a label, whatever the columns are called.
    #[serde(skip_serializing_if = "is_false")]
    pub no_labels: bool,
    /// Whether rows that cannot be used are left out.
    #[serde(skip_serializing_if = "is_false")]
    pub skip_bad_rows: bool,
    /// The sheet of a workbook, where it has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// How the text is laid out, as far as it is said.
    #[serde(skip_serializing_if = "Layout::is_nothing")]
    pub layout: Layout,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks so.
fn is_false(yes: &bool) -> bool {
    !yes
}

impl Reading {
    /// Of a format and a label column, all else as it stands in the file.
    pub fn of(format: Option<Format>, label_column: Option<String>, adjust: Adjust) -> Reading {
        let bad_rows = if adjust.skip_bad_rows { BadRows::skipped() } else { BadRows::default() };
        Reading { format, label_column, adjust, bad_rows, lists: None, keep_types: false }
    }

    /// Opens one file, and reads its header.
    pub(super) fn open_file(&self, path: &Path) -> Result<Rows> {
        let file = File::open(path).map_err(|error| Error::reading(path, &error))?;
        Rows::of_file(file, &path.display().to_string(), Format::of(path), self)
    }

    /// Opens a file of a set, or some row groups of it.
    pub(super) fn open_piece(&self, piece: &Piece) -> Result<Rows> {
        let mut rows = self.open_file(&piece.path)?;
        if let Some(groups) = &piece.groups {
            rows.only_groups(groups.clone());
        }
        Ok(rows)
    }

    /// Opens a file, or standard input for `-`, and reads its header. A folder means its files, and a name
    /// with `*`, `?` or `[` those of such a name: one behind the other, as one set.
    pub fn open(&self, path: &Path) -> Result<Rows> {
        match Input::of(path) {
            Input::File(path) => match files(&path)? {
                Some(files) => {
                    let pieces = files.into_iter().map(Piece::whole).collect();
                    Rows::of_pieces(pieces, &path.display().to_string(), self)
                }
                None => {
                    let rows = self.open_file(&path)?;
                    let is_regular = path.metadata().is_ok_and(|data| data.is_file());
                    Ok(if is_regular { rows } else { rows.in_background() })
                }
            },
            Input::Stdin => {
                let name = Input::Stdin.name();
                Ok(Rows::of(Box::new(io::stdin()), &name, Some(Format::Csv), self)?.in_background())
            }
        }
    }

    /// The format of data of this name, which may tell one.
    pub(super) fn format(&self, name: &str, told: Option<Format>) -> Result<Format> {
        let unknown = || Kind::Data(DataError::FormatUnknown { data: name.to_owned() }).into();
        self.format.or(told).ok_or_else(unknown)
    }
}

impl Adjust {
    /// Whether all is taken as it stands.
    pub fn is_nothing(&self) -> bool {
        *self == Adjust::default()
    }

    /// The columns of a file under the names by which they are known.
    pub(super) fn columns(&self, mut columns: Columns) -> Result<Columns> {
        let in_file = columns.names.clone();
        for (name, column) in &self.columns {
            let other = self.columns.iter().find(|(other, same)| *other < name && *same == column);
            if let Some((other, _)) = other {
                let (names, column) = ([other.clone(), name.clone()], column.clone());
                return Err(DataError::NamesOfOneColumn { names, column }.into());
            }
            let place = |wanted: &String| in_file.iter().position(|found| found == wanted);
            match (place(column), place(name)) {
                (Some(place), None) => columns.names[place].clone_from(name),
                (Some(found), Some(taken)) if found != taken => {
                    let (name, column, data) = (name.clone(), column.clone(), columns.data);
                    return Err(DataError::NameTaken { name, column, data }.into());
                }
                // Of several files that are read alike, some may have the name itself.
                (None, _) => columns.unmapped.push((name.clone(), column.clone())),
                _ => {}
            }
        }
        if columns.names != in_file {
            columns.in_file = Some(in_file);
        }
        Ok(columns)
    }

    /// What `LABEL=CLASS,…` says: labels of the file, each with its class. Quotes stand round what has a
    /// comma itself.
    ///
    /// ```
    /// use cloze::text::data::Adjust;
    /// let labels = Adjust::labels_of(r#"0=negative, "so, so"=positive"#)?;
    /// assert_eq!((labels["0"].as_str(), labels["so, so"].as_str()), ("negative", "positive"));
    /// assert!(Adjust::labels_of("0:negative").is_err());
    /// # Ok::<(), cloze::Error>(())
    /// ```
    pub fn labels_of(written: &str) -> Result<BTreeMap<String, String>> {
        let mut labels = BTreeMap::new();
        let unclear = || Error::from(DataError::LabelMapUnclear { written: written.to_owned() });
        for part in split(written, ',').ok_or_else(unclear)? {
            let unclear = || Error::from(DataError::LabelMapUnclear { written: part.to_owned() });
            let Some([label, class]) = between(part, '=').and_then(|pair| <[String; 2]>::try_from(pair).ok())
            else {
                return Err(unclear());
            };
            if label.is_empty() || class.is_empty() {
                return Err(unclear());
            }
            if labels.insert(label.clone(), class).is_some() {
                return Err(DataError::LabelMappedTwice { label }.into());
            }
        }
        Ok(labels)
    }

    /// A label as it is meant; none where it means that there is none.
    pub(super) fn label(&self, label: Option<String>) -> Option<String> {
        let label = label.filter(|label| !self.unlabelled.iter().any(|none| none == label.trim()))?;
        Some(self.labels.get(label.trim()).cloned().unwrap_or(label))
    }
}

/// Where rows come from.
#[derive(Debug, Clone)]
pub enum Input {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

impl Input {
    /// What a path means: `-` is standard input.
    pub fn of(path: &Path) -> Input {
        if path == Path::new("-") { Input::Stdin } else { Input::File(path.to_owned()) }
    }

    /// The input's name in messages.
    pub fn name(&self) -> String {
        match self {
            Input::File(path) => path.display().to_string(),
            Input::Stdin => "standard input".to_owned(),
        }
    }

    /// The size in bytes, where it is known before reading.
    pub fn size(&self) -> Option<u64> {
        match self {
            Input::File(path) => {
                std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len())
            }
            Input::Stdin => None,
        }
    }
}
