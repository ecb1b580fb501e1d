//! What a command writes is nothing that it reads.

use std::path::{Path, PathBuf};

use cloze::error::{Errors, FileError, Result};
use cloze::model::folder::ModelFolder;
use cloze::text::json_files;
use cloze::text::same_file::{same_file, whereabouts};

use super::args::{Asked, Trained};

/// What a command reads.
#[derive(Default)]
pub struct Reads {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Reads {
    /// These files, and those of folders and patterns of names; standard input is none.
    pub fn files<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Reads {
        let paths = paths.into_iter().map(|path| path.as_ref().to_owned());
        // What a name stands for; one that stands for nothing is refused where it is read.
        let of_name = |name: PathBuf| json_files::files(&[&name], &mut Errors::new());
        let files = paths.filter(|path| path != Path::new("-")).flat_map(of_name).collect();
        Reads { files, folders: Vec::new() }
    }

    /// These files, and what is asked of them: patterns and label words, a run or an adapter.
    pub fn asked<P: AsRef<Path>>(asked: &Asked, paths: impl IntoIterator<Item = P>) -> Reads {
        let paths = paths.into_iter().map(|path| path.as_ref().to_owned());
        let named = asked.template.iter().chain(&asked.verbalizer).cloned();
        let Trained { run, peft, .. } = &asked.trained;
        Reads::files(named.chain(paths)).folder(run.as_deref()).folder(peft.as_deref())
    }

    /// And a model.
    #[must_use]
    pub fn model(mut self, folder: &Path) -> Reads {
        self.files.extend(ModelFolder::files(folder));
        self
    }

    /// And all that lies in a folder, or will: a run's or an adapter's is what its files are.
    #[must_use]
    pub fn folder(mut self, folder: Option<&Path>) -> Reads {
        self.folders.extend(folder.and_then(|folder| whereabouts(folder).ok()));
        self
    }

    /// All of them that are there, those in folders too.
    pub fn all(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = self.files.iter().filter(|file| file.is_file()).cloned().collect();
        let mut folders = self.folders.clone();
        while let Some(folder) = folders.pop() {
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            for path in entries.map(|entry| entry.path()) {
                if path.is_dir() { folders.push(path) } else { all.push(path) }
            }
        }
        all.sort();
        all
    }

    fn has(&self, path: &Path) -> bool {
        self.files.iter().any(|file| same_file(file, path))
            || whereabouts(path).is_ok_and(|path| self.folders.iter().any(|folder| path.starts_with(folder)))
    }
}

/// Refuses to write over what is read, and to write two things to one file, or one into the folder of
/// another. Each output comes with its name in messages.
pub fn check(outputs: &[(&str, Option<&Path>)], reads: &Reads) -> Result<()> {
    // Devices take whatever comes: all may go to /dev/null.
    let files: Vec<(&str, &Path)> = outputs
        .iter()
        .filter_map(|(what, path)| {
            path.filter(|path| path.is_file() || path.is_dir() || !path.exists()).map(|path| (*what, path))
        })
        .collect();
    if let Some((_, path)) = files.iter().find(|(_, path)| !path.is_dir() && reads.has(path)) {
        return Err(FileError::OutputIsInput { path: (*path).to_owned() }.into());
    }
    let twice = files.iter().enumerate().find_map(|(index, first)| {
        Some((first, files[index + 1..].iter().find(|other| meet(first.1, other.1))?))
    });
    match twice {
        Some(((one, path), (other, _))) => {
            Err(FileError::OutputTwice { path: (*path).to_owned(), what: format!("{one} and {other}") }
                .into())
        }
        None => Ok(()),
    }
}

/// Whether two are one, or one of them lies in the other.
fn meet(one: &Path, other: &Path) -> bool {
    let within = match (whereabouts(one), whereabouts(other)) {
        (Ok(one), Ok(other)) => one.starts_with(&other) || other.starts_with(&one),
        _ => false,
    };
    within || same_file(one, other)
}
