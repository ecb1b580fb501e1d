//! What all requests share: the project, and the model that is asked.

use std::sync::{Arc, Mutex, PoisonError};

use super::learning::Shared;
use super::project::Project;
use crate::serve::{Bodies, Problem};

/// What all requests share.
pub(super) struct App {
    pub(super) project: Mutex<Project>,
    /// The model that is asked, if there is one.
    pub(super) model: Option<Arc<Shared>>,
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
