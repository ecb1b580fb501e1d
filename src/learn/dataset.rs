//! Data sets to draw from and to train on.

use std::sync::Arc;

use crate::error::Result;
use crate::learn::sample::{self, Candidate};
use crate::learn::target::Target;
use crate::predict::classifier::VerbalizedLm;
use crate::predict::similarity::with_similarity;
use crate::predict::task::{Task, TaskSet};
use crate::text::data::{Columns, Example};
use crate::text::dataset::Dataset;
use crate::text::demonstrations::{Drawing, Strategy};
use crate::text::verbalizer::ValueRange;

/// Rows with targets, as the trainer takes them.
#[derive(Clone)]
pub struct LabelledDataset {
    /// Their columns.
    pub columns: Arc<Columns>,
    /// The rows.
    pub examples: Vec<Example>,
    /// What each is to be answered with.
    pub targets: Vec<Target>,
}

impl Dataset {
    /// The rows as a sample may draw them; all must have labels.
    pub fn candidates(&self) -> Vec<Candidate> {
        let candidate = |(example, truth): (&Example, &Option<usize>)| Candidate {
            identity: sample::identity(&self.columns, example),
            class: truth.unwrap_or_default(),
        };
        self.examples.iter().zip(&self.truths).map(candidate).collect()
    }

    /// Some of the rows, which have labels.
    pub fn pick(&self, rows: &[usize]) -> LabelledDataset {
        LabelledDataset {
            columns: self.columns.clone(),
            examples: rows.iter().map(|&row| self.examples[row].clone()).collect(),
            targets: rows.iter().map(|&row| Target::Class(self.truths[row].unwrap_or_default())).collect(),
        }
    }

    /// A sentence about the rows that stand in another set too, as far as the columns tell that are read;
    /// none if there are none.
    pub fn shared_with(&self, other: &Dataset, read: &[String], so: &str) -> Result<Option<String>> {
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

impl LabelledDataset {
    /// The rows with their numbers as targets, where they stand for the ends of a range: what shares of each end
    /// a number is (Gao et al. 2021). Rows without a number keep what they have.
    #[must_use]
    pub fn with_numbers(mut self, range: &ValueRange) -> LabelledDataset {
        for (example, target) in self.examples.iter().zip(&mut self.targets) {
            if let Some(share) = example.label.as_deref().and_then(|label| range.share_of(label)) {
                *target = Target::Soft { probabilities: vec![1.0 - share, share], temperature: 1.0 };
            }
        }
        self
    }

    /// Patterns with these rows shown, where they show any; `words` has what stands in the blank for each class.
    /// Where rows are chosen by what they are like, the base model tells that.
    pub fn shown_in(
        &self,
        patterns: &TaskSet,
        words: &[String],
        drawing: Drawing,
        base: &VerbalizedLm,
    ) -> Result<TaskSet> {
        let shown: Vec<(Example, usize)> = self.examples.iter().cloned().zip(self.classes()).collect();
        let with_support = |task: &Task| task.clone().with_support(&shown, words, drawing);
        let tasks = patterns.tasks.iter().map(with_support).collect();
        let tasks = match drawing.strategy {
            Strategy::Similar => {
                with_similarity(tasks, &base.zero_shot(None)?, &self.columns, patterns.max_length)?
            }
            Strategy::Random | Strategy::ClassBalanced => tasks,
        };
        Ok(TaskSet { tasks, soft: patterns.soft.clone(), max_length: patterns.max_length })
    }

    /// Some of the rows.
    #[must_use]
    pub fn pick(&self, rows: &[usize]) -> LabelledDataset {
        LabelledDataset {
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
