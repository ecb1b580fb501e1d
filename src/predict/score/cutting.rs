//! Where inputs of rising length are cut into batches.

use std::ops::Range;

/// Cuts inputs, the shortest first, into batches of at most so many tokens, padding counted; an input that
/// is longer is a batch by itself. Of all ways to cut them it takes the one that costs least, where a batch
/// costs its tokens with padding, and `extra` tokens more for being a batch.
///
/// ```
/// use cloze::predict::score::cut;
/// // Seven inputs of one length: two batches, and the first is no fuller than it must be.
/// assert_eq!(cut(&[8; 7], 32, 2), [0..3, 3..7]);
/// // Padded to 30 tokens, three short inputs would cost 81 tokens more than a batch of their own.
/// assert_eq!(cut(&[3, 3, 3, 30], 1000, 20), [0..3, 3..4]);
/// ```
pub fn cut(lengths: &[usize], budget: usize, extra: usize) -> Vec<Range<usize>> {
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
