//! Targets: what a model is to answer a row with.

/// What a row is to be answered with.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A class: the loss is the cross-entropy of the class scores z, `-ln softmax(z)[class]`.
    Class(usize),
    /// Distillation: soft labels q at a temperature T. The loss is `T² · KL(q ‖ softmax(z / T))` (Hinton et
    /// al. 2015, section 2: T² keeps the gradient's size where T changes).
    Soft {
        /// A probability for each class.
        probabilities: Vec<f64>,
        /// What the class scores are divided by.
        temperature: f64,
    },
}

impl Target {
    /// The class, or the likeliest; the first of equals.
    pub fn class(&self) -> usize {
        match self {
            Target::Class(class) => *class,
            Target::Soft { probabilities, .. } => {
                let better = |best: usize, next: usize| {
                    if probabilities[next] > probabilities[best] { next } else { best }
                };
                (0..probabilities.len()).reduce(better).unwrap_or(0)
            }
        }
    }

    /// The probability of each class, and the temperature.
    pub(super) fn soft(&self, classes: usize) -> (Vec<f64>, f64) {
        match self {
            Target::Class(class) => {
                ((0..classes).map(|other| f64::from(u8::from(other == *class))).collect(), 1.0)
            }
            Target::Soft { probabilities, temperature } => (probabilities.clone(), *temperature),
        }
    }
}
