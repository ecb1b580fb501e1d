//! Which column of a file has the texts, where nobody says.

use crate::error::{DataError, Result};
use crate::text::data::{Columns, Example, ID};

/// Names that columns of texts have, the most usual first.
const USUAL: [&str; 20] = [
    "text",
    "message",
    "review",
    "sentence",
    "comment",
    "body",
    "content",
    "tweet",
    "post",
    "utterance",
    "question",
    "query",
    "request",
    "feedback",
    "document",
    "article",
    "description",
    "abstract",
    "summary",
    "title",
];

/// A column is one of texts if its fields have so many letters on average, and so large a share of letters.
const LETTERS: f64 = 15.0;
const SHARE: f64 = 0.5;

/// One column of texts is taken before another if its fields are so many times as long.
const LONGER: f64 = 3.0;

/// The column of texts: the one with a usual name, or with such a name in its own (`review_body`), or else the only
/// one of texts, or much the longest. `sample` are the first rows.
///
/// ```
/// use cloze::text::data::{Format, Rows};
/// use cloze::text::text_column::text_column;
/// let file = "id,stars,review_body\n1,5,I love it and would buy it again.\n";
/// let mut rows = Rows::read(Box::new(file.as_bytes()), "file", Format::Csv, None)?;
/// let (columns, sample): (_, Vec<_>) = (rows.columns().clone(), rows.look_ahead(10).cloned().collect());
/// assert_eq!(text_column(&columns, &sample)?, "review_body");
/// # Ok::<(), cloze::Error>(())
/// ```
pub fn text_column(columns: &Columns, sample: &[Example]) -> Result<String> {
    let measured: Vec<(&str, Measure)> = columns
        .names()
        .iter()
        .enumerate()
        .filter(|(_, name)| Some(name.as_str()) != columns.label() && *name != ID)
        .map(|(index, name)| (name.as_str(), Measure::of(sample, index)))
        .collect();
    let with_letters = measured.iter().filter(|(_, measure)| measure.letters > 0.0).map(|(name, _)| *name);
    if let Some(name) = named_like_text(with_letters) {
        return Ok(name.to_owned());
    }
    let mut texts: Vec<&(&str, Measure)> = measured.iter().filter(|(_, found)| found.is_text()).collect();
    texts.sort_by(|(_, one), (_, other)| other.letters.total_cmp(&one.letters));
    let (data, listed) = (columns.data().to_owned(), columns.names().to_vec());
    match texts[..] {
        [] => Err(DataError::WithoutText { data, columns: listed }.into()),
        [(name, _)] => Ok((*name).to_owned()),
        [(name, first), (_, second), ..] if first.letters >= LONGER * second.letters => {
            Ok((*name).to_owned())
        }
        _ => {
            let texts = texts.iter().map(|(name, _)| (*name).to_owned()).collect();
            Err(DataError::SeveralTexts { data, texts }.into())
        }
    }
}

/// Of some columns the one with the most usual name of texts, or with such a name in its own.
pub fn named_like_text<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let whole = |name: &str, usual: &str| name.eq_ignore_ascii_case(usual);
    let part = |name: &str, usual: &str| {
        name.split(|letter: char| !letter.is_alphanumeric()).any(|part| part.eq_ignore_ascii_case(usual))
    };
    let named = |is: &dyn Fn(&str, &str) -> bool| {
        USUAL.iter().find_map(|usual| names.clone().find(|name| is(name, usual)))
    };
    named(&whole).or_else(|| named(&part))
}

/// What the fields of a column are like.
struct Measure {
    /// Letters of a field, on average.
    letters: f64,
    /// The share of letters in all that is written.
    share: f64,
}

impl Measure {
    fn of(sample: &[Example], column: usize) -> Measure {
        let fields = || sample.iter().map(|example| example.fields[column].as_str());
        let letters = fields().flat_map(str::chars).filter(|letter| letter.is_alphabetic()).count() as f64;
        let written = fields().flat_map(str::chars).filter(|letter| !letter.is_whitespace()).count() as f64;
        Measure { letters: letters / sample.len().max(1) as f64, share: letters / written.max(1.0) }
    }

    fn is_text(&self) -> bool {
        self.letters >= LETTERS && self.share >= SHARE
    }
}
