//! Work that is not done twice: beside an output stands what it was made of, so that whoever is started again
//! knows.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::text::whole_file::WholeFile;

/// The version of this file format.
const VERSION: u64 = 1;

/// What an output is made of, and where that is written when it is done: `_NAME.done.json` beside it, which is
/// passed over where a folder of part files is read.
pub struct Done {
    path: PathBuf,
    outputs: Vec<PathBuf>,
    of: Of,
}

/// What it is made of.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Of {
    version: u64,
    cloze: String,
    /// A hash of what was asked.
    asked: String,
    /// A hash of the files that were read: where they are, their sizes, and when they were written.
    read: String,
}

#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    of: Of,
    /// The sizes of what was written.
    bytes: Vec<u64>,
}

impl Done {
    /// Outputs, the first of which gives the record its name; what was asked, as text that changes with it; and
    /// the files that are read.
    pub fn of(outputs: &[&Path], asked: &str, reads: &[PathBuf]) -> Result<Option<Done>> {
        let Some(first) = outputs.first() else { return Ok(None) };
        let name = first.file_name().unwrap_or_default().to_string_lossy();
        let mut files = Sha256::new();
        for file in reads {
            let reading = |error: std::io::Error| Error::reading(file, &error);
            let (place, data) = (file.canonicalize().map_err(reading)?, file.metadata().map_err(reading)?);
            let written = data.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let written = written.unwrap_or_default().as_nanos();
            files.update(format!("{}\n{}\n{written}\n", place.display(), data.len()));
        }
        let of = Of {
            version: VERSION,
            cloze: env!("CARGO_PKG_VERSION").to_owned(),
            asked: format!("{:x}", Sha256::digest(asked)),
            read: format!("{:x}", files.finalize()),
        };
        let path = first.with_file_name(format!("_{name}.done.json"));
        Ok(Some(Done { path, outputs: outputs.iter().map(|path| (*path).to_owned()).collect(), of }))
    }

    /// Whether all of it was written already, of the same.
    pub fn is_done(&self) -> bool {
        let record = fs::read(&self.path).ok().and_then(|text| serde_json::from_slice::<Record>(&text).ok());
        record
            .is_some_and(|record| record.of == self.of && self.bytes().is_some_and(|own| own == record.bytes))
    }

    /// Where it is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says that it is done.
    pub fn write(self) -> Result<()> {
        let Some(bytes) = self.bytes() else { return Ok(()) };
        WholeFile::create(&self.path)?.commit_json(&Record { of: self.of, bytes })
    }

    /// The outputs' sizes; none where one is no file.
    fn bytes(&self) -> Option<Vec<u64>> {
        let size = |path: &PathBuf| path.metadata().ok().filter(fs::Metadata::is_file).map(|data| data.len());
        self.outputs.iter().map(size).collect()
    }
}
