//! Classes in an order, as stars are.

use serde::{Deserialize, Serialize};

use crate::error::VerbalizerError;

/// Classes that stand in an order, each with its value. The class order of all output stays what it was.
///
/// ```
/// use cloze::text::verbalizer::Order;
/// let stars = Order::of_values(vec![1.0, 2.0, 5.0])?;
/// assert_eq!(stars.expected(&[0.5, 0.25, 0.25]), 2.25);
/// // Half of the probability is reached at the first class; the class with the nearest value is the second.
/// assert_eq!(stars.median(&[0.5, 0.25, 0.25]), 0);
/// assert_eq!(stars.nearest(2.25), 1);
/// # Ok::<(), cloze::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct Order {
    /// In class order.
    values: Vec<f64>,
    /// The classes from the lowest value to the highest.
    ascending: Vec<usize>,
}

impl TryFrom<Vec<f64>> for Order {
    type Error = VerbalizerError;

    fn try_from(values: Vec<f64>) -> Result<Order, VerbalizerError> {
        Order::of_values(values)
    }
}

impl From<Order> for Vec<f64> {
    fn from(own: Order) -> Vec<f64> {
        own.values
    }
}

impl Order {
    /// Of labels in their order: their own values where all of them are different numbers, else 1, 2, 3.
    ///
    /// ```
    /// use cloze::text::verbalizer::Order;
    /// assert_eq!(Order::of_labels(["0", "2", "4"].into_iter()).values(), [0.0, 2.0, 4.0]);
    /// assert_eq!(Order::of_labels(["bad", "fair", "good"].into_iter()).values(), [1.0, 2.0, 3.0]);
    /// ```
    pub fn of_labels<'a>(labels: impl ExactSizeIterator<Item = &'a str> + Clone) -> Order {
        let numbers: Option<Vec<f64>> = labels.clone().map(|label| label.trim().parse().ok()).collect();
        let places = || (1..=labels.len()).map(|place| place as f64).collect();
        numbers.and_then(|values| Order::of_values(values).ok()).unwrap_or_else(|| Order::new(places()))
    }

    /// Of classes with these values; they must be different numbers.
    pub fn of_values(values: Vec<f64>) -> Result<Order, VerbalizerError> {
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(VerbalizerError::BadValue { found: *value });
        }
        let order = Order::new(values);
        let twice = order.ascending.windows(2).find(|pair| order.values[pair[0]] == order.values[pair[1]]);
        match twice {
            Some(pair) => Err(VerbalizerError::SameValue { value: order.values[pair[0]] }),
            None => Ok(order),
        }
    }

    /// Of labels that somebody names from the lowest to the highest: 1, 2, 3. All classes must be named, each
    /// once.
    ///
    /// ```
    /// use cloze::text::verbalizer::Order;
    /// let named = ["bad", "fair", "good"].map(str::to_owned);
    /// let order = Order::of_names(&named, &["good", "bad", "fair"])?;
    /// assert_eq!(order.values(), [3.0, 1.0, 2.0]);
    /// assert!(Order::of_names(&named[..2], &["good", "bad", "fair"]).is_err());
    /// # Ok::<(), cloze::Error>(())
    /// ```
    pub fn of_names(named: &[String], labels: &[&str]) -> Result<Order, VerbalizerError> {
        let classes = || labels.iter().map(|label| (*label).to_owned()).collect();
        let mut values = vec![None; labels.len()];
        for (name, value) in named.iter().zip(1..) {
            let class = labels
                .iter()
                .position(|label| label == name)
                .ok_or_else(|| VerbalizerError::UnknownInOrder { label: name.clone(), classes: classes() })?;
            if values[class].replace(f64::from(value)).is_some() {
                return Err(VerbalizerError::TwiceInOrder { label: name.clone() });
            }
        }
        let absent = values.iter().position(Option::is_none).map(|class| labels[class].to_owned());
        match absent {
            Some(label) => Err(VerbalizerError::NotInOrder { label }),
            None => Ok(Order::new(values.into_iter().flatten().collect())),
        }
    }

    fn new(values: Vec<f64>) -> Order {
        let mut ascending: Vec<usize> = (0..values.len()).collect();
        ascending.sort_by(|one, other| values[*one].total_cmp(&values[*other]));
        Order { values, ascending }
    }

    /// The classes' values, in class order.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The classes from the lowest value to the highest.
    pub fn ascending(&self) -> &[usize] {
        &self.ascending
    }

    /// The expected value of these probabilities, which are in class order.
    pub fn expected(&self, probabilities: &[f64]) -> f64 {
        self.values.iter().zip(probabilities).map(|(value, share)| value * share).sum()
    }

    /// The lowest class at or below which half of the probability is: of all classes the one with the least
    /// expected absolute error.
    pub fn median(&self, probabilities: &[f64]) -> usize {
        let mut below = 0.0;
        let half = probabilities.iter().sum::<f64>() / 2.0;
        let reached = self.ascending.iter().find(|class| {
            below += probabilities[**class];
            below >= half
        });
        reached.or(self.ascending.last()).copied().unwrap_or(0)
    }

    /// The class whose value is nearest, the lower of two that are as near.
    pub fn nearest(&self, value: f64) -> usize {
        let distance = |class: usize| (self.values[class] - value).abs();
        let nearer = |best: usize, next: usize| if distance(next) < distance(best) { next } else { best };
        self.ascending.iter().copied().reduce(nearer).unwrap_or(0)
    }
}
