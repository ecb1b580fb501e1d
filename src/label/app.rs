//! What all requests share: the project, and the model that is asked.

use std::sync::{Arc, Mutex, PoisonError};

use super::project::Project;
use crate::error::Result;
use crate::predict::prompt_classifier::PromptClassifier;
use crate::serve::{Bodies, Problem};
use crate::text::data::{Columns, Example};

/// The model that is asked for its opinion of a row.
pub struct Opinion {
    /// The model with its patterns and label words.
    pub classifier: PromptClassifier,
    /// The rows' columns, as the patterns know them.
    pub columns: Arc<Columns>,
}

impl Opinion {
    /// The labels of a row with their probabilities, the likeliest first.
    pub(super) fn of(&self, record: u64, fields: Vec<String>) -> Result<Vec<(String, f64)>> {
        let example = Example { record, line: record, fields, label: None, values: None };
        let answers = self.classifier.classify_in_detail(&self.columns, &[example])?;
        let shares = answers.iter().flat_map(|answer| &answer.answer.prediction.probabilities);
        let mut labels: Vec<(String, f64)> =
            self.classifier.labels().iter().cloned().zip(shares.copied()).collect();
        labels.sort_by(|one, other| other.1.total_cmp(&one.1));
        Ok(labels)
    }
}

/// What all requests share.
pub(super) struct App {
    pub(super) project: Mutex<Project>,
    pub(super) opinion: Option<Opinion>,
    /// Who labels where a page names nobody.
    pub(super) labeller: String,
    pub(super) bodies: Bodies,
}

impl App {
    /// Does something with the project, on a thread that may wait for the disk.
    pub(super) async fn with<T: Send + 'static>(
        self: Arc<App>,
        work: impl FnOnce(&App, &mut Project) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let working = tokio::task::spawn_blocking(move || {
            let mut project = self.project.lock().unwrap_or_else(PoisonError::into_inner);
            work(&self, &mut project)
        });
        working.await.map_err(|_| Problem::internal())?
    }
}
