//! Files of token ids: read piece by piece, so that memory does not grow with the file.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::{CorpusError, Error, Result};

/// A file of token ids, one behind the other.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    file: File,
    /// Where the ids begin, in bytes.
    start: u64,
    width: Width,
    count: usize,
}

/// How an id is written: little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Two,
    Four,
}

/// Ids that are read at once where all of them are.
const PIECE: usize = 1 << 16;

/// The head of an array of numbers has about a hundred bytes.
const LONGEST_HEAD: usize = 1 << 16;

impl TokenFile {
    /// An array that numpy saved: one axis of uint16 or uint32.
    pub fn npy(path: &Path) -> Result<TokenFile> {
        let mut file = open(path)?;
        let Npy { kind, shape } = Npy::read(&mut file, path)?;
        let (width, count) = match (kind.as_str(), &shape[..]) {
            ("<u2", [count]) => (Width::Two, *count),
            ("<u4", [count]) => (Width::Four, *count),
            _ => {
                let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
                let found = format!("numbers of the type {kind:?}, ({}) of them", shape.join(" × "));
                return Err(CorpusError::NotTokens { path: path.to_owned(), found }.into());
            }
        };
        let start = file.stream_position().map_err(|error| Error::reading(path, &error))?;
        TokenFile::of(path, file, start, width, count)
    }

    /// Ids of four bytes and nothing else.
    pub(super) fn plain(path: &Path) -> Result<TokenFile> {
        let file = open(path)?;
        let length = file.metadata().map_err(|error| Error::reading(path, &error))?.len();
        TokenFile::of(path, file, 0, Width::Four, usize::try_from(length / 4).unwrap_or(usize::MAX))
    }

    fn of(path: &Path, file: File, start: u64, width: Width, count: usize) -> Result<TokenFile> {
        let length = file.metadata().map_err(|error| Error::reading(path, &error))?.len();
        if (length - start.min(length)) / (width.bytes() as u64) < count as u64 {
            let reason = format!("it ends before its {count} numbers do");
            return Err(CorpusError::NotNpy { path: path.to_owned(), reason }.into());
        }
        Ok(TokenFile { path: path.to_owned(), file, start, width, count })
    }

    /// How many ids it has.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Some of its ids, put behind others.
    ///
    /// # Panics
    /// If there are no such ids.
    pub fn read(&self, places: Range<usize>, into: &mut Vec<i64>) -> Result<()> {
        assert!(places.end <= self.count, "ids up to {} of {}", places.end, self.count);
        let reading = |error: io::Error| Error::reading(&self.path, &error);
        let mut bytes = vec![0; places.len() * self.width.bytes()];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.start + (places.start * self.width.bytes()) as u64))
            .map_err(reading)?;
        file.read_exact(&mut bytes).map_err(reading)?;
        match self.width {
            Width::Two => into.extend(
                bytes.chunks_exact(2).map(|bytes| i64::from(u16::from_le_bytes([bytes[0], bytes[1]]))),
            ),
            Width::Four => into.extend(
                bytes
                    .chunks_exact(4)
                    .map(|bytes| i64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))),
            ),
        }
        Ok(())
    }

    /// Gives some of its ids piece by piece.
    pub fn each_piece(&self, places: Range<usize>, take: &mut dyn FnMut(&[i64])) -> Result<()> {
        let mut ids = Vec::with_capacity(PIECE);
        for start in places.clone().step_by(PIECE) {
            ids.clear();
            self.read(start..(start + PIECE).min(places.end), &mut ids)?;
            take(&ids);
        }
        Ok(())
    }

    /// Refuses ids that a vocabulary of a size has not.
    pub fn check(&self, vocabulary: usize) -> Result<()> {
        let (mut at, mut wrong) = (0, None);
        self.each_piece(0..self.count, &mut |ids| {
            let outside = |id: &i64| usize::try_from(*id).is_ok_and(|id| id >= vocabulary);
            wrong = wrong.or_else(|| ids.iter().position(outside).map(|place| (at + place, ids[place])));
            at += ids.len();
        })?;
        wrong.map_or(Ok(()), |(at, id)| {
            let path = self.path.clone();
            Err(CorpusError::OutsideVocabulary { path, at, id, last: vocabulary - 1 }.into())
        })
    }
}

impl Width {
    fn bytes(self) -> usize {
        match self {
            Width::Two => 2,
            Width::Four => 4,
        }
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| Error::reading(path, &error))
}

/// What the head of an array's file says. A crate that reads it brings a parser of Python's literals, with a
/// dozen crates of its own, for this one line.
struct Npy {
    kind: String,
    shape: Vec<usize>,
}

impl Npy {
    /// Reads the head (NumPy's format, versions 1 to 3): `\x93NUMPY`, the version, the length, and
    /// `{'descr': '<u2', 'fortran_order': False, 'shape': (9,), }`.
    fn read(file: &mut File, path: &Path) -> Result<Npy> {
        let wrong = |reason: &str| {
            Error::from(CorpusError::NotNpy { path: path.to_owned(), reason: reason.to_owned() })
        };
        let mut take = |count: usize| {
            let mut bytes = vec![0; count];
            file.read_exact(&mut bytes).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => wrong("it ends before its head does"),
                _ => Error::reading(path, &error),
            })?;
            Ok::<_, Error>(bytes)
        };
        if take(6)? != b"\x93NUMPY" {
            return Err(wrong("it does not begin as one"));
        }
        let length = match take(2)?[0] {
            1 => usize::from(u16::from_le_bytes(take(2)?.try_into().unwrap_or_default())),
            _ => u32::from_le_bytes(take(4)?.try_into().unwrap_or_default()) as usize,
        };
        if length > LONGEST_HEAD {
            return Err(wrong("its head is too long"));
        }
        let head = String::from_utf8(take(length)?).map_err(|_| wrong("its head is not text"))?;
        let value = |key: &str| head.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
        let kind =
            value("descr").and_then(|rest| Some(rest.strip_prefix('\'')?.split_once('\'')?.0.to_owned()));
        let shape = value("shape").and_then(|rest| {
            let axes = rest.strip_prefix('(')?.split_once(')')?.0.split(',').map(str::trim);
            axes.filter(|axis| !axis.is_empty()).map(|axis| axis.parse().ok()).collect()
        });
        match (kind, shape) {
            (Some(kind), Some(shape)) => Ok(Npy { kind, shape }),
            (None, Some(_)) => Err(wrong("it holds records")),
            _ => Err(wrong("its head does not tell a shape")),
        }
    }
}
