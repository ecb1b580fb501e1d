//! Soft and prototype verbalizers: PyTorch's numbers (tests/fixtures/training/warp.py and prototype.py), and
//! what must hold.

use std::path::PathBuf;

use cloze::learn::objective::{contrastive_losses, losses};
use cloze::learn::target::Target;
use cloze::model::encoder::Mode;
use cloze::model::features::Features;
use cloze::model::folder::EngineChoice;
use cloze::predict::encode::encode;
use cloze::text::verbalizer::Verbalizer;
use cloze::tune::{Beginning, CLASS_VECTORS, Form, Learned, PROTOTYPES, Trainable, Tuning};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use super::tiny;
use crate::support::{assert_close, lone_generator, numbers, pvp, read_json, values};

fn verbalizer(golden: &Value, kind: &str) -> Verbalizer {
    let word = |word: &Value| json!({ "word": word[0], "weight": word[1] });
    let class = |(label, words): (&str, &Value)| json!({ "label": label, "words": words.as_array().unwrap().iter().map(word).collect::<Vec<_>>() });
    let classes: Vec<Value> =
        ["up", "down"].into_iter().zip(golden["words"].as_array().unwrap()).map(class).collect();
    Verbalizer::parse("v", "v.json", &json!({ "version": 1, "kind": kind, "classes": classes }).to_string())
        .unwrap()
}

#[test]
fn a_soft_verbalizer_starts_as_its_words_and_has_pytorchs_gradients() {
    let _alone = lone_generator();
    let golden = read_json(PathBuf::from("tests/fixtures/training/warp.json"));
    let base = tiny(EngineChoice::Cloze, 0.0, &verbalizer(&golden, "soft"));
    let tuning = Tuning::parse("tuning.json", r#"{ "prompt-tuning": { "length": 1 } }"#).unwrap();
    let config = &base.model.folder.config;
    let beginning = Beginning {
        config,
        base: &base.model.parameters,
        soft: Vec::new(),
        prefix: Vec::new(),
        classes: 2,
        class_start: base.class_start(),
        own: &[],
        seed: 0,
    };
    let trainable = Trainable::new(&tuning, &beginning);
    // Without soft tokens in front nothing else moves.
    assert_eq!(trainable.leaves().keys().collect::<Vec<_>>(), [CLASS_VECTORS[1], CLASS_VECTORS[0]]);
    let mut classifier = base.zero_shot(None).unwrap();
    classifier.adapt(&base, &tuning, &trainable.learned(), Form::Beside);
    let pvp = pvp("{text} It was {mask}.");
    let rows = golden["rows"].as_array().unwrap();
    let inputs: Vec<Features> = rows
        .iter()
        .map(|row| encode(&pvp.wrap(|_| row[0].as_str().unwrap()), base.tokenizer(), 64).unwrap())
        .collect();
    let inputs: Vec<&Features> = inputs.iter().collect();
    let targets: Vec<Target> =
        rows.iter().map(|row| Target::Class(usize::try_from(row[1].as_u64().unwrap()).unwrap())).collect();
    let scores = classifier.class_scores(&inputs, Mode::Train);
    assert_close(
        &values(&scores),
        &golden["scores"].as_array().unwrap().iter().flat_map(numbers).collect::<Vec<_>>(),
        1e-5,
        "scores",
    );
    // What words of the plain kind give.
    let words = tiny(EngineChoice::Cloze, 0.0, &verbalizer(&golden, "words"));
    let plain = tch::no_grad(|| words.zero_shot(None).unwrap().class_scores(&inputs, Mode::Score));
    assert_close(&values(&scores), &values(&plain), 1e-5, "as words");
    let loss = losses(&scores, &targets.iter().collect::<Vec<_>>()).mean(Kind::Float);
    loss.backward();
    assert_close(&values(&loss), &[golden["loss"].as_f64().unwrap()], 1e-5, "loss");
    let gradient = |name: &str| values(&Tensor::grad(&trainable.leaves()[name]));
    assert_close(&gradient(CLASS_VECTORS[0]), &numbers(&golden["vectors"]), 1e-5, "gradient of the vectors");
    assert_close(&gradient(CLASS_VECTORS[1]), &numbers(&golden["biases"]), 1e-5, "gradient of the biases");
}

#[test]
fn prototypes_have_pytorchs_scores_losses_and_gradients() {
    let _alone = lone_generator();
    let golden = read_json(PathBuf::from("tests/fixtures/training/prototype.json"));
    let base = tiny(EngineChoice::Cloze, 0.0, &Verbalizer::parse("mood", "mood.json", super::MOOD).unwrap());
    let size = golden["size"].as_i64().unwrap();
    let leaf = |name: &str, rows: i64| {
        let values: Vec<f32> = numbers(&golden[name]).into_iter().map(|value| value as f32).collect();
        Tensor::from_slice(&values).view([rows, -1]).set_requires_grad(true)
    };
    let leaves = [leaf("projection", size), leaf("prototypes", 3)];
    let learned: Learned =
        PROTOTYPES.map(str::to_owned).into_iter().zip(leaves.iter().map(Tensor::shallow_clone)).collect();
    let mut classifier = base.zero_shot(None).unwrap();
    classifier.adapt(
        &base,
        &Tuning::parse("tuning.json", r#"{ "prompt-tuning": { "length": 1 } }"#).unwrap(),
        &learned,
        Form::Beside,
    );
    let pvp = pvp("{text} It was {mask}.");
    let rows = golden["rows"].as_array().unwrap();
    let inputs: Vec<Features> = rows
        .iter()
        .map(|row| encode(&pvp.wrap(|_| row[0].as_str().unwrap()), base.tokenizer(), 64).unwrap())
        .collect();
    let targets: Vec<Target> =
        rows.iter().map(|row| Target::Class(usize::try_from(row[1].as_u64().unwrap()).unwrap())).collect();
    let targets: Vec<&Target> = targets.iter().collect();
    let (scores, vectors) = classifier.scores_and_vectors(&inputs.iter().collect::<Vec<_>>(), Mode::Train);
    assert_close(&values(&scores), &numbers(&golden["scores"]), 1e-4, "scores");
    let (crosses, pairs) = (losses(&scores, &targets), contrastive_losses(&vectors.unwrap(), &targets));
    assert_close(&values(&crosses), &numbers(&golden["cross_entropies"]), 1e-4, "cross-entropies");
    assert_close(&values(&pairs), &numbers(&golden["contrastive"]), 1e-4, "contrastive losses");
    (crosses + pairs).mean(Kind::Float).backward();
    for (leaf, name) in leaves.iter().zip(["projection_gradient", "prototypes_gradient"]) {
        assert_close(&values(&leaf.grad()), &numbers(&golden[name]), 1e-4, name);
    }
}
