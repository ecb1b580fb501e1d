//! Calibration against numpy's, scipy's and transformers' numbers (tests/fixtures/calibration/make.py).

use std::path::Path;

use cloze::model::folder::EngineChoice;
use cloze::model::threads::Threads;
use cloze::predict::calibration::{Conformal, Correction, Coverage, Method};
use cloze::predict::report::Prediction;
use cloze::predict::score::Scorer;
use cloze::text::data::{Columns, Example};
use cloze::text::verbalizer::Verbalizer;
use serde_json::Value;

use crate::support::{TINY, assert_close, base, golden, numbers, task, zero_shot};

fn predictions(value: &Value) -> Vec<Prediction> {
    value.as_array().unwrap().iter().map(|row| Prediction { probabilities: numbers(row) }).collect()
}

fn indices(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|index| usize::try_from(index.as_u64().unwrap()).unwrap()).collect()
}

#[test]
fn corrections_equal_scipy() {
    for set in golden("tests/fixtures/calibration")["sets"].as_array().unwrap() {
        let (fit, new, truths) =
            (predictions(&set["fit"]), predictions(&set["new"]), indices(&set["truths"]));
        let compare = |name: &str, correction: &Correction, rows: &[Prediction], tolerance: f64| {
            for (row, wanted) in rows.iter().zip(set[name].as_array().unwrap()) {
                assert_close(&correction.apply(row).probabilities, &numbers(wanted), tolerance, name);
            }
        };
        compare("divided", &Correction::dividing_by(&fit), &new, 1e-12);
        compare("to_prior", &Correction::to_prior(&fit, &numbers(&set["prior"])), &fit, 1e-7);
        // What the weak penalty and scipy's own stop leave.
        compare("temperature", &Correction::temperature(&fit, &truths), &fit, 1e-5);
        compare("vector", &Correction::dirichlet(&fit, &truths), &fit, 1e-4);
    }
}

#[test]
fn vector_scaling_equals_torch() {
    for set in golden("tests/fixtures/calibration")["sets"].as_array().unwrap() {
        let (fit, levels, truths) =
            (predictions(&set["fit"]), numbers(&set["levels"]), indices(&set["truths"]));
        let correction = Correction::vector_scaling(&fit, &levels, &truths);
        let dirichlet = Correction::dirichlet(&fit, &truths);
        let wanted = set["vector_scaling"].as_array().unwrap();
        for ((row, level), wanted) in fit.iter().zip(&levels).zip(wanted) {
            let found = correction.apply_at(row, *level).probabilities;
            // What the weak penalty leaves.
            assert_close(&found, &numbers(wanted), 1e-4, "vector scaling");
        }
        // The level of the scores says something of the class here: probabilities alone do not have it.
        assert!((correction.weights[0] - dirichlet.weights[0]).abs() > 0.01, "{correction:?} {dirichlet:?}");
    }
}

#[test]
fn levels_of_class_scores_equal_transformers() {
    let golden = golden("tests/fixtures/calibration");
    let verbalizer = Verbalizer::read(Path::new("tests/cases/usual/v.json")).unwrap();
    let base = base(Path::new(TINY), EngineChoice::Cloze, &verbalizer);
    let classifiers = [zero_shot(&base)];
    let columns = Columns::check("d.csv", vec!["text".to_owned()], None).unwrap();
    let tasks = [task("{text} It was {mask}.", &columns)];
    let scorer = Scorer::of(&base, &classifiers, &tasks, 64);
    let wanted = golden["levels"].as_array().unwrap();
    let row = |row: &Value| Example {
        record: 1,
        line: 1,
        fields: vec![row[0].as_str().unwrap().to_owned()],
        label: None,
        values: None,
    };
    let examples: Vec<Example> = wanted.iter().map(row).collect();
    let scored = scorer.score(&columns, &examples, &mut |_| {}).unwrap();
    for (scored, wanted) in scored.iter().zip(wanted) {
        assert_close(&scored.levels, &[wanted[1].as_f64().unwrap()], 1e-5, "level");
    }
}

#[test]
fn a_matched_prior_is_the_mean_of_the_rows() {
    let set = &golden("tests/fixtures/calibration")["sets"][1];
    let (fit, prior) = (predictions(&set["fit"]), numbers(&set["prior"]));
    let correction = Correction::to_prior(&fit, &prior);
    let corrected: Vec<Prediction> = fit.iter().map(|row| correction.apply(row)).collect();
    assert_close(&Prediction::average(&corrected).probabilities, &prior, 1e-8, "prior");
}

#[test]
fn scalings_of_rows_without_errors_stay_finite() {
    let rows: Vec<Prediction> =
        [[1.0, 0.0], [0.0, 1.0]].map(|row| Prediction { probabilities: row.to_vec() }).into();
    for (correction, level) in [
        (Correction::temperature(&rows, &[0, 1]), 0.0),
        (Correction::dirichlet(&rows, &[0, 1]), 0.0),
        (Correction::vector_scaling(&rows, &[3.0, -5.0], &[0, 1]), 3.0),
    ] {
        let found = correction.apply_at(&rows[0], level).probabilities;
        assert!(found.iter().all(|number| number.is_finite()) && found[0] > 0.99, "{correction:?}");
    }
}

#[test]
fn a_temperature_changes_no_label() {
    let rows: Vec<Prediction> =
        [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]].map(|row| Prediction { probabilities: row.to_vec() }).into();
    // All labels are the other one: the opposite of what the model says would fit best.
    let correction = Correction::temperature(&rows, &[1, 0, 1]);
    rows.iter().for_each(|row| assert_eq!(correction.apply(row).class(), row.class(), "{correction:?}"));
}

#[test]
fn prediction_sets_equal_numpy() {
    for set in golden("tests/fixtures/calibration")["sets"].as_array().unwrap() {
        let new = predictions(&set["new"]);
        let rows: Vec<(Prediction, usize)> =
            predictions(&set["fit"]).into_iter().zip(indices(&set["truths"])).collect();
        let labels: Vec<String> = (0..new[0].probabilities.len()).map(|class| class.to_string()).collect();
        for wanted in set["conformal"].as_array().unwrap() {
            let (alpha, by_class) =
                (wanted["alpha"].as_f64().unwrap(), wanted["by_class"].as_bool().unwrap());
            let found = Conformal::fit(&rows, &labels, alpha, by_class).unwrap();
            assert_close(
                &found.thresholds,
                &numbers(&wanted["thresholds"]),
                1e-12,
                &format!("{alpha} {by_class}"),
            );
            for (row, wanted) in new.iter().zip(wanted["sets"].as_array().unwrap()) {
                assert_eq!(found.set(row), indices(wanted));
            }
        }
    }
}

#[test]
fn binomial_intervals_equal_scipy() {
    for wanted in golden("tests/fixtures/calibration")["intervals"].as_array().unwrap() {
        let (part, whole) = (wanted[0].as_u64().unwrap(), wanted[1].as_u64().unwrap());
        let wanted = [wanted[2].as_f64().unwrap(), wanted[3].as_f64().unwrap()];
        assert_close(&Coverage::interval(part, whole), &wanted, 1e-7, &format!("{part} of {whole}"));
    }
}

#[test]
fn what_is_said_without_content_equals_transformers() {
    let golden = golden("tests/fixtures/calibration");
    let verbalizer = Verbalizer::read(Path::new("tests/cases/usual/v.json")).unwrap();
    let base = base(Path::new(TINY), EngineChoice::Cloze, &verbalizer);
    let classifiers = [zero_shot(&base)];
    let columns = Columns::check("d.csv", vec!["text".to_owned()], None).unwrap();
    let tasks = [task("{text} It was {mask}.", &columns)];
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
    for method in [Method::Contextual, Method::Pmi] {
        let correction =
            Correction::dividing_by(&scorer.without_content(method, &tasks[0], &columns, &[]).unwrap());
        let said: Vec<f64> = correction.biases.iter().map(|bias| (-bias).exp()).collect();
        assert_close(&said, &numbers(&golden["without_content"][method.name()]), 1e-6, method.name());
    }
}
