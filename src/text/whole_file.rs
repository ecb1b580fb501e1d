//! Files that are written whole or not at all, and new folders for them.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tempfile::{NamedTempFile, TempDir};

use crate::error::{Error, FileError, Result};
use crate::text::packing::{Packer, Packing};
use crate::text::same_file::followed;

/// A file under a temporary name in its folder, which gets its own name when all is written and synced.
///
/// What is no regular file (a device, a named pipe) is written directly; a link is followed, whether there is
/// a file yet where it points or not. Until then the file is called `.NAME.partial-…`. Only a run that is killed
/// without being asked (`kill -9`) leaves such a file behind; the next that writes a file of this name in the
/// folder removes it.
pub struct WholeFile {
    /// As it was named: messages call it so.
    path: PathBuf,
    file: Destination,
    packer: Option<Packer>,
}

enum Destination {
    /// The file, where it goes, and its place among what is unfinished.
    Temporary(NamedTempFile, PathBuf, Listed),
    Direct(File),
    Stdout(io::Stdout),
}

/// The temporary files and folders of this process, each with the name that it was asked for by.
static UNFINISHED: Mutex<Vec<(PathBuf, PathBuf)>> = Mutex::new(Vec::new());

fn unfinished() -> MutexGuard<'static, Vec<(PathBuf, PathBuf)>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is empty and younger may belong to a process that is about to lock it.
const BEFORE_LOCKED: Duration = Duration::from_secs(1);

/// Removes what processes that were killed have left under temporary names: whoever is alive holds a lock on
/// what it writes. Where a file system knows no locks, nothing is removed.
fn sweep(folder: &Path, prefix: &str) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)) {
        let path = entry.path();
        let (Ok(metadata), Ok(file)) = (entry.metadata(), File::open(&path)) else { continue };
        let is_empty = match metadata.is_dir() {
            true => std::fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_none()),
            false => metadata.len() == 0,
        };
        let age = metadata.modified().ok().and_then(|written| written.elapsed().ok()).unwrap_or_default();
        if metadata.is_symlink() || (is_empty && age < BEFORE_LOCKED) || file.try_lock().is_err() {
            continue;
        }
        // Another process may be removing it.
        let _ = match metadata.is_dir() {
            true => std::fs::remove_dir_all(&path),
            false => std::fs::remove_file(&path),
        };
    }
}

/// The place of a temporary file or folder in [`UNFINISHED`], which it leaves when it is dropped.
struct Listed(PathBuf);

impl Listed {
    /// Lists what `make` makes under a temporary name; whoever gives up sees it there, or it is not made.
    fn new<T>(
        path: &Path,
        make: impl FnOnce() -> io::Result<T>,
        temporary: fn(&T) -> &Path,
    ) -> Result<(T, Listed)> {
        let mut unfinished = unfinished();
        let made = make().map_err(|error| Error::writing(path, &error))?;
        let listed = Listed(temporary(&made).to_owned());
        unfinished.push((listed.0.clone(), path.to_owned()));
        Ok((made, listed))
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        unfinished().retain(|(temporary, _)| *temporary != self.0);
    }
}

/// Removes the temporary files of all that is being written, for a program that ends at once, as by Ctrl-C.
/// Gives the names that they would have got. Whoever begins or finishes a file from then on waits for the
/// end.
pub fn give_up() -> Vec<PathBuf> {
    let mut unfinished = unfinished();
    let remove = |path: &Path| match path.is_dir() {
        true => std::fs::remove_dir_all(path),
        false => std::fs::remove_file(path),
    };
    // One that cannot be removed has just got its own name, or went with its folder, which was listed before
    // it.
    let removed = unfinished.drain(..).filter(|(temporary, _)| remove(temporary).is_ok());
    let names = removed.map(|(_, name)| name).collect();
    std::mem::forget(unfinished);
    names
}

/// So many letters of a file's name stand in its temporary name: names have a longest length.
const NAME_IN_TEMPORARY: usize = 40;

impl WholeFile {
    /// Standard output, which is written as it comes.
    pub fn stdout() -> WholeFile {
        WholeFile {
            path: PathBuf::from("standard output"),
            file: Destination::Stdout(io::stdout()),
            packer: None,
        }
    }

    /// Opens a file for writing; an existing one stays as it is until [`WholeFile::commit`].
    pub fn create(path: &Path) -> Result<WholeFile> {
        let wrap = |error: &io::Error| Error::writing(path, error);
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(FileError::FolderForFile { path: path.to_owned() }.into());
            }
            Ok(metadata) if !metadata.is_file() => {
                let file = File::options().write(true).open(path).map_err(|error| wrap(&error))?;
                return Ok(WholeFile {
                    path: path.to_owned(),
                    file: Destination::Direct(file),
                    packer: None,
                });
            }
            // Links in a circle, or a folder that may not be looked into.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrap(&error)),
            _ => {}
        }
        // A link's target is written, not the link.
        let target = followed(path);
        let folder =
            target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name: String = target
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .chars()
            .take(NAME_IN_TEMPORARY)
            .collect();
        let prefix = format!(".{name}{PARTIAL}");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix);
        // The umask takes its part, as for any new file.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        // A name that was cut may be another file's too.
        if target.file_name() == Some(name.as_ref()) {
            sweep(folder, &prefix);
        }
        let (file, listed) = Listed::new(path, || builder.tempfile_in(folder), NamedTempFile::path)?;
        // Held until the file is closed. Where there are no locks, nobody asks for one.
        let _ = file.as_file().try_lock();
        if let Ok(existing) = std::fs::metadata(&target) {
            file.as_file().set_permissions(existing.permissions()).map_err(|error| wrap(&error))?;
        }
        Ok(WholeFile {
            path: path.to_owned(),
            file: Destination::Temporary(file, target, listed),
            packer: None,
        })
    }

    /// Packs what is written.
    pub fn packed(self, packing: Packing) -> Result<WholeFile> {
        let packer = Packer::new(packing).map_err(|error| Error::writing(&self.path, &error))?;
        Ok(WholeFile { packer: Some(packer), ..self })
    }

    /// Writes a value as JSON that people can read, and gives the file its name.
    pub fn commit_json(mut self, value: &impl Serialize) -> Result<()> {
        // As one text: serde_json would write each comma by itself.
        let text = serde_json::to_string_pretty(value).map_err(io::Error::from);
        let written = text.and_then(|text| writeln!(self, "{text}"));
        written.map_err(|error| Error::writing(&self.path, &error))?;
        self.commit()
    }

    /// Writes a text, and gives the file its name.
    pub fn commit_text(mut self, text: &str) -> Result<()> {
        self.write_all(text.as_bytes()).map_err(|error| Error::writing(&self.path, &error))?;
        self.commit()
    }

    /// The name that the file has until it is whole: for those who write by name.
    pub fn temporary(&self) -> &Path {
        match &self.file {
            Destination::Temporary(file, ..) => file.path(),
            Destination::Direct(_) | Destination::Stdout(_) => &self.path,
        }
    }

    /// Syncs the file and gives it its name.
    pub fn commit(self) -> Result<()> {
        let WholeFile { path, mut file, packer } = self;
        if let Some(packer) = packer {
            packer.finish(&mut file).map_err(|error| Error::writing(&path, &error))?;
        }
        match file {
            Destination::Direct(mut file) => file.flush().map_err(|error| Error::writing(&path, &error)),
            Destination::Stdout(mut stdout) => stdout.flush().map_err(|error| Error::writing(&path, &error)),
            Destination::Temporary(file, target, _listed) => {
                file.as_file().sync_all().map_err(|error| Error::writing(&path, &error))?;
                let _unfinished = unfinished();
                file.persist(&target).map(drop).map_err(|error| Error::writing(&path, &error.error))
            }
        }
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.packer {
            Some(packer) => packer.write(bytes, &mut self.file).map(|()| bytes.len()),
            None => self.file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Destination::Temporary(file, ..) => file.write(bytes),
            Destination::Direct(file) => file.write(bytes),
            Destination::Stdout(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Destination::Temporary(file, ..) => file.flush(),
            Destination::Direct(file) => file.flush(),
            Destination::Stdout(stdout) => stdout.flush(),
        }
    }
}

/// What the names of unfinished files and folders have in them.
const PARTIAL: &str = ".partial-";

/// Whether it is a file or folder that is not finished, by its name.
pub(crate) fn is_partial(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains(PARTIAL))
}

/// Makes the folder that a file is to be in, if it is not there.
pub fn make_folder_of(file: &Path) -> Result<()> {
    let folder = file.parent().unwrap_or(file);
    std::fs::create_dir_all(folder).map_err(|error| Error::writing(folder, &error))
}

/// Makes a folder with all that `fill` writes into it, or none. Until it is full it has a temporary name
/// beside its own; or in it, where it is there already: that may be a mounted folder, or one that only some
/// may read. One that holds anything is refused.
pub fn whole_folder(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    free_folder(path)?;
    let writing = |error: io::Error| Error::writing(path, &error);
    // A link's target is made, not the link.
    let target = followed(path);
    let is_there = target.is_dir();
    let parent = match target.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        _ if is_there => &target,
        Some(parent) => parent,
        None => Path::new("."),
    };
    std::fs::create_dir_all(parent).map_err(writing)?;
    let prefix = format!(".{}{PARTIAL}", target.file_name().unwrap_or_default().to_string_lossy());
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    sweep(parent, &prefix);
    let (folder, _listed) = Listed::new(path, || builder.tempdir_in(parent), TempDir::path)?;
    // Held until the folder has its name. Where folders cannot be locked, nobody asks for one.
    let _lock = File::open(folder.path()).map(|lock| lock.try_lock().map(|()| lock));
    fill(folder.path()).map_err(|error| error.of_folder(folder.path(), path))?;
    let _unfinished = unfinished();
    match is_there {
        true => move_up(folder.path(), &target),
        false => std::fs::rename(folder.path(), &target),
    }
    .map_err(writing)
}

/// Moves all that a folder holds into the one that it is in, or nothing; the file that says what the others
/// are comes last.
fn move_up(folder: &Path, into: &Path) -> io::Result<()> {
    let entries = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
    let mut names = entries.collect::<io::Result<Vec<_>>>()?;
    names.sort_by_key(|name| (name.to_string_lossy().ends_with("config.json"), name.clone()));
    for (moved, name) in names.iter().enumerate() {
        if let Err(error) = std::fs::rename(folder.join(name), into.join(name)) {
            for name in &names[..moved] {
                // Back to where all goes; what cannot be moved stays, and is told of when it is in the way.
                let _ = std::fs::rename(into.join(name), folder.join(name));
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Refuses a path that is a file, or a folder that holds anything. Makes nothing.
pub fn free_folder(path: &Path) -> Result<()> {
    if path.exists() && !path.is_dir() {
        return Err(FileError::ForFolder { path: path.to_owned() }.into());
    }
    // What a kill left of an earlier try is nothing.
    let counts = |entry: &std::fs::DirEntry| !is_partial(&entry.path());
    match std::fs::read_dir(path).ok().and_then(|entries| entries.flatten().find(counts)) {
        None => Ok(()),
        Some(_) => Err(FileError::FolderTaken { path: path.to_owned() }.into()),
    }
}

/// Writes a text, whole or not at all.
pub fn write_text(path: &Path, text: &str) -> Result<()> {
    WholeFile::create(path)?.commit_text(text)
}

/// Writes a table as CSV, whole or not at all.
pub fn write_table(path: &Path, header: &[String], records: &[Vec<String>]) -> Result<()> {
    let mut table = csv::Writer::from_writer(WholeFile::create(path)?);
    let written = std::iter::once(header)
        .chain(records.iter().map(Vec::as_slice))
        .try_for_each(|record| table.write_record(record));
    written.map_err(|error| Error::writing(path, &io::Error::other(error)))?;
    table.into_inner().map_err(|error| Error::writing(path, error.error()))?.commit()
}
