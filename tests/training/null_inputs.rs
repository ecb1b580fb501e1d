//! Null inputs: PyTorch's loss and gradients (tests/fixtures/training/null_inputs.py), and what comes of them.

use cloze::learn::plan::PlanOptions;
use cloze::model::folder::EngineChoice;
use cloze::text::null_inputs;
use cloze::tune::{Learned, Tuning};

use super::steps::first_gradients;
use super::{Setting, learned, moody};
use crate::support::{assert_close, read_json};

/// On texts of which the labels say nothing.
fn on<'a>(texts: impl IntoIterator<Item = &'a str>, patterns: &[&str]) -> Setting {
    let mut csv = "text,label\n".to_owned();
    texts.into_iter().for_each(|text| csv += &format!("\"{text}\",up\n"));
    let mut setting = Setting::on(moody(EngineChoice::Cloze, 0.0), Tuning::Bias, patterns, &csv);
    let inputs = setting.examples.len() * patterns.len();
    setting.plan = PlanOptions::default().for_null_inputs(inputs).plan(&Tuning::Bias, 3);
    setting
}

fn norm_of_difference(one: &Learned, other: &Learned) -> f64 {
    one.iter().map(|(name, tensor)| (tensor - &other[name]).norm().double_value(&[])).fold(0.0, f64::max)
}

#[test]
fn null_inputs_have_pytorchs_loss_and_gradients_however_they_are_parted() {
    let golden = read_json("tests/fixtures/training/null_inputs.json");
    let texts = || golden["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap());
    let mut setting = on(texts(), &[golden["pattern"].as_str().unwrap()]);
    setting.plan.clip_norm = 1e9;
    let whole = first_gradients(&mut setting);
    let (_, losses) = setting.train();
    assert_close(&losses, &[golden["loss"].as_f64().unwrap()], 1e-6, "loss");
    let wanted = golden["norms"].as_object().unwrap();
    assert_eq!(whole.len(), wanted.len());
    for (name, norm) in wanted {
        let found = whole[name].norm().double_value(&[]);
        assert_close(&[found], &[norm.as_f64().unwrap()], 1e-6, name);
    }
    for batch_tokens in [1, 20] {
        setting.plan.batch_tokens = batch_tokens;
        assert_close(&setting.train().1, &losses, 1e-6, "loss in parts");
        let difference = norm_of_difference(&first_gradients(&mut setting), &whole);
        assert!(difference < 1e-5, "{batch_tokens} tokens at once: {difference}");
    }
}

#[test]
fn classes_are_nearer_to_even_on_other_null_inputs_too() {
    let usual = null_inputs::usual();
    let usual: Vec<&str> = usual.iter().map(String::as_str).collect();
    let (seen, unseen) = usual.split_at(24);
    let patterns = ["{text} it was {mask}.", "a {mask} text: {text}"];
    let mut setting = on(seen.iter().copied(), &patterns);
    // The tiny model's classes are far from even.
    (setting.plan.steps, setting.plan.learning_rate) = (10, 0.02);
    let (state, losses) = setting.train();
    assert!(losses.last() < losses.first(), "{losses:?}");
    assert!(state.trainable.leaves().keys().all(|name| name.ends_with(".bias")));
    let unseen = on(unseen.iter().copied(), &patterns);
    let from_even = |learned: Vec<f64>| -> f64 {
        let mean =
            |class: usize| learned.chunks(3).map(|row| row[class]).sum::<f64>() / (learned.len() / 3) as f64;
        (0..3).map(|class| (mean(class) - 1.0 / 3.0).abs()).sum()
    };
    let before = from_even(learned(&unseen, &Learned::new()));
    let after = from_even(learned(&unseen, &state.trainable.finished()));
    assert!(after < before / 2.0, "{before} {after}");
}

#[test]
fn a_file_of_null_inputs_has_one_a_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "Nothing.\r\n\n  N/A \n").unwrap();
    assert_eq!(null_inputs::read(file.path()).unwrap(), ["Nothing.", "N/A"]);
    std::fs::write(file.path(), "\n \n").unwrap();
    assert!(null_inputs::read(file.path()).is_err());
}
