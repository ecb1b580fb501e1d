//! Label words of several tokens against a plain loop over transformers' outputs
//! (tests/fixtures/multi-token/make.py).

use std::path::Path;

use cloze::model::folder::EngineChoice;
use cloze::model::threads::Threads;
use cloze::predict::encode::encode;
use cloze::predict::label_words::LabelWords;
use cloze::predict::score::Scorer;
use cloze::text::data::{Columns, Example};
use cloze::text::verbalizer::Verbalizer;
use serde_json::{Value, json};

use crate::support::{TINY, assert_close, base, golden, numbers, pvp, zero_shot};

fn verbalizer(classes: &Value, multi_token: &Value) -> Verbalizer {
    let classes: Vec<Value> = classes
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .map(|(label, words)| json!({ "label": label.to_string(), "words": words }))
        .collect();
    Verbalizer::parse(
        "v",
        "v.json",
        &json!({ "version": 1, "multi_token": multi_token, "classes": classes }).to_string(),
    )
    .unwrap()
}

fn examples(rows: &Value) -> Vec<Example> {
    let fields = rows.as_array().unwrap().iter().map(|row| vec![row.as_str().unwrap().to_owned()]);
    (1..)
        .zip(fields)
        .map(|(record, fields)| Example { record, line: record, fields, label: None, values: None })
        .collect()
}

/// All rows' probabilities in one go.
fn scored(case: &Value, rows: &[Example], engine: EngineChoice) -> Vec<Vec<f64>> {
    let multi_token = json!({ "score": case["score"], "normalise": case["normalise"] });
    let base = base(Path::new(TINY), engine, &verbalizer(&case["classes"], &multi_token));
    let columns = Columns::check("rows", vec!["text".to_owned()], None).unwrap();
    let pvp = pvp(case["template"].as_str().unwrap()).with_room(base.words.most_masks() - 1);
    let tasks = [pvp.on(&columns).unwrap()];
    let classifiers = [zero_shot(&base)];
    let scorer = Scorer {
        classifiers: &classifiers,
        tokenizer: base.tokenizer(),
        tasks: &tasks,
        max_length: 64,
        batch_tokens: 1024,
        threads: Threads::usual(),
        long: Default::default(),
        pool: Default::default(),
        neighbours: None,
    };
    let scored = scorer.score(&columns, rows, &mut |_| {}).unwrap();
    scored.into_iter().map(|row| row.average.probabilities).collect()
}

#[test]
fn words_of_several_tokens_equal_a_loop_over_transformers() {
    let golden = golden("tests/fixtures/multi-token");
    let rows = examples(&golden["rows"]);
    for (index, case) in golden["cases"].as_array().unwrap().iter().enumerate() {
        // rust-bert's model is slow to make: a sixth of the cases has all scorings.
        let engines = if index % 6 == 0 {
            vec![EngineChoice::Cloze, EngineChoice::RustBert]
        } else {
            vec![EngineChoice::Cloze]
        };
        for engine in engines {
            for (found, wanted) in
                scored(case, &rows, engine).iter().zip(case["probabilities"].as_array().unwrap())
            {
                let what =
                    format!("{} {} {}, {engine:?}", case["template"], case["score"], case["normalise"]);
                assert_close(found, &numbers(wanted), 1e-5, &what);
            }
        }
    }
}

#[test]
fn the_longest_word_always_has_room() {
    let long = "very ".repeat(100);
    let words = json!([["good"], ["unworkable"]]);
    let base = base(Path::new(TINY), EngineChoice::Cloze, &verbalizer(&words, &json!("pll")));
    let pvp = pvp("{text} It was {mask}.").with_room(base.words.most_masks() - 1);
    let features = encode(&pvp.wrap(|_| &long), base.tokenizer(), 64).unwrap();
    // unworkable is 7 tokens: 6 more masks.
    assert_eq!(features.ids.len() + 6, 64);
    assert_eq!(features.with_blank(&[8; 7]).ids.len(), 64);
}

/// By hand: "good" is 1 token, "terribly bad" 7, "中国" and "日本" 2 each.
#[test]
fn forward_passes_are_counted() {
    let words = json!([["good", "中国"], ["日本", "terribly bad"]]);
    let tokenizer = cloze::model::tokenizer::Tokenizer::load(Path::new(TINY)).unwrap();
    let forwards = |scoring: &str| {
        LabelWords::check(&verbalizer(&words, &json!(scoring)), &tokenizer, tch::Device::Cpu)
            .unwrap()
            .forwards()
    };
    assert_eq!(["first", "mean_logit", "joint"].map(forwards), [1, 3, 3]);
    // 1 + 2 + 2 + 7, and 3 with empty masks and 1 + 1 + 6 with some filled.
    assert_eq!(["pll", "greedy"].map(forwards), [12, 11]);
}
