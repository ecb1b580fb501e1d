//! The service: classifiers under their names, on an address, until it is told to end.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::app::App;
use super::bodies::Limits;
use super::host::{Host, Hosts};
use super::key::Key;
use super::routes::router;
use super::running::{self, Ending, Running};
use crate::error::{Errors, Result, ServeError};
use crate::predict::multi_label::MultiLabelClassifier;
use crate::predict::prompt_classifier::PromptClassifier;

/// Classifiers behind HTTP: see `docs/serve.md` for its routes.
///
/// ```
/// use std::io::{Read, Write};
/// use cloze::serve::{Service, listen};
/// use cloze::{MaskedLm, Options, PromptClassifier, Template, Verbalizer};
/// let model = MaskedLm::load("models/cloze-minilm-l6", Options::default())?;
/// let mood = PromptClassifier::builder(model)
///     .template(Template::from_pattern("{text} It was {mask}.")?)
///     .verbalizer(Verbalizer::of(&[("negative", &["terrible"]), ("positive", &["great"])])?)
///     .build()?;
/// let running = Service::new().classifier("mood", mood).start(listen("127.0.0.1:0")?)?;
/// let mut client = std::net::TcpStream::connect(running.address())?;
/// let body = r#"{ "text": "What a lovely film!" }"#;
/// write!(client, "POST /classify HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n")?;
/// write!(client, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains(r#""label":"positive""#));
/// running.stop();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Service {
    hosts: Vec<Host>,
    key: Option<Key>,
    readonly: bool,
    limits: Limits,
}

impl Service {
    /// One that serves nothing yet.
    pub fn new() -> Service {
        Service::default()
    }

    /// Serves a classifier under a name; the first is asked where a request names none.
    #[must_use]
    pub fn classifier(self, name: impl Into<String>, classifier: PromptClassifier) -> Service {
        self.abstaining(name, classifier, None)
    }

    /// The same with the least probability of an answer: less likely labels are not said.
    #[must_use]
    pub fn abstaining(
        mut self,
        name: impl Into<String>,
        classifier: PromptClassifier,
        abstain_below: Option<f64>,
    ) -> Service {
        // Each of the service's threads computes by itself.
        let classifier = Arc::new(classifier.with_threads(1));
        self.hosts.push(Host { name: name.into(), classifier, abstain_below, several: None });
        self
    }

    /// Serves a classifier that gives a row several labels, or none.
    ///
    /// # Errors
    /// One that asks for each label by yes and no.
    pub fn several(mut self, name: impl Into<String>, classifier: MultiLabelClassifier) -> Result<Service> {
        let name = name.into();
        let Some((classifier, rule)) = classifier.into_rule() else {
            return Err(ServeError::YesNo { name }.into());
        };
        let (classifier, several) = (Arc::new(classifier.with_threads(1)), Some(Arc::new(rule)));
        self.hosts.push(Host { name, classifier, abstain_below: None, several });
        Ok(self)
    }

    /// Answers only requests that bring this key.
    #[must_use]
    pub fn key(self, key: Option<Key>) -> Service {
        Service { key, ..self }
    }

    /// Refuses requests with patterns or labels of their own.
    #[must_use]
    pub fn readonly(self, readonly: bool) -> Service {
        Service { readonly, ..self }
    }

    /// What it takes at most.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Service {
        Service { limits, ..self }
    }

    /// Answers what comes, on threads of its own. A service without a key that listens on this machine alone
    /// answers requests to `localhost` and its addresses only: a page of another site can make its own name
    /// lead here.
    pub fn start(self, listener: TcpListener) -> Result<Running, Errors> {
        let hosts = Hosts::new(self.hosts)?;
        let is_local = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
        let local_alone = self.key.is_none() && is_local;
        let app = Arc::new(App::new(hosts, self.key, self.readonly, local_alone, self.limits));
        let (stopping, ended) = (app.clone(), app.clone());
        let ending = Ending {
            first: Box::new(move || stopping.stopping.store(true, Ordering::Relaxed)),
            last: Box::new(move || ended.engine.stop()),
        };
        Ok(running::start(listener, router(app), self.limits, ending)?)
    }
}
