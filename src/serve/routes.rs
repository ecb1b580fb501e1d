//! The routes, with what the description of the service says of each.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::answer::{ClassifyAnswer, FilledAnswer, LabelScore, PreviewAnswer};
use super::app::{App, plain};
use super::host::Host;
use super::problem::{Problem, ProblemBody};
use super::request::{RawClassify, RawFill, RawInputs, RawPredict, RawTopK, RawZeroShot};
use super::{ask, metrics, pages};
use crate::text::verbalizer::{Class, LabelWord};

/// The description of the service.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "cloze serve",
        description = "Classifies text by asking a masked language model to fill a blank.",
        license(name = "MIT OR Apache-2.0")
    ),
    paths(classify, preview, zero_shot, fill_mask, predict, inputs, info, health, ready, metrics_text),
    components(schemas(
        RawClassify<'static>,
        RawInputs<'static>,
        RawPredict<'static>,
        RawZeroShot<'static>,
        RawFill<'static>,
        RawTopK,
        ClassifyAnswer,
        PreviewAnswer,
        LabelScore,
        FilledAnswer,
        ProblemBody,
    ))
)]
struct Description;

/// All routes.
pub(super) fn router(app: Arc<App>) -> Router {
    let page = |route: &'static str| get(move || async move { pages::page(route) });
    Router::new()
        .route("/", get(|| async { pages::page("/") }).post(inputs))
        .route("/playground.js", page("/playground.js"))
        .route("/playground.css", page("/playground.css"))
        .route("/docs", get(|| async { pages::documentation(&description()) }))
        .route("/openapi.json", get(|| async { Json(description()) }))
        .route("/classify", post(classify))
        .route("/preview", post(preview))
        .route("/zero-shot", post(zero_shot))
        .route("/fill-mask", post(fill_mask))
        .route("/predict", post(predict))
        .route("/info", get(info))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics_text))
        .fallback(|| async {
            Problem::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "there is nothing here: GET /docs lists the routes",
            )
        })
        .method_not_allowed_fallback(|| async {
            let error = "this route takes another method: GET /docs lists the routes";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", error)
        })
        .layer(from_fn_with_state(app.clone(), to_this_machine))
        .layer(map_response(pages::guarded))
        .with_state(app)
}

/// The description as JSON.
pub(super) fn description() -> Value {
    serde_json::to_value(Description::openapi()).unwrap_or_default()
}

/// Answers a request, if it calls the service by a name that it answers to.
async fn to_this_machine(State(app): Shared, request: Request, next: Next) -> Response {
    match app.check_host(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

type Shared = State<Arc<App>>;

/// Labels and probabilities of texts or rows
#[utoipa::path(
    post,
    path = "/classify",
    request_body = RawClassify<'static>,
    responses((status = 200, body = ClassifyAnswer), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody))
)]
async fn classify(State(app): Shared, request: Request) -> Response {
    app.respond("/classify", request, ask::classify).await
}

/// How one text or row looks to the model
#[utoipa::path(
    post,
    path = "/preview",
    request_body = RawClassify<'static>,
    responses((status = 200, body = PreviewAnswer), (status = 422, body = ProblemBody))
)]
async fn preview(State(app): Shared, request: Request) -> Response {
    app.respond("/preview", request, ask::preview).await
}

/// Texts by the labels that the request brings, in Hugging Face's shape; its parameters are those of ZeroShotParameters
#[utoipa::path(
    post,
    path = "/zero-shot",
    request_body = RawInputs<'static>,
    responses((status = 200, body = Vec<LabelScore>), (status = 422, body = ProblemBody))
)]
async fn zero_shot(State(app): Shared, request: Request) -> Response {
    app.respond("/zero-shot", request, ask::by_labels).await
}

/// The likeliest words for the blanks of texts, in Hugging Face's shape; its parameters are those of FillMaskParameters
#[utoipa::path(
    post,
    path = "/fill-mask",
    request_body = RawInputs<'static>,
    responses((status = 200, body = Vec<FilledAnswer>), (status = 422, body = ProblemBody))
)]
async fn fill_mask(State(app): Shared, request: Request) -> Response {
    app.respond("/fill-mask", request, ask::fill_mask).await
}

/// Labels of texts and pairs of texts, in the shape of text-embeddings-inference
#[utoipa::path(
    post,
    path = "/predict",
    request_body = RawPredict<'static>,
    responses((status = 200, body = Vec<LabelScore>), (status = 422, body = ProblemBody))
)]
async fn predict(State(app): Shared, request: Request) -> Response {
    app.respond("/predict", request, ask::predict).await
}

/// What huggingface_hub's InferenceClient sends: with candidate_labels as /zero-shot, else labels of texts; its
/// parameters are then those of TopKParameters
#[utoipa::path(
    post,
    path = "/",
    request_body = RawInputs<'static>,
    responses((status = 200, body = Vec<Vec<LabelScore>>), (status = 422, body = ProblemBody))
)]
async fn inputs(State(app): Shared, request: Request) -> Response {
    app.respond("/", request, ask::inputs).await
}

/// What is served
#[utoipa::path(get, path = "/info", responses((status = 200, body = Object)))]
async fn info(State(app): Shared, request: Request) -> Response {
    if let Err(problem) = app.check_key(request.headers()) {
        return problem.into_response();
    }
    let first = &app.hosts.all()[0].classifier;
    let tokenizer = &first.folder().tokenizer;
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "model_id": name_of(&app.hosts.all()[0]),
        "model_dtype": first.dtype().name(),
        "model_type": { "classifier": { "id2label": app.hosts.all()[0]
            .labels()
            .iter()
            .enumerate()
            .map(|(class, label)| (class.to_string(), Value::from(label.as_str())))
            .collect::<serde_json::Map<_, _>>() } },
        "max_input_length": first.max_length(),
        "max_batch_tokens": first.batch_tokens(),
        "max_client_batch_size": app.limits.queue,
        "max_body_bytes": app.limits.body_bytes,
        "mask_token": tokenizer.token(tokenizer.special().mask),
        "readonly": app.readonly,
        "classifiers": app.hosts.all().iter().map(described).collect::<Vec<_>>(),
    }))
    .into_response()
}

/// The model's name: of its folder's path no more than the last part.
fn name_of(host: &Host) -> String {
    host.classifier.folder().path().file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn described(host: &Host) -> Value {
    let classifier = &host.classifier;
    let class = |class: &Class| {
        let words: Vec<&str> = class.words.iter().map(LabelWord::word).collect();
        json!({ "label": class.label, "words": words })
    };
    json!({
        "name": host.name,
        "model": name_of(host),
        "labels": host.labels(),
        "several_labels": host.several.is_some(),
        "columns": classifier.columns(),
        "templates": classifier
            .templates()
            .map(|template| json!({
                "name": template.name(),
                "pattern": template.pattern(),
                "compares": template.compares(),
            }))
            .collect::<Vec<_>>(),
        "classes": classifier.verbalizer().classes().iter().map(class).collect::<Vec<_>>(),
        "multi_token": classifier.verbalizer().multi_token().map(|several| several.scoring.name()),
        "aggregate": classifier.verbalizer().aggregate().name(),
        "corrected": classifier.calibration().and_then(|fitted| fitted.method).map(|method| method.name()),
        "abstains_below": host.abstain_below,
    })
}

/// Whether the service runs
#[utoipa::path(get, path = "/health", responses((status = 200, body = String)))]
async fn health() -> Response {
    plain(StatusCode::OK, "ok\n")
}

/// Whether requests can come: not while the queue is full or the service is about to end
#[utoipa::path(get, path = "/ready", responses((status = 200, body = String), (status = 503, body = ProblemBody)))]
async fn ready(State(app): Shared) -> Response {
    if app.stopping.load(Ordering::Relaxed) {
        return Problem::stopping().into_response();
    }
    match app.engine.has_room() {
        true => plain(StatusCode::OK, "ready\n"),
        false => Problem::overloaded().with_status(StatusCode::SERVICE_UNAVAILABLE).into_response(),
    }
}

/// What is counted, for Prometheus
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String)))]
async fn metrics_text(State(app): Shared, request: Request) -> Response {
    if let Err(problem) = app.check_key(request.headers()) {
        return problem.into_response();
    }
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], app.metrics.text()).into_response()
}
