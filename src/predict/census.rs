//! What the rows of a file are like, to label words and patterns.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Errors, Place};
use crate::model::folder::ModelFolder;
use crate::predict::encode::encode;
use crate::predict::task::Task;
use crate::text::data::{Columns, Rows};
use crate::text::dataset::truth;
use crate::text::verbalizer::Verbalizer;

/// Row problems beyond so many are counted, not kept: a file with a million wrong labels must not fill the
/// memory.
const MOST_ROW_PROBLEMS: usize = 1000;

/// So many labels are counted apart: with the wrong label column, each row's whole text is one.
const MOST_LABELS_KEPT: usize = 1000;

/// What the rows of a file are like.
pub struct Census {
    /// The columns.
    pub columns: Arc<Columns>,
    /// The number of rows.
    pub rows: u64,
    /// The number of rows that cannot be read, which are not among them.
    pub unreadable: u64,
    /// The labels, each with its number of rows.
    pub labels: BTreeMap<String, u64>,
    /// Rows with a label beyond those that are kept.
    pub labels_unkept: u64,
    /// For each column the number of rows in which it is empty.
    pub empty: Vec<u64>,
    /// For each pattern the number of rows that had to be cut.
    pub truncated: Vec<u64>,
    /// The tokens of all rows in all patterns.
    pub tokens: u64,
    /// Problems of rows that were too many to keep.
    pub unkept: u64,
}

impl Census {
    /// Reads all rows, and puts what is wrong with them beside the errors. Labels are held against a
    /// verbalizer's classes, if there is one, and rows are encoded in the patterns for a model with so many
    /// tokens at most.
    pub fn take(
        mut rows: Rows,
        verbalizer: Option<&Verbalizer>,
        tasks: &[Task],
        model: Option<(&ModelFolder, usize)>,
        problems: &mut Errors,
    ) -> Census {
        let columns = rows.columns().clone();
        let mut census = Census {
            rows: 0,
            unreadable: 0,
            labels: BTreeMap::new(),
            labels_unkept: 0,
            empty: vec![0; columns.names().len()],
            truncated: vec![0; tasks.len()],
            tokens: 0,
            unkept: 0,
            columns: columns.clone(),
        };
        let mut keep = |error: Error, unkept: &mut u64| {
            if problems.len() < MOST_ROW_PROBLEMS {
                problems.push(error);
            } else {
                *unkept += 1;
            }
        };
        for row in &mut rows {
            let example = match row {
                Ok(example) => example,
                Err(error) => {
                    let ends = matches!(error.place(), Place::Nowhere);
                    keep(error, &mut census.unkept);
                    // An error without a row is one of reading: nothing more will come.
                    if ends {
                        break;
                    }
                    census.unreadable += 1;
                    continue;
                }
            };
            census.rows += 1;
            for (empty, field) in census.empty.iter_mut().zip(&example.fields) {
                *empty += u64::from(field.trim().is_empty());
            }
            if let Some(label) = &example.label {
                // With the wrong label column every row's text may be a label: enough are kept to show that.
                let kept = census.labels.len() < MOST_LABELS_KEPT || census.labels.contains_key(label);
                if kept {
                    *census.labels.entry(label.clone()).or_default() += 1;
                } else {
                    census.labels_unkept += 1;
                }
                // Each unknown label is told once, at its first row.
                if let Some(verbalizer) = verbalizer
                    && kept
                    && census.labels[label] == 1
                    && let Err(error) = truth(verbalizer, &columns, &example)
                {
                    keep(error, &mut census.unkept);
                }
            }
            let Some((folder, max_length)) = model else { continue };
            for (task, truncated) in tasks.iter().zip(&mut census.truncated) {
                match encode(&task.wrap(&example), &folder.tokenizer, max_length) {
                    Ok(features) => {
                        *truncated += u64::from(features.removed > 0);
                        census.tokens += features.ids.len() as u64;
                    }
                    Err(error) => keep(error.at(columns.place(&example, None)), &mut census.unkept),
                }
            }
        }
        census
    }
}
