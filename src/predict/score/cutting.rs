//! Where inputs of rising length are cut into batches.

use std::ops::Range;

/// Cuts inputs, the shortest first, into batches of at most so many tokens, padding counted; an input that
/// is longer is a batch by itself. Of all ways to cut them it takes the one that costs least, where a batch
/// costs its tokens with padding, and `extra` tokens more for being a batch.
pub(super) fn cut(lengths: &[usize], budget: usize, extra: usize) -> Vec<Range<usize>> {
    // What the first inputs cost at least, so many as the index says, and where the last batch of them begins.
    let mut best = vec![(0, 0)];
    for (last, longest) in lengths.iter().enumerate() {
        let most = (budget / longest.max(&1)).max(1);
        let begins = last.saturating_sub(most - 1)..=last;
        let costs = begins.map(|first| (best[first].0 + (last + 1 - first) * longest + extra, first));
        best.extend(costs.min());
    }
    let mut batches = Vec::new();
    let mut end = lengths.len();
    while end > 0 {
        let first = best[end].1;
        batches.push(first..end);
        end = first;
    }
    batches.reverse();
    batches
}

#[cfg(test)]
mod tests {
    use super::cut;

    /// What [`cut`] says, by trying all ways.
    fn least(lengths: &[usize], budget: usize, extra: usize) -> usize {
        let fitting = (1..=lengths.len()).filter(|&rows| rows == 1 || rows * lengths[rows - 1] <= budget);
        fitting
            .map(|rows| rows * lengths[rows - 1] + extra + least(&lengths[rows..], budget, extra))
            .min()
            .unwrap_or(0)
    }

    #[test]
    fn no_other_way_costs_less() {
        let lengths = [3, 3, 4, 9, 10, 11, 11, 30, 31, 70, 200];
        for budget in [1, 20, 64, 100, 1000] {
            for extra in [0, 1, 5, 20, 1000] {
                let batches = cut(&lengths, budget, extra);
                let cost: usize =
                    batches.iter().map(|batch| batch.len() * lengths[batch.end - 1] + extra).sum();
                assert_eq!(cost, least(&lengths, budget, extra), "{budget} {extra}: {batches:?}");
                assert!(batches.iter().all(|b| b.len() == 1 || b.len() * lengths[b.end - 1] <= budget));
                assert!(batches.iter().cloned().flatten().eq(0..lengths.len()));
            }
        }
    }

    #[test]
    fn inputs_of_one_length_fill_the_budget() {
        assert_eq!(cut(&[8; 7], 32, 2), [0..3, 3..7]);
        assert_eq!(cut(&[], 32, 2), []);
    }
}
