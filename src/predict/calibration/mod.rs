//! Calibration: what is done to a pattern's class probabilities so that they are less biased, or better
//! probabilities.
//!
//! A masked language model prefers some label words whatever the row says. Every method here corrects a
//! pattern's probabilities `p` by two numbers a class, a weight `w` and a bias `b`:
//!
//! ```text
//! p'_c ∝ p_c^(w_c) · exp(b_c)
//! ```
//!
//! and they differ in how the numbers are found ([`Method`]). So what was fitted is a small file, and a row's
//! answer does not depend on the rows beside it. Several patterns are corrected each by itself, then
//! averaged.

mod conformal;
mod file;
mod fit;

use serde::{Deserialize, Serialize};

use crate::predict::report::{Prediction, softmax};

pub use conformal::{Conformal, Coverage};
pub use file::{Fitted, FittedFor, FittedPattern};
pub use fit::check_prior;

/// How a pattern's probabilities are corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Divides by the mean probabilities of three inputs without content, "N/A", nothing and the mask (Zhao
    /// et al. 2021).
    Contextual,
    /// Divides by the mean probabilities of texts of words drawn at random from rows (Fei et al. 2023).
    Domain,
    /// Divides by the mean probabilities of rows (Zhou et al. 2023; with rows of their own it is what Hu et
    /// al. 2022 do with their support set).
    Batch,
    /// The biases with which the mean probabilities of rows are a prior, uniform unless told (Liusie et al.
    /// 2023).
    Prior,
    /// Divides by the probabilities of the pattern without a row: pointwise mutual information with the label
    /// word, given the domain (Holtzman et al. 2021).
    Pmi,
    /// One weight for all classes, 1/T, with the lowest loss on labelled rows (Guo et al. 2017). Changes no
    /// label.
    Temperature,
    /// A weight and a bias for each class with the lowest loss on labelled rows (Guo et al. 2017).
    Vector,
}

/// What a method was fitted on that looks at no rows.
pub const WITHOUT_CONTENT: &str = "inputs without content";

impl Method {
    /// All of them.
    pub const ALL: [Method; 7] = [
        Method::Contextual,
        Method::Domain,
        Method::Batch,
        Method::Prior,
        Method::Pmi,
        Method::Temperature,
        Method::Vector,
    ];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Method::Contextual => "contextual",
            Method::Domain => "domain",
            Method::Batch => "batch",
            Method::Prior => "prior",
            Method::Pmi => "pmi",
            Method::Temperature => "temperature",
            Method::Vector => "vector",
        }
    }

    /// Whether it learns from labels.
    pub fn needs_labels(self) -> bool {
        matches!(self, Method::Temperature | Method::Vector)
    }

    /// Whether it looks at rows at all.
    pub fn needs_rows(self) -> bool {
        !matches!(self, Method::Contextual | Method::Pmi)
    }
}

/// A pattern's weights and biases.
///
/// ```
/// use cloze::predict::calibration::Correction;
/// use cloze::predict::report::Prediction;
/// let prediction = |probabilities: [f64; 2]| Prediction { probabilities: probabilities.to_vec() };
/// // Without content the model says .8 : .2, so .6 : .4 speaks for the second class: .6/.8 : .4/.2 = .75 : 2.
/// let correction = Correction::dividing_by(&[prediction([0.7, 0.3]), prediction([0.9, 0.1])]);
/// let found = correction.apply(&prediction([0.6, 0.4]));
/// assert!((found.probabilities[0] - 0.75 / 2.75).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// w, one for each class.
    pub weights: Vec<f64>,
    /// b, one for each class.
    pub biases: Vec<f64>,
}

impl Correction {
    /// The corrected probabilities.
    pub fn apply(&self, prediction: &Prediction) -> Prediction {
        let scores = logarithms(prediction).zip(self.weights.iter().zip(&self.biases));
        Prediction {
            probabilities: softmax(scores.map(|(log, (weight, bias))| weight * log + bias).collect()),
        }
    }

    fn of_biases(biases: Vec<f64>) -> Correction {
        Correction { weights: vec![1.0; biases.len()], biases }
    }
}

/// `ln p`; a probability of 0 counts as the smallest number above it.
fn logarithms(prediction: &Prediction) -> impl Iterator<Item = f64> {
    prediction.probabilities.iter().map(|probability| probability.max(f64::MIN_POSITIVE).ln())
}
