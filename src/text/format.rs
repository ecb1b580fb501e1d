//! How rows are written in files.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::text::packing::Packing;

/// How rows are written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values as in RFC 4180: quotes round fields with commas, quotes (doubled) or line ends.
    /// Blank lines are no rows, also where there is one column only: an empty text there is `""`.
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Csv,
    /// The same with tabs for commas.
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Tsv,
    /// One JSON object a line.
    #[serde(rename = "jsonl")]
    #[cfg_attr(feature = "cli", value(name = "jsonl", help = None::<&'static str>))]
    JsonLines,
    /// One JSON array of objects, or one object a line.
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Json,
    /// Arrow IPC: columns with types, batch by batch, as a file (Feather) or a stream.
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Arrow,
    /// Parquet: columns with types, in groups of rows, and a directory at the end.
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Parquet,
    /// Excel's `.xlsx`: one sheet of a workbook. Read, and not written.
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Xlsx,
}

impl Format {
    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::JsonLines => "jsonl",
            Format::Json => "json",
            Format::Arrow => "arrow",
            Format::Parquet => "parquet",
            Format::Xlsx => "xlsx",
        }
    }

    /// Whether its columns have types.
    pub fn has_types(self) -> bool {
        matches!(self, Format::Arrow | Format::Parquet)
    }

    /// The format that a file's name tells; behind it the name may tell how the file is packed.
    ///
    /// ```
    /// use cloze::text::data::Format;
    /// assert_eq!(Format::of("rows.tsv.gz".as_ref()), Some(Format::Tsv));
    /// ```
    pub fn of(path: &Path) -> Option<Format> {
        let path = match Packing::of(path) {
            Some(_) => Path::new(path.file_stem()?),
            None => path,
        };
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Format::Csv),
            "tsv" | "tab" => Some(Format::Tsv),
            "jsonl" | "ndjson" => Some(Format::JsonLines),
            "json" => Some(Format::Json),
            "arrow" | "arrows" | "feather" | "ipc" => Some(Format::Arrow),
            "xlsx" | "xlsm" => Some(Format::Xlsx),
            "parquet" | "pq" => Some(Format::Parquet),
            _ => None,
        }
    }
}
