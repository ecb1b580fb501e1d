//! Rows to a score for each label: how much more its words, or yes, fit than its absence.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::error::{MultiLabelError, Result};
use crate::numbers::softmax::log;
use crate::predict::multi_label::way::{AskedLabel, LABEL_NAME, LABEL_TEXT, Way};
use crate::predict::prompt_classifier::{PromptClassifier, Scoring, Together};
use crate::predict::report::Prediction;
use crate::predict::score::{Coming, Scored};
use crate::predict::task::Task;
use crate::text::data::{Columns, Example};

/// With [`Way::YesNo`] so many questions are asked together: rows times labels.
const QUESTIONS: usize = 8192;

/// What was found for one row, P patterns and L labels.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelScores {
    /// Each pattern's scores, `[P,L]`: the logarithm of how much likelier a label is than its absence.
    pub by_pattern: Vec<Vec<f64>>,
    /// Whether some pattern had to cut the row.
    pub truncated: bool,
}

/// A classifier on the columns of rows, with the labels that it is asked for.
pub struct LabelScoring<'a> {
    scoring: Scoring<'a>,
    way: Way,
    labels: &'a [AskedLabel],
    columns: Arc<Columns>,
}

/// The columns that patterns may read: those of the rows, and with [`Way::YesNo`] what stands for the label.
pub fn asked_columns(columns: &Columns, way: Way) -> Result<Columns> {
    if way == Way::Reference {
        return Ok(columns.clone());
    }
    let taken = |column: &&str| columns.names().iter().any(|name| name == column);
    if let Some(column) = [LABEL_NAME, LABEL_TEXT].into_iter().find(taken) {
        let data = columns.data().to_owned();
        return Err(MultiLabelError::ColumnTaken { column, data }.into());
    }
    Ok(columns.with([LABEL_NAME, LABEL_TEXT]))
}

/// Rows with the questions that are asked of them.
struct Asked {
    rows: Vec<Example>,
    questions: Option<Vec<Example>>,
    ends: bool,
}

impl AsRef<[Example]> for Asked {
    fn as_ref(&self) -> &[Example] {
        self.questions.as_ref().unwrap_or(&self.rows)
    }
}

/// What is done with rows and what was found for each.
pub(super) type EachScored<'a> = dyn FnMut(Together, Vec<LabelScores>) -> Result<()> + 'a;

impl<'a> LabelScoring<'a> {
    /// Patterns on [`asked_columns`] of rows.
    pub fn new(
        classifier: &'a PromptClassifier,
        way: Way,
        labels: &'a [AskedLabel],
        tasks: Vec<Task>,
        columns: Arc<Columns>,
    ) -> Result<LabelScoring<'a>> {
        let scoring = classifier.on(tasks, columns.clone())?;
        Ok(LabelScoring { scoring, way, labels, columns })
    }

    /// The patterns and the models.
    pub fn scoring(&self) -> &Scoring<'a> {
        &self.scoring
    }

    /// Scores rows; the results come in the rows' order. An error names its row.
    pub fn score(&self, rows: &[Example]) -> Result<Vec<LabelScores>> {
        let mut all = Vec::with_capacity(rows.len());
        let together = Together { rows: rows.to_vec(), ends: true };
        let mut chunks = [together].into_iter().map(Coming::Chunk);
        let mut next = |_| Ok(chunks.next().unwrap_or(Coming::End));
        let mut each = |_, scores| {
            all.extend::<Vec<LabelScores>>(scores);
            Ok(())
        };
        self.score_chunks(&mut next, &mut each, &mut |_| {})?;
        Ok(all)
    }

    /// Scores chunk after chunk, while the next is read. `progress` is told how many rows are done.
    pub(super) fn score_chunks(
        &self,
        next: &mut dyn FnMut(bool) -> Result<Coming<Together>>,
        each: &mut EachScored<'_>,
        progress: &mut dyn FnMut(f64),
    ) -> Result<()> {
        let most = match self.way {
            Way::Reference => usize::MAX,
            Way::YesNo => (QUESTIONS / self.labels.len().max(1)).max(1),
        };
        let (mut waiting, mut all_end): (VecDeque<Example>, bool) = (VecDeque::new(), true);
        let mut next_asked = |may_wait: bool| {
            if waiting.is_empty() {
                match next(may_wait)? {
                    Coming::Chunk(Together { rows, ends }) => {
                        waiting.extend(rows);
                        all_end = ends;
                    }
                    Coming::Later => return Ok(Coming::Later),
                    Coming::End => return Ok(Coming::End),
                }
            }
            let rows: Vec<Example> = waiting.drain(..most.min(waiting.len())).collect();
            Ok(Coming::Chunk(self.asked(rows, all_end && waiting.is_empty())))
        };
        let mut answer = |asked: Asked, scored: Vec<Scored>| {
            let of_row = scored.chunks((scored.len() / asked.rows.len().max(1)).max(1));
            let scores = of_row.map(|scored| self.scores(scored)).collect();
            each(Together { rows: asked.rows, ends: asked.ends }, scores)
        };
        let questions = match self.way {
            Way::Reference => 1.0,
            Way::YesNo => self.labels.len() as f64,
        };
        self.scoring.scorer().score_chunks(&self.columns, &mut next_asked, &mut answer, &mut |done| {
            progress(done / questions);
        })
    }

    fn asked(&self, rows: Vec<Example>, ends: bool) -> Asked {
        let question = |row: &Example, label: &AskedLabel| {
            let fields = row.fields.iter().chain([&label.name, &label.text]).cloned().collect();
            Example { fields, label: None, values: None, ..*row }
        };
        let of_row =
            |row: &'_ Example| self.labels.iter().map(|label| question(row, label)).collect::<Vec<Example>>();
        let questions = (self.way == Way::YesNo).then(|| rows.iter().flat_map(of_row).collect());
        Asked { rows, questions, ends }
    }

    /// A row's scores from its predictions: one with all classes, or one of no and yes for each label.
    fn scores(&self, scored: &[Scored]) -> LabelScores {
        let patterns = scored.first().map_or(0, |first| first.by_pattern.len());
        let of_pattern = |pattern: usize| match self.way {
            Way::Reference => against_last(&scored[0].by_pattern[pattern]),
            Way::YesNo => {
                scored.iter().flat_map(|of_label| yes_against_no(&of_label.by_pattern[pattern])).collect()
            }
        };
        LabelScores {
            by_pattern: (0..patterns).map(of_pattern).collect(),
            truncated: scored.iter().any(|scored| scored.truncated.contains(&true)),
        }
    }
}

/// `ln p_l - ln p_reference`: the difference of the class scores, whatever the others are.
pub fn against_last(prediction: &Prediction) -> Vec<f64> {
    let Some((reference, labels)) = prediction.probabilities.split_last() else { return Vec::new() };
    labels.iter().map(|label| log(*label) - log(*reference)).collect()
}

fn yes_against_no(prediction: &Prediction) -> Option<f64> {
    let [no, yes] = prediction.probabilities[..] else { return None };
    Some(log(yes) - log(no))
}
