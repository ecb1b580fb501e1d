//! Requests' bodies: read within limits, and answered within a time.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, Limited};

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

/// The bodies of all requests.
pub(crate) struct Bodies {
    limits: Limits,
    /// Bytes of all requests that are read or wait.
    bytes: AtomicUsize,
}

/// Bytes that are held for a request, until it is answered.
struct Held<'a> {
    bodies: &'a Bodies,
    bytes: usize,
}

impl Held<'_> {
    /// Holds so many bytes more, if there is room for them.
    fn hold(&mut self, bytes: usize) -> Result<(), Problem> {
        self.bytes += bytes;
        let all = self.bodies.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if all > self.bodies.limits.all_bodies_bytes { Err(Problem::overloaded()) } else { Ok(()) }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.bodies.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Bodies {
    pub(crate) fn new(limits: Limits) -> Bodies {
        Bodies { limits, bytes: AtomicUsize::new(0) }
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
        let mut held = Held { bodies: self, bytes: 0 };
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
    pub(crate) async fn answer<F: Future<Output = Result<Response, Problem>>>(
        &self,
        request: Request,
        answer: impl FnOnce(Arc<Source>) -> F,
    ) -> Result<Response, Problem> {
        self.within_time(async {
            check_json(request.headers())?;
            let (source, _held) = self.read(request).await?;
            answer(source).await
        })
        .await
    }

    /// An answer that comes within the time, and whose panic ends nothing else.
    pub(crate) async fn within_time(
        &self,
        answering: impl Future<Output = Result<Response, Problem>>,
    ) -> Result<Response, Problem> {
        // A mistake of ours ends the request alone.
        let answering = AssertUnwindSafe(answering).catch_unwind();
        match tokio::time::timeout(self.limits.timeout, answering).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Problem::internal()),
            Err(_) => Err(Problem::timeout(self.limits.timeout.as_secs_f64())),
        }
    }
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
