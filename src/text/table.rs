//! Tables as they are written: CSV, TSV, JSON Lines, one JSON array, Arrow or Parquet.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::notes::nearest;
use crate::error::{Error, FileError, Result};
use crate::text::format::Format;
use crate::text::packing::Packing;
use crate::text::typed;
use crate::text::typed_table::{Form, TypedWriter};
use crate::text::whole_file::WholeFile;

pub use crate::text::column::{BETWEEN, Cell, Column, Holds};

/// What standard output is called.
const STDOUT: &str = "standard output";

/// Where a table goes.
pub struct Destination<W> {
    /// What takes it.
    pub output: W,
    /// What messages call it.
    pub name: PathBuf,
    /// How it is written.
    pub format: Format,
}

impl Destination<WholeFile> {
    /// A file, in the format that its name tells, and packed where that tells it.
    pub fn create(path: &Path) -> Result<Destination<WholeFile>> {
        Destination::create_as(path, None)
    }

    /// A file, in the format that is told, or else in the one that its name tells.
    pub fn create_as(path: &Path, told: Option<Format>) -> Result<Destination<WholeFile>> {
        let format = told.map_or_else(|| format_of(path), Ok)?;
        if format == Format::Xlsx || format.has_types() && Packing::of(path).is_some() {
            // Its pages are packed, or not: packed as a whole nobody could read it.
            return Err(FileError::NotWritten { path: path.to_owned() }.into());
        }
        let output = WholeFile::create(path)?;
        let output = match Packing::of(path) {
            Some(packing) => output.packed(packing)?,
            None => output,
        };
        Ok(Destination { output, name: path.to_owned(), format })
    }

    /// Standard output.
    pub fn stdout(format: Format) -> Destination<WholeFile> {
        Destination { output: WholeFile::stdout(), name: STDOUT.into(), format }
    }
}

/// Writes a table row by row.
///
/// ```
/// use cloze::text::data::Format;
/// use cloze::text::table::{Cell, Column, Destination, Holds, TableWriter};
/// let header = [Column::new("row", Holds::Whole), Column::new("label", Holds::Text)];
/// let row = || [Cell::Number("1".to_owned()), Cell::Text("a, b".to_owned())];
/// let written = |format| {
///     let to = Destination { output: Vec::new(), name: "demo".into(), format };
///     let mut table = TableWriter::create(to, &header)?;
///     table.write(&row())?;
///     Ok::<_, cloze::Error>(String::from_utf8(table.finish()?).unwrap())
/// };
/// assert_eq!(written(Format::Csv)?, "row,label\n1,\"a, b\"\n");
/// assert_eq!(written(Format::JsonLines)?, "{\"row\":1,\"label\":\"a, b\"}\n");
/// # Ok::<(), cloze::Error>(())
/// ```
pub struct TableWriter<W: Write + Send> {
    output: Output<W>,
    name: PathBuf,
    header: Vec<String>,
    rows: u64,
}

enum Output<W: Write + Send> {
    Typed(TypedWriter<W>),
    Delimited(Box<csv::Writer<W>>),
    /// One object a line, or with commas and brackets round them.
    Json {
        output: io::BufWriter<W>,
        array: bool,
    },
}

/// The format that a file is written in, by its name. CSV where the name tells none; a name that tells a
/// format which cloze does not write is refused, and one that a typing mistake keeps from telling it.
fn format_of(path: &Path) -> Result<Format> {
    const OTHERS: [&str; 7] = ["xlsx", "xls", "ods", "bz2", "xz", "zip", "pdf"];
    const WRITTEN: &[&str] = &["csv", "tsv", "jsonl", "json", "parquet", "arrow", "feather", "gz", "zst"];
    // A longer ending is a part of the name, as mktemp makes it.
    const LONGEST: usize = "jsonlines".len();
    if let Some(format) = Format::of(path) {
        return Ok(format);
    }
    let named = if Packing::of(path).is_some() { path.with_extension("") } else { path.to_owned() };
    let ending = named.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    let Some(ending) = ending.filter(|ending| ending.len() <= LONGEST) else { return Ok(Format::Csv) };
    if OTHERS.contains(&ending.as_str()) {
        return Err(FileError::NotWritten { path: path.to_owned() }.into());
    }
    match nearest(&ending, WRITTEN) {
        Some(near) => Err(FileError::NameMisspelt { path: path.to_owned(), near }.into()),
        None => Ok(Format::Csv),
    }
}

impl<W: Write + Send> TableWriter<W> {
    /// Writes the header, where the format has one.
    pub fn create(to: Destination<W>, header: &[Column]) -> Result<TableWriter<W>> {
        let Destination { output, name, format } = to;
        if format == Format::Xlsx {
            return Err(FileError::NotWritten { path: name }.into());
        }
        let delimited = |output, delimiter| {
            Output::Delimited(Box::new(csv::WriterBuilder::new().delimiter(delimiter).from_writer(output)))
        };
        let json = |output, array| Output::Json { output: io::BufWriter::new(output), array };
        let output = match format {
            Format::Csv => delimited(output, b','),
            Format::Tsv => delimited(output, b'\t'),
            Format::JsonLines => json(output, false),
            Format::Json | Format::Xlsx => json(output, true),
            Format::Arrow | Format::Parquet => {
                let typed = TypedWriter::create(output, form(format, &name), header);
                Output::Typed(typed.map_err(|error| Error::writing(&name, &error))?)
            }
        };
        let header: Vec<String> = header.iter().map(|column| column.name.clone()).collect();
        let mut table = TableWriter { output, name, header, rows: 0 };
        if let Output::Delimited(records) = &mut table.output {
            let written = records.write_record(&table.header).map_err(of_csv);
            written.map_err(|error| Error::writing(&table.name, &error))?;
        }
        Ok(table)
    }

    /// Lets a stream of batches have one for each [`TableWriter::flush`], of whatever rows were written since
    /// the one before, and no others; other formats have no batches.
    pub fn batches_as_told(&mut self) -> Result<()> {
        let Output::Typed(table) = &mut self.output else { return Ok(()) };
        table.batches_as_told().map_err(|error| Error::writing(&self.name, &error))
    }

    /// Writes a row, its cells in the header's order.
    pub fn write(&mut self, row: &[Cell]) -> Result<()> {
        self.rows += 1;
        let written = match &mut self.output {
            Output::Typed(table) => table.write(row),
            Output::Delimited(records) => {
                let texts: Vec<_> = row.iter().map(Cell::text).collect();
                records.write_record(texts.iter().map(|text| text.as_bytes())).map_err(of_csv)
            }
            Output::Json { output, array } => {
                let before = match (*array, self.rows) {
                    (false, _) => "",
                    (true, 1) => "[\n",
                    (true, _) => ",\n",
                };
                write_object(output, before, &self.header, row, !*array)
            }
        };
        written.map_err(|error| Error::writing(&self.name, &error))
    }

    /// Hands what is written on, so that a reader at a pipe sees whole chunks.
    pub fn flush(&mut self) -> Result<()> {
        let flushed = match &mut self.output {
            Output::Typed(table) => table.flush(),
            Output::Delimited(records) => records.flush(),
            Output::Json { output, .. } => output.flush(),
        };
        flushed.map_err(|error| Error::writing(&self.name, &error))
    }

    /// The output, all of it flushed.
    pub fn finish(self) -> Result<W> {
        let TableWriter { output, name, rows, .. } = self;
        let finished = match output {
            Output::Typed(table) => table.finish(),
            Output::Delimited(records) => records.into_inner().map_err(csv::IntoInnerError::into_error),
            Output::Json { mut output, array } => {
                let end = match (array, rows) {
                    (false, _) => "",
                    (true, 0) => "[]\n",
                    (true, _) => "\n]\n",
                };
                output
                    .write_all(end.as_bytes())
                    .and_then(|()| output.into_inner().map_err(io::IntoInnerError::into_error))
            }
        };
        finished.map_err(|error| Error::writing(&name, &error))
    }
}

/// How a table with types is written. Who reads a pipe cannot look for a directory at its end.
fn form(format: Format, name: &Path) -> Form {
    let is_stream = name == Path::new(STDOUT)
        || name.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("arrows"))
        || name.exists() && !name.is_file();
    match format {
        Format::Parquet => Form::Parquet,
        _ if is_stream => Form::ArrowStream,
        _ => Form::ArrowFile,
    }
}

/// The crate's own conversion forgets of what kind an error is.
fn of_csv(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn write_object(
    output: &mut impl Write,
    before: &str,
    header: &[String],
    row: &[Cell],
    ends: bool,
) -> io::Result<()> {
    write!(output, "{before}{{")?;
    for (index, (name, cell)) in header.iter().zip(row).enumerate() {
        if index > 0 {
            output.write_all(b",")?;
        }
        serde_json::to_writer(&mut *output, name)?;
        output.write_all(b":")?;
        match cell {
            Cell::Text(text) => serde_json::to_writer(&mut *output, text)?,
            Cell::Number(number) => output.write_all(number.as_bytes())?,
            Cell::Share(_) => output.write_all(cell.text().as_bytes())?,
            Cell::Value(array, row) => output.write_all(typed::json(array, *row).as_bytes())?,
            Cell::List(words) => serde_json::to_writer(&mut *output, words)?,
            Cell::Nothing => output.write_all(b"null")?,
        }
    }
    output.write_all(if ends { b"}\n" } else { b"}" })
}
