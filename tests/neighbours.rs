//! Nearest labelled rows beside the label words: scikit-learn's numbers (tests/fixtures/neighbours/make.py), and
//! what a scorer makes of them.

use std::path::Path;

use cloze::model::encoder::Mode;
use cloze::model::folder::EngineChoice;
use cloze::predict::score::{Keys, Nearest, Scorer};
use cloze::text::data::{Columns, Example};
use cloze::text::dataset::Dataset;
use cloze::text::verbalizer::Verbalizer;
use serde_json::Value;

use crate::support::{TINY, assert_close, base, golden, integers, numbers, task, zero_shot};

fn vectors(value: &Value) -> Vec<Vec<f32>> {
    let row = |row: &Value| numbers(row).into_iter().map(|number| number as f32).collect();
    value.as_array().unwrap().iter().map(row).collect()
}

#[test]
fn nearest_rows_equal_scikit_learn() {
    let golden = golden("tests/fixtures/neighbours");
    let classes: Vec<usize> = integers(&golden["classes"]).into_iter().map(|class| class as usize).collect();
    let keys_of = |pattern: &Value| Keys {
        vectors: vectors(&pattern["keys"]),
        rows: (0..classes.len()).collect(),
        classes: classes.clone(),
    };
    let patterns = golden["patterns"].as_array().unwrap();
    let keys: Vec<Keys> = patterns.iter().map(keys_of).collect();
    for (keys, pattern) in keys.iter().zip(patterns) {
        assert_close(&[keys.scale()], &[pattern["scale"].as_f64().unwrap()], 1e-6, "scale");
    }
    for wanted in golden["near"].as_array().unwrap() {
        let nearest = Nearest {
            count: usize::try_from(wanted["count"].as_u64().unwrap()).unwrap(),
            temperature: wanted["temperature"].as_f64().unwrap(),
            share: 1.0,
        };
        for (state, wanted) in vectors(&golden["states"]).iter().zip(wanted["shares"].as_array().unwrap()) {
            let found = keys[0].near(state, nearest, keys[0].scale(), 3, None);
            assert_close(&found, &numbers(wanted), 1e-5, "shares");
        }
    }
    let words: Vec<Vec<Vec<f64>>> = patterns
        .iter()
        .map(|pattern| pattern["words"].as_array().unwrap().iter().map(numbers).collect())
        .collect();
    let lists: Vec<(&Keys, &[Vec<f64>])> = keys.iter().zip(words.iter().map(Vec::as_slice)).collect();
    let Nearest { count, temperature, share } = Nearest::of(&lists, 3);
    assert_eq!([count as f64, temperature, share], numbers(&golden["chosen"])[..]);
}

#[test]
fn a_scorer_mixes_label_words_with_the_nearest_rows_of_each_pattern() {
    let verbalizer = Verbalizer::read(Path::new("tests/cases/usual/v.json")).unwrap();
    let base = base(Path::new(TINY), EngineChoice::Cloze, &verbalizer);
    let classifiers = [zero_shot(&base)];
    let columns = Columns::check("d.csv", vec!["text".to_owned()], None).unwrap();
    let tasks = ["{text} It was {mask}.", "A {mask} text: {text}"].map(|pattern| task(pattern, &columns));
    let row =
        |text: &str| Example { record: 1, line: 1, fields: vec![text.to_owned()], label: None, values: None };
    let texts = ["good", "a great film", "the best team", "bad", "a sad day", "wrong people"];
    let rows = Dataset {
        columns: columns.clone().into(),
        examples: texts.iter().map(|text| row(text)).collect(),
        truths: (0..6).map(|row| Some(row / 3)).collect(),
    };
    let labels = ["up".to_owned(), "down".to_owned()];
    let plain = Scorer::of(&base, &classifiers, &tasks, 64);
    let neighbours = plain.neighbours(&rows, &labels).unwrap();
    let nearest = neighbours.nearest();
    let scorer = Scorer { neighbours: Some(&neighbours), ..Scorer::of(&base, &classifiers, &tasks, 64) };
    let asked = [row("a good day"), row("bad team")];
    let [mixed, words] = [&scorer, &plain].map(|scorer| scorer.score(&columns, &asked, &mut |_| {}).unwrap());
    for (pattern, task) in tasks.iter().enumerate() {
        let states = |examples: &[Example]| -> Vec<Vec<f32>> {
            let inputs = plain.features(task, &columns, examples).unwrap().concat();
            let inputs: Vec<_> = inputs.iter().collect();
            let (scores, states) = tch::no_grad(|| classifiers[0].scores_and_states(&inputs));
            // The scores are those of every other pass.
            let usual = tch::no_grad(|| classifiers[0].class_scores(&inputs, Mode::Score));
            assert!((scores - usual).abs().max().double_value(&[]) < 1e-5);
            Vec::<Vec<f32>>::try_from(states).unwrap()
        };
        let keys =
            Keys { vectors: states(&rows.examples), classes: vec![0, 0, 0, 1, 1, 1], rows: (0..6).collect() };
        for (row, state) in states(&asked).iter().enumerate() {
            let near = keys.near(state, nearest, keys.scale(), 2, None);
            let of_words = &words[row].by_pattern[pattern].probabilities;
            let wanted: Vec<f64> = near
                .iter()
                .zip(of_words)
                .map(|(near, words)| nearest.share * near + (1.0 - nearest.share) * words)
                .collect();
            assert_close(&mixed[row].by_pattern[pattern].probabilities, &wanted, 1e-6, "mixed");
        }
    }
    let one_class = Dataset { truths: vec![Some(0); 6], ..rows };
    assert!(plain.neighbours(&one_class, &labels).is_err());
}
