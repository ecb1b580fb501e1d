//! Numbers of several seeds.

use crate::numbers::{count, percent};
use crate::study::ensemble::report::Accuracies;

pub(crate) fn mean_and_deviation(accuracies: &Accuracies) -> String {
    let mean = percent(accuracies.mean);
    accuracies
        .standard_deviation
        .map_or_else(|| mean.clone(), |deviation| format!("{mean} ± {}", percent(deviation)))
}

/// One number where all are the same, or else each.
pub(super) fn by_seed(numbers: &[usize]) -> String {
    match numbers {
        [first, rest @ ..] if rest.iter().all(|number| number == first) => count(*first as u64),
        _ => numbers.iter().map(|number| count(*number as u64)).collect::<Vec<_>>().join(", "),
    }
}
