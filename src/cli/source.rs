//! Where rows come from: flags made into what the library reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use cloze::error::Result;
use cloze::text::data::{Adjust, BadRows, Input, Layout, Reading as DataReading, Rows, Shard, TEXT};

use super::args::{Data, Given, Reading, RowReading};
use super::{render, shell};

/// The rows to answer.
pub struct Source {
    from: From,
    /// How they are read, and other files of rows beside them.
    pub reading: DataReading,
    /// So many rows are answered together at most, where that is said.
    flush_rows: Option<usize>,
    /// The share of the rows, if not all.
    shard: Option<Shard>,
}

enum From {
    File(PathBuf),
    Text(String),
    /// One row, its fields by their columns.
    Given(Vec<(String, String)>),
}

impl Source {
    /// What the flags say.
    pub fn of(data: &Data) -> anyhow::Result<Source> {
        Source::new(data.data.as_deref(), &data.given, reading(&data.reading)?)
    }

    /// A file, or the row on the command line.
    pub fn new(file: Option<&Path>, given: &Given, reading: DataReading) -> anyhow::Result<Source> {
        let is_empty = given.text.as_ref().is_some_and(|text| text.trim().is_empty());
        ensure!(!is_empty, "--text is empty: there is nothing to read");
        let from = match file {
            Some(path) => From::File(path.to_owned()),
            None => match &given.text {
                Some(text) if given.field.is_empty() => From::Text(text.clone()),
                _ => From::Given(fields(given)?),
            },
        };
        Ok(Source { from, reading, flush_rows: None, shard: None })
    }

    /// The same with rows that keep their values with their types.
    #[must_use]
    pub fn keeping(mut self, types: bool) -> Source {
        self.reading.keep_types = types;
        self
    }

    /// The same with so many rows answered together at most, and none kept waiting for the next.
    #[must_use]
    pub fn flushed_after(mut self, rows: Option<u32>) -> Source {
        self.flush_rows = rows.map(|rows| rows as usize);
        self
    }

    /// A share of these rows.
    #[must_use]
    pub fn sharded(mut self, shard: Option<Shard>) -> Source {
        self.shard = shard;
        self
    }

    /// The rows, their header read.
    pub fn open(&self) -> Result<Rows> {
        let rows = match &self.from {
            From::File(path) => match self.shard {
                Some(shard) => self.reading.open_shard(path, shard)?,
                None => self.reading.open(path)?,
            },
            From::Text(text) => Rows::of_text(shell::COMMAND_LINE, text.clone(), &self.reading)?,
            From::Given(fields) => Rows::given(shell::COMMAND_LINE, fields.clone(), &self.reading)?,
        };
        rows.columns().check_mapped()?;
        Ok(rows.flushed_after(self.flush_rows))
    }

    /// Finishes the file of bad rows, and tells how many there were.
    pub fn finish(&self, quiet: bool) -> anyhow::Result<()> {
        finish(&self.reading, quiet)
    }

    /// The file; none where the row stands on the command line.
    pub fn file(&self) -> Option<&PathBuf> {
        match &self.from {
            From::File(path) => Some(path),
            From::Text(_) | From::Given(_) => None,
        }
    }

    /// The size in bytes, where it is known before reading.
    pub fn size(&self) -> Option<u64> {
        Input::of(self.file()?).size().filter(|_| self.shard.is_none())
    }
}

/// Finishes the file of bad rows, and tells how many there were.
pub fn finish(reading: &DataReading, quiet: bool) -> anyhow::Result<()> {
    let remark = reading.bad_rows.finish()?.remark();
    if !quiet {
        render::warnings(remark.as_slice())?;
    }
    Ok(())
}

/// The fields of the row on the command line.
fn fields(given: &Given) -> anyhow::Result<Vec<(String, String)>> {
    let text = given.text.iter().map(|text| Ok((TEXT.to_owned(), text.clone())));
    text.chain(given.field.iter().map(|field| pair("--field", "COLUMN=TEXT", field))).collect()
}

/// How files of rows are read for patterns.
pub fn reading(args: &Reading) -> anyhow::Result<DataReading> {
    let mut reading = row_reading(&args.rows)?;
    let text = args.text_column.iter().map(|column| (TEXT.to_owned(), column.clone()));
    let mapped = args.map.iter().map(|written| pair("--map", "NAME=COLUMN", written));
    for pair in mapped.chain(text.map(Ok)) {
        let (name, column) = pair?;
        ensure!(
            !reading.adjust.columns.contains_key(&name),
            "two columns are to be called {name}: leave one --map or --text-column out"
        );
        reading.adjust.columns.insert(name, column);
    }
    Ok(reading)
}

/// How files of rows are read.
pub fn row_reading(args: &RowReading) -> anyhow::Result<DataReading> {
    let bad_rows = match &args.bad_rows {
        None => BadRows::default(),
        Some(how) if is_word(how, "refuse") => BadRows::default(),
        Some(how) if is_word(how, "skip") => BadRows::skipped(),
        Some(file) => {
            ensure!(file != Path::new("-"), "--bad-rows takes refuse, skip or a file, not standard output");
            BadRows::written_to(file)
        }
    };
    let adjust = Adjust {
        columns: BTreeMap::new(),
        labels: args.label_map.as_deref().map(Adjust::labels_of).transpose()?.unwrap_or_default(),
        unlabelled: args.unlabelled.clone(),
        no_labels: args.no_labels,
        skip_bad_rows: bad_rows.are_skipped(),
        sheet: args.sheet.clone(),
        layout: Layout {
            encoding: args.encoding,
            delimiter: args.delimiter,
            quoting: args.quoting,
            max_record_mib: args.max_record_mib,
        },
    };
    let label_column = args.label_column.clone();
    Ok(DataReading { format: args.format, label_column, adjust, bad_rows, lists: None, keep_types: false })
}

/// How a command reads rows that keeps no file of those that it leaves out.
pub fn reading_without_file(args: &Reading) -> anyhow::Result<DataReading> {
    check_without_file(&args.rows)?;
    reading(args)
}

/// Refuses a file of bad rows.
pub fn check_without_file(args: &RowReading) -> anyhow::Result<()> {
    ensure!(
        bad_rows_file(args).is_none(),
        "this command writes no file of bad rows: --bad-rows skip leaves them out, and cloze check lists them"
    );
    Ok(())
}

/// The file that bad rows are put in.
pub fn bad_rows_file(args: &RowReading) -> Option<&Path> {
    args.bad_rows.as_deref().filter(|how| !is_word(how, "refuse") && !is_word(how, "skip"))
}

fn is_word(how: &Path, word: &str) -> bool {
    how.to_str().is_some_and(|how| how.eq_ignore_ascii_case(word))
}

/// What stands before and behind an equals sign.
fn pair(flag: &str, form: &str, written: &str) -> anyhow::Result<(String, String)> {
    match written.split_once('=') {
        Some((name, rest)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), rest.to_owned())),
        _ => bail!("{flag} takes {form}, not {written:?}"),
    }
}
