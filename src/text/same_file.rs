//! Whether two paths are one file.

use std::io;
use std::path::{Path, PathBuf};

/// Whether two paths are one file, however they are written: by links of either kind, or when it is made.
pub fn same_file(one: &Path, other: &Path) -> bool {
    whereabouts(one).is_ok_and(|one| whereabouts(other).is_ok_and(|other| one == other))
        || is_hard_link(one, other)
}

/// One name for a file, whether it exists or will.
pub fn whereabouts(path: &Path) -> io::Result<PathBuf> {
    let path = followed(path);
    path.canonicalize().or_else(|_| {
        Ok(std::path::absolute(&path)?
            .parent()
            .unwrap_or(&path)
            .canonicalize()?
            .join(path.file_name().unwrap_or_default()))
    })
}

/// What tells a file from another that has taken its name: its length, when it was written, and its number on
/// the disk where there is one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Version {
    length: u64,
    written: Option<std::time::SystemTime>,
    #[cfg(unix)]
    number: (u64, u64),
}

impl Version {
    pub(crate) fn of(file: &std::fs::Metadata) -> Version {
        Version {
            length: file.len(),
            written: file.modified().ok(),
            #[cfg(unix)]
            number: {
                use std::os::unix::fs::MetadataExt as _;
                (file.dev(), file.ino())
            },
        }
    }
}

/// So many links are followed, as Linux does: more are a circle.
const MOST_LINKS: usize = 40;

/// What a path means in the end, whether that exists or not: a link means what it points to.
pub(super) fn followed(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(target) = std::fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
}

#[cfg(unix)]
fn is_hard_link(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let place = |path: &Path| path.metadata().map(|found| (found.dev(), found.ino())).ok();
    place(one).is_some_and(|one| place(other) == Some(one))
}

/// Elsewhere the standard library does not tell.
#[cfg(not(unix))]
fn is_hard_link(_: &Path, _: &Path) -> bool {
    false
}
