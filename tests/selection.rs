//! Rows to label: what strategies promise, on made-up pools.

use cloze::predict::report::Prediction;
use cloze::predict::selection::{Candidate, Strategy, Wish, farthest_first, k_means, select};
use cloze::seed;
use rand::Rng as _;

const ALL: [Strategy; 6] = [
    Strategy::Random,
    Strategy::Entropy,
    Strategy::Margin,
    Strategy::Disagreement,
    Strategy::KCenter,
    Strategy::Clusters,
];

fn vectors(count: usize, width: usize) -> Vec<Vec<f32>> {
    let mut dice = seed::generator(3, "vectors");
    (0..count).map(|_| (0..width).map(|_| dice.gen_range(-1.0..1.0)).collect()).collect()
}

fn pool(count: usize) -> Vec<Candidate> {
    let mut dice = seed::generator(4, "predictions");
    let mut prediction = || {
        let up: f64 = dice.gen_range(0.0..1.0);
        Prediction { probabilities: vec![up, 1.0 - up] }
    };
    let candidate = |vector| {
        let by_pattern = vec![prediction(), prediction()];
        Candidate { prediction: Prediction::average(&by_pattern), by_pattern, vector }
    };
    vectors(count, 3).into_iter().map(candidate).collect()
}

fn away(one: &[f32], other: &[f32]) -> f64 {
    one.iter().zip(other).map(|(one, other)| f64::from(one - other).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn each_row_once_as_many_as_wanted_and_the_promised_share_at_random() {
    let pool = pool(60);
    for strategy in ALL {
        for (count, random_share, at_random) in
            [(20, 0.2, 4), (7, 0.5, 3), (10, 0.1, 1), (60, 0.0, 0), (90, 0.25, 15)]
        {
            let wish = Wish { count, strategy, random_share, seed: 5 };
            let chosen = select(&pool, &[], wish);
            let mut places: Vec<usize> = chosen.iter().map(|row| row.index).collect();
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), count.min(60), "{strategy:?}");
            let random = chosen.iter().filter(|row| row.by == Strategy::Random).count();
            assert_eq!(
                random,
                if strategy == Strategy::Random { count.min(60) } else { at_random },
                "{strategy:?}"
            );
            assert_eq!(chosen, select(&pool, &[], wish), "the same seed gives the same rows");
        }
    }
}

#[test]
fn the_first_are_the_least_sure_and_those_whose_patterns_disagree_most() {
    let pool = pool(60);
    let first = |strategy| {
        let wish = Wish { count: 3, strategy, random_share: 0.0, seed: 5 };
        select(&pool, &[], wish)
    };
    let up = |index: usize| pool[index].prediction.probabilities[0];
    // With two classes both orders are that of the distance from a half.
    let mut nearest: Vec<usize> = (0..60).collect();
    nearest.sort_by(|one, other| (up(*one) - 0.5).abs().total_cmp(&(up(*other) - 0.5).abs()));
    for strategy in [Strategy::Entropy, Strategy::Margin] {
        let places: Vec<usize> = first(strategy).iter().map(|row| row.index).collect();
        assert_eq!(places, nearest[..3], "{strategy:?}");
    }
    let chosen = first(Strategy::Margin)[0];
    assert!((chosen.score.unwrap() - (2.0 * up(chosen.index) - 1.0).abs()).abs() < 1e-12);

    // By hand: of (0.8, 0.2) and (0.3, 0.7) the mean is (0.55, 0.45); ½ Σ KL(p‖mean) = 0.132505 nats.
    let shares = [0.8, 0.3].map(|up| Prediction { probabilities: vec![up, 1.0 - up] });
    let one = Candidate { by_pattern: shares.to_vec(), ..Candidate::default() };
    let wish = Wish { count: 1, strategy: Strategy::Disagreement, random_share: 0.0, seed: 0 };
    let by_hand = 0.5 * (0.8 * (0.8_f64 / 0.55).ln() + 0.2 * (0.2_f64 / 0.45).ln())
        + 0.5 * (0.3 * (0.3_f64 / 0.55).ln() + 0.7 * (0.7_f64 / 0.45).ln());
    assert!((select(&[one], &[], wish)[0].score.unwrap() - by_hand).abs() < 1e-12);
}

#[test]
fn clusters_are_those_of_the_nearest_middles_and_middles_are_means() {
    let all = vectors(80, 4);
    let views: Vec<&[f32]> = all.iter().map(Vec::as_slice).collect();
    for count in [1, 2, 7, 80] {
        let found = k_means(&views, count, 11);
        assert_eq!(found.middles.len(), count);
        for (vector, cluster) in views.iter().zip(&found.clusters) {
            let own = away(vector, &found.middles[*cluster]);
            assert!(found.middles.iter().all(|middle| own <= away(vector, middle) + 1e-6));
        }
        for (cluster, middle) in found.middles.iter().enumerate() {
            let own: Vec<&&[f32]> = views
                .iter()
                .zip(&found.clusters)
                .filter(|(_, at)| **at == cluster)
                .map(|(own, _)| own)
                .collect();
            assert!(!own.is_empty());
            for (place, value) in middle.iter().enumerate() {
                #[allow(clippy::cast_precision_loss)] // Eighty at most.
                let mean = own.iter().map(|vector| vector[place]).sum::<f32>() / own.len() as f32;
                assert!((mean - value).abs() < 1e-5);
            }
        }
    }
    // Three places and five vectors: there are no more clusters than places.
    let same: [&[f32]; 5] = [&[1.0], &[2.0], &[1.0], &[3.0], &[2.0]];
    assert_eq!(k_means(&same, 5, 0).middles.len(), 3);
    assert!(k_means(&[], 3, 0).middles.is_empty());
}

#[test]
fn the_farthest_first_cover_a_pool_within_twice_the_best_radius() {
    let all = vectors(12, 2);
    let views: Vec<&[f32]> = all.iter().map(Vec::as_slice).collect();
    let radius = |centres: &[usize]| {
        let nearest = |vector: &&[f32]| {
            centres.iter().map(|centre| away(vector, views[*centre])).fold(f64::INFINITY, f64::min)
        };
        views.iter().map(nearest).fold(0.0, f64::max)
    };
    let mut best = f64::INFINITY;
    for (one, other, third) in
        (0..12).flat_map(|one| (0..12).flat_map(move |other| (0..12).map(move |third| (one, other, third))))
    {
        best = best.min(radius(&[one, other, third]));
    }
    let chosen: Vec<usize> = farthest_first(&views, &[], 3).into_iter().map(|(place, _)| place).collect();
    assert!(radius(&chosen) <= 2.0 * best, "{} of {best}", radius(&chosen));
    // Next to what is labelled nothing is chosen as long as there is something farther.
    let (first, distance) = farthest_first(&views, &all[..6], 1)[0];
    let from_labelled =
        |place: usize| all[..6].iter().map(|own| away(own, views[place])).fold(f64::INFINITY, f64::min);
    assert!((0..12).all(|place| from_labelled(place) <= from_labelled(first) + 1e-9));
    assert!((from_labelled(first) - distance).abs() < 1e-6);
}

#[test]
fn rows_on_one_place_are_still_all_chosen() {
    let same = Candidate {
        prediction: Prediction { probabilities: vec![0.5, 0.5] },
        by_pattern: vec![Prediction { probabilities: vec![0.5, 0.5] }; 2],
        vector: vec![1.0, 0.0],
    };
    for strategy in ALL {
        let wish = Wish { count: 4, strategy, random_share: 0.0, seed: 1 };
        assert_eq!(select(&vec![same.clone(); 4], &[], wish).len(), 4, "{strategy:?}");
    }
}
