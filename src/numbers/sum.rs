//! Sums that are the same in any order: parts that were added up apart can be put together to the bit.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// So many parts one is counted in: 2⁶⁰.
const PARTS: f64 = (1_u64 << 60) as f64;

/// A sum of numbers, each rounded to a multiple of 2⁻⁶⁰ before it is added.
///
/// ```
/// use cloze::numbers::sum::Sum;
/// let numbers = [0.1, 0.7, 1e-9, 0.3];
/// let sum = |numbers: &[f64]| numbers.iter().fold(Sum::default(), |sum, number| sum.plus(*number));
/// let (one, other) = (sum(&numbers[..1]), sum(&numbers[1..]));
/// assert_eq!(one.and(other), sum(&[0.3, 1e-9, 0.7, 0.1]));
/// assert!((one.and(other).value() - 1.100_000_001).abs() < 1e-15);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum(i128);

impl Sum {
    /// With a number more.
    #[must_use]
    pub fn plus(self, number: f64) -> Sum {
        Sum(self.0.saturating_add((number * PARTS).round() as i128))
    }

    /// Both sums together.
    #[must_use]
    pub fn and(self, other: Sum) -> Sum {
        Sum(self.0.saturating_add(other.0))
    }

    /// The sum.
    pub fn value(self) -> f64 {
        self.0 as f64 / PARTS
    }
}

/// As a text of digits: JSON's numbers are not so long everywhere.
impl Serialize for Sum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Sum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sum, D::Error> {
        let digits = String::deserialize(deserializer)?;
        digits.parse().map(Sum).map_err(de::Error::custom)
    }
}
