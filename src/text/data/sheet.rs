//! Excel: the rows of one sheet of a workbook, which a thread reads cell by cell.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use calamine::{DataRef, ExcelDateTime, Reader as _, SheetType, Xlsx, XlsxError};
use flate2::read::DeflateDecoder;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::reading::Reading;
use super::{Columns, Example};
use crate::error::{DataError, Error, Place, Result};
use crate::text::guarded::guarded;

/// So many rows are read ahead at most.
const AHEAD: usize = 256;

/// Where the texts are that cells share, which stay in memory.
const SHARED: &str = "xl/sharedstrings.xml";
/// So large they may be when they are unpacked: what is larger was made to fill the memory.
const SHARED_BYTES: u64 = 512 << 20;
/// The most that a byte can become when it is unpacked.
const MOST_PACKED: u64 = 1032;

pub(super) struct Reader {
    rows: Receiver<std::result::Result<Row, Wrong>>,
    /// The column of the sheet that is the first of the table.
    first: u32,
    count: u64,
    /// The fields that were given last.
    last: Vec<String>,
    most: u64,
    ended: bool,
}

/// A row of the sheet that has cells.
struct Row {
    /// Its number in the sheet, from 1.
    number: u64,
    /// Its cells that are not empty, each with its column, from 0.
    cells: Vec<(u32, String)>,
}

impl Reader {
    pub(super) fn open(
        file: File,
        name: &str,
        bytes: Arc<AtomicU64>,
        reading: &Reading,
    ) -> Result<(Reader, Columns)> {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        // Where a workbook is read is known to zip alone: it counts as read once it is open.
        check_shared(&file, name)?;
        let input = BufReader::new(file);
        let book: Opened = guarded(|| Xlsx::new(input)).map_err(Wrong::Panic).and_then(|book| Ok(book?));
        let mut book = book.map_err(|error| error_of(name, error))?;
        let named = reading.adjust.sheet.as_deref();
        let sheet = guarded(|| sheet(&mut book, name, named));
        let sheet = sheet.map_err(|message| error_of(name, Wrong::Panic(message)))??;
        bytes.store(length, Ordering::Relaxed);
        let (tell, rows) = sync_channel(AHEAD);
        thread::spawn(move || {
            let told = guarded(|| tell_rows(&mut book, &sheet, &tell)).map_err(Wrong::Panic);
            if let Err(error) = told.and_then(|told| told) {
                // Where nobody takes the rows any more, nobody takes this.
                drop(tell.send(Err(error)));
            }
        });
        let header = match rows.recv() {
            Ok(row) => row.map_err(|error| error_of(name, error))?,
            Err(_) => return Err(DataError::Empty { data: name.to_owned() }.into()),
        };
        let ends = (
            header.cells.iter().map(|(column, _)| *column).min(),
            header.cells.iter().map(|(column, _)| *column).max(),
        );
        let (Some(first), Some(last)) = ends else {
            return Err(DataError::Empty { data: name.to_owned() }.into());
        };
        let mut names = vec![String::new(); (last - first) as usize + 1];
        for (column, cell) in header.cells {
            names[(column - first) as usize] = cell.trim().to_owned();
        }
        let place =
            Place::Row { file: name.to_owned(), line: header.number, record: 0, batch: None, column: None };
        let columns = Columns::of_file(name, names, reading).map_err(|error| error.at(place))?;
        let most = reading.adjust.layout.max_record();
        Ok((Reader { rows, first, count: 0, last: Vec::new(), most, ended: false }, columns))
    }

    pub(super) fn next(&mut self, columns: &Columns) -> Option<Result<Example>> {
        if self.ended {
            return None;
        }
        match self.rows.recv().ok()? {
            Ok(row) => {
                self.count += 1;
                Some(self.example(columns, row))
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error_of(columns.data(), error)))
            }
        }
    }

    /// The fields of the row that was given last.
    pub(super) fn last(&self) -> Vec<String> {
        self.last.clone()
    }

    fn example(&mut self, columns: &Columns, row: Row) -> Result<Example> {
        let at = |kind: DataError| {
            let (file, line, record) = (columns.data().to_owned(), row.number, self.count);
            Error::new(kind).at(Place::Row { file, line, record, batch: None, column: None })
        };
        let wanted = columns.in_file().len();
        let mut fields = vec![String::new(); wanted];
        let (mut beside, mut length) = (None, 0);
        for (column, cell) in row.cells {
            length += cell.len() as u64;
            match column.checked_sub(self.first).and_then(|place| fields.get_mut(place as usize)) {
                Some(field) => *field = cell,
                None => beside = Some(column),
            }
        }
        self.last.clone_from(&fields);
        match beside {
            Some(column) => {
                Err(at(DataError::CellBeside { cell: format!("{}{}", letters(column), row.number) }))
            }
            None if length > self.most => Err(at(DataError::RecordTooLong { most: self.most >> 20 })),
            None => Ok(columns.example(self.count, row.number, fields)),
        }
    }
}

/// Refuses shared texts that are too many, however small they are packed and whatever the file says of their
/// size. What is no workbook is told where it is read.
fn check_shared(file: &File, name: &str) -> Result<()> {
    let Ok(mut parts) = file.try_clone().map_err(ZipError::from).and_then(ZipArchive::new) else {
        return Ok(());
    };
    for part in 0..parts.len() {
        let Ok(part) = parts.by_index_raw(part) else { continue };
        let is_shared = part.name().eq_ignore_ascii_case(SHARED);
        if !is_shared || part.compressed_size().saturating_mul(MOST_PACKED) <= SHARED_BYTES {
            continue;
        }
        let length = match part.compression() {
            CompressionMethod::Stored => part.compressed_size(),
            _ => {
                let mut unpacked = DeflateDecoder::new(part).take(SHARED_BYTES + 1);
                // What cannot be unpacked is told where it is read.
                io::copy(&mut unpacked, &mut io::sink()).unwrap_or(0)
            }
        };
        if length > SHARED_BYTES {
            let most = SHARED_BYTES >> 20;
            let message = format!("the texts that its cells share have more than {most} MiB");
            return Err(DataError::Broken { data: name.to_owned(), format: "Excel", message }.into());
        }
    }
    Ok(())
}

/// Why a workbook cannot be read. On some damage the crate panics.
enum Wrong {
    Crate(XlsxError),
    Panic(String),
}

impl From<XlsxError> for Wrong {
    fn from(error: XlsxError) -> Wrong {
        Wrong::Crate(error)
    }
}

type Book = Xlsx<BufReader<File>>;
type Opened = std::result::Result<Book, Wrong>;

/// The sheet that is meant: the one that is named, or the only one with anything in it.
fn sheet(book: &mut Book, data: &str, named: Option<&str>) -> Result<String> {
    let sheets = book.sheets_metadata().iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
    let sheets: Vec<String> = sheets.map(|sheet| sheet.name.clone()).collect();
    if let Some(named) = named {
        let found = sheets.iter().find(|sheet| sheet.as_str() == named).cloned();
        let (data, sheet) = (data.to_owned(), named.to_owned());
        return found.ok_or_else(|| DataError::NoSheet { data, sheet, sheets }.into());
    }
    let mut filled = Vec::new();
    for sheet in sheets {
        let mut cells = book.worksheet_cells_reader(&sheet).map_err(|error| error_of(data, error.into()))?;
        loop {
            match cells.next_cell().map_err(|error| error_of(data, error.into()))? {
                Some(cell) if matches!(cell.get_value(), DataRef::Empty) => {}
                Some(_) => break filled.push(sheet),
                None => break,
            }
        }
    }
    match filled.len() {
        0 => Err(DataError::Empty { data: data.to_owned() }.into()),
        1 => Ok(filled.remove(0)),
        _ => Err(DataError::SeveralSheets { data: data.to_owned(), sheets: filled }.into()),
    }
}

/// Reads a sheet, and sends its rows as long as anybody takes them.
fn tell_rows(
    book: &mut Book,
    sheet: &str,
    tell: &SyncSender<std::result::Result<Row, Wrong>>,
) -> std::result::Result<(), Wrong> {
    let mut cells = book.worksheet_cells_reader(sheet)?;
    let mut row: Option<Row> = None;
    while let Some(cell) = cells.next_cell()? {
        let Some(text) = text(cell.get_value()) else { continue };
        let (number, column) = cell.get_position();
        let number = u64::from(number) + 1;
        match &mut row {
            Some(row) if row.number == number => row.cells.push((column, text)),
            _ => {
                let next = Row { number, cells: vec![(column, text)] };
                if let Some(whole) = row.replace(next)
                    && tell.send(Ok(whole)).is_err()
                {
                    return Ok(());
                }
            }
        }
    }
    if let Some(whole) = row {
        drop(tell.send(Ok(whole)));
    }
    Ok(())
}

/// A cell's text; of a formula that of the value which Excel saved. None of an empty cell.
fn text(cell: &DataRef<'_>) -> Option<String> {
    let text = match cell {
        DataRef::Empty => return None,
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Int(number) => number.to_string(),
        // Excel has no whole numbers: 5 is 5.0 there.
        DataRef::Float(number) => number.to_string(),
        DataRef::Bool(is) => is.to_string(),
        DataRef::DateTime(moment) => iso(moment),
        DataRef::Error(error) => error.to_string(),
    };
    Some(text).filter(|text| !text.is_empty())
}

/// A date, a time, or both, as ISO 8601 says them; a span of time as hours, minutes and seconds.
fn iso(moment: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, milli) = moment.to_ymd_hms_milli();
    let fraction = if milli > 0 { format!(".{milli:03}") } else { String::new() };
    let time = |hour: u64| format!("{hour:02}:{minute:02}:{second:02}{fraction}");
    let (date, days) = (format!("{year:04}-{month:02}-{day:02}"), moment.as_f64());
    let midnight = (hour, minute, second, milli) == (0, 0, 0, 0);
    match () {
        () if moment.is_duration() => time(days.max(0.0) as u64 * 24 + u64::from(hour)),
        () if days < 1.0 => time(hour.into()),
        () if midnight => date,
        () => format!("{date}T{}", time(hour.into())),
    }
}

/// A column as Excel calls it: A, B, …, Z, AA.
fn letters(column: u32) -> String {
    let letter = char::from(b'A' + (column % 26) as u8);
    match column / 26 {
        0 => letter.to_string(),
        before => letters(before - 1) + &letter.to_string(),
    }
}

fn error_of(name: &str, error: Wrong) -> Error {
    let data = name.to_owned();
    match error {
        Wrong::Crate(XlsxError::Password) => DataError::Encrypted { data }.into(),
        Wrong::Crate(XlsxError::Io(error)) => super::stream_error(name, &error),
        Wrong::Crate(error) => DataError::Broken { data, format: "Excel", message: error.to_string() }.into(),
        Wrong::Panic(message) => DataError::Broken { data, format: "Excel", message }.into(),
    }
}
