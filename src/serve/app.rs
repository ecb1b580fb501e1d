//! What all requests share, and what every request goes through.

use std::future::Future;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, Limited};

use super::engine::Engine;
use super::host::Hosts;
use super::key::Key;
use super::metrics::Metrics;
use super::problem::Problem;
use super::request;
use crate::error::source::Source;

/// What a service takes at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Threads that compute, each by itself.
    pub threads: usize,
    /// Rows, and other questions, that wait for a thread. More are refused with 429.
    pub queue: usize,
    /// Bytes of a request. A larger one is refused with 413.
    pub body_bytes: usize,
    /// Bytes of all requests that are read or wait. More are refused with 429.
    pub all_bodies_bytes: usize,
    /// From a request's headers to its answer. What takes longer is given up, with 503.
    pub timeout: Duration,
    /// For a request to come in, its headers and its body each.
    pub read_timeout: Duration,
    /// Connections at once. Others wait to be taken.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            threads: crate::model::threads::Threads::usual(),
            queue: 4096,
            body_bytes: 2 << 20,
            all_bodies_bytes: 64 << 20,
            timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(10),
            connections: 1024,
        }
    }
}

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
    /// Bytes of all requests that are read or wait.
    bytes: AtomicUsize,
}

/// Bytes that are held for a request, until it is answered.
struct Held<'a> {
    app: &'a App,
    bytes: usize,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.app.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Held<'_> {
    /// Holds so many bytes more, if there is room for them.
    fn hold(&mut self, bytes: usize) -> Result<(), Problem> {
        self.bytes += bytes;
        let all = self.app.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if all > self.app.limits.all_bodies_bytes { Err(Problem::overloaded()) } else { Ok(()) }
    }
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
            bytes: AtomicUsize::new(0),
        }
    }

    /// Refuses a request that calls the service by another name than those of this machine, where it listens
    /// on this machine alone and asks for no key: a page of another site, whose name was made to lead here,
    /// could else ask (DNS rebinding).
    pub(super) fn check_host(&self, request: &Request) -> Result<(), Problem> {
        if !self.local_alone {
            return Ok(());
        }
        let headers = request.headers().get_all(header::HOST).iter().map(|host| host.to_str().ok());
        let mut told = headers.chain(request.uri().authority().map(|authority| Some(authority.as_str())));
        if told.all(|host| host.is_some_and(is_local)) {
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

    /// A request's body, and the room that is held for it.
    async fn read(&self, request: Request) -> Result<(Arc<Source>, Held<'_>), Problem> {
        let most = self.limits.body_bytes;
        let told = request.headers().get(header::CONTENT_LENGTH);
        let told = told.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if told.is_some_and(|bytes| bytes > most) {
            return Err(Problem::too_large(most));
        }
        // Room is held for what has come, not for what is announced: a client that sends nothing takes none.
        let mut held = Held { app: self, bytes: 0 };
        let mut body = Limited::new(request.into_body(), most);
        let reading = async {
            let mut bytes = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
                    true => Problem::too_large(most),
                    false => {
                        let error = "the request ended before its body did";
                        Problem::new(StatusCode::BAD_REQUEST, "incomplete", error)
                    }
                })?;
                let Ok(part) = frame.into_data() else { continue };
                held.hold(part.len())?;
                bytes.extend_from_slice(&part);
            }
            Ok::<_, Problem>(bytes)
        };
        match tokio::time::timeout(self.limits.read_timeout, reading).await {
            Ok(body) => Ok((request::source(body?)?, held)),
            Err(_) => {
                let seconds = self.limits.read_timeout.as_secs_f64();
                let error = format!("the body was not there within {seconds} seconds");
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", error))
            }
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
        let answering = async {
            self.check_key(request.headers())?;
            check_json(request.headers())?;
            let (source, _held) = self.read(request).await?;
            answer(self.clone(), source).await
        };
        // A mistake of ours ends the request alone.
        let answering = AssertUnwindSafe(answering).catch_unwind();
        let answer = match tokio::time::timeout(self.limits.timeout, answering).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Problem::internal()),
            Err(_) => Err(Problem::timeout(self.limits.timeout.as_secs_f64())),
        };
        let response = answer.into_response();
        self.metrics.request(route, response.status().as_u16(), started.elapsed());
        response
    }
}

/// Whether a host, with or without a port, is a name of this machine.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name == "localhost"
        || name.ends_with(".localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Refuses a body that does not call itself JSON: so a page of another site cannot send one without being
/// asked first.
fn check_json(headers: &HeaderMap) -> Result<(), Problem> {
    let content = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") {
        return Ok(());
    }
    let error = "a request is JSON: send the header Content-Type: application/json";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", error))
}

/// A status with a text.
pub(super) fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from(text)).into_response()
}
