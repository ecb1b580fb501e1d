//! Statistics over seeds against scipy's and numpy's numbers (tests/fixtures/baselines/make.py).

use cloze::study::compare::{OverSeeds, PairedBootstrap};
use serde_json::Value;

use crate::support::{assert_close, golden, integers, numbers};

fn lists(value: &Value) -> Vec<Vec<bool>> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|list| integers(list).iter().map(|right| *right == 1).collect())
        .collect()
}

#[test]
fn mean_deviation_and_interval_over_seeds_equal_scipys() {
    let golden = golden("tests/fixtures/baselines");
    for case in golden["over_seeds"].as_array().unwrap() {
        let found = OverSeeds::of(&numbers(&case["values"])).unwrap();
        assert_eq!(found.seeds, numbers(&case["values"]).len());
        let wanted = [case["mean"].as_f64().unwrap(), case["standard_deviation"].as_f64().unwrap()];
        assert_close(
            &[found.spread.mean, found.spread.standard_deviation],
            &wanted,
            1e-12,
            "mean and deviation",
        );
        assert_close(&found.mean_95, &numbers(&case["mean_95"]), 1e-9, "interval");
    }
    // Values of 0 and 1 with mean 1/2 have deviation √(n / 4(n-1)) of n.
    for pair in golden["t_975"].as_array().unwrap() {
        let count = pair[0].as_f64().unwrap() + 1.0;
        let values: Vec<f64> =
            (0..count as usize).map(|index| if index % 2 == 0 { 1.0 } else { 0.0 }).collect();
        let found = OverSeeds::of(&values).unwrap();
        let t = (found.mean_95[1] - found.spread.mean) * count.sqrt() / found.spread.standard_deviation;
        assert_close(&[t], &[pair[1].as_f64().unwrap()], 1e-8, "t");
    }
}

#[test]
fn one_value_has_no_spread_over_seeds() {
    assert_eq!(OverSeeds::of(&[0.5]), None);
    assert_eq!(OverSeeds::of(&[]), None);
}

#[test]
fn the_paired_bootstrap_equals_numpys_row_by_row() {
    for case in golden("tests/fixtures/baselines")["paired_bootstrap"].as_array().unwrap() {
        let found = PairedBootstrap::of(&lists(&case["first"]), &lists(&case["second"])).unwrap();
        // One step of the coarsest case is 1 / (4 seeds · 40 rows).
        assert_close(&[found.difference], &[case["difference"].as_f64().unwrap()], 1e-12, "difference");
        assert_close(&found.difference_95, &numbers(&case["difference_95"]), 0.007, "interval");
        // Three standard errors of a share of about p / 2 in 10,000 resamples, twice.
        let p = case["p_value"].as_f64().unwrap();
        assert_close(&[found.p_value], &[p], 6.0 * (p / 2.0 / 10_000.0).sqrt() + 2e-4, "p value");
    }
}

#[test]
fn the_paired_bootstrap_is_the_same_every_time_and_turns_with_its_methods() {
    let case = &golden("tests/fixtures/baselines")["paired_bootstrap"][0];
    let (first, second) = (lists(&case["first"]), lists(&case["second"]));
    let there = PairedBootstrap::of(&first, &second).unwrap();
    assert_eq!(PairedBootstrap::of(&first, &second).as_ref(), Some(&there));
    let back = PairedBootstrap::of(&second, &first).unwrap();
    assert_close(&[back.difference], &[-there.difference], 1e-12, "difference");
    assert_close(&back.difference_95, &[-there.difference_95[1], -there.difference_95[0]], 0.006, "interval");
}

#[test]
fn p_values_reach_neither_0_nor_above_1() {
    let (right, wrong) = (vec![true; 50], vec![false; 50]);
    let same = PairedBootstrap::of(std::slice::from_ref(&right), &[right.clone(), right.clone()]).unwrap();
    assert_eq!((same.difference, same.difference_95, same.p_value), (0.0, [0.0, 0.0], 1.0));
    let apart = PairedBootstrap::of(&[right], &[wrong]).unwrap();
    assert_eq!((apart.difference, apart.difference_95, apart.p_value), (1.0, [1.0, 1.0], 2.0 / 10_001.0));
}

#[test]
fn what_cannot_be_paired_has_no_test() {
    let list = || vec![true, false];
    assert_eq!(PairedBootstrap::of(&[], &[list()]), None);
    assert_eq!(PairedBootstrap::of(&[list()], &[]), None);
    assert_eq!(PairedBootstrap::of(&[vec![]], &[vec![]]), None);
    assert_eq!(PairedBootstrap::of(&[list()], &[list(), vec![true]]), None);
}

#[test]
fn results_serialise_flat() {
    let text = serde_json::to_value(OverSeeds::of(&[0.25, 0.75]).unwrap()).unwrap();
    let keys: Vec<&str> = text.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["seeds", "mean", "standard_deviation", "lowest", "highest", "mean_95"]);
}
