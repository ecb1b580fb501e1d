//! The page that a command writes beside its other results.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use cloze::text::whole_file::WholeFile;

/// Where the page goes.
#[derive(Debug, clap::Args)]
pub struct PageArgs {
    /// Where to write the results with pictures, as a page in one file that needs no network
    #[arg(long, value_name = "FILE.html")]
    pub page: Option<PathBuf>,
}

impl PageArgs {
    /// The file.
    pub fn path(&self) -> Option<&Path> {
        self.page.as_deref()
    }

    /// Opens it before the work, so that a file that cannot be written costs no one an hour.
    pub fn open(&self) -> Result<Option<WholeFile>> {
        ensure!(
            self.path() != Some(Path::new("-")),
            "--page needs a file: standard output is for other results"
        );
        Ok(self.path().map(WholeFile::create).transpose()?)
    }
}

/// Writes a page, if it was asked for.
pub fn write(file: Option<WholeFile>, page: impl FnOnce() -> String) -> Result<()> {
    Ok(file.map_or(Ok(()), |file| file.commit_text(&page()))?)
}
