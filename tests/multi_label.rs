//! Several labels a row: measures as scikit-learn has them (tests/fixtures/metrics/multi_label.py), thresholds, and
//! what probabilities are.

use cloze::learn::objective::losses;
use cloze::learn::target::Target;
use cloze::numbers::multi_label::{Averaged, MultiLabelMetrics};
use cloze::numbers::softmax::{sigmoid, softmax};
use cloze::predict::multi_label::scoring::against_last;
use cloze::predict::multi_label::thresholds::Goal;
use cloze::predict::report::Prediction;
use serde_json::Value;
use tch::Tensor;

use crate::support::{assert_close, numbers, read_json, values};

fn close(found: f64, wanted: &Value, what: &str) {
    assert_close(&[found], &[wanted.as_f64().unwrap()], 1e-12, what);
}

#[test]
fn measures_of_several_labels_a_row_equal_scikit_learn() {
    let golden = read_json("tests/fixtures/metrics/multi_label.json");
    let list = |key: &str| golden[key].as_array().unwrap().clone();
    let labels: Vec<String> = list("labels").iter().map(|label| label.as_str().unwrap().to_owned()).collect();
    let truths: Vec<Vec<bool>> =
        list("truths").iter().map(|row| numbers(row).iter().map(|has| *has > 0.5).collect()).collect();
    let scores: Vec<Vec<f64>> = list("scores").iter().map(numbers).collect();
    let said: Vec<Vec<bool>> =
        scores.iter().map(|row| row.iter().map(|score| *score >= 0.5).collect()).collect();
    let found = MultiLabelMetrics::of(&labels, &truths, &said, &scores).unwrap();
    let averaged = |found: Averaged, key: &str| {
        close(found.precision, &golden[key]["precision"], key);
        close(found.recall, &golden[key]["recall"], key);
        close(found.f1, &golden[key]["f1"], key);
    };
    averaged(found.micro, "micro");
    averaged(found.macro_average, "macro_average");
    averaged(found.samples, "samples");
    close(found.hamming_loss, &golden["hamming_loss"], "Hamming loss");
    close(found.subset_accuracy, &golden["subset_accuracy"], "subset accuracy");
    close(found.coverage_error, &golden["coverage_error"], "coverage error");
    close(found.mean_average_precision.unwrap(), &golden["mean_average_precision"], "mean AP");
    for (label, wanted) in found.labels.iter().zip(list("each")) {
        close(label.precision, &wanted["precision"], &label.label);
        close(label.recall, &wanted["recall"], &label.label);
        close(label.f1, &wanted["f1"], &label.label);
        assert_eq!(
            (label.support, label.predicted),
            (wanted["support"].as_u64().unwrap(), wanted["predicted"].as_u64().unwrap())
        );
        match label.average_precision {
            Some(found) => close(found, &wanted["average_precision"], &label.label),
            None => assert!(wanted["average_precision"].is_null(), "{}", label.label),
        }
    }
}

#[test]
fn the_loss_of_several_labels_is_torchs_binary_cross_entropy() {
    // F.binary_cross_entropy_with_logits(s[:, :2] - s[:, 2:], y, reduction="none").mean(1) of torch 2.
    let scores = Tensor::from_slice(&[1.0_f32, -0.5, 0.25, 2.0, 0.3, -1.0]).view([2, 3]);
    let targets = [vec![true, false], vec![false, false]].map(Target::Labels);
    let found = losses(&scores, &targets.iter().collect::<Vec<_>>());
    assert_close(&values(&found), &[0.386_871_006_1, 2.294_797_902_7], 1e-6, "losses");
    assert_eq!(targets.map(|target| target.class()), [0, 2]);
}

#[test]
fn a_labels_probability_is_that_of_two_classes_its_own_and_the_references() {
    // Class scores 1, -0.5 and, of the reference, 0.25, whatever the other labels are.
    let scores = [1.0, -0.5, 0.25];
    let of_all = Prediction { probabilities: softmax(scores.to_vec()) };
    let found: Vec<f64> = against_last(&of_all).into_iter().map(sigmoid).collect();
    let of_two = |score: f64| softmax(vec![score, 0.25])[0];
    assert_close(&found, &[of_two(1.0), of_two(-0.5)], 1e-12, "probabilities");
}

#[test]
fn a_threshold_for_a_precision_is_reached_on_the_rows_it_was_fitted_on() {
    let golden = read_json("tests/fixtures/metrics/multi_label.json");
    let rows = |key: &str| golden[key].as_array().unwrap().iter().map(numbers).collect::<Vec<_>>();
    let truths: Vec<Vec<bool>> =
        rows("truths").iter().map(|row| row.iter().map(|has| *has > 0.5).collect()).collect();
    let scores = rows("scores");
    for (label, threshold) in Goal::Precision(0.8).fit(&truths, &scores).into_iter().enumerate() {
        let Some(threshold) = threshold else {
            assert!(!truths.iter().any(|row| row[label]), "label {label} reaches it with its surest row");
            continue;
        };
        let given: Vec<usize> = (0..scores.len()).filter(|row| scores[*row][label] >= threshold).collect();
        let right = given.iter().filter(|row| truths[**row][label]).count();
        assert!(right as f64 >= 0.8 * given.len() as f64 && right > 0, "label {label}");
    }
}
