//! Targets: what a model is to answer a row with.

/// What a row is to be answered with.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A class: the loss is the cross-entropy of the class scores z, `-ln softmax(z)[class]`.
    Class(usize),
    /// Several labels, or none, L of them: the loss is the mean over the labels of the binary cross-entropy
    /// of `σ(z_l - z_L)`, where the last class is what the labels are held against.
    Labels(Vec<bool>),
    /// Distillation: soft labels q at a temperature T; or at T = 1 a number between two words, as the shares of
    /// both that it lies at (Gao et al. 2021, section 4.3). The loss is `T² · KL(q ‖ softmax(z / T))` (Hinton et
    /// al. 2015, section 2: T² keeps the gradient's size where T changes).
    Soft {
        /// A probability for each class.
        probabilities: Vec<f64>,
        /// What the class scores are divided by.
        temperature: f64,
    },
}

impl Target {
    /// The class, or the likeliest or first label; the first of equals.
    pub fn class(&self) -> usize {
        match self {
            Target::Class(class) => *class,
            // Without any it is the last class.
            Target::Labels(labels) => labels.iter().position(|has| *has).unwrap_or(labels.len()),
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
            Target::Class(_) | Target::Labels(_) => {
                let class = self.class();
                ((0..classes).map(|other| f64::from(u8::from(other == class))).collect(), 1.0)
            }
            Target::Soft { probabilities, temperature } => (probabilities.clone(), *temperature),
        }
    }
}

/// Each row's labels as numbers; none where rows have one class each.
///
/// # Shapes
/// B·L numbers
pub(super) fn several(targets: &[&Target]) -> Option<Vec<f64>> {
    let mut all = Vec::new();
    for target in targets {
        let Target::Labels(labels) = target else { return None };
        all.extend(labels.iter().map(|has| f64::from(u8::from(*has))));
    }
    (!all.is_empty()).then_some(all)
}
