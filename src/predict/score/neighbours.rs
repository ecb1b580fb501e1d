//! Labelled rows beside the label words, without a training: the classes of the rows whose states at the mask
//! are nearest (after kNN-LM, Khandelwal et al. 2020, with labelled rows for its store).
//!
//! `p = λ · p_near + (1 - λ) · p_words`, where `p_near` of a class is the share of its rows among the k nearest,
//! each counted `exp(-d²/(T·s))`: d is the Euclidean distance of the states, s the mean d² of the labelled rows
//! from each other, which makes T mean the same for all models. k, T and λ are chosen on the labelled rows
//! alone, each of which is answered by the others.

use serde::Serialize;
use tch::no_grad;

use super::Scorer;
use crate::error::{ModelError, Result, TrainingError};
use crate::model::batch::small_batches;
use crate::model::features::Features;
use crate::model::values::{rows as rows_of, values};
use crate::numbers::softmax::log;
use crate::predict::classifier::{Classifier, levels};
use crate::predict::report::NeighboursReport;
use crate::text::dataset::Dataset;

/// The temperatures that are tried.
const TEMPERATURES: [f64; 4] = [0.02, 0.1, 0.5, 2.5];
/// So many λ are tried.
const TENTHS: usize = 10;

/// How the nearest rows count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Nearest {
    /// k: so many of them.
    pub count: usize,
    /// T.
    pub temperature: f64,
    /// λ: what they count beside the label words.
    pub share: f64,
}

/// Vectors with their classes.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// N · `[H]`
    pub vectors: Vec<Vec<f32>>,
    /// The class of each.
    pub classes: Vec<usize>,
    /// The row of each: a row may have several, and answers itself by none of them.
    pub rows: Vec<usize>,
}

/// Labelled rows in each pattern, as each model sees them.
pub struct Neighbours {
    /// Pattern by pattern, model by model.
    keys: Vec<Vec<Keys>>,
    /// s of each.
    scales: Vec<Vec<f64>>,
    nearest: Nearest,
    classes: usize,
}

impl Keys {
    /// The mean squared distance of two of them; 1 where all are the same, so that nothing is divided by 0.
    pub fn scale(&self) -> f64 {
        let pairs = (0..self.vectors.len()).flat_map(|one| (0..one).map(move |other| (one, other)));
        let (sum, count) = pairs.fold((0.0, 0_u64), |(sum, count), (one, other)| {
            (sum + squared_distance(&self.vectors[one], &self.vectors[other]), count + 1)
        });
        if sum > 0.0 { sum / count as f64 } else { 1.0 }
    }

    /// `p_near`: the classes' shares among the nearest, those of a row left out. The first of equals is nearer.
    ///
    /// ```
    /// use cloze::predict::score::{Keys, Nearest};
    /// let keys = Keys { vectors: vec![vec![0.0], vec![1.0], vec![3.0]], classes: vec![0, 1, 1], rows: vec![0, 1, 2] };
    /// let nearest = Nearest { count: 2, temperature: 1.0, share: 0.5 };
    /// // Of 0 the two nearest are at d² 0 and 1: with s = 1 they count 1 and exp(-1).
    /// let found = keys.near(&[0.0], nearest, 1.0, 2, None);
    /// assert!((found[0] - 1.0 / (1.0 + (-1.0_f64).exp())).abs() < 1e-12);
    /// assert_eq!(keys.near(&[0.0], nearest, 1.0, 2, Some(0)), [0.0, 1.0]);
    /// // (1 + 9 + 4) / 3
    /// assert!((keys.scale() - 14.0 / 3.0).abs() < 1e-12);
    /// ```
    pub fn near(
        &self,
        vector: &[f32],
        nearest: Nearest,
        scale: f64,
        classes: usize,
        but: Option<usize>,
    ) -> Vec<f64> {
        let others = (0..self.vectors.len()).filter(|key| Some(self.rows[*key]) != but);
        let mut distances: Vec<(f64, usize)> =
            others.map(|key| (squared_distance(vector, &self.vectors[key]), key)).collect();
        distances.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        distances.truncate(nearest.count);
        // What is the same for all changes nothing, and the nearest then counts 1.
        let least = distances.first().map_or(0.0, |(distance, _)| *distance);
        let mut shares = vec![0.0; classes];
        for (distance, key) in distances {
            shares[self.classes[key]] += (-(distance - least) / (nearest.temperature * scale)).exp();
        }
        let sum: f64 = shares.iter().sum();
        // A row alone has no others.
        shares.iter_mut().for_each(|share| *share = if sum > 0.0 { *share / sum } else { 0.0 });
        shares
    }
}

fn squared_distance(one: &[f32], other: &[f32]) -> f64 {
    one.iter().zip(other).map(|(one, other)| f64::from(one - other).powi(2)).sum()
}

impl NeighboursReport {
    /// Of these rows, which count so.
    pub fn of(rows: &Dataset, nearest: Nearest) -> NeighboursReport {
        let Nearest { count, temperature, share } = nearest;
        let (data, rows) = (rows.columns.data().to_owned(), rows.examples.len() as u64);
        NeighboursReport { data, rows, count, temperature, share }
    }
}

impl Neighbours {
    /// How the nearest count.
    pub fn nearest(&self) -> Nearest {
        self.nearest
    }

    /// The class probabilities of inputs of a pattern by a model, and the levels of the label words' scores.
    ///
    /// # Shapes
    /// B inputs → B·C numbers, B numbers
    pub(super) fn probabilities(
        &self,
        classifier: &Classifier,
        (pattern, member): (usize, usize),
        inputs: &[&Features],
    ) -> (Vec<f64>, Vec<f64>) {
        let (words, states, levels) = said(classifier, inputs);
        let (keys, scale) = (&self.keys[pattern][member], self.scales[pattern][member]);
        let mixed = words.iter().zip(&states).flat_map(|(words, state)| {
            mixed(words, &keys.near(state, self.nearest, scale, self.classes, None), self.nearest.share)
        });
        (mixed.collect(), levels)
    }
}

fn mixed(words: &[f64], near: &[f64], share: f64) -> Vec<f64> {
    words.iter().zip(near).map(|(words, near)| share * near + (1.0 - share) * words).collect()
}

/// The label words' probabilities, the states at the masks, and the levels of the scores.
///
/// # Shapes
/// B inputs → B · `[C]`, B · `[H]`, B numbers
fn said(classifier: &Classifier, inputs: &[&Features]) -> (Vec<Vec<f64>>, Vec<Vec<f32>>, Vec<f64>) {
    no_grad(|| {
        let (scores, states) = classifier.scores_and_states(inputs);
        let probabilities = scores.softmax(-1, tch::Kind::Double);
        (rows_of(&probabilities), rows_of(&states), values(&levels(&scores)))
    })
}

impl Scorer<'_> {
    /// Labelled rows as each model sees them in each pattern, with k, T and λ by which each of them is answered
    /// best by the others ([`Nearest::of`]). Every class must have rows; `labels` are the classes'.
    pub fn neighbours(&self, rows: &Dataset, labels: &[String]) -> Result<Neighbours> {
        let truths: Vec<usize> = rows.truths.iter().map(|truth| truth.unwrap_or_default()).collect();
        if let Some(class) = (0..labels.len()).find(|class| !truths.contains(class)) {
            let (label, data) = (labels[class].clone(), rows.columns.data().to_owned());
            return Err(TrainingError::ClassWithoutRows { label, data }.into());
        }
        for classifier in self.classifiers {
            classifier.check_states_at_masks()?;
        }
        if self.tasks.iter().any(|task| !task.template().has_blank()) {
            return Err(ModelError::NeighboursCannot { reason: "a pattern has no blank" }.into());
        }
        let (mut keys, mut words) = (Vec::new(), Vec::new());
        for task in self.tasks {
            let (mut inputs, mut of_row) = (Vec::new(), Vec::new());
            for (row, encoded) in self.encode(task, &rows.columns, &rows.examples)?.into_iter().enumerate() {
                of_row.extend(std::iter::repeat_n(row, encoded.len()));
                inputs.extend(encoded.into_iter().map(|(features, _)| features));
            }
            let mut of_pattern = Vec::with_capacity(self.classifiers.len());
            for classifier in self.classifiers {
                let (mut said_by_words, mut vectors) = (Vec::with_capacity(inputs.len()), Vec::new());
                for batch in small_batches(&inputs) {
                    let (probabilities, states, _) = said(classifier, &batch);
                    said_by_words.extend(probabilities);
                    vectors.extend(states);
                }
                let classes = of_row.iter().map(|row| truths[*row]).collect();
                of_pattern.push(Keys { vectors, classes, rows: of_row.clone() });
                words.push(said_by_words);
            }
            keys.push(of_pattern);
        }
        let lists: Vec<(&Keys, &[Vec<f64>])> =
            keys.iter().flatten().zip(words.iter().map(Vec::as_slice)).collect();
        let nearest = Nearest::of(&lists, labels.len());
        let scales = keys.iter().map(|members| members.iter().map(Keys::scale).collect()).collect();
        Ok(Neighbours { keys, scales, nearest, classes: labels.len() })
    }
}

impl Nearest {
    /// k, T and λ by which each of the keys is answered best by those of other rows, with the least mean `-ln p`;
    /// of equals the smallest λ, then the smallest k and T. Beside the keys of each pattern and model is what the
    /// label words say of them, N · `[C]`. k is a power of two, T one of four, λ a number of tenths below 1.
    pub fn of(lists: &[(&Keys, &[Vec<f64>])], classes: usize) -> Nearest {
        let most = lists.iter().map(|(keys, _)| keys.vectors.len()).max().unwrap_or(1);
        let counts = (0..).map(|power| 1_usize << power).take_while(|count| *count == 1 || *count < most);
        let mut best = (f64::INFINITY, Nearest { count: 1, temperature: TEMPERATURES[0], share: 0.0 });
        let scales: Vec<f64> = lists.iter().map(|(keys, _)| keys.scale()).collect();
        for count in counts {
            for temperature in TEMPERATURES {
                let mut losses = [0.0; TENTHS];
                for ((keys, words), scale) in lists.iter().zip(&scales) {
                    let nearest = Nearest { count, temperature, share: 0.0 };
                    for (key, words) in words.iter().enumerate() {
                        let (own, class) = (Some(keys.rows[key]), keys.classes[key]);
                        let near = keys.near(&keys.vectors[key], nearest, *scale, classes, own);
                        for (share, loss) in shares().zip(&mut losses) {
                            *loss -= log(share * near[class] + (1.0 - share) * words[class]);
                        }
                    }
                }
                for (share, loss) in shares().zip(losses) {
                    if loss < best.0 || (loss <= best.0 && share < best.1.share) {
                        best = (loss, Nearest { count, temperature, share });
                    }
                }
            }
        }
        best.1
    }
}

/// The λ that are tried.
fn shares() -> impl Iterator<Item = f64> {
    (0..TENTHS).map(|tenths| tenths as f64 / TENTHS as f64)
}
