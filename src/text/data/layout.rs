//! How the text of a file of rows is laid out: its encoding, what stands between columns, what quotes mean.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::DataError;

/// How the text of a file is laid out, as far as somebody says it. The rest is told by the file's first
/// bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Layout {
    /// The encoding of the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// What stands between the columns of CSV and TSV.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Delimiter>,
    /// What a quote means in CSV and TSV.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quoting: Option<Quoting>,
    /// The most that one record may have, in MiB; [`MAX_RECORD_MIB`] where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_record_mib: Option<u64>,
}

/// Longer records are taken for what is no table: an endless line, or a quote that swallowed the rest.
pub const MAX_RECORD_MIB: u64 = 128;

impl Layout {
    /// Whether nothing is said.
    pub fn is_nothing(&self) -> bool {
        *self == Layout::default()
    }

    /// The most bytes that one record may have.
    pub(super) fn max_record(&self) -> u64 {
        self.max_record_mib.unwrap_or(MAX_RECORD_MIB).saturating_mul(1 << 20)
    }
}

/// What stands between columns: one ASCII character.
///
/// ```
/// use cloze::text::data::Delimiter;
/// assert_eq!("tab".parse::<Delimiter>()?, "\t".parse()?);
/// assert!("||".parse::<Delimiter>().is_err() && "\"".parse::<Delimiter>().is_err());
/// # Ok::<(), cloze::error::DataError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Delimiter(u8);

impl Delimiter {
    pub(super) const COMMA: Delimiter = Delimiter(b',');
    pub(super) const TAB: Delimiter = Delimiter(b'\t');
    /// Those that are looked for, each with its name.
    pub(super) const USUAL: [(Delimiter, &'static str); 4] = [
        (Delimiter::COMMA, "comma"),
        (Delimiter(b';'), "semicolon"),
        (Delimiter::TAB, "tab"),
        (Delimiter(b'|'), "bar"),
    ];

    /// The character.
    pub fn byte(self) -> u8 {
        self.0
    }

    pub(super) fn of_byte(byte: u8) -> Option<Delimiter> {
        (byte.is_ascii() && !b"\"\r\n\0".contains(&byte)).then_some(Delimiter(byte))
    }
}

impl FromStr for Delimiter {
    type Err = DataError;

    fn from_str(written: &str) -> Result<Delimiter, DataError> {
        let named = Delimiter::USUAL.into_iter().find(|(_, name)| name.eq_ignore_ascii_case(written));
        let found = match (written.as_bytes(), named) {
            (_, Some((delimiter, _))) => Some(delimiter),
            (b"\\t", _) => Some(Delimiter::TAB),
            ([byte], _) => Delimiter::of_byte(*byte),
            _ => None,
        };
        found.ok_or_else(|| DataError::NoDelimiter { written: written.to_owned() })
    }
}

impl TryFrom<String> for Delimiter {
    type Error = DataError;

    fn try_from(written: String) -> Result<Delimiter, DataError> {
        written.parse()
    }
}

impl From<Delimiter> for String {
    fn from(own: Delimiter) -> String {
        own.to_string()
    }
}

impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Delimiter::USUAL.into_iter().find(|(delimiter, _)| delimiter == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{}", char::from(self.0)),
        }
    }
}

/// An encoding of text, by any of its names on the web (<https://encoding.spec.whatwg.org>).
///
/// ```
/// use cloze::text::data::Encoding;
/// assert_eq!("latin-1".parse::<Encoding>()?.to_string(), "windows-1252");
/// assert!("latin-99".parse::<Encoding>().is_err());
/// # Ok::<(), cloze::error::DataError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Encoding(&'static encoding_rs::Encoding);

impl Encoding {
    pub(super) const UTF_8: Encoding = Encoding(encoding_rs::UTF_8);
    pub(super) const UTF_16LE: Encoding = Encoding(encoding_rs::UTF_16LE);
    pub(super) const UTF_16BE: Encoding = Encoding(encoding_rs::UTF_16BE);

    pub(super) fn of(encoding: &'static encoding_rs::Encoding) -> Encoding {
        Encoding(encoding)
    }

    pub(super) fn table(self) -> &'static encoding_rs::Encoding {
        self.0
    }

    /// The error of what is no text in it.
    pub(super) fn not_text(self, what: String) -> DataError {
        if self == Encoding::UTF_8 {
            DataError::NotUtf8 { what }
        } else {
            DataError::NotInEncoding { what, encoding: self.to_string() }
        }
    }
}

impl FromStr for Encoding {
    type Err = DataError;

    fn from_str(written: &str) -> Result<Encoding, DataError> {
        // Python writes latin-1 and utf_16.
        let spellings = [written.to_owned(), written.replace('_', "-"), written.replace(['-', '_'], "")];
        let found = spellings.iter().find_map(|name| encoding_rs::Encoding::for_label(name.as_bytes()));
        found
            .filter(|encoding| *encoding != encoding_rs::REPLACEMENT)
            .map(Encoding)
            .ok_or_else(|| DataError::NoEncoding { written: written.to_owned() })
    }
}

impl TryFrom<String> for Encoding {
    type Error = DataError;

    fn try_from(written: String) -> Result<Encoding, DataError> {
        written.parse()
    }
}

impl From<Encoding> for String {
    fn from(own: Encoding) -> String {
        own.to_string()
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

/// What a quote means in CSV and TSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Quoting {
    /// Quotes may stand round a field, and one inside is doubled, as in RFC 4180
    Double,
    /// A quote is text like any other, and a line is a row
    None,
}

/// What a file's first bytes told of its layout. Each is logged (see the crate `log`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guess {
    /// Its encoding, where that is not UTF-8.
    Encoding(Encoding),
    /// What stands between its columns, where that is not its format's own.
    Delimiter(Delimiter),
    /// That quotes are text.
    QuotesAreText,
}

impl Guess {
    /// The target under which it is logged, as information.
    pub fn target(self) -> &'static str {
        match self {
            Guess::Encoding(_) => "cloze::guesses::encoding",
            Guess::Delimiter(_) => "cloze::guesses::delimiter",
            Guess::QuotesAreText => "cloze::guesses::quoting",
        }
    }
}

impl fmt::Display for Guess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Guess::Encoding(encoding) => write!(f, "its text seems to be {encoding}, not UTF-8"),
            Guess::Delimiter(delimiter) => {
                write!(f, "its columns seem to stand between {delimiter}")?;
                f.write_str(if delimiter.to_string().len() > 1 { "s" } else { "" })
            }
            Guess::QuotesAreText => f.write_str("its quotes seem to be text, since some are never closed"),
        }
    }
}
