//! Several labels a row: measures as scikit-learn has them (tests/fixtures/metrics/multi_label.py), thresholds, and
//! what probabilities are.

use cloze::numbers::multi_label::{Averaged, MultiLabelMetrics};
use serde_json::Value;

use crate::support::{assert_close, numbers, read_json};

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
        assert_eq!((label.support, label.predicted), (wanted["support"].as_u64().unwrap(), wanted["predicted"].as_u64().unwrap()));
        match label.average_precision {
            Some(found) => close(found, &wanted["average_precision"], &label.label),
            None => assert!(wanted["average_precision"].is_null(), "{}", label.label),
        }
    }
}
