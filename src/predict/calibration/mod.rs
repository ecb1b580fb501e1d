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
//! ([`Method::VectorScaling`] weighs the class scores in place of `ln p`), and they differ in how the numbers are found ([`Method`]). So what was fitted is a small file, and a row's
//! answer does not depend on the rows beside it. Several patterns are corrected each by itself, then
//! averaged.

mod conformal;
mod file;
mod fit;

use serde::{Deserialize, Serialize};

use crate::numbers::softmax::{log, softmax};
use crate::predict::report::Prediction;

pub use conformal::{Conformal, Coverage};
pub use file::{Fitted, FittedFor, FittedPattern};
pub use fit::check_prior;

/// How a pattern's probabilities are corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Divide by what is said to "N/A", to nothing and to a mask (Zhao et al. 2021).
    ///
    /// What is said is the mean of the three inputs' probabilities.
    Contextual,
    /// Divide by what is said to random words of the rows (Fei et al. 2023).
    Domain,
    /// Divide by the rows' mean (Zhou et al. 2023).
    ///
    /// With rows of their own it is what Hu et al. (2022) do with their support set.
    Batch,
    /// Halfway between `domain` and `batch`.
    ///
    /// The biases are the means of theirs. Where classes are even it does nearly as well as `batch`, and it
    /// pulls less towards even classes where they are not.
    Mixed,
    /// Make the rows' mean that of a prior, which is uniform unless told (Liusie et al. 2023).
    Prior,
    /// Divide by what the pattern alone says (Holtzman et al. 2021).
    ///
    /// That is the pointwise mutual information with the label word, given the domain.
    Pmi,
    /// One temperature, fitted to labelled rows; changes no label (Guo et al. 2017).
    ///
    /// One weight for all classes, 1/T, with the lowest loss.
    Temperature,
    /// A weight and a bias a class, fitted to labelled rows (Kull et al. 2019, diagonal).
    ///
    /// The weights are those of logarithms of probabilities: Dirichlet calibration with a diagonal matrix.
    /// Files of 0.1.0 call this one `vector`, and are read.
    #[serde(alias = "vector")]
    Dirichlet,
    /// A weight and a bias a class for the scores before the softmax (Guo et al. 2017).
    ///
    /// `p'_c ∝ exp(w_c · z_c + b_c)` with the class scores z. A softmax takes the level of the scores away,
    /// which `dirichlet` therefore never sees; where all weights are the same, so are both corrections.
    #[cfg_attr(feature = "cli", value(alias = "vector"))]
    VectorScaling,
}

/// What a method was fitted on that looks at no rows.
pub const WITHOUT_CONTENT: &str = "inputs without content";

impl Method {
    /// All of them.
    pub const ALL: [Method; 9] = [
        Method::Contextual,
        Method::Domain,
        Method::Batch,
        Method::Mixed,
        Method::Prior,
        Method::Pmi,
        Method::Temperature,
        Method::Dirichlet,
        Method::VectorScaling,
    ];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Method::Contextual => "contextual",
            Method::Domain => "domain",
            Method::Batch => "batch",
            Method::Mixed => "mixed",
            Method::Prior => "prior",
            Method::Pmi => "pmi",
            Method::Temperature => "temperature",
            Method::Dirichlet => "dirichlet",
            Method::VectorScaling => "vector-scaling",
        }
    }

    /// Whether it learns from labels.
    pub fn needs_labels(self) -> bool {
        matches!(self, Method::Temperature | Method::Dirichlet | Method::VectorScaling)
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
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Correction {
    /// w, one for each class.
    pub weights: Vec<f64>,
    /// b, one for each class.
    pub biases: Vec<f64>,
}

impl Correction {
    /// The corrected probabilities.
    pub fn apply(&self, prediction: &Prediction) -> Prediction {
        self.apply_at(prediction, 0.0)
    }

    /// The same of class scores: their softmax and their level, the `ln Σ exp(z_c)` that it took away.
    ///
    /// ```
    /// use cloze::predict::calibration::Correction;
    /// use cloze::predict::report::Prediction;
    /// let correction = Correction { weights: vec![2.0, 1.0], biases: vec![0.0, 0.0] };
    /// // Scores ln 4 and ln 4: .5 : .5 at the level ln 8. Weighed they are ln 16 and ln 4, so .8 : .2.
    /// let even = Prediction { probabilities: vec![0.5, 0.5] };
    /// assert!((correction.apply_at(&even, 8_f64.ln()).probabilities[0] - 0.8).abs() < 1e-12);
    /// ```
    pub fn apply_at(&self, prediction: &Prediction, level: f64) -> Prediction {
        let scores = logarithms(prediction).zip(self.weights.iter().zip(&self.biases));
        let scores = scores.map(|(log, (weight, bias))| weight * (log + level) + bias);
        Prediction { probabilities: softmax(scores.collect()) }
    }

    /// The same, and then towards classes of these shares: `p'_c ∝ p_c^(w_c) · exp(b_c) · share_c`.
    ///
    /// ```
    /// use cloze::predict::calibration::Correction;
    /// use cloze::predict::report::Prediction;
    /// let prediction = |probabilities: [f64; 2]| Prediction { probabilities: probabilities.to_vec() };
    /// let correction = Correction::dividing_by(&[prediction([0.8, 0.2])]).times(&[0.9, 0.1]);
    /// // .6/.8 · .9 : .4/.2 · .1 = .675 : .2
    /// let found = correction.apply(&prediction([0.6, 0.4]));
    /// assert!((found.probabilities[0] - 0.675 / 0.875).abs() < 1e-12);
    /// ```
    #[must_use]
    pub fn times(&self, shares: &[f64]) -> Correction {
        let biases: Vec<f64> =
            self.biases.iter().zip(shares).map(|(bias, share)| bias + log(*share)).collect();
        // What is the same for all classes changes nothing: none is below 0, as without shares.
        let least = biases.iter().copied().fold(f64::INFINITY, f64::min);
        let biases = biases.iter().map(|bias| bias - least).collect();
        Correction { weights: self.weights.clone(), biases }
    }

    fn of_biases(biases: Vec<f64>) -> Correction {
        Correction { weights: vec![1.0; biases.len()], biases }
    }
}

fn logarithms(prediction: &Prediction) -> impl Iterator<Item = f64> {
    prediction.probabilities.iter().copied().map(log)
}
