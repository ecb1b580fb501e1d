//! Rows that are wanted whole: to draw from, to train on, to evaluate on.

use std::sync::Arc;

use crate::error::Result;
use crate::learn::sample::{self, Candidate};
use crate::learn::train::{Labelled, Target};
use crate::text::data::{Columns, Example};

/// All rows of a file.
pub struct RowSet {
    /// Their columns.
    pub columns: Arc<Columns>,
    /// The rows.
    pub examples: Vec<Example>,
    /// The class of each, where it has a label.
    pub truths: Vec<Option<usize>>,
}

/// Rows of their own, as the trainer takes them.
#[derive(Clone)]
pub struct Rows {
    /// Their columns.
    pub columns: Arc<Columns>,
    /// The rows.
    pub examples: Vec<Example>,
    /// What each is to be answered with.
    pub targets: Vec<Target>,
}

impl RowSet {
    /// The rows as a sample may draw them; all must have labels.
    pub fn candidates(&self) -> Vec<Candidate> {
        let candidate = |(example, truth): (&Example, &Option<usize>)| Candidate {
            identity: sample::identity(&self.columns, example),
            class: truth.unwrap_or_default(),
        };
        self.examples.iter().zip(&self.truths).map(candidate).collect()
    }

    /// Some of the rows, which have labels.
    pub fn pick(&self, rows: &[usize]) -> Rows {
        Rows {
            columns: self.columns.clone(),
            examples: rows.iter().map(|&row| self.examples[row].clone()).collect(),
            targets: rows.iter().map(|&row| Target::Class(self.truths[row].unwrap_or_default())).collect(),
        }
    }

    /// All of the rows, labelled or not.
    pub fn all(&self) -> Rows {
        self.pick(&(0..self.examples.len()).collect::<Vec<_>>())
    }

    /// The rows with a label, and it.
    pub fn labelled(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.truths.iter().enumerate().filter_map(|(row, truth)| Some((row, (*truth)?)))
    }

    /// The classes of the rows that have a label, in the rows' order, and whether each prediction of them is
    /// right.
    pub fn right(&self, class_of: impl Fn(usize) -> usize) -> Vec<bool> {
        self.labelled().map(|(row, truth)| class_of(row) == truth).collect()
    }

    /// A row's columns that are read, as one text.
    pub fn text(columns: &Columns, example: &Example, read: &[String]) -> String {
        let place = |name: &String| columns.names().iter().position(|column| column == name);
        let fields = read.iter().filter_map(place).map(|place| example.fields[place].as_str());
        fields.collect::<Vec<_>>().join(" ")
    }

    /// A sentence about the rows that stand in another set too, as far as the columns tell that are read;
    /// none if there are none.
    pub fn shared_with(&self, other: &RowSet, read: &[String], so: &str) -> Result<Option<String>> {
        let (columns, rows) = self.part(read)?;
        let (other_columns, other_rows) = other.part(read)?;
        let shared = sample::shared((&columns, &rows), (&other_columns, &other_rows));
        let records: Vec<String> = shared.iter().take(5).map(|&row| rows[row].record.to_string()).collect();
        Ok((!shared.is_empty()).then(|| {
            format!(
                "{} of the {} rows of {} are in {} too (record{} {}{}): {so}",
                shared.len(),
                rows.len(),
                columns.data(),
                other_columns.data(),
                if shared.len() == 1 { "" } else { "s" },
                records.join(", "),
                if shared.len() > records.len() { ", …" } else { "" },
            )
        }))
    }

    /// The rows with the columns alone that are read.
    fn part(&self, read: &[String]) -> Result<(Columns, Vec<Example>)> {
        let places: Vec<usize> = read
            .iter()
            .filter_map(|column| self.columns.names().iter().position(|name| name == column))
            .collect();
        let part = |example: &Example| Example {
            fields: places.iter().map(|&place| example.fields[place].clone()).collect(),
            ..example.clone()
        };
        let names = places.iter().map(|&place| self.columns.names()[place].clone()).collect();
        Ok((Columns::check(self.columns.data(), names, None)?, self.examples.iter().map(part).collect()))
    }
}

impl Rows {
    /// As the trainer takes them.
    pub fn labelled(&self) -> Labelled<'_> {
        Labelled { columns: &self.columns, examples: &self.examples, targets: &self.targets }
    }

    /// Some of the rows.
    #[must_use]
    pub fn pick(&self, rows: &[usize]) -> Rows {
        Rows {
            columns: self.columns.clone(),
            examples: rows.iter().map(|&row| self.examples[row].clone()).collect(),
            targets: rows.iter().map(|&row| self.targets[row].clone()).collect(),
        }
    }

    /// The class of each.
    pub fn classes(&self) -> Vec<usize> {
        self.targets.iter().map(Target::class).collect()
    }
}
