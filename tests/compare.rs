//! Statistics over seeds and paired differences against scipy's numbers (make.py of tests/fixtures/baselines and of
//! tests/fixtures/compare).

use cloze::study::compare::{OverSeeds, PairedDifference, PairedTest, accuracy_95, over_seeds_and_rows};
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
        // SciPy's interval has no width where all values are alike, and ours is none.
        let wanted = numbers(&case["mean_95"]);
        match found.mean_95 {
            Some(ends) => assert_close(&ends, &wanted, 1e-9, "interval"),
            None => assert_eq!(wanted[0], wanted[1]),
        }
    }
    // Values of 0 and 1 with mean 1/2 have deviation √(n / 4(n-1)) of n.
    for pair in golden["t_975"].as_array().unwrap() {
        let count = pair[0].as_f64().unwrap() + 1.0;
        let values: Vec<f64> =
            (0..count as usize).map(|index| if index % 2 == 0 { 1.0 } else { 0.0 }).collect();
        let found = OverSeeds::of(&values).unwrap();
        let t =
            (found.mean_95.unwrap()[1] - found.spread.mean) * count.sqrt() / found.spread.standard_deviation;
        assert_close(&[t], &[pair[1].as_f64().unwrap()], 1e-8, "t");
    }
}

#[test]
fn one_value_has_no_spread_over_seeds() {
    assert_eq!(OverSeeds::of(&[0.5]), None);
    assert_eq!(OverSeeds::of(&[]), None);
}

#[test]
fn paired_differences_equal_scipys() {
    for case in golden("tests/fixtures/compare")["paired"].as_array().unwrap() {
        let (first, second) = (lists(&case["first"]), lists(&case["second"]));
        let found = PairedDifference::of(&first, &second).unwrap();
        assert_close(&[found.difference], &[case["difference"].as_f64().unwrap()], 1e-12, "difference");
        assert_close(&found.difference_95, &numbers(&case["difference_95"]), 1e-9, "interval");
        assert_close(&[found.p_value], &[case["p_value"].as_f64().unwrap()], 1e-12, "p value");
        assert_eq!(found.test, PairedTest::SignFlip);
        let wanted = integers(&case["better_worse"]);
        assert_eq!(found.better_worse.unwrap().map(|rows| rows as i64).as_slice(), wanted);
        let both = over_seeds_and_rows(&first, &second);
        assert_eq!(both.is_some(), !case["over_seeds_and_rows"].is_null());
        if let Some(both) = both {
            // Ends of 2,000 resamples: a tenth of the interval's width is some three standard errors.
            assert_close(
                &both,
                &numbers(&case["over_seeds_and_rows"]),
                0.018,
                "interval over seeds and rows",
            );
        }
        let back = PairedDifference::of(&second, &first).unwrap();
        assert_eq!((back.p_value, back.difference), (found.p_value, -found.difference));
        let turned = [-found.difference_95[1], -found.difference_95[0]];
        assert_close(&back.difference_95, &turned, 1e-12, "interval the other way round");
    }
}

#[test]
fn intervals_of_accuracies_over_several_seeds_are_score_intervals() {
    for case in golden("tests/fixtures/compare")["accuracy"].as_array().unwrap() {
        let found = accuracy_95(&lists(&case["right"])).unwrap();
        assert_close(&found, &numbers(&case["accuracy_95"]), 1e-9, "interval");
    }
}

#[test]
fn few_rows_are_no_proof_and_many_are() {
    let better = |rows: usize| PairedDifference::of(&[vec![true; rows]], &[vec![false; rows]]).unwrap();
    // All rows that there are: 2 of 2ⁿ ways.
    assert_eq!([1, 2, 3, 6].map(|rows| better(rows).p_value), [1.0, 0.5, 0.25, 0.03125]);
    let rows = better(6);
    assert!(rows.difference_95[0] > 0.3 && rows.difference_95[1] == 1.0);
    // No difference at all has a width too: 1.96 / (rows + 2).
    let same = PairedDifference::of(&[vec![true; 50]], &[vec![true; 50]]).unwrap();
    assert_eq!((same.difference, same.p_value), (0.0, 1.0));
    assert_close(&same.difference_95, &[-1.96 / 52.0, 1.96 / 52.0], 1e-5, "interval");
}

#[test]
fn the_normal_distribution_takes_over_where_the_exact_test_would_be_long_and_never_says_0() {
    // 10,000 rows, 6,000 of them differ by 3 seeds against 3: as exact, by scipy, p is binomtest(3100, 6000).
    let list = |right: &dyn Fn(usize) -> bool| vec![(0..10_000).map(right).collect::<Vec<bool>>(); 3];
    let first = list(&|row| !(3100..6000).contains(&row));
    let second = list(&|row| (3100..6000).contains(&row) || row >= 6000);
    let found = PairedDifference::of(&first, &second).unwrap();
    assert_eq!(found.test, PairedTest::SignFlip);
    assert_close(&[found.p_value], &[0.010_191_041_523], 1e-9, "p value");
    // Rows that differ by all sizes are no multiples of one.
    let mut uneven = first.clone();
    (0..10_000).step_by(2).for_each(|row| uneven[0][row] = !uneven[0][row]);
    (0..10_000).step_by(3).for_each(|row| uneven[1][row] = !uneven[1][row]);
    assert_eq!(PairedDifference::of(&uneven, &second).unwrap().test, PairedTest::Normal);
    let all = PairedDifference::of(&[vec![true; 5000]], &[vec![false; 5000]]).unwrap();
    assert!(all.p_value > 0.0 && all.p_value < 1e-300);
}

#[test]
fn what_cannot_be_paired_has_no_test() {
    let list = || vec![true, false];
    assert_eq!(PairedDifference::of(&[], &[list()]), None);
    assert_eq!(PairedDifference::of(&[list()], &[]), None);
    assert_eq!(PairedDifference::of(&[vec![]], &[vec![]]), None);
    assert_eq!(PairedDifference::of(&[list()], &[list(), vec![true]]), None);
}

#[test]
fn results_serialise_flat() {
    let text = serde_json::to_value(OverSeeds::of(&[0.25, 0.75]).unwrap()).unwrap();
    let keys: Vec<&str> = text.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["seeds", "mean", "standard_deviation", "lowest", "highest", "mean_95"]);
}
