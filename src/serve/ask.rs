//! What each route does with a request.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::value::RawValue;

use super::answer::{ClassifyAnswer, LabelScore, PreviewAnswer, filled, ranked};
use super::app::App;
use super::host::Host;
use super::making::make;
use super::problem::Problem;
use super::request::{self, RawClassify, RawFill, RawInputs, RawPredict, RawTopK};
use super::zero_shot;
use crate::error::source::Source;
use crate::error::{DataError, Error, JsonError, ServeError};
use crate::predict::fill::Filled;
use crate::predict::prompt_classifier::{DetailedAnswer, PromptClassifier};
use crate::predict::report::Prediction;
use crate::text::json::Node;

/// What a route answers.
type Answered = Result<Response, Problem>;

fn json(answer: impl serde::Serialize) -> Answered {
    Ok(Json(answer).into_response())
}

/// `POST /classify`.
pub(super) async fn classify(app: Arc<App>, source: Arc<Source>) -> Answered {
    let root = Node::root(&source);
    let raw: RawClassify<'_> = root.read_object()?;
    let host = named(&app, &root, raw.run)?;
    let classifier = made(&app, &host, &root, &raw).await?;
    let (columns, examples) = raw.rows(&root, &classifier, app.engine.most())?;
    let answers = app.engine.classify(&classifier, columns, examples).await?;
    let shown = (raw.correct != Some(false), raw.detail);
    json(ClassifyAnswer::new(&host, &classifier, answers, shown))
}

/// `POST /preview`.
pub(super) async fn preview(app: Arc<App>, source: Arc<Source>) -> Answered {
    let root = Node::root(&source);
    let raw: RawClassify<'_> = root.read_object()?;
    let host = named(&app, &root, raw.run)?;
    let classifier = made(&app, &host, &root, &raw).await?;
    let (columns, examples) = raw.rows(&root, &classifier, 1)?;
    let [example] = <[_; 1]>::try_from(examples).map_err(|_| {
        let message = "a preview is of one row: ask /classify about several".to_owned();
        Error::from(JsonError::Shape { message })
    })?;
    let asked = classifier.clone();
    let previews = app.engine.call(move || asked.previews(&columns, &example)).await??;
    json(PreviewAnswer::new(&host, &classifier, previews))
}

/// `POST /zero-shot`.
pub(super) async fn by_labels(app: Arc<App>, source: Arc<Source>) -> Answered {
    let root = Node::root(&source);
    let raw: RawInputs<'_> = root.read_object()?;
    let host = named(&app, &root, raw.run)?;
    let node = root.key("inputs", raw.inputs);
    let is_list = node.is_list();
    let texts: Vec<String> = if is_list { node.read()? } else { vec![node.read()?] };
    let Some(parameters) = raw.parameters else {
        return Err(root.error(JsonError::MissingKey { key: "parameters".to_owned() }).into());
    };
    let ranked = zero_shot::answer(&app, &host, texts, &root.key("parameters", parameters)).await?;
    of_each(ranked, is_list)
}

/// `POST /fill-mask`.
pub(super) async fn fill_mask(app: Arc<App>, source: Arc<Source>) -> Answered {
    let root = Node::root(&source);
    let raw: RawInputs<'_> = root.read_object()?;
    let host = named(&app, &root, raw.run)?;
    let node = root.key("inputs", raw.inputs);
    let is_list = node.is_list();
    let texts: Vec<String> = if is_list { node.read()? } else { vec![node.read()?] };
    check_count(texts.len(), app.engine.most())?;
    let (mut most, mut targets) = (5, None);
    if let Some(parameters) = raw.parameters {
        let node = root.key("parameters", parameters);
        let fill: RawFill<'_> = node.read_object()?;
        most = request::top_k(&node, fill.top_k)?.unwrap_or(most);
        targets = fill.targets.map(|list| node.key("targets", list).read::<Vec<String>>()).transpose()?;
    }
    let classifier = host.classifier.clone();
    let tokenizer = &classifier.folder().tokenizer;
    let mask = tokenizer.token(tokenizer.special().mask).to_owned();
    let mut answers = Vec::with_capacity(texts.len());
    for text in texts {
        let (classifier, asked) = (classifier.clone(), text.clone());
        // Of targets any may be the least likely of all words.
        let most = if targets.is_some() { usize::MAX } else { most };
        let blanks = app.engine.call(move || classifier.fill(&asked, most)).await??;
        let words = |(blank, words): (usize, Vec<Filled>)| {
            let words = targets.as_ref().map_or(Ok(words.clone()), |targets| chosen(&words, targets))?;
            serde_json::to_value(filled(&text, &mask, blank, &words)).map_err(|_| Problem::internal())
        };
        let mut blanks = blanks.into_iter().enumerate().map(words).collect::<Result<Vec<_>, Problem>>()?;
        // As Hugging Face has it: a list of words for one blank, a list of such lists for several.
        answers.push(if blanks.len() == 1 { blanks.remove(0) } else { blanks.into() });
    }
    of_each(answers, is_list)
}

/// `POST /predict`.
pub(super) async fn predict(app: Arc<App>, source: Arc<Source>) -> Answered {
    let root = Node::root(&source);
    let raw: RawPredict<'_> = root.read_object()?;
    let host = named(&app, &root, raw.run)?;
    let node = root.key("inputs", raw.inputs);
    let (rows, is_batch) = request::pairs(&node)?;
    let mut scores = scores(&app, &host, rows, usize::MAX).await?;
    if raw.raw_scores {
        scores.iter_mut().flatten().for_each(|label| label.score = label.score.ln());
    }
    of_each(scores, is_batch)
}

/// `POST /`: what `huggingface_hub.InferenceClient` sends to a service, whatever the task: with labels it is
/// `/zero-shot`, else a classification.
pub(super) async fn inputs(app: Arc<App>, source: Arc<Source>) -> Answered {
    let root = Node::root(&source);
    let raw: RawInputs<'_> = root.read_object()?;
    if root.at("parameters.candidate_labels").is_some() {
        return by_labels(app, source.clone()).await;
    }
    let host = named(&app, &root, raw.run)?;
    let node = root.key("inputs", raw.inputs);
    let texts: Vec<String> = if node.is_list() { node.read()? } else { vec![node.read()?] };
    let most = raw.parameters.map(|parameters| {
        let node = root.key("parameters", parameters);
        let raw: RawTopK<'_> = node.read_object()?;
        request::top_k(&node, raw.top_k)
    });
    let most = most.transpose()?.flatten();
    let rows = texts.into_iter().map(|text| vec![text]).collect();
    // A list of lists even for a single text, as Hugging Face has it.
    json(scores(&app, &host, rows, most.unwrap_or(usize::MAX)).await?)
}

fn named(app: &App, root: &Node<'_>, run: Option<&RawValue>) -> Result<Host, Problem> {
    let name = run.map(|run| root.key("run", run));
    Ok(app.hosts.named(name.as_ref()).cloned()?)
}

/// The classifier that a request asks: the host's, or one with other patterns and label words, or with a
/// correction.
async fn made(
    app: &Arc<App>,
    host: &Host,
    root: &Node<'_>,
    raw: &RawClassify<'_>,
) -> Result<Arc<PromptClassifier>, Problem> {
    let question = raw.question(root, &host.classifier)?;
    let correct = raw.correct == Some(true);
    if question.is_none() && (!correct || host.classifier.calibration().is_some()) {
        return Ok(host.classifier.clone());
    }
    if question.is_some() {
        app.check_free()?;
    }
    let (templates, verbalizer) = question.unwrap_or_else(|| {
        (host.classifier.templates().cloned().collect(), host.classifier.verbalizer().clone())
    });
    let words = [
        host.name.as_str(),
        raw.templates.map_or("", RawValue::get),
        raw.verbalizer.map_or("", RawValue::get),
        if correct { "corrected" } else { "" },
    ]
    .map(str::to_owned);
    make(app, host, words.to_vec(), templates, verbalizer, correct).await
}

/// Refuses more than may be in one request.
fn check_count(found: usize, most: usize) -> Result<(), Problem> {
    if found <= most {
        return Ok(());
    }
    let error = Error::from(ServeError::TooManyRows { found, most });
    Err(Problem::from(error).with_status(StatusCode::PAYLOAD_TOO_LARGE))
}

/// The words that are asked for, in the order of their probabilities.
fn chosen(words: &[Filled], targets: &[String]) -> Result<Vec<Filled>, Problem> {
    let mut chosen = Vec::with_capacity(targets.len());
    for target in targets {
        let word = words.iter().find(|word| word.word == *target);
        let unknown = || Error::from(ServeError::TargetUnknown { word: target.clone() });
        chosen.push(word.cloned().ok_or_else(unknown)?);
    }
    chosen.sort_by(|one, other| other.probability.total_cmp(&one.probability));
    Ok(chosen)
}

/// Rows' labels, the likeliest first.
async fn scores(
    app: &App,
    host: &Host,
    rows: Vec<Vec<String>>,
    most: usize,
) -> Result<Vec<Vec<LabelScore>>, Problem> {
    let classifier = &host.classifier;
    let columns = classifier.columns();
    if let Some(row) = rows.iter().find(|row| row.len() != columns.len()) {
        return Err(match row.len() {
            1 => Error::from(DataError::NotOneColumn { columns }),
            _ => Error::from(ServeError::PairForColumns { columns }),
        }
        .into());
    }
    let (columns, examples) = request::fields(columns, rows.into_iter())?;
    let answers = app.engine.classify(classifier, columns, examples).await?;
    // Of several labels each is as probable as it is by itself.
    let of_row = |answer: &DetailedAnswer| match &host.several {
        None => answer.answer.prediction.clone(),
        Some(rule) => Prediction { probabilities: rule.answer(&answer.uncorrected).probabilities },
    };
    Ok(answers.iter().map(|answer| ranked(host.labels(), &of_row(answer), most)).collect())
}

/// An answer for each of a list, or the answer for what is none.
fn of_each<T: serde::Serialize>(mut answers: Vec<T>, is_list: bool) -> Answered {
    match is_list {
        true => json(answers),
        false => json(answers.remove(0)),
    }
}
