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
