//! The page, and what it asks: JSON in, JSON out, each question a `POST`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::agreement::{Disputed, agreement};
use super::app::App;
use super::lessons::Doubt;
use super::pages;
use super::project::{Given, Kept, Outcome, Project, ShownRow, check_labeller};
use crate::error::source::Source;
use crate::error::{Error, Kind, LabelError, Result};
use crate::serve::{Problem, guarded, is_to_this_machine};
use crate::text::json::Node;

/// So many disputed rows are shown, and so many letters of each.
const DISPUTED: usize = 50;
const LETTERS: usize = 300;

/// All routes.
pub(super) fn router(app: Arc<App>) -> Router {
    let page = |route: &'static str| get(move || async move { pages::page(route) });
    Router::new()
        .route("/", page("/"))
        .route("/label.js", page("/label.js"))
        .route("/label.css", page("/label.css"))
        .route("/style.css", page("/style.css"))
        .route("/state", post(|State(app), request| ask(app, request, state)))
        .route("/answer", post(|State(app), request| ask(app, request, answer)))
        .route("/undo", post(|State(app), request| ask(app, request, undo)))
        .route("/again", post(|State(app), request| ask(app, request, again)))
        .route("/learned", post(|State(app), request| ask(app, request, learned)))
        .route("/opinion", post(|State(app), request| ask(app, request, opinion)))
        .route("/agreement", post(|State(app), request| ask(app, request, agreed)))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here") })
        .layer(from_fn(of_this_machine))
        .layer(map_response(guarded))
        .with_state(app)
}

/// Refuses requests that came by another name than this machine's: a page of elsewhere that has its name
/// point here would be one.
async fn of_this_machine(request: Request, next: Next) -> Response {
    if is_to_this_machine(&request) {
        return next.run(request).await;
    }
    let error = "this page is for this machine alone: open it as http://localhost";
    Problem::new(StatusCode::FORBIDDEN, "host", error).into_response()
}

type Answered = Result<Response, Problem>;

/// Answers a question.
async fn ask<F: Future<Output = Answered>>(
    app: Arc<App>,
    request: Request,
    answer: impl FnOnce(Arc<App>, Arc<Source>) -> F,
) -> Response {
    let answering = app.bodies.answer(request, |source| answer(app.clone(), source));
    answering.await.into_response()
}

/// What most questions bring.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAsked {
    /// Who labels; whom the command named, by default.
    labeller: Option<String>,
    /// A row.
    place: Option<u32>,
}

/// `POST /answer`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGiven {
    labeller: String,
    place: u32,
    /// None skips the row.
    label: Option<String>,
    #[serde(default)]
    note: String,
    /// Whether it takes the place of the answer that stands.
    #[serde(default)]
    instead: bool,
}

/// What is wrong with the disk is no mistake of the request.
fn told(error: Error) -> Problem {
    match error.kind() {
        Kind::Label(LabelError::Database { .. }) => {
            let error = format!("this was not kept: {error}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "not_kept", error)
        }
        _ => error.into(),
    }
}

fn asked(app: &App, source: &Arc<Source>) -> Result<(String, Option<u32>)> {
    let raw: RawAsked = Node::root(source).read_object()?;
    let labeller = raw.labeller.unwrap_or_else(|| app.labeller.clone());
    check_labeller(&labeller)?;
    Ok((labeller, raw.place))
}

/// The next row, and how far the labeller is.
fn coming(project: &Project, labeller: &str, row: Option<ShownRow>) -> Result<Value> {
    let row = row.map_or_else(|| project.next(labeller), |row| Ok(Some(row)))?;
    Ok(json!({ "row": row, "progress": project.progress(labeller)? }))
}

/// `POST /state`: all that the page begins with.
async fn state(app: Arc<App>, source: Arc<Source>) -> Answered {
    let (labeller, place) = asked(&app, &source)?;
    let has_model = app.model.is_some();
    let learns_every = app.model.as_ref().map_or(0, |model| model.every);
    let work = move |_: &App, project: &mut Project| {
        let row = place.map(|place| project.row_for(place, &labeller)).transpose()?;
        let coming = coming(project, &labeller, row)?;
        let about = project.about();
        Ok(json!({
            "data": about.data,
            "columns": about.columns,
            "label_column": about.label_column,
            "labels": about.labels,
            "chosen_by": about.chosen_by,
            "held_out_share": about.held_out_share,
            "model": has_model,
            "learns_every": learns_every,
            "labeller": labeller,
            "labellers": project.labellers()?,
            "row": coming["row"],
            "progress": coming["progress"],
        }))
    };
    let state = app.with(move |app, project| work(app, project).map_err(told)).await?;
    Ok(Json(state).into_response())
}

/// `POST /answer`: keeps an answer and gives the next row; 409 where the labeller has answered the row
/// already.
async fn answer(app: Arc<App>, source: Arc<Source>) -> Answered {
    let raw: RawGiven = Node::root(&source).read_object()?;
    let RawGiven { labeller, place, label, note, instead } = raw;
    let note = note.trim().to_owned();
    let given = Given { place, labeller, label, note, instead };
    let work = move |project: &mut Project| {
        let outcome = project.answer(&given)?;
        Ok((outcome, coming(project, &given.labeller, None)?))
    };
    let model = app.model.clone();
    let (outcome, coming) = app.with(move |_, project| work(project).map_err(told)).await?;
    Ok(match outcome {
        Outcome::Kept => {
            model.iter().for_each(|model| model.tell());
            Json(coming).into_response()
        }
        Outcome::Answered(stands) => {
            let error = "this row is answered already: that answer stands";
            let body = json!({ "error": error, "error_type": "answered", "answer": stands });
            (StatusCode::CONFLICT, Json(body)).into_response()
        }
    })
}

/// `POST /undo`: takes the last answer back and shows its row.
async fn undo(app: Arc<App>, source: Arc<Source>) -> Answered {
    let (labeller, _) = asked(&app, &source)?;
    let work = move |project: &mut Project| {
        let row = project.undo(&labeller)?;
        row.map(|row| coming(project, &labeller, Some(row))).transpose()
    };
    let coming = app.with(move |_, project| work(project).map_err(told)).await?;
    coming.map(|coming| Json(coming).into_response()).ok_or_else(|| {
        Problem::new(StatusCode::CONFLICT, "nothing_to_undo", "there is no answer to take back")
    })
}

/// `POST /again`: puts skipped rows back in the order.
async fn again(app: Arc<App>, source: Arc<Source>) -> Answered {
    let (labeller, _) = asked(&app, &source)?;
    let work = move |project: &mut Project| {
        project.again(&labeller)?;
        coming(project, &labeller, None)
    };
    let coming = app.with(move |_, project| work(project).map_err(told)).await?;
    Ok(Json(coming).into_response())
}

/// `POST /opinion`: what the model says of a row. Of one that is kept to test on it says nothing before the
/// labeller has answered.
async fn opinion(app: Arc<App>, source: Arc<Source>) -> Answered {
    let (labeller, place) = asked(&app, &source)?;
    let Some(model) = app.model.clone() else {
        let error = "no model was loaded that could be asked";
        return Err(Problem::new(StatusCode::CONFLICT, "no_model", error));
    };
    let work = move |project: &mut Project| {
        let row = project.row(place.unwrap_or_default())?;
        let is_answered = project.standing(row.place, &labeller)?.is_some();
        Ok((row, is_answered))
    };
    let (row, is_answered) = app.with(move |_, project| work(project).map_err(told)).await?;
    if row.held_out && !is_answered {
        let error = "this row is kept to test on: the model is asked after you have answered";
        return Err(Problem::new(StatusCode::CONFLICT, "held_out", error));
    }
    let asking = tokio::task::spawn_blocking(move || model.opinion().of(row.record, row.fields));
    let labels = asking.await.map_err(|_| Problem::internal())??;
    let label = |(label, probability): (String, f64)| json!({ "label": label, "probability": probability });
    Ok(Json(labels.into_iter().map(label).collect::<Vec<_>>()).into_response())
}

/// `POST /learned`: what was learned so far, whether more labels pay, and labels that may be wrong.
async fn learned(app: Arc<App>, source: Arc<Source>) -> Answered {
    asked(&app, &source)?;
    let every = app.model.as_ref().map_or(0, |model| model.every);
    let work = move |project: &mut Project| {
        let (lessons, gain) = project.results()?;
        let doubts = project.doubts()?;
        let doubtful = |doubt: &Doubt| -> Result<Value> {
            let (record, text) = text(project, doubt.place)?;
            Ok(json!({ "place": doubt.place, "record": record, "text": text, "label": doubt.label,
                "likelier": doubt.likelier, "probability": doubt.share }))
        };
        let shown: Vec<Value> = doubts.iter().take(DISPUTED).map(doubtful).collect::<Result<_>>()?;
        Ok(json!({
            "every": every,
            "labels": project.to_learn_from()?,
            "next_at": lessons.last().map_or(0, |lesson| lesson.labels) + every,
            "lessons": lessons,
            "gain": gain,
            "doubts": shown,
            "all_doubts": doubts.len(),
        }))
    };
    let found = app.with(move |_, project| work(project).map_err(told)).await?;
    Ok(Json(found).into_response())
}

/// `POST /agreement`: Cohen's κ of each two labellers, Fleiss' κ of all, and rows of which they
/// differ.
async fn agreed(app: Arc<App>, source: Arc<Source>) -> Answered {
    asked(&app, &source)?;
    let work = move |project: &mut Project| {
        let found = agreement(&project.answers()?, &project.about().labels);
        let shown: Vec<Value> =
            found.disputed.iter().take(DISPUTED).map(|row| disputed(project, row)).collect::<Result<_>>()?;
        Ok(
            json!({ "all": found.all, "pairs": found.pairs, "disputed": shown, "all_disputed": found.disputed.len() }),
        )
    };
    let found = app.with(move |_, project| work(project).map_err(told)).await?;
    Ok(Json(found).into_response())
}

fn disputed(project: &Project, row: &Disputed) -> Result<Value> {
    let (record, text) = text(project, row.place)?;
    let answers: Vec<&Kept> = row.answers.iter().collect();
    Ok(json!({ "record": record, "text": text, "answers": answers }))
}

/// A row's number and the beginning of its text.
fn text(project: &Project, place: u32) -> Result<(u64, String)> {
    let shown = project.row(place)?;
    let is_text = |at: &usize| Some(*at) != project.about().label_column;
    let fields: Vec<&str> = shown
        .fields
        .iter()
        .enumerate()
        .filter(|(at, _)| is_text(at))
        .map(|(_, field)| field.as_str())
        .collect();
    Ok((shown.record, fields.join(" · ").chars().take(LETTERS).collect()))
}
