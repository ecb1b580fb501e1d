//! Why a request is not answered: a status, and as JSON what is wrong, where, what was allowed and a way out.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{Error, Errors, Place};

/// At most so many errors of one request are told one by one.
const MOST_TOLD: usize = 20;

/// Why a request is not answered.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    retry_after_seconds: Option<u64>,
    body: ProblemBody,
}

/// The body of an answer that is none.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemBody {
    /// What is wrong, in one line.
    error: String,
    /// The kind of problem: validation, overloaded, timeout, unauthorized, not_found, internal and others.
    error_type: &'static str,
    /// Each problem by itself, with its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Told>,
}

/// One problem.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Told {
    message: String,
    notes: Vec<ToldNote>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<ToldPlace>,
}

/// What was allowed, or a way out.
#[derive(Debug, Serialize, ToSchema)]
struct ToldNote {
    /// columns, keys, help and the like.
    label: &'static str,
    text: String,
}

/// Where a problem stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum ToldPlace {
    /// A part of the request, or of a template or verbalizer in it.
    Text {
        /// What the lines are counted in: request, templates[0], verbalizer.
        source: String,
        /// The place by name, as classes[0].words[2].
        pointer: String,
        line: usize,
        column: usize,
        /// The line, up to what is meant.
        before: String,
        /// What is meant.
        marked: String,
        /// The rest of the line.
        after: String,
    },
    /// A row.
    Row {
        /// texts or rows.
        source: String,
        /// The row, from 1.
        row: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        column: Option<String>,
    },
}

impl Problem {
    pub(crate) fn new(status: StatusCode, error_type: &'static str, error: impl Into<String>) -> Problem {
        let body = ProblemBody { error: error.into(), error_type, problems: Vec::new() };
        Problem { status, retry_after_seconds: None, body }
    }

    /// The same with another status.
    pub(crate) fn with_status(self, status: StatusCode) -> Problem {
        Problem { status, ..self }
    }

    /// More waits than may.
    pub(crate) fn overloaded() -> Problem {
        let error = "more requests wait than this service takes: send it again later";
        Problem {
            retry_after_seconds: Some(1),
            ..Problem::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", error)
        }
    }

    /// It took too long.
    pub(crate) fn timeout(seconds: f64) -> Problem {
        let error = format!("the answer was not there within {seconds} seconds");
        Problem {
            retry_after_seconds: Some(1),
            ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", error)
        }
    }

    /// The service ends.
    pub(crate) fn stopping() -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "this service is about to end")
    }

    /// A mistake of ours, which ends nothing but the request.
    pub(crate) fn internal() -> Problem {
        let error = "something failed that should not have: the log of the service says what";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error)
    }

    /// The request is too large.
    pub(crate) fn too_large(most: usize) -> Problem {
        let error = format!("the request has more than {most} bytes: send fewer rows at a time");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", error)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        Errors::from(error).into()
    }
}

impl From<Errors> for Problem {
    fn from(errors: Errors) -> Problem {
        let problems = errors.iter().take(MOST_TOLD).map(told).collect();
        let body = ProblemBody { error: errors.to_string(), error_type: "validation", problems };
        Problem { status: StatusCode::UNPROCESSABLE_ENTITY, retry_after_seconds: None, body }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn told(error: &Error) -> Told {
    let note = |(label, text): (&'static str, String)| ToldNote { label, text };
    let place = match error.place() {
        Place::Nowhere => None,
        Place::Row { file, record, column, .. } => {
            Some(ToldPlace::Row { source: file.clone(), row: *record, column: column.clone() })
        }
        Place::Text { source, span, pointer } => {
            let (at, excerpt) = (source.line_column(span.start), source.excerpt(span));
            Some(ToldPlace::Text {
                source: source.name().to_owned(),
                pointer: pointer.clone(),
                line: at.line,
                column: at.column,
                before: last_of(excerpt.before, SHOWN).to_owned(),
                marked: first_of(excerpt.marked, SHOWN).to_owned(),
                after: first_of(excerpt.after, SHOWN).to_owned(),
            })
        }
    };
    Told {
        message: error.kind().to_string(),
        notes: error.kind().notes().into_iter().map(note).collect(),
        place,
    }
}

/// At most so many letters on each side of a place: a request may be one line of a megabyte.
const SHOWN: usize = 200;

fn first_of(text: &str, letters: usize) -> &str {
    text.char_indices().nth(letters).map_or(text, |(end, _)| &text[..end])
}

fn last_of(text: &str, letters: usize) -> &str {
    text.char_indices().rev().nth(letters.saturating_sub(1)).map_or(text, |(start, _)| &text[start..])
}
