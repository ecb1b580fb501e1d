//! The JSON files that names stand for: a file, all files of a folder, or a pattern of names.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::error::{Error, Errors, FileError, Result};
use crate::text::same_file::whereabouts;

/// The files that names stand for, each once, however it is written: a file itself, a folder all of its
/// `.json` files, a name with
/// `*`, `?` or `[` all files and folders of such a name. Those of one name come in the order of their own.
/// A name that stands for nothing is among the problems; whether a single file is there is seen when it is
/// read.
///
/// ```
/// use cloze::error::Errors;
/// use cloze::text::json_files::files;
/// let mut problems = Errors::new();
/// let of_folder = files(&["templates/sentiment"], &mut problems);
/// assert_eq!(of_folder, files(&["templates/sentiment/*.json"], &mut problems));
/// assert_eq!(of_folder, files(&["templates/sentiment", "templates/sentiment/just.json"], &mut problems));
/// assert_eq!(files(&["LICENSE-MIT", "./src/../LICENSE-MIT"], &mut problems).len(), 1);
/// assert!(problems.is_empty());
/// files(&["templates/nothing-*"], &mut problems);
/// assert_eq!(problems.len(), 1);
/// ```
pub fn files<P: AsRef<Path>>(names: &[P], problems: &mut Errors) -> Vec<PathBuf> {
    let (mut files, mut seen): (Vec<PathBuf>, HashSet<PathBuf>) = (Vec::new(), HashSet::new());
    for name in names {
        for file in problems.keep(files_of(name.as_ref())).unwrap_or_default() {
            // Whether it is there is seen later.
            if seen.insert(whereabouts(&file).unwrap_or_else(|_| file.clone())) {
                files.push(file);
            }
        }
    }
    files
}

fn files_of(name: &Path) -> Result<Vec<PathBuf>> {
    if name.is_dir() {
        return files_in(name);
    }
    // A name with such letters in it is that file, if it is there.
    let pattern = name.to_string_lossy();
    if name.exists() || !pattern.contains(['*', '?', '[']) {
        return Ok(vec![name.to_owned()]);
    }
    let mut files = Vec::new();
    for path in glob::glob(&pattern).map(|paths| paths.flatten()).into_iter().flatten() {
        if path.is_dir() {
            files.extend(files_in(&path)?);
        } else {
            files.push(path);
        }
    }
    match files.is_empty() {
        true => Err(FileError::NothingMatches { pattern: pattern.into_owned() }.into()),
        false => Ok(files),
    }
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::reading(folder, &error))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    match paths.is_empty() {
        true => Err(FileError::NoJsonIn { path: folder.to_owned() }.into()),
        false => Ok(paths),
    }
}
