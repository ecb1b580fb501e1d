//! Lists of words: priors in class scores, and WordNet's files.

use std::fmt::Write as _;
use std::path::Path;

use cloze::learn::objective::losses;
use cloze::learn::target::Target;
use cloze::model::encoder::Mode;
use cloze::model::features::Features;
use cloze::model::folder::EngineChoice;
use cloze::model::tokenizer::Tokenizer;
use cloze::predict::classifier::VerbalizedLm;
use cloze::predict::encode::encode;
use cloze::predict::label_words::LabelWords;
use cloze::predict::pvp::{Patterns, SoftVectors};
use cloze::study::knowledge::refine::{Fate, WordsSaid, refine};
use cloze::study::knowledge::wordnet::WordNet;
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;
use cloze::tune::{Beginning, Form, Trainable, Tuning, WORD_WEIGHTS};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use crate::support::{TINY, assert_close, base, features, numbers, read_json, values};

/// The texts in each pattern.
fn golden_inputs(golden: &Value, base: &VerbalizedLm) -> Vec<Vec<Features>> {
    let patterns = golden["patterns"].as_array().unwrap();
    let templates = patterns.iter().map(|pattern| Template::from_pattern(pattern.as_str().unwrap()).unwrap());
    let bound =
        Patterns::bind(templates.collect(), &base.words, &base.model.folder, SoftVectors::Words, 64).unwrap();
    let texts = golden["texts"].as_array().unwrap();
    let of_pattern = |pvp: &cloze::predict::pvp::Pvp| {
        let wrapped = texts.iter().map(|text| pvp.wrap(|_| text.as_str().unwrap()));
        wrapped.map(|prompt| encode(&prompt, base.tokenizer(), 64).unwrap()).collect()
    };
    bound.pvps.iter().map(of_pattern).collect()
}

/// By hand: with logits 1, 2 and 3 and a prior of one half for the first, (1 + ln 2 + 2·½) / 1.5 and 3.
#[test]
fn a_words_prior_is_taken_out_of_its_logit() {
    let text = r#"{ "version": 1, "classes": [
        { "label": "up", "words": [ { "word": "good", "prior": 0.5 }, { "word": "great", "weight": 0.5 } ] }, { "label": "down", "words": ["bad"] } ] }"#;
    let verbalizer = Verbalizer::parse("v", "v.json", text).unwrap();
    let words =
        LabelWords::check(&verbalizer, &Tokenizer::load(Path::new(TINY)).unwrap(), Device::Cpu).unwrap();
    // The class with one word repeats it, and the repetition counts nothing.
    let scores = words.scores().of(&Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 9.0]).view([1, 4]), &[], None);
    assert_close(&values(&scores), &[(1.0 + 2.0_f64.ln() + 1.0) / 1.5, 3.0], 1e-6, "scores");
}

/// By hand: the first pattern's prior of the first word is one half, the second's a quarter.
#[test]
fn a_words_prior_is_that_of_its_pattern() {
    let text = r#"{ "version": 1, "priors_of": ["{text} It was {mask}.", "A {mask} text: {text}"], "classes": [
        { "label": "up", "words": [ { "word": "good", "prior": [0.5, 0.25] } ] }, { "label": "down", "words": ["bad"] } ] }"#;
    let verbalizer = Verbalizer::parse("v", "v.json", text).unwrap();
    let words =
        LabelWords::check(&verbalizer, &Tokenizer::load(Path::new(TINY)).unwrap(), Device::Cpu).unwrap();
    let priors = |pattern: &str| words.priors_in(&Template::from_pattern(pattern).unwrap());
    let inputs = ["A {mask} text: {text}", "{text} It was {mask}."]
        .map(|pattern| Features { priors: priors(pattern).unwrap(), ..features(&[2, 4, 3], 3, 1) });
    let inputs: Vec<&Features> = inputs.iter().collect();
    let logits = Tensor::from_slice(&[1.0_f32, 3.0, 1.0, 3.0]).view([2, 2]);
    let scores = words.scores().of(&logits, &inputs, None);
    assert_close(&values(&scores), &[1.0 + 4.0_f64.ln(), 3.0, 1.0 + 2.0_f64.ln(), 3.0], 1e-6, "scores");
    assert!(priors("{mask} {text}").is_err());
}

fn of_golden(golden: &Value) -> Verbalizer {
    let classes = golden["words"].as_array().unwrap().iter().zip(golden["weights"].as_array().unwrap());
    let mut place = 0;
    let mut word = |(word, weight): (&Value, &Value)| {
        let priors: Vec<f64> =
            golden["priors"].as_array().unwrap().iter().map(|of| numbers(of)[place]).collect();
        place += 1;
        json!({ "word": word, "weight": weight, "prior": priors })
    };
    let mut of_class = |(label, (words, weights)): (&str, (&Value, &Value))| {
        let words = words.as_array().unwrap().iter().zip(weights.as_array().unwrap());
        json!({ "label": label, "words": words.map(&mut word).collect::<Vec<_>>() })
    };
    let classes: Vec<Value> = ["up", "down"].into_iter().zip(classes).map(&mut of_class).collect();
    let file = json!({
        "version": 1, "kind": "knowledge", "learn_weights": true, "priors_of": golden["patterns"], "classes": classes
    });
    Verbalizer::parse("v", "v.json", &file.to_string()).unwrap()
}

#[test]
fn words_are_refined_as_by_scikit_learn() {
    let golden = read_json("tests/fixtures/knowledge/kpt.json");
    let base = base(Path::new(TINY), EngineChoice::Cloze, &of_golden(&golden));
    let by_pattern: Vec<Vec<Features>> = golden_inputs(&golden, &base);
    let ids = base.words.of_classes().concat();
    let said = WordsSaid::ask(&[base.prompt_model(None).unwrap()], &ids, &by_pattern);
    let wanted: Vec<f64> = golden["priors"].as_array().unwrap().iter().flat_map(numbers).collect();
    assert_close(&said.priors.iter().copied().collect::<Vec<_>>(), &wanted, 1e-7, "priors");
    assert_eq!(said.vocabulary as u64, golden["vocabulary"].as_u64().unwrap());
    assert_eq!(said.ranks.iter().map(|rank| *rank as f64).collect::<Vec<_>>(), numbers(&golden["ranks"]));
    let class_of = [0, 0, 0, 0, 0, 1, 1, 1];
    for (keep, wanted) in golden["fates"].as_object().unwrap() {
        let found = refine(&said, &class_of, keep.parse().unwrap(), true);
        let named = found.iter().map(|fate| match fate {
            Fate::Kept => "kept",
            Fate::Rare => "rare",
            Fate::Irrelevant => "irrelevant",
        });
        assert_eq!(named.collect::<Vec<_>>(), *wanted.as_array().unwrap(), "{keep}");
    }
}

#[test]
fn learned_weights_of_words_start_as_the_files_and_have_pytorchs_gradients() {
    let golden = read_json("tests/fixtures/knowledge/kpt.json");
    let base = base(Path::new(TINY), EngineChoice::Cloze, &of_golden(&golden));
    let tuning = Tuning::parse("tuning.json", r#"{ "prompt-tuning": { "length": 1 } }"#).unwrap();
    let beginning = Beginning {
        config: &base.model.folder.config,
        base: &base.model.parameters,
        soft: Vec::new(),
        prefix: Vec::new(),
        classes: 2,
        class_start: base.class_start(),
        own: &[],
        seed: 0,
    };
    let trainable = Trainable::new(&tuning, &beginning);
    assert_eq!(trainable.leaves().keys().collect::<Vec<_>>(), [WORD_WEIGHTS]);
    let mut classifier = base.zero_shot(None).unwrap();
    let inputs = golden_inputs(&golden, &base).concat();
    let inputs: Vec<&Features> = inputs.iter().collect();
    let untrained = values(&tch::no_grad(|| classifier.class_scores(&inputs, Mode::Score)));
    classifier.adapt(&base, &tuning, &trainable.learned(), Form::Beside);
    let scores = classifier.class_scores(&inputs, Mode::Score);
    assert_close(&values(&scores), &numbers(&golden["scores"]), 1e-4, "scores");
    assert_close(&values(&scores), &untrained, 1e-5, "as the weights of the file");
    let truths = numbers(&golden["truths"]).repeat(2);
    let targets: Vec<Target> = truths.iter().map(|truth| Target::Class(*truth as usize)).collect();
    let loss = losses(&scores, &targets.iter().collect::<Vec<_>>()).mean(Kind::Float);
    loss.backward();
    assert_close(&values(&loss), &[golden["loss"].as_f64().unwrap()], 1e-5, "loss");
    // The class with fewer words repeats its first, which counts nothing.
    let mut wanted = golden["gradients"].as_array().unwrap().iter().flat_map(numbers).collect::<Vec<_>>();
    wanted.extend([0.0, 0.0]);
    assert_close(&values(&trainable.leaves()[WORD_WEIGHTS].grad()), &wanted, 1e-5, "gradients");
}

/// Made up in the format of wndb(5WN): a noun with two senses and a kind of the first, and an adjective with
/// one like it.
#[test]
fn related_words_come_from_all_senses_and_their_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let mut nouns = "  1 A licence stands here.\n".to_owned();
    let mut add = |line: &str| {
        let offset = nouns.len();
        let _ = writeln!(nouns, "{line}");
        offset
    };
    let kind = add("00000026 09 n 02 derby 0 cup_tie 0 000 | a match");
    let first = add(&format!("00000080 09 n 02 game 0 match 1 001 ~ {kind:08} n 0000 | a contest"));
    let second = add("00000150 09 n 02 game 0 Quarry 0 000 | an animal");
    std::fs::write(folder.path().join("data.noun"), &nouns).unwrap();
    std::fs::write(
        folder.path().join("index.noun"),
        format!("  1 A licence.\ngame n 2 1 ~ 2 1 {first:08} {second:08}\ngamely n 0 0 0 0\n"),
    )
    .unwrap();
    std::fs::write(folder.path().join("data.adj"), "00000000 00 s 02 plucky 0 game(p) 0 000 | brave\n")
        .unwrap();
    std::fs::write(folder.path().join("index.adj"), "game a 1 0 1 0 00000000\n").unwrap();
    let wordnet = WordNet::open(&WordNet::folder(Some(folder.path())).unwrap()).unwrap();
    assert_eq!(wordnet.related("Game"), ["match", "quarry", "plucky", "derby"]);
    assert_eq!(wordnet.related("nothing"), Vec::<String>::new());
    // Whatever the files say, they give words or none.
    std::fs::write(folder.path().join("index.noun"), "game n 9 1 ~ 2 1 99999999 x 00000001\n").unwrap();
    assert_eq!(WordNet::open(folder.path()).unwrap().related("game"), ["plucky"]);
}
