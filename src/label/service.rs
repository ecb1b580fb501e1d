//! Labelling on an address of this machine, until it is told to end.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::app::App;
use super::learning::{self, Learning, Shared};
use super::opinion::Opinion;
use super::project::{Project, check_labeller};
use super::routes::router;
use crate::error::Result;
use crate::serve::{Bodies, Ending, Limits, Running, start};

/// A project to label in the browser: a page, and what it asks.
pub struct Labelling {
    project: Project,
    opinion: Option<Opinion>,
    learning: Option<Learning>,
    labeller: String,
}

impl Labelling {
    /// Of a project, for somebody of this name, where a page names nobody else.
    pub fn new(project: Project, labeller: &str) -> Result<Labelling> {
        check_labeller(labeller)?;
        Ok(Labelling { project, opinion: None, learning: None, labeller: labeller.to_owned() })
    }

    /// With a model that can be asked.
    #[must_use]
    pub fn opinion(self, opinion: Option<Opinion>) -> Labelling {
        Labelling { opinion, ..self }
    }

    /// With a model that learns beside the labelling; only where there is one that can be asked.
    #[must_use]
    pub fn learning(self, learning: Option<Learning>) -> Labelling {
        Labelling { learning, ..self }
    }

    /// Answers what comes, on threads of its own. Only pages of this machine are answered.
    pub fn start(self, listener: TcpListener) -> Result<Running> {
        let limits = Limits { threads: 1, body_bytes: 1 << 20, ..Limits::default() };
        let path = self.project.path().to_owned();
        let every = self.learning.as_ref().map_or(0, |learning| learning.every);
        let model = self.opinion.map(|opinion| Arc::new(Shared::new(every, opinion)));
        if let (Some(model), Some(learning)) = (&model, self.learning) {
            learning::start(path, learning, model.clone());
        }
        let learns = model.clone();
        let app = Arc::new(App {
            project: Mutex::new(self.project),
            model,
            labeller: self.labeller,
            bodies: Bodies::new(limits),
        });
        let ending = Ending {
            first: Box::new(move || learns.iter().for_each(|model| model.end())),
            last: Box::new(|| ()),
        };
        start(listener, router(app), limits, ending)
    }
}
