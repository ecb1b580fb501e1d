//! Scores and probabilities: softmax, and logarithms that stay finite.

/// Scores to probabilities; the largest is taken off first, so that nothing overflows and not all underflow.
///
/// ```
/// let found = cloze::numbers::softmax::softmax(vec![1000.0, 1000.0 + 3_f64.ln()]);
/// assert!((found[0] - 0.25).abs() < 1e-12 && (found[1] - 0.75).abs() < 1e-12);
/// ```
pub fn softmax(scores: Vec<f64>) -> Vec<f64> {
    softmax_at(scores, 1.0)
}

/// The softmax of `scores / temperature`.
pub fn softmax_at(mut scores: Vec<f64>, temperature: f64) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores.iter_mut().for_each(|score| *score = ((*score - largest) / temperature).exp());
    let sum: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
    scores
}

/// `ln Σ exp(score)`, what the softmax divides by.
pub fn log_sum_exp(scores: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = scores.clone().fold(f64::NEG_INFINITY, f64::max);
    largest + scores.map(|score| (score - largest).exp()).sum::<f64>().ln()
}

/// `ln p`; a probability of 0 counts as the smallest number above it.
///
/// ```
/// assert!(cloze::numbers::softmax::log(0.0).is_finite());
/// ```
pub fn log(probability: f64) -> f64 {
    probability.max(f64::MIN_POSITIVE).ln()
}

/// A score's probability against one of 0: `1 / (1 + exp(-score))`.
///
/// ```
/// assert_eq!(cloze::numbers::softmax::sigmoid(0.0), 0.5);
/// ```
pub fn sigmoid(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}
