//! What a file is by its first bytes: packed or not, its encoding, what stands between its columns; and what
//! is no table of text is called by its name.

use std::io::{self, BufRead, BufReader, Read};

use super::Format;
use super::decoded::Decoded;
use super::gzip::{self, Gzip};
use super::layout::{Delimiter, Encoding, Guess, Layout, Quoting};
use crate::error::{DataError, Result};

/// So many of the first bytes are looked at.
const LOOKED_AT: usize = 1 << 16;

/// So many of the first lines are looked at.
const LINES: usize = 100;

/// A reader whose first bytes have been looked at.
pub(super) type Looked = BufReader<Box<dyn Read + Send>>;

const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Kinds of file that people give for a table of text, by the bytes that they begin with, and the format to
/// read them by.
const KINDS: [(&[u8], &str, Option<Format>); 10] = [
    (b"PK\x03\x04", "an Excel or LibreOffice file, or another zip archive", Some(Format::Xlsx)),
    (b"\xd0\xcf\x11\xe0", "an old Excel file", None),
    (gzip::MAGIC, "compressed twice", None),
    (ZSTD, "compressed twice", None),
    (b"BZh", "compressed by bzip2", None),
    (b"\xfd7zXZ", "compressed by xz", None),
    (b"ARROW1", "an Arrow file", Some(Format::Arrow)),
    (b"PAR1", "a Parquet file", Some(Format::Parquet)),
    (b"SQLite format 3", "an SQLite database", None),
    (b"%PDF-", "a PDF", None),
];

/// The text of an input as UTF-8, and the encoding that it comes in: unpacked, and in another encoding if it is
/// told or the first bytes tell it. Refuses what is no text.
pub(super) fn text(
    input: Box<dyn Read + Send>,
    name: &str,
    told: &Layout,
    tell: &mut dyn FnMut(Guess),
) -> Result<(Looked, Encoding)> {
    let mut input = unpacked(input).map_err(|error| super::stream_error(name, &error))?;
    let start = first_bytes(&mut input).map_err(|error| super::stream_error(name, &error))?;
    if let Some((_, kind, format)) = KINDS.iter().find(|(bytes, ..)| start.starts_with(bytes)) {
        return Err(
            DataError::NoTable { data: name.to_owned(), kind, format: format.map(Format::name) }.into()
        );
    }
    if is_utf32(start) {
        return Err(DataError::Utf32 { data: name.to_owned() }.into());
    }
    let encoding = told.encoding.unwrap_or_else(|| encoding(start));
    if encoding == Encoding::UTF_8 {
        return Ok((input, encoding));
    }
    if told.encoding.is_none() {
        tell(Guess::Encoding(encoding));
    }
    Ok((BufReader::with_capacity(LOOKED_AT, Box::new(Decoded::new(input, encoding))), encoding))
}

/// What gzip and zstd packed, unpacked.
pub(super) fn unpacked(input: Box<dyn Read + Send>) -> io::Result<Looked> {
    let mut input = BufReader::with_capacity(LOOKED_AT, input);
    let start = first_bytes(&mut input)?;
    let unpacked: Box<dyn Read + Send> = if start.starts_with(gzip::MAGIC) {
        Box::new(Gzip::new(input))
    } else if start.starts_with(ZSTD) {
        Box::new(zstd::stream::read::Decoder::with_buffer(input)?)
    } else {
        return Ok(input);
    };
    Ok(BufReader::with_capacity(LOOKED_AT, unpacked))
}

/// Whether a text is UTF-32, which is not among the web's encodings: by its byte order mark, which begins as
/// that of UTF-16 does, or since three of four bytes are zeros.
fn is_utf32(start: &[u8]) -> bool {
    let is_marked = start.starts_with(b"\xff\xfe\0\0") || start.starts_with(b"\0\0\xfe\xff");
    let zeros = start.iter().filter(|byte| **byte == 0).count();
    is_marked || start.len() >= 8 && zeros < start.len() && 8 * zeros > 5 * start.len()
}

/// The encoding of a text that begins so.
fn encoding(start: &[u8]) -> Encoding {
    match start {
        [0xff, 0xfe, ..] => return Encoding::UTF_16LE,
        [0xfe, 0xff, ..] => return Encoding::UTF_16BE,
        _ => {}
    }
    // Without a byte order mark, the zeros beside Latin letters tell.
    let zeros = |from: usize| start.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    if 3 * (even + odd) > start.len() {
        return if odd > even { Encoding::UTF_16LE } else { Encoding::UTF_16BE };
    }
    let (whole, broken) = utf8(start);
    // Where both stand beside each other, the file was put together of two: its row is told.
    if broken == 0 || whole > broken {
        return Encoding::UTF_8;
    }
    let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Deny);
    detector.feed(start, false);
    Encoding::of(detector.guess(None, chardetng::Utf8Detection::Deny))
}

/// How many characters beyond ASCII a text begins with that are UTF-8, and how often it is none.
fn utf8(bytes: &[u8]) -> (usize, usize) {
    let (mut whole, mut broken, mut seen) = (0, 0, 0);
    for chunk in bytes.utf8_chunks() {
        seen += chunk.valid().len() + chunk.invalid().len();
        whole += chunk.valid().chars().filter(|letter| !letter.is_ascii()).count();
        // The last character may go on behind the bytes that were looked at.
        let is_cut = || {
            let error = std::str::from_utf8(chunk.invalid());
            seen == bytes.len() && error.is_err_and(|error| error.error_len().is_none())
        };
        broken += usize::from(!chunk.invalid().is_empty() && !is_cut());
    }
    (whole, broken)
}

/// How a table's text is laid out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    pub delimiter: Delimiter,
    pub quoting: Quoting,
    /// Whether nobody said what quotes mean.
    pub quoting_guessed: bool,
    /// Lines before the columns' names that are none of them: Excel's `sep=;`.
    pub lines_before: u64,
}

/// How a table is laid out: as it is told, or as its first lines tell. Refuses JSON.
pub(super) fn table(
    input: &mut Looked,
    name: &str,
    format: Format,
    told: &Layout,
    tell: &mut dyn FnMut(Guess),
) -> Result<Table> {
    let start = first_bytes(input).map_err(|error| super::stream_error(name, &error))?;
    let mark = if start.starts_with(MARK) { MARK.len() } else { 0 };
    let mut text = &start[mark..];
    let line = |text: &[u8]| text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| end + 1);
    let first = text[..line(text)].trim_ascii();
    if first.starts_with(b"{\"") && first.ends_with(b"}") || first.starts_with(b"[{") {
        return Err(DataError::Json { data: name.to_owned() }.into());
    }
    let separator = named_separator(first);
    let skipped = if separator.is_some() { line(text) } else { 0 };
    text = &text[skipped..];
    let own = if format == Format::Tsv { Delimiter::TAB } else { Delimiter::COMMA };
    let delimiter = told.delimiter.or(separator).unwrap_or_else(|| {
        let guess = delimiter(text, own);
        if guess != own {
            tell(Guess::Delimiter(guess));
        }
        guess
    });
    let quoting = told.quoting.unwrap_or_else(|| {
        if format == Format::Tsv && quotes_are_text(text, delimiter) {
            tell(Guess::QuotesAreText);
            return Quoting::None;
        }
        Quoting::Double
    });
    let table = Table {
        delimiter,
        quoting,
        quoting_guessed: told.quoting.is_none() && format == Format::Tsv,
        lines_before: u64::from(separator.is_some()),
    };
    if skipped > 0 {
        input.consume(mark + skipped);
    }
    Ok(table)
}

/// The separator that Excel's first line `sep=;` names.
fn named_separator(line: &[u8]) -> Option<Delimiter> {
    let is_named = line.len() == 5 && line[..4].eq_ignore_ascii_case(b"sep=");
    is_named.then(|| Delimiter::of_byte(line[4])).flatten()
}

/// What stands between the columns: the format's own, unless another one alone gives each of the first lines
/// as many fields as the header has, and more than one.
fn delimiter(text: &[u8], own: Delimiter) -> Delimiter {
    let records = records(text);
    let Some((header, rows)) = records.split_first().filter(|(_, rows)| !rows.is_empty()) else { return own };
    let fits = |delimiter: &Delimiter| {
        let columns = fields(header, *delimiter);
        columns > 1 && rows.iter().all(|row| fields(row, *delimiter) == columns)
    };
    let fitting: Vec<Delimiter> =
        Delimiter::USUAL.into_iter().map(|(delimiter, _)| delimiter).filter(fits).collect();
    match fitting[..] {
        [only] => only,
        _ => own,
    }
}

/// The first whole records: lines, those between quotes together.
fn records(text: &[u8]) -> Vec<&[u8]> {
    let (mut records, mut start, mut quoted) = (Vec::new(), 0, false);
    for (end, byte) in text.iter().enumerate() {
        quoted ^= *byte == b'"';
        if *byte == b'\n' && !quoted {
            records.push(text[start..end].trim_ascii_end());
            start = end + 1;
        }
        if records.len() == LINES {
            break;
        }
    }
    // What was looked at may end within a record; a short text is there as a whole.
    if records.len() < 2 {
        records.push(text[start..].trim_ascii_end());
    }
    records.retain(|record| !record.is_empty());
    records
}

/// Whether quotes are text: one begins a field that it does not close, and each line is a row all the same.
fn quotes_are_text(text: &[u8], delimiter: Delimiter) -> bool {
    let end = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(text.len());
    let lines =
        || text[..end].split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let split = |line: &'_ [u8]| line.split(move |byte| *byte == delimiter.byte()).count();
    let Some(columns) = lines().next().map(split) else { return false };
    let open = |field: &[u8]| match field.strip_prefix(b"\"") {
        Some(rest) => rest.strip_suffix(b"\"").is_none_or(|inside| !doubled(inside)),
        None => false,
    };
    lines().filter(|line| !line.is_empty()).all(|line| split(line) == columns)
        && lines().any(|line| line.split(|byte| *byte == delimiter.byte()).any(open))
}

/// Whether quotes stand only in pairs.
fn doubled(inside: &[u8]) -> bool {
    let mut runs = inside.split(|byte| *byte != b'"');
    runs.all(|run| run.len() % 2 == 0)
}

/// Whether JSON is one array.
pub(super) fn is_array(input: &mut Looked, name: &str) -> Result<bool> {
    let start = first_bytes(input).map_err(|error| super::stream_error(name, &error))?;
    let start = start.strip_prefix(MARK).unwrap_or(start);
    Ok(start.trim_ascii_start().first() == Some(&b'['))
}

/// What has come of the input, at least a byte unless it has none.
pub(super) fn first_bytes(input: &mut Looked) -> io::Result<&[u8]> {
    input.fill_buf()
}

/// The fields of a record, those between quotes whole.
fn fields(record: &[u8], delimiter: Delimiter) -> usize {
    let mut quoted = false;
    let separators = record.iter().filter(|byte| {
        quoted ^= **byte == b'"';
        **byte == delimiter.byte() && !quoted
    });
    separators.count() + 1
}
