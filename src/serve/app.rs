//! What all requests share, and what every request goes through.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::bodies::{Bodies, Limits};
use super::engine::Engine;
use super::host::Hosts;
use super::key::Key;
use super::local::is_to_this_machine;
use super::metrics::Metrics;
use super::problem::Problem;
use crate::error::source::Source;

/// What all requests share.
pub(super) struct App {
    pub(super) hosts: Hosts,
    pub(super) engine: Engine,
    pub(super) metrics: Arc<Metrics>,
    pub(super) key: Option<Key>,
    /// Whether requests bring no patterns and labels of their own.
    pub(super) readonly: bool,
    /// Whether only requests to a name of this machine are answered.
    pub(super) local_alone: bool,
    pub(super) limits: Limits,
    /// Whether the service is about to end.
    pub(super) stopping: AtomicBool,
    bodies: Bodies,
}

impl App {
    pub(super) fn new(
        hosts: Hosts,
        key: Option<Key>,
        readonly: bool,
        local_alone: bool,
        limits: Limits,
    ) -> App {
        let metrics = Arc::new(Metrics::new());
        App {
            hosts,
            engine: Engine::start(limits.threads, limits.queue, metrics.clone()),
            metrics,
            key,
            readonly,
            local_alone,
            limits,
            stopping: AtomicBool::new(false),
            bodies: Bodies::new(limits),
        }
    }

    /// Refuses a request that calls the service by another name than those of this machine, where it listens
    /// on this machine alone and asks for no key: a page of another site, whose name was made to lead here,
    /// could else ask (DNS rebinding).
    pub(super) fn check_host(&self, request: &Request) -> Result<(), Problem> {
        if !self.local_alone || is_to_this_machine(request) {
            return Ok(());
        }
        let error = "this service answers requests to localhost, 127.0.0.1 and [::1] alone: call it by one of \
                     these, or start it with a key or on another address (--api-key-file, --host)";
        Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "host", error))
    }

    /// Refuses a request that does not bring the key, where there is one.
    pub(super) fn check_key(&self, headers: &HeaderMap) -> Result<(), Problem> {
        self.key.as_ref().map_or(Ok(()), |key| key.check(headers))
    }

    /// Refuses a request with patterns or labels of its own, where only those of the service are asked.
    pub(super) fn check_free(&self) -> Result<(), Problem> {
        let error = "this service answers with its own patterns and labels alone";
        match self.readonly {
            true => Err(Problem::new(StatusCode::FORBIDDEN, "readonly", error)),
            false => Ok(()),
        }
    }

    /// Answers a request with a JSON body.
    pub(super) async fn respond<F: Future<Output = Result<Response, Problem>>>(
        self: Arc<App>,
        route: &'static str,
        request: Request,
        answer: impl FnOnce(Arc<App>, Arc<Source>) -> F,
    ) -> Response {
        let started = Instant::now();
        let answer = match self.check_key(request.headers()) {
            Ok(()) => self.bodies.answer(request, |source| answer(self.clone(), source)).await,
            Err(problem) => Err(problem),
        };
        let response = answer.into_response();
        self.metrics.request(route, response.status().as_u16(), started.elapsed());
        response
    }
}

/// A status with a text.
pub(super) fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from(text)).into_response()
}
