//! How wide the terminal is, and what fits it. Columns are counted, not letters: a Chinese character takes
//! two.

use std::io::{stderr, stdout};
use std::sync::LazyLock;

use terminal_size::{Width, terminal_size_of};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The width where there is no terminal: what is written to files looks the same wherever it was run.
const USUAL: usize = 80;
/// Nothing is made to fit into less.
const LEAST: usize = 40;

static TERMINAL: LazyLock<Option<usize>> = LazyLock::new(|| {
    let of_terminal = terminal_size_of(stderr()).or_else(|| terminal_size_of(stdout()));
    let of_shell = || std::env::var("COLUMNS").ok()?.parse().ok();
    of_terminal.map(|(Width(columns), _)| usize::from(columns)).or_else(of_shell)
});

/// The columns that a line may have: the terminal's, or what `COLUMNS` says where there is none, or 80.
pub fn width() -> usize {
    TERMINAL.unwrap_or(USUAL).max(LEAST)
}

/// A text in lines that fit a terminal, broken between words; all lines but the first begin with an indent. A
/// command at its end (`…: cloze score …`) stays whole, to be copied. Where there is no terminal a text stays
/// one line, which tools can search.
pub fn wrapped(text: &str, indent: usize) -> String {
    match *TERMINAL {
        Some(columns) => broken(text, indent, columns.max(LEAST)),
        None => text.to_owned(),
    }
}

/// The lines of a text, each wrapped by itself; a line's own indent and two columns more begin those below
/// it. Lines of a table fit already.
pub fn wrapped_lines(text: &str) -> String {
    let line = |line: &str| {
        let own = line.len() - line.trim_start().len();
        wrapped(line, own + 2)
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// A text in lines of a width, broken between words; all lines but the first begin with an indent.
pub fn broken(text: &str, indent: usize, width: usize) -> String {
    let is_command = |colon: &usize| {
        let word = text[colon + 2..].split(' ').next().unwrap_or_default();
        word == "cloze" || word.ends_with("/cloze")
    };
    let command = text.match_indices(": ").map(|(colon, _)| colon).find(is_command);
    let (prose, command) = command.map_or((text, ""), |colon| text.split_at(colon + 2));
    let (mut lines, mut used) = (String::new(), 0);
    for word in prose.split_inclusive(' ').chain(Some(command).filter(|command| !command.is_empty())) {
        let columns = word.trim_end().width();
        if used > indent && used + columns > width {
            lines.truncate(lines.trim_end().len());
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            used = indent;
        }
        lines.push_str(word);
        used += word.width();
    }
    lines
}

/// At most so many columns from the start.
pub fn start_of(text: &str, most: usize) -> String {
    if text.width() <= most {
        return text.to_owned();
    }
    text[..fitting(text.chars(), most.saturating_sub(1))].to_owned() + "…"
}

/// At most so many columns from the end.
pub fn end_of(text: &str, most: usize) -> String {
    if text.width() <= most {
        return text.to_owned();
    }
    let kept = fitting(text.chars().rev(), most.saturating_sub(1));
    format!("…{}", &text[text.len() - kept..])
}

/// The start and the end, where a text has more columns.
pub fn without_middle(text: &str, most: usize) -> String {
    if text.width() <= most {
        return text.to_owned();
    }
    let start = fitting(text.chars(), most.saturating_sub(1).div_ceil(2));
    let end = fitting(text.chars().rev(), most.saturating_sub(1) / 2);
    format!("{}…{}", &text[..start], &text[text.len() - end..])
}

/// How many bytes the letters have that fit so many columns.
fn fitting(letters: impl Iterator<Item = char>, most: usize) -> usize {
    let mut columns = 0;
    let fits = |letter: &char| {
        columns += letter.width().unwrap_or(0);
        columns <= most
    };
    letters.take_while(fits).map(char::len_utf8).sum()
}
