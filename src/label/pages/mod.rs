//! The page: files of its own, served from memory, that look as the playground does.

use axum::response::Response;

use crate::serve::{STYLE, with_policy};

/// One of the files.
pub(super) fn page(route: &str) -> Response {
    let (kind, text) = match route {
        "/label.js" => ("text/javascript; charset=utf-8", include_str!("label.js")),
        "/label.css" => ("text/css; charset=utf-8", include_str!("label.css")),
        "/style.css" => ("text/css; charset=utf-8", STYLE),
        _ => ("text/html; charset=utf-8", include_str!("label.html")),
    };
    with_policy(kind, text)
}
