//! Classical baselines against scikit-learn's numbers (tests/fixtures/baselines/make.py), and an LSTM against
//! PyTorch's (lstm.py there).

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use cloze::model::threads::Threads;
use cloze::predict::report::Prediction;
use cloze::study::baseline::{
    BiLstm, WordVectors, logistic_regression, logistic_regression_on_vectors, lstm_steps, naive_bayes, ridge,
};
use proptest::prelude::*;
use serde_json::Value;
use tch::Tensor;

use crate::support::{assert_close, golden, integers, lone_generator, numbers, read_json, values};

type Method = fn(&[(String, usize)], &[String], usize) -> Vec<Prediction>;

/// Each with what rounding or the optimiser's last steps may change.
const METHODS: [(&str, Method, f64); 3] = [
    ("naive_bayes", naive_bayes::<String, String>, 1e-8),
    // scikit-learn's own stop is what is left.
    ("logistic_regression", of_c_1, 1e-5),
    ("logistic_regression_cv", of_a_chosen_c, 1e-5),
];

fn of_c_1(train: &[(String, usize)], test: &[String], classes: usize) -> Vec<Prediction> {
    logistic_regression(train, test, classes, Some(1.0)).predictions
}

fn of_a_chosen_c(train: &[(String, usize)], test: &[String], classes: usize) -> Vec<Prediction> {
    logistic_regression(train, test, classes, None).predictions
}

fn rows(value: &Value) -> Vec<(String, usize)> {
    let row = |row: &Value| {
        (row[0].as_str().unwrap().to_owned(), usize::try_from(row[1].as_u64().unwrap()).unwrap())
    };
    value.as_array().unwrap().iter().map(row).collect()
}

fn texts(value: &Value) -> Vec<String> {
    rows(value).into_iter().map(|(text, _)| text).collect()
}

#[test]
fn baselines_equal_scikit_learn() {
    let golden = golden("tests/fixtures/baselines");
    for (set, classes) in [("three", 3), ("two", 2)] {
        let (train, test) = (rows(&golden[set]["train"]), texts(&golden[set]["test"]));
        for (name, method, tolerance) in METHODS {
            let found = method(&train, &test, classes);
            assert_eq!(found.len(), test.len());
            for ((found, wanted), text) in found.iter().zip(golden[set][name].as_array().unwrap()).zip(&test)
            {
                assert_close(
                    &found.probabilities,
                    &numbers(wanted),
                    tolerance,
                    &format!("{name}, {set}, {text:?}"),
                );
            }
        }
    }
}

#[test]
fn the_c_is_scikit_learns_too_and_so_are_regressions_on_vectors() {
    let golden = golden("tests/fixtures/baselines");
    for (set, classes) in [("three", 3), ("two", 2)] {
        let of_set = &golden[set];
        let (train, test) = (rows(&of_set["train"]), texts(&of_set["test"]));
        assert_eq!(logistic_regression(&train, &test, classes, None).c, of_set["c"].as_f64());
        let vectors = |name: &str| -> Vec<Vec<f32>> {
            let narrow = |value: &Value| numbers(value).into_iter().map(|value| value as f32).collect();
            of_set[name].as_array().unwrap().iter().map(narrow).collect()
        };
        let train: Vec<_> =
            vectors("vectors").into_iter().zip(train.into_iter().map(|(_, class)| class)).collect();
        let found = logistic_regression_on_vectors(&train, &vectors("test_vectors"), classes, None);
        assert_eq!(found.c, of_set["vectors_c"].as_f64());
        let wanted = of_set["vectors_cv"].as_array().unwrap();
        for (found, wanted) in found.predictions.iter().zip(wanted) {
            assert_close(&found.probabilities, &numbers(wanted), 1e-5, set);
        }
    }
}

#[test]
fn a_class_with_one_row_leaves_c_at_1() {
    let train =
        [("some text", 0), ("other text", 0), ("words", 1)].map(|(text, class)| (text.to_owned(), class));
    assert_eq!(logistic_regression(&train, &["text".to_owned()], 2, None).c, Some(1.0));
}

#[test]
fn a_class_without_training_rows_has_probability_0_and_changes_no_other() {
    let golden = golden("tests/fixtures/baselines");
    let (train, test) = (rows(&golden["two"]["train"]), texts(&golden["two"]["test"]));
    let apart: Vec<_> = train.iter().map(|(text, class)| (text.clone(), 1 + 2 * class)).collect();
    for (_, method, _) in METHODS {
        for (close, apart) in method(&train, &test, 2).iter().zip(method(&apart, &test, 5)) {
            let wanted = [0.0, close.probabilities[0], 0.0, close.probabilities[1], 0.0];
            assert_eq!(apart.probabilities, wanted);
        }
    }
}

#[test]
fn training_on_one_class_or_none_has_an_answer() {
    let test = ["a word".to_owned(), String::new()];
    for (_, method, _) in METHODS {
        for found in method(&[("some text".to_owned(), 1)], &test, 3) {
            assert_eq!(found.probabilities, [0.0, 1.0, 0.0]);
        }
        for found in method(&[], &test, 4) {
            assert_eq!(found.probabilities, [0.25; 4]);
        }
    }
}

#[test]
fn texts_without_words_leave_the_classes_shares() {
    let train = [("", 0), ("a", 1), ("!", 1), ("", 1)].map(|(text, class)| (text.to_owned(), class));
    for (name, method, _) in METHODS {
        for found in method(&train, &["".to_owned(), "word".to_owned()], 2) {
            assert_close(&found.probabilities, &[0.25, 0.75], 1e-6, name);
        }
    }
}

#[test]
fn the_texts_beside_it_change_no_texts_probabilities() {
    let golden = golden("tests/fixtures/baselines");
    let (train, test) = (rows(&golden["three"]["train"]), texts(&golden["three"]["test"]));
    for (_, method, _) in METHODS {
        let together = method(&train, &test, 3);
        for (text, wanted) in test.iter().zip(together) {
            assert_eq!(method(&train, std::slice::from_ref(text), 3), [wanted]);
        }
    }
}

#[test]
fn ridge_regressions_and_their_penalties_equal_scikit_learn() {
    let golden = read_json("tests/fixtures/baselines/ridge.json");
    #[allow(clippy::cast_possible_truncation)] // They were made in single precision.
    let vectors = |value: &Value| -> Vec<Vec<f32>> {
        let vector = |row| numbers(row).into_iter().map(|number| number as f32).collect();
        value.as_array().unwrap().iter().map(vector).collect()
    };
    for name in ["wide", "long"] {
        let set = &golden[name];
        let train: Vec<_> = vectors(&set["vectors"]).into_iter().zip(numbers(&set["numbers"])).collect();
        let found = ridge(&train, &vectors(&set["test"]));
        assert_eq!(found.alpha, set["alpha"].as_f64(), "{name}");
        assert_close(&found.numbers, &numbers(&set["said"]), 1e-9, name);
        let few = ridge(&train[..3], &vectors(&set["test"]));
        assert!(few.alpha.is_none() && few.numbers.iter().all(|number| number.is_finite()));
        assert_eq!(ridge(&[], &vectors(&set["test"])).numbers, [0.0; 7]);
    }
}

/// Tensors by name, as lstm.json has them.
fn tensors(value: &Value) -> BTreeMap<String, Tensor> {
    #[allow(clippy::cast_possible_truncation)] // To the type of weights.
    let tensor = |(name, value): (&String, &Value)| {
        let values: Vec<f32> = numbers(&value["values"]).into_iter().map(|value| value as f32).collect();
        (name.clone(), Tensor::from_slice(&values).view(&integers(&value["shape"])[..]))
    };
    value.as_object().unwrap().iter().map(tensor).collect()
}

#[test]
fn an_lstm_on_fixed_weights_equals_pytorchs_with_its_gradients() {
    let golden = read_json("tests/fixtures/baselines/lstm.json");
    let texts: Vec<Vec<i64>> = golden["texts"].as_array().unwrap().iter().map(integers).collect();
    let texts: Vec<&[i64]> = texts.iter().map(Vec::as_slice).collect();
    let vectors = WordVectors::of(texts.iter().copied(), |ids| {
        assert_eq!(ids, integers(&golden["ids"]));
        let rows: Vec<f64> = golden["vectors"].as_array().unwrap().iter().flat_map(numbers).collect();
        Some(Tensor::from_slice(&rows).to_kind(tch::Kind::Float).view([ids.len() as i64, -1]))
    });
    let weights = tensors(&golden["weights"]);
    weights.values().for_each(|weight| drop(weight.set_requires_grad(true)));
    let named = weights.iter().map(|(name, weight)| (name.clone(), weight.shallow_clone()));
    let lstm = BiLstm::of(named.collect());
    let scores = lstm.scores(&vectors.unwrap(), &texts);
    let wanted: Vec<f64> = golden["scores"].as_array().unwrap().iter().flat_map(numbers).collect();
    assert_close(&values(&scores), &wanted, 1e-5, "scores");
    let loss = scores.cross_entropy_for_logits(&Tensor::from_slice(&integers(&golden["truths"])));
    assert_close(&[loss.double_value(&[])], &[golden["loss"].as_f64().unwrap()], 1e-5, "loss");
    loss.backward();
    for (name, wanted) in tensors(&golden["gradients"]) {
        assert_close(&values(&weights[&name].grad()), &values(&wanted), 1e-5, &name);
    }
}

#[test]
fn an_lstm_learns_an_easy_set_with_the_same_bits_twice() {
    // What tells the classes apart is which of two words comes first.
    let (_alone, _threads, texts) = (lone_generator(), Threads::on(1), easy());
    let vectors = || {
        let table = |ids: &[i64]| {
            let tenth = |place: usize| if place.is_multiple_of(3) { 0.1 } else { -0.05 };
            let rows: Vec<f32> =
                ids.iter().flat_map(|id| (0..8).map(move |at| tenth(*id as usize * at + at))).collect();
            Some(Tensor::from_slice(&rows).view([ids.len() as i64, 8]))
        };
        WordVectors::of(texts.iter().map(|(text, _)| text.as_slice()), table).unwrap()
    };
    let rows: Vec<(&[i64], usize)> = texts.iter().map(|(text, class)| (text.as_slice(), *class)).collect();
    let (train, test) = rows.split_at(32);
    let test: Vec<&[i64]> = test.iter().map(|(text, _)| *text).collect();
    let fit = || {
        let mut steps = 0;
        let lstm = BiLstm::fit(train, &vectors(), 2, 1, &mut |event| {
            steps = event.step();
            ControlFlow::Continue(())
        });
        assert_eq!(steps, lstm_steps(32));
        lstm.unwrap().predictions(&vectors(), &test)
    };
    let found = fit();
    assert_eq!(found, fit());
    let right = found.iter().zip(&rows[32..]).filter(|(said, (_, class))| said.class() == *class).count();
    assert!(right >= 28, "{right} of {}", test.len());
    let stopped = BiLstm::fit(train, &vectors(), 2, 1, &mut |_| ControlFlow::Break(()));
    assert!(stopped.is_none());
}

/// 64 texts of two words among others, which stand one way round or the other.
fn easy() -> Vec<(Vec<i64>, usize)> {
    let text = |number: usize| {
        let class = number % 2;
        let mut words = vec![1; 3 + number / 2 % 4];
        let (first, second) = (number / 8 % 2, words.len() - 1);
        (words[first], words[second]) = if class == 0 { (2, 3) } else { (3, 2) };
        (words, class)
    };
    (0..64).map(text).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_the_texts_are_probabilities_are_finite_and_sum_to_1(
        train in prop::collection::vec(("[a-c]{0,3}( [a-d]{1,2}){0,9}|\\PC{0,20}", 0_usize..4), 0..12),
        test in prop::collection::vec("[a-d]{0,3}( [a-d]{1,2}){0,9}|\\PC{0,20}", 0..5),
    ) {
        for (_, method, _) in METHODS {
            let found = method(&train, &test, 4);
            prop_assert_eq!(found.len(), test.len());
            for prediction in &found {
                prop_assert!((prediction.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{:?}", prediction);
            }
            prop_assert_eq!(found, method(&train, &test, 4));
        }
    }
}
