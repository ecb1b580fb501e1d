//! Plain tables: columns as wide as their widest cell.

use unicode_width::UnicodeWidthStr as _;

use super::text::printable;

/// Where a column's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Rows as lines, the first row the header. Cells of a row beyond `columns` are left out.
pub fn table(columns: &[Align], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut lines = String::new();
    for row in &rows {
        let mut line = String::from("  ");
        for ((cell, align), width) in row.iter().zip(columns).zip(&widths) {
            let space = " ".repeat(width.saturating_sub(cell.width()));
            line.push_str(&match align {
                Align::Left => format!("{cell}{space}  "),
                Align::Right => format!("{space}{cell}  "),
            });
        }
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}
