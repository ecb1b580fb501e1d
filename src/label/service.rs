//! Labelling on an address of this machine, until it is told to end.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::app::{App, Opinion};
use super::project::{Project, check_labeller};
use super::routes::router;
use crate::error::Result;
use crate::serve::{Bodies, Ending, Limits, Running, start};

/// A project to label in the browser: a page, and what it asks.
pub struct Labelling {
    project: Project,
    opinion: Option<Opinion>,
    labeller: String,
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
