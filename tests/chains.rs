//! Chained questions against a plain loop over transformers' outputs (tests/fixtures/chains/make.py).

use std::path::Path;

use cloze::model::folder::EngineChoice;
use cloze::model::threads::Threads;
use cloze::predict::pvp::Pvp;
use cloze::predict::score::Scorer;
use cloze::text::data::{Columns, Example};
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;

use crate::support::{TINY, assert_close, base, golden, numbers, zero_shot};

const TEMPLATE: &str = r#"{ "version": 1, "pattern": "{text} On {topic}, {mood}, it was {mask}.", "steps": [
    { "as": "topic", "pattern": "{text} The topic is {mask}.", "top": 3 },
    { "as": "mood", "pattern": "It is {topic}: {text} I am {mask}.", "words": ["happy", "sad"] } ] }"#;

#[test]
fn chains_and_their_mixture_equal_a_loop_over_transformers() {
    let golden = golden("tests/fixtures/chains");
    let base = base(
        Path::new(TINY),
        EngineChoice::Cloze,
        &Verbalizer::read(Path::new("tests/cases/usual/v.json")).unwrap(),
    );
    let columns = Columns::check("rows", vec!["text".to_owned()], None).unwrap();
    let template = Template::parse("t", "t.json", TEMPLATE).unwrap();
    let tasks = [Pvp::plain(template).unwrap().on(&columns).unwrap()];
    let classifiers = [zero_shot(&base)];
    let scorer = Scorer {
        classifiers: &classifiers,
        tokenizer: base.tokenizer(),
        tasks: &tasks,
        max_length: 64,
        batch_tokens: 64,
        threads: Threads::usual(),
        long: Default::default(),
        pool: Default::default(),
        neighbours: None,
    };
    let wanted = golden["rows"].as_array().unwrap();
    let row = |row: &serde_json::Value| Example {
        record: 1,
        line: 1,
        fields: vec![row["text"].as_str().unwrap().to_owned()],
        label: None,
        values: None,
    };
    let rows: Vec<Example> = wanted.iter().map(row).collect();
    for (chains, wanted) in scorer.chains(&tasks[0], &columns, &rows).unwrap().iter().zip(wanted) {
        for wanted in wanted["chains"].as_array().unwrap() {
            let found = probability_of(chains, wanted);
            assert!((found - wanted[2].as_f64().unwrap()).abs() < 1e-5, "{found} {wanted}");
        }
        assert_eq!(chains.len(), 6);
    }
    let scored = scorer.score(&columns, &rows, &mut |_| {}).unwrap();
    for (scored, wanted) in scored.iter().zip(wanted) {
        assert_close(&scored.average.probabilities, &numbers(&wanted["probabilities"]), 1e-5, "mixture");
    }
}

/// The probability of the chain of these words, wherever it stands.
fn probability_of(chains: &[cloze::predict::score::Chain], wanted: &serde_json::Value) -> f64 {
    let words = [wanted[0].as_str().unwrap(), wanted[1].as_str().unwrap()];
    chains.iter().find(|(example, _)| example.fields[1..] == words).expect("the chain").1
}
