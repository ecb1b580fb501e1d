//! Members' scores into one: merged, weighted, softened.
//!
//! Schick & Schütze (2021, section 3.2) merge the class scores z of the members by a weighted mean,
//! `Σ w z / Σ w`, and take the softmax at the temperature T. Members are kept here as probabilities p; `ln p`
//! is z but for a number that is the same for all classes of a row, which the softmax takes out again. What
//! is below 1e-38 counts as that.

use serde::{Deserialize, Serialize};

use crate::numbers::softmax::{log, softmax_at};
use crate::predict::calibration::{Correction, Method};
use crate::predict::report::Prediction;

/// What is averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Merge {
    /// The mean of the members' class scores, then the softmax: `softmax(Σ w z / T)` (PET).
    #[default]
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Logits,
    /// The mean of the members' softmaxes: `Σ w softmax(z / T)`. A member that is sure of something else
    /// cannot outvote all others.
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Probabilities,
}

impl Merge {
    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Merge::Logits => "logits",
            Merge::Probabilities => "probabilities",
        }
    }
}

/// What each member counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Weights {
    /// The same.
    #[default]
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Uniform,
    /// The accuracy of its pattern on the train rows before any training (PET's "weighted").
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Accuracy,
}

impl Weights {
    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Weights::Uniform => "uniform",
            Weights::Accuracy => "accuracy",
        }
    }
}

/// How the bias of a member towards some label words is taken out of its probabilities before they are
/// merged: by what it says itself of the unlabelled rows, or where it says nothing of any, of the test rows,
/// or of inputs without content. No label is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Calibration {
    /// Divide by the mean (Zhou et al. 2023).
    Batch,
    /// Make the mean the same for all classes (Liusie et al. 2023).
    Prior,
    /// Divide by what is said to "N/A", to nothing and to a mask (Zhao et al. 2021).
    Contextual,
    /// Divide by what is said to random words of the rows (Fei et al. 2023).
    Domain,
    /// Divide by what the pattern alone says (Holtzman et al. 2021).
    Pmi,
}

impl Calibration {
    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Calibration::Batch => "batch",
            Calibration::Prior => "prior",
            Calibration::Contextual => "contextual",
            Calibration::Domain => "domain",
            Calibration::Pmi => "pmi",
        }
    }

    /// How the member is asked without a row; none where its predictions of rows are looked at.
    pub fn without_content(self) -> Option<Method> {
        match self {
            Calibration::Batch | Calibration::Prior => None,
            Calibration::Contextual => Some(Method::Contextual),
            Calibration::Domain => Some(Method::Domain),
            Calibration::Pmi => Some(Method::Pmi),
        }
    }

    /// The correction that a member's predictions ask for, of rows or of inputs without content; none where
    /// there are none.
    pub fn correction(self, said: &[Prediction]) -> Option<Correction> {
        let classes = said.first()?.probabilities.len();
        Some(match self {
            Calibration::Batch | Calibration::Contextual | Calibration::Domain | Calibration::Pmi => {
                Correction::dividing_by(said)
            }
            Calibration::Prior => Correction::to_prior(said, &vec![1.0 / classes as f64; classes]),
        })
    }
}

/// Shares of 1 from what members weigh; equal ones where nothing weighs anything.
///
/// ```
/// assert_eq!(cloze::study::ensemble::merge::shares(&[0.25, 0.75, 0.0]), [0.25, 0.75, 0.0]);
/// assert_eq!(cloze::study::ensemble::merge::shares(&[0.0, 0.0]), [0.5, 0.5]);
/// ```
pub fn shares(weights: &[f64]) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    let equal = 1.0 / weights.len() as f64;
    weights.iter().map(|weight| if sum > 0.0 { weight / sum } else { equal }).collect()
}

impl Merge {
    /// One row's members as one, at a temperature. `shares` have the sum 1.
    ///
    /// ```
    /// use cloze::study::ensemble::merge::Merge;
    /// use cloze::predict::report::Prediction;
    /// let members = [vec![0.8, 0.2], vec![0.5, 0.5]].map(|probabilities| Prediction { probabilities });
    /// let members: Vec<&Prediction> = members.iter().collect();
    /// // By hand: √(0.8 · 0.5) : √(0.2 · 0.5) = 2 : 1.
    /// let found = Merge::Logits.of(&members, &[0.5, 0.5], 1.0);
    /// assert!((found.probabilities[0] - 2.0 / 3.0).abs() < 1e-12);
    /// // At T = 2 the roots of those: √2 : 1.
    /// let found = Merge::Logits.of(&members, &[0.5, 0.5], 2.0);
    /// assert!((found.probabilities[0] - 2_f64.sqrt() / (1.0 + 2_f64.sqrt())).abs() < 1e-12);
    /// // Each member at T = 2: √0.8 : √0.2 = 2 : 1, and 1 : 1; then the mean.
    /// let found = Merge::Probabilities.of(&members, &[0.5, 0.5], 2.0);
    /// assert!((found.probabilities[0] - (2.0 / 3.0 + 0.5) / 2.0).abs() < 1e-12);
    /// ```
    pub fn of(self, members: &[&Prediction], shares: &[f64], temperature: f64) -> Prediction {
        // Bit for bit: one member is itself.
        if let ([only], true) = (members, temperature == 1.0) {
            return (*only).clone();
        }
        let classes = members.first().map_or(0, |member| member.probabilities.len());
        let weighted = |values: &[Vec<f64>], class: usize| {
            values.iter().zip(shares).map(|(values, share)| share * values[class]).sum::<f64>()
        };
        let probabilities = match self {
            Merge::Logits => {
                let logs: Vec<Vec<f64>> = members.iter().map(|member| logarithms(member)).collect();
                let scores: Vec<f64> = (0..classes).map(|class| weighted(&logs, class)).collect();
                softmax_at(scores, temperature)
            }
            Merge::Probabilities => {
                let soft: Vec<Vec<f64>> =
                    members.iter().map(|member| softmax_at(logarithms(member), temperature)).collect();
                (0..classes).map(|class| weighted(&soft, class)).collect()
            }
        };
        Prediction { probabilities }
    }

    /// Row by row.
    pub fn rows(self, members: &[&Vec<Prediction>], shares: &[f64], temperature: f64) -> Vec<Prediction> {
        let rows = members.first().map_or(0, |member| member.len());
        let of_row = |row: usize| members.iter().map(|member| &member[row]).collect::<Vec<_>>();
        (0..rows).map(|row| self.of(&of_row(row), shares, temperature)).collect()
    }
}

/// A probability of 0 is one too small for the type of the run's files, single precision.
fn logarithms(prediction: &Prediction) -> Vec<f64> {
    let least = f64::from(f32::MIN_POSITIVE);
    prediction.probabilities.iter().map(|probability| log(probability.max(least))).collect()
}
