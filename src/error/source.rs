//! A named text: where a byte of it stands as line and column, and the line round it.

use std::ops::Range;
use std::sync::Arc;

/// Bytes of a text, from and to.
pub type Span = Range<usize>;

/// A text and the name a person knows it by, usually its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
}

/// A place in a text as editors count: both from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineColumn {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// One line of a text with a part of it marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt<'a> {
    /// What stands before the marked part in its line.
    pub before: &'a str,
    /// The marked part, at most up to the end of the line.
    pub marked: &'a str,
    /// What stands after it in its line.
    pub after: &'a str,
}

impl Source {
    /// A text under the name that messages will use. A byte order mark at its start is no part of it, as in
    /// editors.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Source> {
        let mut text = text.into();
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        Arc::new(Source { name: name.into(), text })
    }

    /// The name, usually a path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte.
    ///
    /// ```
    /// let source = cloze::error::source::Source::new("a.json", "{\n \"né\": 1}");
    /// let place = source.line_column(8);
    /// assert_eq!((place.line, place.column), (2, 6));
    /// ```
    pub fn line_column(&self, offset: usize) -> LineColumn {
        let before = &self.text[..self.boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        LineColumn {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// The line in which `span` begins, with the span marked.
    pub fn excerpt(&self, span: &Span) -> Excerpt<'_> {
        let start = self.boundary(span.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |newline| start + newline);
        let end = self.boundary(span.end).clamp(start, line_end);
        Excerpt {
            before: &self.text[line_start..start],
            marked: &self.text[start..end],
            after: self.text[end..line_end].trim_end_matches('\r'),
        }
    }

    /// The byte where line `line`, column `column` (bytes, both from 1, as serde_json counts) stands.
    pub fn offset_of(&self, line: usize, column: usize) -> usize {
        let line_start =
            self.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>();
        self.boundary(line_start + column.saturating_sub(1))
    }

    /// The nearest character boundary at or before `offset`.
    fn boundary(&self, offset: usize) -> usize {
        let mut at = offset.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}
