//! Texts as token ids: documents of plain files, or a column's fields, each behind the other and ended by the
//! separator.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read as _, Write as _};
use std::ops::ControlFlow;
use std::path::Path;

use crate::error::{CorpusError, DataError, EncodeError, Error, FileError, Kind, Result};
use crate::model::tokenizer::Tokenizer;
use crate::text::data::Reading;
use crate::text::text_column::text_column;
use crate::text::whole_file::WholeFile;

/// A line of plain text is read in pieces of at most so many bytes, cut between words.
const PIECE: u64 = 1 << 16;

/// So many rows tell which column has the texts.
const SAMPLE: usize = 100;

/// From one question whether to go on to the next, in tokens: a few tenths of a second.
const UNASKED: usize = 1 << 17;

/// Asked whether to go on, after so many tokens of a text.
pub type Watch<'a> = dyn FnMut(usize) -> ControlFlow<()> + 'a;

/// Writes the ids of a text file into another, four bytes each, unless `watch` says stop.
///
/// A file with columns, as its name or `reading` tells, has a document in each row, in `column` or in the one
/// that looks like texts. In any other file a document ends at a blank line.
pub(super) fn encode(
    path: &Path,
    reading: &Reading,
    column: Option<&str>,
    tokenizer: &Tokenizer,
    into: &Path,
    watch: &mut Watch<'_>,
) -> Result<ControlFlow<()>> {
    let mut file = WholeFile::create(into)?;
    let out = BufWriter::new(&mut file);
    let mut writer = Writer { out, tokenizer, into, open: false, written: 0, watch, asked: 0 };
    let read = if is_table(path, reading) {
        of_rows(path, reading, column, &mut writer)?
    } else if let Some(column) = column {
        let (name, column) = (path.display().to_string(), column.to_owned());
        return Err(CorpusError::ColumnOfPlainText { name, column }.into());
    } else {
        of_plain(path, &mut writer)?
    };
    if read.is_break() {
        return Ok(read);
    }
    writer.end_document()?;
    let written = writer.finish()?;
    if written == 0 {
        return Err(CorpusError::WithoutText { name: path.display().to_string() }.into());
    }
    file.commit()?;
    Ok(read)
}

/// Whether a file has columns.
fn is_table(path: &Path, reading: &Reading) -> bool {
    reading.format.or_else(|| crate::text::format::Format::of(path)).is_some()
}

struct Writer<'a> {
    out: BufWriter<&'a mut WholeFile>,
    tokenizer: &'a Tokenizer,
    into: &'a Path,
    /// Whether the document at hand has tokens.
    open: bool,
    written: usize,
    watch: &'a mut Watch<'a>,
    /// How much was written when `watch` was asked last.
    asked: usize,
}

impl Writer<'_> {
    fn add(&mut self, text: &str) -> Result<ControlFlow<()>> {
        for token in self.tokenizer.tokenize_around(&[text])?.concat() {
            self.write(token.id)?;
            self.open = true;
        }
        if self.written - self.asked < UNASKED {
            return Ok(ControlFlow::Continue(()));
        }
        self.asked = self.written;
        Ok((self.watch)(self.written))
    }

    fn end_document(&mut self) -> Result<()> {
        if std::mem::take(&mut self.open) {
            self.write(self.tokenizer.special().sep)?;
        }
        Ok(())
    }

    fn write(&mut self, id: i64) -> Result<()> {
        self.written += 1;
        let id = u32::try_from(id).unwrap_or_default();
        self.out.write_all(&id.to_le_bytes()).map_err(|error| Error::writing(self.into, &error))
    }

    fn finish(mut self) -> Result<usize> {
        self.out.flush().map_err(|error| Error::writing(self.into, &error))?;
        Ok(self.written)
    }
}

/// Whether the tokenizer fails on a text: then nothing of it is written.
fn is_of_text(error: &Error) -> bool {
    matches!(error.kind(), Kind::Encode(EncodeError::TokenizerFailed { .. }))
}

fn of_rows(
    path: &Path,
    reading: &Reading,
    column: Option<&str>,
    writer: &mut Writer<'_>,
) -> Result<ControlFlow<()>> {
    let mut rows = reading.open(path)?;
    let columns = rows.columns().clone();
    let column = match column {
        Some(column) => column.to_owned(),
        None => text_column(&columns, &rows.look_ahead(SAMPLE).cloned().collect::<Vec<_>>())?,
    };
    let Some(place) = columns.names().iter().position(|name| *name == column) else {
        let no_text = columns.no_text(&column);
        let (data, columns) = (columns.data().to_owned(), columns.names().to_vec());
        return Err(no_text.unwrap_or(DataError::NoTextColumn { column, data, columns }).into());
    };
    for row in rows {
        let row = row?;
        match writer.add(&row.fields[place]) {
            Ok(ControlFlow::Break(())) => return Ok(ControlFlow::Break(())),
            Ok(ControlFlow::Continue(())) => writer.end_document()?,
            Err(error) if is_of_text(&error) => {
                reading.bad_rows.skip(error.at(columns.place(&row, Some(&column))), &row.fields)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn of_plain(path: &Path, writer: &mut Writer<'_>) -> Result<ControlFlow<()>> {
    let reading = |error: std::io::Error| Error::reading(path, &error);
    let file = File::open(path).map_err(reading)?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(FileError::FolderForFile { path: path.to_owned() }.into());
    }
    let mut input = BufReader::with_capacity(1 << 20, file);
    let (mut piece, mut line, mut column) = (Vec::new(), 1, 1);
    loop {
        (&mut input).take(PIECE - piece.len() as u64).read_until(b'\n', &mut piece).map_err(reading)?;
        if piece.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let ends_line = piece.ends_with(b"\n");
        let at_end = input.fill_buf().map_err(reading)?.is_empty();
        let whole = if ends_line || at_end { piece.len() } else { last_gap(&piece) };
        let text = std::str::from_utf8(&piece[..whole]).map_err(|error| {
            let before = String::from_utf8_lossy(&piece[..error.valid_up_to()]).chars().count();
            FileError::TextNotUtf8 { path: path.to_owned(), line, column: column + before }
        })?;
        let text = text.strip_prefix('\u{feff}').filter(|_| (line, column) == (1, 1)).unwrap_or(text);
        let starts_line = column == 1;
        let added = writer.add(text).map_err(|error| match is_of_text(&error) {
            true => {
                let (path, reason) = (path.to_owned(), error.kind().to_string());
                CorpusError::LineFailed { path, line, reason }.into()
            }
            false => error,
        })?;
        if added.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if ends_line && starts_line && text.trim().is_empty() {
            writer.end_document()?;
        }
        (line, column) = match ends_line {
            true => (line + 1, 1),
            false => (line, column + text.chars().count()),
        };
        piece.drain(..whole);
    }
}

/// Where a piece of a long line may be cut: behind its last blank, or behind its last whole letter where it
/// has none.
fn last_gap(piece: &[u8]) -> usize {
    let text = piece.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let blank = text.char_indices().rev().find(|(_, letter)| letter.is_whitespace());
    match blank.map_or(text.len(), |(at, letter)| at + letter.len_utf8()) {
        // It begins with what is no letter: whoever reads it says so.
        0 => piece.len(),
        gap => gap,
    }
}
