//! Learning rates over the steps of a training.

/// The share of the highest rate at a step, counted from 0: up from 0 in `warm_up` steps, then down to 0 at
/// `steps`.
///
/// ```
/// use cloze::learn::schedule::linear;
/// assert_eq!(linear(0, 10, 50), 0.0);
/// assert_eq!(linear(5, 10, 50), 0.5);
/// assert_eq!(linear(10, 10, 50), 1.0);
/// assert_eq!(linear(30, 10, 50), 0.5);
/// assert_eq!(linear(50, 10, 50), 0.0);
/// ```
pub fn linear(step: usize, warm_up: usize, steps: usize) -> f64 {
    if step < warm_up {
        return step as f64 / warm_up as f64;
    }
    steps.saturating_sub(step) as f64 / steps.saturating_sub(warm_up).max(1) as f64
}
