//! Plain tables that fit the terminal: columns as wide as their widest cell; where that is too much, texts are cut;
//! where that is not enough, the columns go in several tables, one below the other.

use unicode_width::UnicodeWidthStr as _;

use super::screen::{self, broken, start_of, without_middle};
use super::text::printable;

/// Where a column's text stands, and what of it goes where there is little room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// A name or a pattern, which loses its middle.
    Left,
    /// Running text, which loses its end.
    Text,
    /// The last column: a list of words, which goes on in the next line.
    Words,
    /// A number, which is never cut.
    Right,
    /// The last column: a pattern, which goes below the others where there is no room beside them.
    Below,
}

/// A column of texts is not cut to less.
const LEAST: usize = 8;
/// Before a line, and between columns.
const GAP: usize = 2;

/// Rows as lines, the first row the header. Cells of a row beyond `columns` are left out; a row of one cell is a
/// heading, which may be wider than its column.
pub fn table(columns: &[Align], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let widths = widths(columns, &rows);
    let total: usize = widths.iter().map(|width| GAP + width).sum();
    let is_below = columns.last() == Some(&Align::Below) && total > screen::width();
    let beside = &columns[..columns.len() - usize::from(is_below)];
    let below = |row: &[String]| {
        let cell = row.get(beside.len()).filter(|cell| is_below && !cell.is_empty())?;
        let indent = " ".repeat(3 * GAP);
        Some(format!("{indent}{}\n", without_middle(cell, screen::width().saturating_sub(3 * GAP))))
    };
    let lines = |(part, chosen): (usize, &Vec<usize>)| {
        let widths = shrunk(beside, &widths, chosen);
        let row = |row: &Vec<String>| {
            let below = if part == 0 { below(row) } else { None };
            line(beside, row, chosen, &widths) + &below.unwrap_or_default()
        };
        rows.iter().map(row).collect::<String>()
    };
    parts(beside, &widths).iter().enumerate().map(lines).collect::<Vec<_>>().join("\n")
}

/// Whether all columns have room side by side, and no text is cut.
pub fn fits(columns: &[Align], rows: &[Vec<String>]) -> bool {
    widths(columns, rows).iter().map(|width| GAP + width).sum::<usize>() <= screen::width()
}

fn widths(columns: &[Align], rows: &[Vec<String>]) -> Vec<usize> {
    let is_heading = |row: &Vec<String>| row.len() == 1 && columns.len() > 1;
    let rows: Vec<&Vec<String>> = rows.iter().filter(|row| !is_heading(row)).collect();
    let of_column = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.width())).max();
    (0..columns.len()).map(|column| of_column(column).unwrap_or(0)).collect()
}

/// The columns of each table. What stands before the first number says what a row is, and stands in each.
fn parts(columns: &[Align], widths: &[usize]) -> Vec<Vec<usize>> {
    let least = |column: &usize| GAP + least(columns[*column], widths[*column]);
    let heads = columns.iter().take_while(|align| **align != Align::Right).count();
    let head: Vec<usize> = (0..heads).collect();
    let room = screen::width().saturating_sub(head.iter().map(least).sum());
    let (mut parts, mut used) = (vec![head.clone()], 0);
    for column in heads..columns.len() {
        if used > 0 && used + least(&column) > room {
            parts.push(head.clone());
            used = 0;
        }
        used += least(&column);
        if let Some(part) = parts.last_mut() {
            part.push(column);
        }
    }
    parts
}

fn least(align: Align, width: usize) -> usize {
    if align == Align::Right { width } else { width.min(LEAST) }
}

/// The widths of chosen columns that fit: the widest texts give way first.
fn shrunk(columns: &[Align], widths: &[usize], chosen: &[usize]) -> Vec<usize> {
    let mut widths = widths.to_vec();
    let total = |widths: &[usize]| chosen.iter().map(|&column| GAP + widths[column]).sum::<usize>();
    while total(&widths) > screen::width() {
        let texts = chosen.iter().filter(|&&column| widths[column] > least(columns[column], widths[column]));
        match texts.max_by_key(|&&column| widths[column]) {
            Some(&widest) => widths[widest] -= 1,
            None => break,
        }
    }
    widths
}

fn line(columns: &[Align], row: &[String], chosen: &[usize], widths: &[usize]) -> String {
    if let ([heading], true) = (row, columns.len() > 1) {
        return format!("{}{}\n", " ".repeat(GAP), start_of(heading, screen::width().saturating_sub(GAP)));
    }
    let mut line = String::new();
    for &column in chosen {
        let Some(cell) = row.get(column) else { continue };
        let (align, width) = (columns[column], widths[column]);
        let cell = match align {
            Align::Left | Align::Below => without_middle(cell, width),
            Align::Text => start_of(cell, width),
            Align::Words => {
                broken(cell, 0, width).replace('\n', &format!("\n{}", " ".repeat(line.width() + GAP)))
            }
            Align::Right => cell.clone(),
        };
        let space = " ".repeat(width.saturating_sub(cell.width()));
        let gap = " ".repeat(GAP);
        match align {
            Align::Left | Align::Text | Align::Words | Align::Below => line.extend([gap, cell, space]),
            Align::Right => line.extend([gap, space, cell]),
        }
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}
