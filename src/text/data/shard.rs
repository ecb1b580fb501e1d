//! A share of the rows for one of several machines: no row is in two of them, and together they are all.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::parquet_file;
use super::part_files::{Piece, files};
use super::reading::{Input, Reading};
use super::{Format, Rows};
use crate::error::{DataError, Error, Result};

/// One of several shares of the rows.
///
/// ```
/// use cloze::text::data::Shard;
/// let shard: Shard = "2/8".parse()?;
/// assert_eq!((shard.number(), shard.of()), (2, 8));
/// assert!(["0/8", "9/8", "8", "x/8", "1/0"].iter().all(|written| written.parse::<Shard>().is_err()));
/// # Ok::<(), cloze::error::DataError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    number: u64,
    of: u64,
}

/// What is dealt out to the shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// Row groups of Parquet, neighbours together.
    RowGroups,
    /// Part files, neighbours together.
    Files,
    /// Rows in turn.
    Rows,
}

/// A share of the rows of some data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Which.
    pub shard: Shard,
    /// What was dealt out.
    pub cut: Cut,
    /// A hash of the names and sizes of all files: the same for all shards, wherever the files lie.
    pub data: String,
}

impl Cut {
    /// What they are called.
    pub fn name(self) -> &'static str {
        match self {
            Cut::RowGroups => "row groups",
            Cut::Files => "part files",
            Cut::Rows => "rows",
        }
    }
}

impl Shard {
    /// Which it is, from 1.
    pub fn number(self) -> u64 {
        self.number
    }

    /// How many there are.
    pub fn of(self) -> u64 {
        self.of
    }

    /// Its part of so many things that are dealt out by neighbours.
    fn part_of(self, things: usize) -> Range<usize> {
        let edge = |number: u64| (u128::from(number) * things as u128 / u128::from(self.of)) as usize;
        edge(self.number - 1)..edge(self.number)
    }

    /// Whether a record is its own where rows are dealt out in turn.
    pub(super) fn has(self, record: u64) -> bool {
        record % self.of == self.number % self.of
    }
}

impl FromStr for Shard {
    type Err = DataError;

    fn from_str(written: &str) -> Result<Shard, DataError> {
        let numbers = written.split_once('/').and_then(|(number, of)| {
            Some(Shard { number: number.trim().parse().ok()?, of: of.trim().parse().ok()? })
        });
        numbers
            .filter(|shard| (1..=shard.of).contains(&shard.number))
            .ok_or_else(|| DataError::NoShard { written: written.to_owned() })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl Reading {
    /// Opens a shard of a file, or of the files of a set (see [`Reading::open`]). It has neighbouring row
    /// groups, where all is Parquet and has one for each shard at least; else neighbouring files, where there
    /// are as many; else each N-th row. Rows have the numbers that they have in the whole, but in whole files
    /// of other formats: there they are counted from the shard's first.
    ///
    /// # Errors
    /// Those of [`Reading::open`], and standard input, which comes once.
    pub fn open_shard(&self, path: &Path, shard: Shard) -> Result<Rows> {
        let name = Input::of(path).name();
        let Input::File(path) = Input::of(path) else {
            return Err(DataError::ShardOfStream { data: name }.into());
        };
        let set: Vec<PathBuf> = files(&path)?.unwrap_or_else(|| vec![path.clone()]);
        if path.exists() && !path.is_file() && !path.is_dir() {
            return Err(DataError::ShardOfStream { data: name }.into());
        }
        let data = hash_of(&set);
        let mut pieces: Vec<Piece> = set.iter().cloned().map(Piece::whole).filter(Piece::is_filled).collect();
        let cut = match self.row_groups(&pieces)? {
            Some(groups) if groups.iter().map(Vec::len).sum::<usize>() as u64 >= shard.of => {
                pieces = by_groups(pieces, &groups, shard);
                Cut::RowGroups
            }
            _ if pieces.len() as u64 >= shard.of => {
                pieces = pieces[shard.part_of(pieces.len())].to_vec();
                Cut::Files
            }
            _ => Cut::Rows,
        };
        let rows = match (&pieces[..], cut) {
            // A file by itself is no set: messages name it alone.
            ([_], Cut::Rows) if set.len() == 1 => self.open_file(&set[0])?,
            _ => Rows::of_pieces(pieces, &name, self)?,
        };
        Ok(Rows { share: Some(Share { shard, cut, data }), ..rows })
    }

    /// How many rows each row group of each file has, where all files are Parquet.
    fn row_groups(&self, pieces: &[Piece]) -> Result<Option<Vec<Vec<u64>>>> {
        let is_parquet = |piece: &Piece| self.format.or(Format::of(&piece.path)) == Some(Format::Parquet);
        if pieces.is_empty() || !pieces.iter().all(is_parquet) {
            return Ok(None);
        }
        let groups = |piece: &Piece| {
            let file = File::open(&piece.path).map_err(|error| Error::reading(&piece.path, &error))?;
            let name = piece.path.display().to_string();
            Ok(parquet_file::Source::open(file, &name, Arc::default())?.groups())
        };
        pieces.iter().map(groups).collect::<Result<_>>().map(Some)
    }
}

/// A hash of the names and sizes of files.
fn hash_of(files: &[PathBuf]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        hash.update(format!("{name}\n{}\n", file.metadata().map_or(0, |data| data.len())));
    }
    format!("{:x}", hash.finalize())
}

/// A shard's row groups, file by file.
fn by_groups(pieces: Vec<Piece>, groups: &[Vec<u64>], shard: Shard) -> Vec<Piece> {
    let own = shard.part_of(groups.iter().map(Vec::len).sum());
    let (mut groups_before, mut rows_before) = (0, 0);
    let mut found = Vec::new();
    for (piece, rows) in pieces.into_iter().zip(groups) {
        let here = |group: usize| group.saturating_sub(groups_before).min(rows.len());
        let part = here(own.start)..here(own.end);
        if !part.is_empty() {
            found.push(Piece { groups: Some(part), rows_before: Some(rows_before), ..piece });
        }
        groups_before += rows.len();
        rows_before += rows.iter().sum::<u64>();
    }
    found
}
