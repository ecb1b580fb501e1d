//! What was said of rows, as tables.

use std::path::Path;

use super::project::{Kept, OWN_COLUMNS, Project};
use crate::error::{LabelError, Result};
use crate::text::data::{Format, LABEL};
use crate::text::table::{Cell, Column, Destination, Holds, TableWriter};
use crate::text::whole_file::WholeFile;

/// How many rows were written, and how many were not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exported {
    /// Rows with a label that are not kept to test on, or all where these have no file of their own.
    pub rows: u64,
    /// Rows with a label in the file of those to test on.
    pub held_out: u64,
    /// Rows that nobody gave a label: all who looked at them skipped them.
    pub skipped: u64,
    /// Rows that as many gave one label as another.
    pub disputed: u64,
}

/// What is said of a row.
pub(super) enum Said<'a> {
    Label(&'a str),
    Skipped,
    Disputed,
}

/// Writes the rows that have a label, in the order in which they were shown: their columns, the label, who
/// gave it, what was noted, and whether the row is kept to test on. Where labellers differ, the label counts
/// that most of them gave; rows without one are written if `all` is wanted. Rows to test on go into a file of
/// their own, where one is named.
///
/// # Errors
/// A project in which nothing has a label.
pub fn export(project: &Project, out: &Path, held_out: Option<&Path>, all: bool) -> Result<Exported> {
    let about = project.about();
    let answers = project.answers()?;
    if !answers.values().flatten().any(|kept| kept.label.is_some()) {
        return Err(LabelError::NothingLabelled { project: project.path().to_owned() }.into());
    }
    let label_at = about.label_column;
    let mut header = about.columns.clone();
    if label_at.is_none() {
        header.push(LABEL.to_owned());
    }
    header.extend(OWN_COLUMNS.map(str::to_owned));
    let mut header = Column::texts(&header);
    // Whether the row is kept to test on.
    if let Some(last) = header.last_mut() {
        last.holds = Holds::Whole;
    }
    let mut table = create(out, &header)?;
    let mut apart = held_out.map(|path| create(path, &header)).transpose()?;
    let mut exported = Exported::default();
    for (place, answers) in &answers {
        let said = said(answers);
        match said {
            Said::Label(_) => {}
            Said::Skipped => exported.skipped += 1,
            Said::Disputed => exported.disputed += 1,
        }
        let label = match said {
            Said::Label(label) => Cell::Text(label.to_owned()),
            _ if all => Cell::Nothing,
            _ => continue,
        };
        let row = project.row(*place)?;
        let mut cells: Vec<Cell> = row.fields.into_iter().map(Cell::Text).collect();
        match label_at {
            Some(at) => cells[at] = label,
            None => cells.push(label),
        }
        let names: Vec<&str> = answers.iter().map(|kept| kept.labeller.as_str()).collect();
        let notes: Vec<&str> =
            answers.iter().map(|kept| kept.note.as_str()).filter(|note| !note.is_empty()).collect();
        let words = |words: Vec<&str>| Cell::Text(words.join(" | "));
        cells.extend([words(names), words(notes), Cell::Number(u8::from(row.held_out).to_string())]);
        match (&mut apart, row.held_out) {
            (Some(apart), true) => {
                apart.write(&cells)?;
                exported.held_out += u64::from(matches!(said, Said::Label(_)));
            }
            _ => {
                table.write(&cells)?;
                exported.rows += u64::from(matches!(said, Said::Label(_)));
            }
        }
    }
    if let Some(apart) = apart {
        apart.finish()?.commit()?;
    }
    table.finish()?.commit()?;
    Ok(exported)
}

fn create(path: &Path, header: &[Column]) -> Result<TableWriter<WholeFile>> {
    let to = match path == Path::new("-") {
        true => Destination::stdout(Format::Csv),
        false => Destination::create(path)?,
    };
    TableWriter::create(to, header)
}

/// The label that most gave who gave one.
pub(super) fn said(answers: &[Kept]) -> Said<'_> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for label in answers.iter().filter_map(|kept| kept.label.as_deref()) {
        match counts.iter_mut().find(|(other, _)| *other == label) {
            Some((_, count)) => *count += 1,
            None => counts.push((label, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    match &counts[..] {
        [] => Said::Skipped,
        [(_, first), (_, second), ..] if first == second => Said::Disputed,
        [(label, _), ..] => Said::Label(label),
    }
}
