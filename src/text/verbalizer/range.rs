//! Numbers between two words: what the first class says is the low end of a range, the second the high end
//! (Gao et al. 2021, section 4.3).

use serde::{Deserialize, Serialize};

use crate::error::VerbalizerError;

/// A range of numbers, of which a verbalizer's two classes are the ends.
///
/// ```
/// use cloze::text::verbalizer::ValueRange;
/// let range = ValueRange::new([0.0, 5.0])?;
/// assert_eq!(range.share_of("2.0"), Some(0.4));
/// assert_eq!((range.share_of("5.1"), range.share_of("good")), (None, None));
/// // A model that is sure of the high word says 5; one that wavers stays in the middle.
/// assert_eq!(range.expected(&[0.6, 0.4]), 2.0);
/// assert!(ValueRange::new([5.0, 0.0]).is_err());
/// # Ok::<(), cloze::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ValueRange {
    low: f64,
    high: f64,
}

impl ValueRange {
    /// From the low end to the high one, which must be higher. Predictions have six decimals, and measures
    /// square them: so the ends lie from a hundredth to a billion apart.
    pub fn new([low, high]: [f64; 2]) -> Result<ValueRange, VerbalizerError> {
        if (0.01..=1e9).contains(&(high - low)) && low.abs().max(high.abs()) <= 1e9 {
            Ok(ValueRange { low, high })
        } else {
            Err(VerbalizerError::BadRange { low, high })
        }
    }

    /// The low end and the high one.
    pub fn ends(&self) -> [f64; 2] {
        [self.low, self.high]
    }

    /// Where a written number lies between the ends, from 0 to 1; none where it is no number of the range.
    pub fn share_of(&self, written: &str) -> Option<f64> {
        let number: f64 = written.trim().parse().ok()?;
        (self.low..=self.high).contains(&number).then(|| (number - self.low) / (self.high - self.low))
    }

    /// The number at a share of the way from the low end.
    pub fn at(&self, share: f64) -> f64 {
        share * (self.high - self.low) + self.low
    }

    /// The expected number where the ends have these probabilities.
    pub fn expected(&self, probabilities: &[f64]) -> f64 {
        self.at(probabilities[1])
    }

    /// The end that a share is nearer to, the low one in the middle.
    pub fn half(share: f64) -> usize {
        usize::from(share > 0.5)
    }
}
