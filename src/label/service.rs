//! Labelling on an address of this machine, until it is told to end.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use super::project::{Project, check_labeller};
use super::routes::router;
use crate::error::Result;
use crate::predict::prompt_classifier::PromptClassifier;
use crate::serve::{Bodies, Ending, Limits, Problem, Running, start};
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
        let example = Example { record, line: record, fields, label: None };
        let answers = self.classifier.classify_in_detail(&self.columns, &[example])?;
        let shares = answers.iter().flat_map(|answer| &answer.answer.prediction.probabilities);
        let mut labels: Vec<(String, f64)> =
            self.classifier.labels().iter().cloned().zip(shares.copied()).collect();
        labels.sort_by(|one, other| other.1.total_cmp(&one.1));
        Ok(labels)
    }
}

/// A project to label in the browser: a page, and what it asks.
pub struct Labelling {
    project: Project,
    opinion: Option<Opinion>,
    labeller: String,
}

/// What all requests share.
pub(super) struct App {
    project: Mutex<Project>,
    pub(super) opinion: Option<Opinion>,
    /// Who labels where a page names nobody.
    pub(super) labeller: String,
    pub(super) bodies: Bodies,
}

impl Labelling {
    /// Of a project, for somebody of this name, where a page names nobody else.
    pub fn new(project: Project, labeller: &str) -> Result<Labelling> {
        check_labeller(labeller)?;
        Ok(Labelling { project, opinion: None, labeller: labeller.to_owned() })
    }

    /// With a model that can be asked.
    #[must_use]
    pub fn opinion(self, opinion: Option<Opinion>) -> Labelling {
        Labelling { opinion, ..self }
    }

    /// Answers what comes, on threads of its own. Only pages of this machine are answered.
    pub fn start(self, listener: TcpListener) -> Result<Running> {
        let limits = Limits { threads: 1, body_bytes: 1 << 20, ..Limits::default() };
        let app = Arc::new(App {
            project: Mutex::new(self.project),
            opinion: self.opinion,
            labeller: self.labeller,
            bodies: Bodies::new(limits),
        });
        let ending = Ending { first: Box::new(|| ()), last: Box::new(|| ()) };
        start(listener, router(app), limits, ending)
    }
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
