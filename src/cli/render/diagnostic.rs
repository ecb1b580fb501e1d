//! Errors as a person reads them: one line that says what is wrong, the place with a caret under it, what was
//! allowed, a way out.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use cloze::error::{Error, Errors, Kind, Place};
use unicode_width::UnicodeWidthStr as _;

use super::advice;
use super::text::{end_of, printable, start_of, without_middle};

const RED: Style = AnsiColor::Red.on_default().bold();
const BLUE: Style = AnsiColor::Blue.on_default();
const BOLD: Style = Style::new().bold();

/// At most so many errors are shown one by one.
const MOST_SHOWN: usize = 20;
/// At most so many columns of a line are shown on either side of what is meant.
const MOST_CONTEXT: usize = 60;
/// At most so many columns of a message: it may quote a whole field.
const MOST_MESSAGE: usize = 400;

/// Prints any error to stderr, each of several.
pub fn error(error: &anyhow::Error) {
    let mut out = anstream::stderr().lock();
    // Nothing is left to be done where stderr itself fails.
    let _ = match (error.downcast_ref::<Errors>(), error.downcast_ref::<Error>()) {
        (Some(errors), _) => several(&mut out, errors),
        (_, Some(error)) => match error.kind() {
            Kind::Several(errors) => several(&mut out, errors),
            _ => one(&mut out, error),
        },
        _ => writeln!(out, "{RED}error{RED:#}{BOLD}: {error:#}{BOLD:#}"),
    };
}

fn several(out: &mut impl Write, errors: &Errors) -> std::io::Result<()> {
    for (index, error) in errors.iter().take(MOST_SHOWN).enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        one(out, error)?;
    }
    match errors.len() {
        0 | 1 => Ok(()),
        all if all > MOST_SHOWN => {
            writeln!(out, "\n{all} problems, of which the first {MOST_SHOWN} are shown")
        }
        all => writeln!(out, "\n{all} problems"),
    }
}

fn one(out: &mut impl Write, error: &Error) -> std::io::Result<()> {
    writeln!(out, "{RED}error{RED:#}{BOLD}: {}{BOLD:#}", message(&advice::message(error.kind())))?;
    match error.place() {
        Place::Nowhere => {}
        Place::Row { file, line, record, column } => {
            let column =
                column.as_ref().map(|column| format!(", column {}", message(column))).unwrap_or_default();
            // Record 0 is the header.
            let record = if *record == 0 { "header".to_owned() } else { format!("record {record}") };
            writeln!(out, "  {BLUE}┌─{BLUE:#} {file}:{line}  {record}{column}")?;
        }
        Place::Text { source, span, pointer } => {
            let at = source.line_column(span.start);
            let pointer = if pointer.is_empty() { String::new() } else { format!("  {pointer}") };
            writeln!(out, "  {BLUE}┌─{BLUE:#} {}:{}:{}{pointer}", source.name(), at.line, at.column)?;
            let excerpt = source.excerpt(span);
            let before = printable(&end_of(excerpt.before.trim_start(), MOST_CONTEXT));
            let marked = printable(&start_of(excerpt.marked, MOST_CONTEXT));
            let after = printable(&start_of(excerpt.after, MOST_CONTEXT));
            writeln!(out, "  {BLUE}│{BLUE:#}  {before}{marked}{after}")?;
            let indent = " ".repeat(before.width());
            let carets = "^".repeat(marked.width().max(1));
            writeln!(out, "  {BLUE}│{BLUE:#}  {indent}{RED}{carets}{RED:#}")?;
        }
    }
    for (label, text) in advice::notes(error.kind()) {
        writeln!(out, "  {BLUE}={BLUE:#} {label}: {}", message(&text))?;
    }
    Ok(())
}

fn message(text: &str) -> String {
    printable(&without_middle(text, MOST_MESSAGE))
}
