//! Explanations: what they say of words is what the classifier does without them.

use cloze::predict::explain::{Explainer, Method};
use cloze::predict::output::Answer;
use cloze::{MaskedLm, Options, PromptClassifier, Template, Verbalizer};

use crate::support::TINY;

const PATTERNS: [&str; 2] = ["{text} It was {mask}.", "{mask}: {text|shorten}"];

fn builder(patterns: &[&str]) -> cloze::predict::prompt_classifier::Builder {
    let model = MaskedLm::load(TINY, Options::default()).unwrap();
    let words: [(&str, &[&str]); 3] = [("up", &["good", "great"]), ("down", &["bad"]), ("new", &["new"])];
    let builder = PromptClassifier::builder(model).verbalizer(Verbalizer::of(&words).unwrap());
    patterns
        .iter()
        .fold(builder, |builder, pattern| builder.template(Template::from_pattern(pattern).unwrap()))
}

fn explainer(patterns: &[&str]) -> Explainer {
    builder(patterns).explainer().unwrap()
}

fn log_odds(answer: &Answer, class: usize) -> f64 {
    let p = answer.prediction.probabilities[class];
    (p / (1.0 - p)).ln()
}

#[test]
fn leaving_a_word_out_is_scoring_the_row_without_it() {
    let classifier = builder(&PATTERNS).build().unwrap();
    let texts = ["a very  good film", "very  good film", "a  good film", "a very film", "a very  good"];
    let answers = classifier.classify(&texts).unwrap();
    let found = explainer(&PATTERNS).explain_text(texts[0], Some(1), Method::LeaveOneOut).unwrap();
    assert_eq!(
        found.words.iter().map(|word| word.word.as_str()).collect::<Vec<_>>(),
        ["a", "very", "good", "film"]
    );
    for (word, without) in found.words.iter().zip(&answers[1..]) {
        let wanted = log_odds(&answers[0], 1) - log_odds(without, 1);
        assert!((word.effect - wanted).abs() < 1e-5, "{}: {} and {wanted}", word.word, word.effect);
    }
}

#[test]
fn along_gradients_the_words_sum_is_the_difference_of_the_scores() {
    let explainer = explainer(&PATTERNS);
    let text = "a very good film and a bad story of the best team";
    for class in 0..3 {
        let found = explainer.explain_text(text, Some(class), Method::Gradients { steps: 32 }).unwrap();
        let sum: f64 = found.words.iter().map(|word| word.effect).sum();
        let difference = found.score - found.baseline.unwrap();
        assert!((sum - difference).abs() < 1e-3 * difference.abs().max(1.0), "{sum} and {difference}");
    }
}

#[test]
fn masks_in_place_of_all_words_are_where_gradients_begin() {
    let found =
        explainer(&PATTERNS[..1]).explain_text("good film", Some(0), Method::Gradients { steps: 4 }).unwrap();
    let classifier = builder(&PATTERNS[..1]).build().unwrap();
    let masked = classifier.classify(&["good film"]).unwrap();
    // The score of the row itself is the classifier's.
    assert!((found.score - log_odds(&masked[0], 0)).abs() < 1e-4);
    assert!((found.baseline.unwrap() - found.score).abs() > 1e-4);
}

#[test]
fn words_without_room_are_counted_and_move_nothing() {
    let text = format!("good {}", "film ".repeat(500));
    let found = explainer(&PATTERNS[1..]).explain_text(&text, None, Method::LeaveOneOut).unwrap();
    assert_eq!(found.words.len() + found.unread_words, 501);
    assert!(found.unread_words > 400 && found.words.len() > 20);
}

#[test]
fn gradients_are_transformers() {
    let explainer = explainer(&PATTERNS[..1]);
    let golden = crate::support::read_json(std::path::Path::new("tests/fixtures/explain/golden.json"));
    for wanted in golden.as_array().unwrap() {
        let class = usize::try_from(wanted["class"].as_u64().unwrap()).unwrap();
        let method = Method::Gradients { steps: 32 };
        let found = explainer.explain_text(wanted["row"].as_str().unwrap(), Some(class), method).unwrap();
        let near = |found: f64, wanted: &serde_json::Value| {
            let wanted = wanted.as_f64().unwrap();
            assert!((found - wanted).abs() < 1e-4, "{found} and {wanted}");
        };
        near(found.score, &wanted["score"]);
        near(found.baseline.unwrap(), &wanted["baseline"]);
        let effects = wanted["effects"].as_array().unwrap();
        assert_eq!(found.words.len(), effects.len());
        found.words.iter().zip(effects).for_each(|(found, wanted)| near(found.effect, wanted));
    }
}
