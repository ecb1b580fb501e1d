//! Errors as a person reads them: one line that says what is wrong, the place with a caret under it, what was
//! allowed, a way out.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::Write;

use anstyle::{AnsiColor, Style};
use cloze::error::notes::Note;
use cloze::error::source::Excerpt;
use cloze::error::{Error, Errors, Kind, Place};
use unicode_width::UnicodeWidthStr as _;

use super::advice;
use super::screen::{self, end_of, start_of, without_middle, wrapped};
use super::text::printable;

const RED: Style = AnsiColor::Red.on_default().bold();
const BLUE: Style = AnsiColor::Blue.on_default();
const BOLD: Style = Style::new().bold();

/// At most so many errors are shown one by one.
const MOST_SHOWN: usize = 20;
/// At most so many further places of an error are named.
const MOST_PLACES: usize = 8;
/// Columns before an excerpt.
const INDENT: usize = 5;
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
            _ => one(&mut out, &Told::of(error)),
        },
        _ => said(&mut out, &format!("{error:#}")),
    };
}

/// An error as it is told, with the places of others that say the same.
struct Told<'a> {
    error: &'a Error,
    message: String,
    notes: Vec<Note>,
    also_at: Vec<&'a Place>,
}

impl Told<'_> {
    fn of(error: &Error) -> Told<'_> {
        let (message, notes) = (advice::message(error.kind()), advice::notes(error.kind()));
        Told { error, message, notes, also_at: Vec::new() }
    }
}

fn several(out: &mut impl Write, errors: &Errors) -> std::io::Result<()> {
    let mut told: Vec<Told<'_>> = Vec::new();
    let mut known: HashMap<(String, Vec<Note>), usize> = HashMap::new();
    for error in errors.iter() {
        let new = Told::of(error);
        match known.entry((new.message.clone(), new.notes.clone())) {
            Entry::Occupied(same) => told[*same.get()].also_at.push(error.place()),
            Entry::Vacant(first) => {
                first.insert(told.len());
                told.push(new);
            }
        }
    }
    for (index, error) in told.iter().take(MOST_SHOWN).enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        one(out, error)?;
    }
    match told.len() {
        0 | 1 => Ok(()),
        all if all > MOST_SHOWN => {
            writeln!(out, "\n{all} problems, of which the first {MOST_SHOWN} are shown")
        }
        all => writeln!(out, "\n{all} problems"),
    }
}

fn one(out: &mut impl Write, told: &Told<'_>) -> std::io::Result<()> {
    said(out, &told.message)?;
    if !matches!(told.error.place(), Place::Nowhere) {
        writeln!(out, "  {BLUE}┌─{BLUE:#} {}", whereabouts(told.error.place()))?;
    }
    if let Place::Text { source, span, .. } = told.error.place() {
        let (line, carets) = window(&source.excerpt(span), screen::width().saturating_sub(INDENT));
        writeln!(out, "  {BLUE}│{BLUE:#}  {line}")?;
        writeln!(out, "  {BLUE}│{BLUE:#}  {RED}{carets}{RED:#}")?;
    }
    let also = also_in(&told.also_at);
    let also = (!also.is_empty()).then_some(("also in", also));
    for (label, text) in also.iter().chain(&told.notes) {
        let text = wrapped(&format!("  = {label}: {}", message(text)), 4);
        writeln!(out, "  {BLUE}={BLUE:#}{}", text.trim_start_matches("  ="))?;
    }
    Ok(())
}

/// What is wrong.
fn said(out: &mut impl Write, text: &str) -> std::io::Result<()> {
    let text = wrapped(&format!("error: {}", message(text)), 2);
    writeln!(out, "{RED}error{RED:#}{BOLD}{}{BOLD:#}", text.trim_start_matches("error"))
}

/// A place in words: `data.csv:7  record 6, column label`, `template.json:2:15  pattern`.
fn whereabouts(place: &Place) -> String {
    match place {
        Place::Nowhere => String::new(),
        Place::Row { file, line, record, batch, column } => {
            let column =
                column.as_ref().map(|column| format!(", column {}", message(column))).unwrap_or_default();
            // Record 0 is the header.
            let record = if *record == 0 { "header".to_owned() } else { format!("record {record}") };
            let batch = batch.map(|batch| format!("batch {batch}, ")).unwrap_or_default();
            format!("{file}:{line}  {batch}{record}{column}")
        }
        Place::Text { source, span, pointer } => {
            let at = source.line_column(span.start);
            let pointer = if pointer.is_empty() { String::new() } else { format!("  {pointer}") };
            format!("{}:{}:{}{pointer}", source.name(), at.line, at.column)
        }
    }
}

/// Further places, in short: `b.json:2:15, c.json:2:15`; of one file `data.csv:7, 9, 12`.
fn also_in(places: &[&Place]) -> String {
    let mut last = "";
    let mut named = Vec::new();
    for place in places.iter().take(MOST_PLACES) {
        let (file, at) = match place {
            Place::Nowhere => continue,
            Place::Row { file, line, .. } => (file.as_str(), line.to_string()),
            Place::Text { source, span, .. } => {
                let at = source.line_column(span.start);
                (source.name(), format!("{}:{}", at.line, at.column))
            }
        };
        named.push(if file == last { at } else { format!("{file}:{at}") });
        last = file;
    }
    let more = places.len().saturating_sub(MOST_PLACES);
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    named.join(", ")
}

/// The part of a line round what is meant that fits so many columns, and the carets that go under it.
fn window(excerpt: &Excerpt<'_>, columns: usize) -> (String, String) {
    let [before, marked, after] = [excerpt.before.trim_start(), excerpt.marked, excerpt.after].map(printable);
    let beside = before.width() + after.width();
    let marked = start_of(&marked, (columns * 2 / 3).max(columns.saturating_sub(beside)));
    let room = columns.saturating_sub(marked.width().max(1));
    // What one side leaves, the other may have.
    let before = end_of(&before, (room / 2).max(room.saturating_sub(after.width())));
    let after = start_of(&after, room.saturating_sub(before.width()));
    let carets = " ".repeat(before.width()) + &"^".repeat(marked.width().max(1));
    (format!("{before}{marked}{after}"), carets)
}

fn message(text: &str) -> String {
    printable(&without_middle(text, MOST_MESSAGE))
}
