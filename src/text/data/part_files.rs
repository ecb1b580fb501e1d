//! The part files of one set: those of a folder, or those that a pattern of names means.

use std::path::{Path, PathBuf};

use crate::error::{Error, FileError, Result};

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
