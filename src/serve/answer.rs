//! Answers as they are sent.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::host::Host;
use crate::predict::fill::Filled;
use crate::predict::preview::{PreviewPart, ReadAt, RowPreview};
use crate::predict::prompt_classifier::{DetailedAnswer, PromptClassifier};
use crate::predict::report::Prediction;

/// The answer of `/classify`.
#[derive(Serialize, ToSchema)]
pub(super) struct ClassifyAnswer {
    /// The classifier.
    run: String,
    /// The labels, in the order of the probabilities.
    labels: Vec<String>,
    /// One for each row, in their order.
    predictions: Vec<RowAnswer>,
}

/// What a row is answered.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum RowAnswer {
    /// By a classifier that gives one label.
    One(PredictionAnswer),
    /// By one that gives several, or none.
    Several(SeveralAnswer),
}

/// What a row is answered that may have several labels.
#[derive(Serialize, ToSchema)]
struct SeveralAnswer {
    /// The labels that are given.
    labels: Vec<String>,
    /// The probability of each label by itself.
    #[schema(value_type = Object)]
    probabilities: Map<String, Value>,
    /// Whether the row was too long for a pattern.
    truncated: bool,
    /// The row's tokens in all patterns together.
    tokens: usize,
    /// What each pattern says of the labels and what they are held against, where that is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    patterns: Option<Vec<PatternAnswer>>,
}

/// What a row is answered that has one label.
#[derive(Serialize, ToSchema)]
struct PredictionAnswer {
    /// The likeliest label; null where it is not likely enough to be said.
    label: Option<String>,
    /// Its probability.
    confidence: f64,
    /// Whether the likeliest label is not likely enough to be said.
    abstained: bool,
    /// The probability of each label.
    #[schema(value_type = Object)]
    probabilities: Map<String, Value>,
    /// The labels that the row may have, where the calibration gives sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<Vec<String>>,
    /// Whether the row was too long for a pattern.
    truncated: bool,
    /// The row's tokens in all patterns together.
    tokens: usize,
    /// What each pattern says, where that is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    patterns: Option<Vec<PatternAnswer>>,
}

/// What a pattern says.
#[derive(Serialize, ToSchema)]
struct PatternAnswer {
    /// Its name.
    template: String,
    /// The pattern.
    pattern: String,
    /// The probability of each label, corrected where there is a calibration.
    #[schema(value_type = Object)]
    probabilities: Map<String, Value>,
    /// The same before a correction.
    #[schema(value_type = Object)]
    uncorrected: Map<String, Value>,
    /// Whether the row was too long for it.
    truncated: bool,
}

/// A label with its score.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct LabelScore {
    pub(super) label: String,
    /// From 0 to 1.
    pub(super) score: f64,
}

/// A word for a blank.
#[derive(Serialize, ToSchema)]
pub(super) struct FilledAnswer {
    /// Its probability among all tokens.
    score: f64,
    /// The token.
    token: i64,
    /// The token as it is written.
    token_str: String,
    /// The text with the word in this blank.
    sequence: String,
}

/// The answer of `/preview`.
#[derive(Serialize, ToSchema)]
pub(super) struct PreviewAnswer {
    /// The classifier.
    run: String,
    /// The labels, in their order.
    labels: Vec<String>,
    /// The columns that the patterns read.
    columns: Vec<String>,
    /// The patterns' mean for each label, before a correction.
    #[schema(value_type = Object)]
    uncorrected: Map<String, Value>,
    /// The same with the correction.
    #[schema(value_type = Object)]
    probabilities: Map<String, Value>,
    /// The row in each pattern.
    patterns: Vec<PatternPreview>,
}

/// A row in a pattern, as the model sees it.
#[derive(Serialize, ToSchema)]
struct PatternPreview {
    /// The pattern's name.
    template: String,
    /// The pattern.
    pattern: String,
    /// The prompt, segment by segment, each of parts.
    segments: Vec<Vec<PartAnswer>>,
    /// The prompt's tokens.
    tokens: Vec<String>,
    /// The place of the mask among them; none where the text is compared with the label words.
    mask: Option<usize>,
    /// What had no room, by column.
    cuts: Vec<CutAnswer>,
    /// What each class gets.
    classes: Vec<ClassAnswer>,
    /// The likeliest words at the mask.
    likeliest: Vec<WordAnswer>,
}

/// A part of a prompt.
#[derive(Serialize, ToSchema)]
struct PartAnswer {
    /// text, field, mask, demonstration or soft.
    kind: &'static str,
    text: String,
}

/// A field's tokens that had no room.
#[derive(Serialize, ToSchema)]
struct CutAnswer {
    column: String,
    tokens: Vec<String>,
}

/// What a class gets.
#[derive(Serialize, ToSchema)]
struct ClassAnswer {
    label: String,
    words: Vec<String>,
    /// Its probability before a correction.
    uncorrected: f64,
    /// Its probability.
    probability: f64,
}

/// A word with its probability among all words.
#[derive(Serialize, ToSchema)]
struct WordAnswer {
    word: String,
    probability: f64,
}

fn by_label(labels: &[String], prediction: &Prediction) -> Map<String, Value> {
    let probabilities = prediction.probabilities.iter().map(|share| Value::from(*share));
    labels.iter().cloned().zip(probabilities).collect()
}

impl ClassifyAnswer {
    /// The answers of a host's classifier, or of one that a request made of it; `correct` is whether they are
    /// corrected. Whatever a request makes gives one label.
    pub(super) fn new(
        host: &Host,
        classifier: &Arc<PromptClassifier>,
        answers: Vec<DetailedAnswer>,
        (correct, detail): (bool, bool),
    ) -> ClassifyAnswer {
        let labels = classifier.labels();
        let pattern = |answer: &DetailedAnswer| {
            let patterns = classifier.templates().enumerate().map(|(index, template)| PatternAnswer {
                template: template.name().to_owned(),
                pattern: template.pattern().to_owned(),
                probabilities: by_label(
                    labels,
                    if correct { &answer.by_pattern[index] } else { &answer.uncorrected[index] },
                ),
                uncorrected: by_label(labels, &answer.uncorrected[index]),
                truncated: answer.truncated[index],
            });
            patterns.collect()
        };
        let prediction = |answer: DetailedAnswer| {
            let prediction = match correct {
                true => answer.answer.prediction.clone(),
                false => Prediction::average(&answer.uncorrected),
            };
            let answered = host.abstain_below.is_none_or(|least| prediction.confidence() >= least);
            let label = |class: usize| labels[class].clone();
            let set = answer.answer.set.as_ref().filter(|_| correct);
            PredictionAnswer {
                label: answered.then(|| label(prediction.class())),
                confidence: prediction.confidence(),
                abstained: !answered,
                probabilities: by_label(labels, &prediction),
                set: set.map(|set| set.iter().map(|class| label(*class)).collect()),
                truncated: answer.truncated.contains(&true),
                tokens: answer.tokens,
                patterns: detail.then(|| pattern(&answer)),
            }
        };
        let several = host.several.as_ref().filter(|_| Arc::ptr_eq(&host.classifier, classifier));
        let row = |answer: DetailedAnswer| match several {
            None => RowAnswer::One(prediction(answer)),
            Some(rule) => {
                let found = rule.answer(&answer.uncorrected);
                let given = rule.labels().iter().zip(&found.given).filter(|(_, given)| **given);
                RowAnswer::Several(SeveralAnswer {
                    labels: given.map(|(label, _)| label.clone()).collect(),
                    probabilities: by_label(
                        rule.labels(),
                        &Prediction { probabilities: found.probabilities },
                    ),
                    truncated: answer.truncated.contains(&true),
                    tokens: answer.tokens,
                    patterns: detail.then(|| pattern(&answer)),
                })
            }
        };
        ClassifyAnswer {
            run: host.name.clone(),
            labels: several.map_or(labels, |rule| rule.labels()).to_vec(),
            predictions: answers.into_iter().map(row).collect(),
        }
    }
}

/// The labels of an answer, the likeliest first, so many at most.
pub(super) fn ranked(labels: &[String], prediction: &Prediction, most: usize) -> Vec<LabelScore> {
    let score = |(label, score): (&String, &f64)| LabelScore { label: label.clone(), score: *score };
    let mut scores: Vec<LabelScore> = labels.iter().zip(&prediction.probabilities).map(score).collect();
    // Stable: the first of equals stays first.
    scores.sort_by(|one, other| other.score.total_cmp(&one.score));
    scores.truncate(most);
    scores
}

/// The words for the n-th blank of a text.
pub(super) fn filled(text: &str, mask: &str, blank: usize, words: &[Filled]) -> Vec<FilledAnswer> {
    let parts: Vec<&str> = text.split(mask).collect();
    let answer = |word: &Filled| FilledAnswer {
        score: word.probability,
        token: word.token,
        token_str: word.word.clone(),
        sequence: format!("{}{}{}", parts[..=blank].join(mask), word.word, parts[blank + 1..].join(mask)),
    };
    words.iter().map(answer).collect()
}

impl PreviewAnswer {
    /// A row's previews by a classifier, which may have a calibration.
    pub(super) fn new(
        host: &Host,
        classifier: &PromptClassifier,
        previews: Vec<RowPreview>,
    ) -> PreviewAnswer {
        let of_row = |preview: &RowPreview| Prediction {
            probabilities: preview.classes.iter().map(|class| class.probability).collect(),
        };
        let uncorrected: Vec<Prediction> = previews.iter().map(of_row).collect();
        let mut corrected = uncorrected.clone();
        if let Some(fitted) = classifier.calibration() {
            let levels: Vec<f64> = previews.iter().map(|preview| preview.level).collect();
            fitted.apply(&mut corrected, &levels);
        }
        let labels = classifier.labels();
        let patterns = classifier.templates().zip(previews).zip(&corrected);
        PreviewAnswer {
            run: host.name.clone(),
            labels: labels.to_vec(),
            columns: classifier.columns(),
            uncorrected: by_label(labels, &Prediction::average(&uncorrected)),
            probabilities: by_label(labels, &Prediction::average(&corrected)),
            patterns: patterns
                .map(|((template, preview), corrected)| pattern(template.pattern(), preview, corrected))
                .collect(),
        }
    }
}

fn pattern(written: &str, preview: RowPreview, corrected: &Prediction) -> PatternPreview {
    let part = |part: PreviewPart| match part {
        PreviewPart::Text(text) => PartAnswer { kind: "text", text },
        PreviewPart::Field(text) => PartAnswer { kind: "field", text },
        PreviewPart::Mask => PartAnswer { kind: "mask", text: String::new() },
        PreviewPart::Demonstration(words) => PartAnswer { kind: "demonstration", text: words.concat() },
        PreviewPart::Soft(count) => PartAnswer { kind: "soft", text: count.to_string() },
    };
    let classes = preview.classes.into_iter().zip(&corrected.probabilities);
    PatternPreview {
        template: preview.pattern,
        pattern: written.to_owned(),
        segments: preview
            .segments
            .into_iter()
            .map(|segment| segment.into_iter().map(part).collect())
            .collect(),
        tokens: preview.tokens,
        mask: match preview.read {
            ReadAt::Mask(at) => Some(at),
            ReadAt::Cls | ReadAt::Compared => None,
        },
        cuts: preview
            .cuts
            .into_iter()
            .map(|cut| CutAnswer { column: cut.column, tokens: cut.tokens })
            .collect(),
        classes: classes
            .map(|(class, probability)| ClassAnswer {
                label: class.label,
                words: class.words,
                uncorrected: class.probability,
                probability: *probability,
            })
            .collect(),
        likeliest: preview
            .likeliest
            .into_iter()
            .map(|(word, probability)| WordAnswer { word, probability })
            .collect(),
    }
}
