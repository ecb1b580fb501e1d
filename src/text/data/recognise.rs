//! What a file is by its first bytes, so that one that is no table of text is called by its name.

use std::io::{self, BufRead, BufReader, Read};

use super::Format;
use crate::error::{DataError, Result};

/// So many of the first bytes are looked at.
const LOOKED_AT: usize = 8192;

/// A reader whose first bytes have been looked at.
pub(super) type Looked = BufReader<Box<dyn Read + Send>>;

/// Kinds of file that people give for a table, by the bytes that they begin with.
const KINDS: [(&[u8], &str); 9] = [
    (b"PK\x03\x04", "an Excel or LibreOffice file, or another zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ", "compressed by xz"),
    (b"PAR1", "a Parquet file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"%PDF-", "a PDF"),
];

/// Refuses what is no text: another kind of file, or text in another encoding than UTF-8.
pub(super) fn look(input: Box<dyn Read + Send>, name: &str) -> Result<Looked> {
    let mut input = BufReader::with_capacity(LOOKED_AT, input);
    let start = first_bytes(&mut input).map_err(|error| super::stream_error(name, &error))?;
    let data = || name.to_owned();
    if let Some((_, kind)) = KINDS.iter().find(|(bytes, _)| start.starts_with(bytes)) {
        return Err(DataError::NoTable { data: data(), kind }.into());
    }
    // Without a byte order mark, the zeros beside Latin letters tell.
    let zeros = start.iter().filter(|byte| **byte == 0).count();
    if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) || 3 * zeros > start.len() {
        return Err(DataError::Utf16 { data: data() }.into());
    }
    Ok(input)
}

/// Refuses a CSV file with another separator than its format's.
pub(super) fn check_separator(input: &mut Looked, name: &str, format: Format) -> Result<()> {
    let start = first_bytes(input).map_err(|error| super::stream_error(name, &error))?;
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let mut lines = start.split(|byte| *byte == b'\n');
    let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let data = || name.to_owned();
    if first.to_ascii_lowercase().starts_with(b"sep=") && first.trim_ascii_end().len() <= 5 {
        return Err(DataError::SeparatorLine { data: data() }.into());
    }
    let object = first.trim_ascii();
    if object.starts_with(b"{\"") && object.ends_with(b"}") || object.starts_with(b"[{") {
        return Err(DataError::Json { data: data() }.into());
    }
    let of_format = if format == Format::Tsv { b'\t' } else { b',' };
    if fields(first, of_format) > 1 {
        return Ok(());
    }
    // One column by the format's own separator, and the same several by another in both lines.
    let others = [(b';', "semicolons"), (b'\t', "tabs"), (b',', "commas"), (b'|', "bars")];
    let as_many =
        |separator: u8| fields(first, separator) > 1 && fields(second, separator) == fields(first, separator);
    match others.into_iter().find(|(separator, _)| *separator != of_format && as_many(*separator)) {
        Some((_, separators)) => Err(DataError::OtherSeparator { data: data(), separators }.into()),
        None => Ok(()),
    }
}

/// Whether JSON is one array.
pub(super) fn is_array(input: &mut Looked, name: &str) -> Result<bool> {
    let start = first_bytes(input).map_err(|error| super::stream_error(name, &error))?;
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    Ok(start.trim_ascii_start().first() == Some(&b'['))
}

/// What has come of the input, at least a byte unless it has none.
fn first_bytes(input: &mut Looked) -> io::Result<&[u8]> {
    input.fill_buf()
}

/// The fields of a line, those between quotes whole.
fn fields(line: &[u8], separator: u8) -> usize {
    let mut quoted = false;
    let separators = line.iter().filter(|byte| {
        quoted ^= **byte == b'"';
        **byte == separator && !quoted
    });
    separators.count() + 1
}
