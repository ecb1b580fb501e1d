//! Labels that a request brings: Hugging Face's zero-shot classification, answered by filling blanks.

use std::sync::Arc;

use super::answer::LabelScore;
use super::app::App;
use super::host::Host;
use super::making::make;
use super::problem::Problem;
use super::request::{RawZeroShot, fields, labels};
use crate::error::{Errors, Result, ServeError, VerbalizerError};
use crate::predict::prompt_classifier::DetailedAnswer;
use crate::predict::zero_shot::Question;
use crate::text::json::Node;
use crate::text::labels::{as_said, of_names, verbalizer};
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;

/// A request has at most so many labels.
const MOST_LABELS: usize = 1000;

/// Where the label stands in a hypothesis.
const PLACE: &str = "{}";

/// What is said of a label where the request does not say it.
const HYPOTHESIS: &str = "This is about {}.";

/// What stands for a text of which nothing is known, as in the correction by inputs without content.
const NO_TEXT: &str = "N/A";

/// How a hypothesis is put to a model, which says yes or no.
const ASKED: [&str; 2] =
    ["{text|shorten} {hypothesis} Is that so? {mask}.", "{text|shorten} {hypothesis} The answer is {mask}."];

/// The labels of each text with their scores, the highest first.
pub(super) async fn answer(
    app: &Arc<App>,
    host: &Host,
    texts: Vec<String>,
    parameters: &Node<'_>,
) -> Result<Vec<Vec<LabelScore>>, Problem> {
    app.check_free()?;
    let raw: RawZeroShot<'_> = parameters.read_object()?;
    let node = parameters.key("candidate_labels", raw.candidate_labels);
    let names = labels(&node)?;
    if names.len() > MOST_LABELS {
        return Err(node.error(ServeError::TooManyLabels { found: names.len(), most: MOST_LABELS }).into());
    }
    if names.is_empty() {
        return Err(node.error(VerbalizerError::TooFewLabels { found: 0 }).into());
    }
    let hypothesis = raw.hypothesis_template.map(|value| parameters.key("hypothesis_template", value));
    let template = hypothesis.as_ref().map(Node::read::<String>).transpose()?;
    if let (Some(node), Some(template)) = (&hypothesis, &template)
        && !template.contains(PLACE)
    {
        let template = template.clone();
        return Err(node.error(ServeError::HypothesisWithoutPlace { template }).into());
    }
    // Of a single label nothing can be said but whether it is true.
    let mut scored = match raw.multi_label || names.len() == 1 {
        true => each_label(app, host, &texts, &names, template.as_deref().unwrap_or(HYPOTHESIS)).await?,
        false => one_label(app, host, texts, names, template.as_deref()).await?,
    };
    for scores in &mut scored {
        // Stable: the first of equals stays first.
        scores.sort_by(|one, other| other.score.total_cmp(&one.score));
    }
    Ok(scored)
}

/// Which one of the labels it is: as `cloze classify` asks, corrected by inputs without content.
async fn one_label(
    app: &Arc<App>,
    host: &Host,
    texts: Vec<String>,
    names: Vec<String>,
    hypothesis: Option<&str>,
) -> Result<Vec<Vec<LabelScore>>, Problem> {
    let question = hypothesis.map_or(Question::ByLabels, |template| Question::Own(as_pattern(template)));
    let words = ["zero-shot", &host.name, hypothesis.unwrap_or_default()].map(str::to_owned);
    let words = words.into_iter().chain(names.iter().cloned()).collect();
    let (templates, verbalizer) = templates_of(question, names)?;
    let classifier = make(app, host, words, templates, verbalizer, true).await?;
    let rows = texts.into_iter().map(|text| vec![text]);
    let (columns, examples) = fields(vec!["text".to_owned()], rows)?;
    let answers = app.engine.classify(&classifier, columns, examples).await?;
    let scores = |answer: DetailedAnswer| {
        let probabilities = answer.answer.prediction.probabilities.into_iter();
        let labels = classifier.labels().iter().cloned();
        labels.zip(probabilities).map(|(label, score)| LabelScore { label, score }).collect()
    };
    Ok(answers.into_iter().map(scores).collect())
}

fn templates_of(question: Question, names: Vec<String>) -> Result<(Vec<Template>, Verbalizer), Errors> {
    let (question, labels, _) = question.of(of_names(names)?);
    Ok((question.templates(&["text".to_owned()])?, verbalizer(&labels)?))
}

/// Whether each label is true, by itself: the odds that the model says yes to the hypothesis behind the text,
/// over the odds behind no text, which is what it thinks of the hypothesis alone.
async fn each_label(
    app: &Arc<App>,
    host: &Host,
    texts: &[String],
    names: &[String],
    hypothesis: &str,
) -> Result<Vec<Vec<LabelScore>>, Problem> {
    let words = ["yes-no".to_owned(), host.name.clone()].to_vec();
    let templates = ASKED.map(Template::from_pattern).into_iter().collect::<Result<Vec<_>>>()?;
    let verbalizer = Verbalizer::of(&[("no", &["no"]), ("yes", &["yes"])])?;
    let classifier = make(app, host, words, templates, verbalizer, false).await?;
    let all = texts.iter().map(String::as_str).chain([NO_TEXT]);
    let said = |name: &String| hypothesis.replace(PLACE, &as_said(name));
    let rows = all.flat_map(|text| names.iter().map(move |name| vec![text.to_owned(), said(name)]));
    let columns = ["text", "hypothesis"].map(str::to_owned).to_vec();
    let (columns, examples) = fields(columns, rows)?;
    let answers = app.engine.classify(&classifier, columns, examples).await?;
    let odds: Vec<f64> = answers
        .iter()
        .map(|answer| {
            let [no, yes] = [0, 1].map(|class| answer.answer.prediction.probabilities[class]);
            // A probability of 0 is one too small for its type.
            yes.max(f64::MIN_POSITIVE) / no.max(f64::MIN_POSITIVE)
        })
        .collect();
    let mut by_text: Vec<&[f64]> = odds.chunks(names.len()).collect();
    let alone = by_text.pop().unwrap_or_default();
    let score = |(name, (odds, alone)): (&String, (&f64, &f64))| {
        let ratio = odds / alone;
        LabelScore { label: name.clone(), score: ratio / (1.0 + ratio) }
    };
    Ok(by_text
        .into_iter()
        .map(|odds| names.iter().zip(odds.iter().zip(alone)).map(score).collect())
        .collect())
}

/// A hypothesis as a pattern: the label's place is the blank, other braces are text.
fn as_pattern(hypothesis: &str) -> String {
    let parts = hypothesis.split(PLACE).map(|part| part.replace('{', "{{").replace('}', "}}"));
    let parts: Vec<String> = parts.collect();
    // One blank: what stands in further places is not known before the first is filled.
    let (first, rest) = (&parts[0], parts[1..].join("it"));
    format!("{first}{{mask}}{rest}")
}
