//! The pages: files of their own, served from memory. They ask this service alone.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, html};
use serde_json::Value;

/// What a page may do: run and show what comes from here, and ask here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What every answer says to browsers.
pub(crate) async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    response
}

/// How all pages look.
pub(crate) const STYLE: &str = include_str!("playground.css");

/// One of the files.
pub(super) fn page(route: &str) -> Response {
    let (kind, text) = match route {
        "/playground.js" => ("text/javascript; charset=utf-8", include_str!("playground.js")),
        "/playground.css" => ("text/css; charset=utf-8", STYLE),
        _ => ("text/html; charset=utf-8", include_str!("playground.html")),
    };
    with_policy(kind, text)
}

/// A page with what it may do.
pub(crate) fn with_policy(kind: &'static str, text: impl IntoResponse) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// The description of the service as a page to read.
pub(super) fn documentation(description: &Value) -> Response {
    let text = |value: &Value| value.as_str().unwrap_or_default().replace('`', "");
    let operations = description["paths"].as_object().into_iter().flatten().flat_map(|(path, methods)| {
        methods.as_object().into_iter().flatten().map(move |(method, operation)| (path, method, operation))
    });
    let schemas = description["components"]["schemas"].as_object();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "cloze serve: routes" }
                link rel="stylesheet" href="playground.css";
            }
            body {
                main {
                    h1 { "Routes" }
                    p { a href="./" { "The playground" } ", and " a href="openapi.json" { "this page for programs" } "." }
                    @for (path, method, operation) in operations {
                        h2 { code { (method.to_uppercase()) " " (path) } }
                        p { (text(&operation["summary"])) }
                        @if let Some(name) = reference(&operation["requestBody"]["content"]["application/json"]["schema"]) {
                            p { "It takes " a href={ "#" (name) } { (name) } "." }
                        }
                        @for (status, response) in operation["responses"].as_object().into_iter().flatten() {
                            @if let Some(name) = reference(&response["content"]["application/json"]["schema"]) {
                                p { (status) ": " a href={ "#" (name) } { (name) } }
                            }
                        }
                    }
                    h1 { "Shapes" }
                    @for (name, schema) in schemas.into_iter().flatten() {
                        h2 id=(name) { code { (name) } }
                        p { (text(&schema["description"])) }
                        table {
                            @for (key, property) in schema["properties"].as_object().into_iter().flatten() {
                                tr {
                                    th scope="row" { code { (key) } }
                                    td { (text(&property["description"])) }
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    with_policy("text/html; charset=utf-8", page.into_string())
}

/// The name of the schema that this one refers to, itself or for its elements.
fn reference(schema: &Value) -> Option<&str> {
    match schema["$ref"].as_str() {
        Some(path) => path.rsplit('/').next(),
        None if schema["items"].is_object() => reference(&schema["items"]),
        None => None,
    }
}
