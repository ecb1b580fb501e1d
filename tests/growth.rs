//! iPET's draw against PET's (tests/fixtures/growth/make.py).

use cloze::predict::report::Prediction;
use cloze::seed;
use cloze::study::ensemble::growth::proportional;

use crate::support::{assert_close, golden, integers, numbers};

/// Draws of each case: a share is then known to 4.5 standard errors of 0.012 at most.
const DRAWS: u64 = 20_000;

#[test]
fn rows_are_drawn_as_often_as_pet_draws_them() {
    for case in golden("tests/fixtures/growth").as_array().unwrap() {
        let rows: Vec<Prediction> = case["probabilities"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| Prediction { probabilities: numbers(row) })
            .collect();
        let wanted: Vec<usize> = integers(&case["wanted"]).iter().map(|count| *count as usize).collect();
        let mut found = vec![vec![0.0; rows.len()]; wanted.len()];
        for number in 0..DRAWS {
            let mut generator = seed::generator(number, "draw");
            let strict = case["strict"].as_bool().unwrap();
            let drawn = proportional(&rows, &vec![true; rows.len()], &wanted, strict, &mut generator);
            for labelled in drawn {
                found[labelled.class][labelled.row] += 1.0 / DRAWS as f64;
            }
        }
        for (found, wanted) in found.iter().zip(case["shares"].as_array().unwrap()) {
            assert_close(found, &numbers(wanted), 0.016, "share of draws");
        }
    }
}

#[test]
fn the_draw_takes_no_row_that_is_not_free() {
    let row = |p: f64| Prediction { probabilities: vec![p, 1.0 - p] };
    let rows = [row(0.9), row(0.8), row(0.7), row(0.1)];
    for number in 0..50 {
        let mut generator = seed::generator(number, "draw");
        for strict in [true, false] {
            let drawn = proportional(&rows, &[true, false, true, true], &[2, 1], strict, &mut generator);
            assert_eq!(drawn.len(), 3);
            assert!(drawn.iter().all(|labelled| labelled.row != 1));
        }
    }
}
