//! The part files of one set: those of a folder, or those that a pattern of names means.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::{Error, FileError, Result};

/// A file of a set, or some row groups of one.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) path: PathBuf,
    /// Which row groups; all where nothing is said.
    pub(super) groups: Option<Range<usize>>,
    /// So many rows of the set stand before the file, where that is known before reading.
    pub(super) rows_before: Option<u64>,
}

impl Piece {
    pub(super) fn whole(path: PathBuf) -> Piece {
        Piece { path, groups: None, rows_before: None }
    }

    /// Whether there is anything in it: engines write empty files where a part has no rows.
    pub(super) fn is_filled(&self) -> bool {
        self.path.metadata().map_or(true, |data| data.len() > 0)
    }
}

/// The files that a path means, in the order of their names; none of a path that is one file. Hidden ones,
/// and those that begin with `_`, are an engine's own.
pub(super) fn files(path: &Path) -> Result<Option<Vec<PathBuf>>> {
    let pattern = path.to_string_lossy();
    let is_pattern = pattern.contains(['*', '?', '[']) && !path.exists();
    let mut files: Vec<PathBuf> = if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(|error| Error::reading(path, &error))?;
        entries.flatten().map(|entry| entry.path()).collect()
    } else if is_pattern {
        glob::glob(&pattern).map(|paths| paths.flatten().collect()).unwrap_or_default()
    } else {
        return Ok(None);
    };
    let is_own = |name: &str| name.starts_with(['.', '_']);
    files.retain(|file| {
        file.is_file() && !file.file_name().is_none_or(|name| is_own(&name.to_string_lossy()))
    });
    files.sort();
    match files.is_empty() {
        true if is_pattern => Err(FileError::NothingMatches { pattern: pattern.into_owned() }.into()),
        true => Err(FileError::NoRowsIn { path: path.to_owned() }.into()),
        false => Ok(Some(files)),
    }
}
