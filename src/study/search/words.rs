//! Label words from labelled rows, or from the classes' names alone.

use std::collections::BTreeSet;

use ndarray::{Array2, Axis};
use serde::Serialize;
use tch::{Kind as Type, Tensor, no_grad};

use crate::learn::sample;
use crate::model::batch::small_batches;
use crate::model::features::Features;
use crate::model::tokenizer::Tokenizer;
use crate::model::values::values;
use crate::numbers::softmax::{log, softmax};
use crate::predict::classifier::VerbalizedLm;
use crate::predict::prompt_model::PromptModel;
use crate::predict::report::Prediction;
use crate::predict::synonyms::neighbours;

/// Words of a class that a likelihood ratio is reckoned for, by how likely they are in its rows (Schick et
/// al. 2020).
const LIKELIEST: usize = 1000;
/// Words of a class that assignments are made of.
const OF_CLASS: usize = 30;
/// Assignments that are kept from one class to the next, and in the end.
const BEAM: usize = 200;
/// Assignments that are ranked on the rows that are held out (Gao et al. 2021: 100, with a training for
/// each).
const RANKED: usize = 10;

/// How label words are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Words that are likelier in a class's rows than in others (PETAL: Schick et al. 2020).
    ///
    /// For a class they are the words with the largest
    /// `(n - n_c)/n_c · Σ_{rows of c} ln(p/(1-p)) - Σ_{other rows} ln(p/(1-p))`, p a word's probability at
    /// the row's mask, among the 1,000 words that are likeliest in the class's rows.
    LikelihoodRatio,
    /// One word a class, assignments ranked on held-out rows (LM-BFF: Gao et al. 2021).
    ///
    /// All assignments of the likeliest words of each class's rows, pruned by their accuracy on one half of
    /// the rows, the best ranked on the other half.
    Ranked,
    /// The nearest to the given words in the model's embeddings, weighted; looks at no row (NPPrompt: Zhao et
    /// al. 2023).
    ///
    /// The weights are the softmax of the cosines in the input embeddings.
    Nearest,
}

impl Method {
    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Method::LikelihoodRatio => "likelihood-ratio",
            Method::Ranked => "ranked",
            Method::Nearest => "nearest",
        }
    }
}

/// Words for each class with their weights.
pub type Words = Vec<Vec<(i64, f64)>>;

/// What a model says of some rows: each whole word's logarithm of its probability at the mask.
#[derive(Clone)]
pub struct MaskLogProbabilities {
    /// The words; of [`MaskLogProbabilities::of`] in ascending order.
    pub ids: Vec<i64>,
    /// `[rows, words]`, for each pattern, and each model where there are several.
    pub log_probabilities: Vec<Array2<f64>>,
}

impl MaskLogProbabilities {
    /// Asks models about the rows of each pattern, for all whole words and these.
    pub fn of(
        models: &[PromptModel],
        tokenizer: &Tokenizer,
        also: &[i64],
        by_pattern: &[Vec<Features>],
        progress: &mut dyn FnMut(f64),
    ) -> MaskLogProbabilities {
        let ids = tokenizer.ids().filter(|id| tokenizer.is_word(*id) || also.contains(id));
        MaskLogProbabilities::of_words(models, ids.collect(), by_pattern, progress)
    }

    /// The same for these words.
    pub fn of_words(
        models: &[PromptModel],
        ids: Vec<i64>,
        by_pattern: &[Vec<Features>],
        progress: &mut dyn FnMut(f64),
    ) -> MaskLogProbabilities {
        let (mut done, of) = (0, models.len() * by_pattern.iter().map(Vec::len).sum::<usize>());
        let mut say = |model: &PromptModel, rows: &Vec<Features>| {
            let columns = Tensor::from_slice(&ids).to_device(model.device());
            let mut all = Vec::with_capacity(rows.len() * ids.len());
            for inputs in small_batches(rows) {
                let said = no_grad(|| {
                    model.vocabulary_logits(&inputs).log_softmax(-1, Type::Double).index_select(1, &columns)
                });
                all.extend(values::<f64>(&said));
                done += inputs.len();
                progress(done as f64 / of as f64);
            }
            Array2::from_shape_vec((rows.len(), ids.len()), all).unwrap_or_default()
        };
        let of_model = |model| by_pattern.iter().map(move |rows| (model, rows));
        let asked = models.iter().flat_map(of_model);
        let log_probabilities = asked.map(|(model, rows)| say(model, rows)).collect();
        MaskLogProbabilities { ids, log_probabilities }
    }

    /// Some of the rows.
    #[must_use]
    pub fn pick(&self, rows: &[usize]) -> MaskLogProbabilities {
        let picked = self.log_probabilities.iter().map(|said| said.select(Axis(0), rows)).collect();
        MaskLogProbabilities { ids: self.ids.clone(), log_probabilities: picked }
    }

    /// The class probabilities of a row by some words: the softmax of their weighted mean logits, averaged
    /// over patterns and models.
    ///
    /// # Panics
    /// If a word is none of those that the model was asked about.
    pub fn predict(&self, row: usize, words: &Words) -> Prediction {
        let of_pattern = |said: &Array2<f64>| {
            let score = |class: &Vec<(i64, f64)>| {
                let sum: f64 = class.iter().map(|(id, weight)| weight * said[[row, self.place(*id)]]).sum();
                sum / class.iter().map(|(_, weight)| weight).sum::<f64>()
            };
            Prediction { probabilities: softmax(words.iter().map(score).collect()) }
        };
        Prediction::average(&self.log_probabilities.iter().map(of_pattern).collect::<Vec<_>>())
    }

    fn place(&self, id: i64) -> usize {
        self.ids.binary_search(&id).expect("a word that the model was asked about")
    }

    /// For each word the sum over some rows and all patterns of a function of its log probability.
    fn sums(&self, rows: impl Fn(usize) -> bool, of: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.ids.len()];
        for said in &self.log_probabilities {
            for (_, said) in said.outer_iter().enumerate().filter(|(row, _)| rows(*row)) {
                sums.iter_mut().zip(said).for_each(|(sum, log)| *sum += of(*log));
            }
        }
        sums
    }
}

/// `ln(p/(1-p))` of `ln p`.
fn log_odds(of: f64) -> f64 {
    of - log(-of.exp_m1())
}

/// PETAL's score of each word for a class: see [`Method::LikelihoodRatio`].
///
/// ```
/// use cloze::study::search::words::{MaskLogProbabilities, likelihood_ratios};
/// use ndarray::array;
/// // By hand: one row of the class with p = .5 and .2, two others with .25 and .2, .2 and .5.
/// let probabilities = array![[0.5, 0.2], [0.25, 0.2], [0.2, 0.5]];
/// let said = MaskLogProbabilities { ids: vec![3, 4], log_probabilities: vec![probabilities.mapv(f64::ln)] };
/// // 2·ln 1 - ln(1/3) - ln(1/4) = ln 12, and 2·ln(1/4) - ln(1/4) - ln 1 = ln(1/4).
/// let found = likelihood_ratios(&said, &[0, 1, 1], 0);
/// assert!((found[0] - 12.0_f64.ln()).abs() < 1e-12 && (found[1] - 0.25_f64.ln()).abs() < 1e-12);
/// ```
pub fn likelihood_ratios(said: &MaskLogProbabilities, truths: &[usize], class: usize) -> Vec<f64> {
    let own = truths.iter().filter(|truth| **truth == class).count();
    let scale = (truths.len() - own) as f64 / own as f64;
    let of_class = said.sums(|row| truths[row] == class, log_odds);
    let of_others = said.sums(|row| truths[row] != class, log_odds);
    of_class.into_iter().zip(of_others).map(|(own, others)| scale * own - others).collect()
}

/// The indices of the largest, the first of equals first.
fn largest(scores: &[f64], count: usize, among: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).filter(|index| among(*index)).collect();
    order.sort_by(|&one, &other| scores[other].total_cmp(&scores[one]));
    order.truncate(count);
    order
}

/// So many words for each class by their likelihood ratios. A word that two classes would have goes to the
/// one with the larger.
pub fn by_likelihood_ratio(
    said: &MaskLogProbabilities,
    truths: &[usize],
    classes: usize,
    count: usize,
) -> Words {
    let scores: Vec<Vec<f64>> = (0..classes)
        .map(|class| {
            let likely = said.sums(|row| truths[row] == class, |log| log);
            let likely: BTreeSet<usize> = largest(&likely, LIKELIEST, |_| true).into_iter().collect();
            let ratios = likelihood_ratios(said, truths, class);
            ratios
                .into_iter()
                .enumerate()
                .map(|(word, ratio)| if likely.contains(&word) { ratio } else { f64::NEG_INFINITY })
                .collect()
        })
        .collect();
    let best = |word: usize| {
        (0..classes).reduce(|best, next| if scores[next][word] > scores[best][word] { next } else { best })
    };
    let of_class = |class: usize| {
        let own = largest(&scores[class], count, |word| {
            scores[class][word].is_finite() && best(word) == Some(class)
        });
        own.into_iter().map(|word| (said.ids[word], 1.0)).collect()
    };
    (0..classes).map(of_class).collect()
}

/// The assignments of one word to each class that do best on the rows: accuracy, then the mean log
/// probability of the right class. Classes come in one after another; what is right so far is reckoned among
/// those that are in.
pub fn assignments(
    said: &MaskLogProbabilities,
    truths: &[usize],
    classes: usize,
    count: usize,
) -> Vec<Words> {
    let mut beam: Vec<Words> = vec![Vec::new()];
    for class in 0..classes {
        let likely = said.sums(|row| truths[row] == class, |log| log);
        let words: Vec<i64> =
            largest(&likely, OF_CLASS, |_| true).into_iter().map(|word| said.ids[word]).collect();
        let rows: Vec<usize> = (0..truths.len()).filter(|&row| truths[row] <= class).collect();
        let mut extended: Vec<((usize, f64), Words)> = Vec::with_capacity(beam.len() * words.len());
        for taken in &beam {
            for &word in words.iter().filter(|word| taken.iter().all(|other| other[0].0 != **word)) {
                let assignment: Words = taken.iter().cloned().chain([vec![(word, 1.0)]]).collect();
                extended.push((fit(said, truths, &rows, &assignment), assignment));
            }
        }
        extended.sort_by(|(one, _), (other, _)| other.0.cmp(&one.0).then(other.1.total_cmp(&one.1)));
        extended.truncate(BEAM);
        beam = extended.into_iter().map(|(_, assignment)| assignment).collect();
    }
    beam.truncate(count);
    beam
}

/// Rows that are right, and the mean log probability of the right class.
fn fit(said: &MaskLogProbabilities, truths: &[usize], rows: &[usize], words: &Words) -> (usize, f64) {
    let mut right = 0;
    let mut sum = 0.0;
    for &row in rows {
        let prediction = said.predict(row, words);
        right += usize::from(prediction.class() == truths[row]);
        sum += log(prediction.probabilities[truths[row]]);
    }
    (right, sum / rows.len().max(1) as f64)
}

/// The best assignments on one half of the rows, ranked on the other half: see [`Method::Ranked`].
pub fn ranked(said: &MaskLogProbabilities, truths: &[usize], classes: usize, seed: u64) -> Vec<Words> {
    let halves = sample::folds(truths, 2, seed);
    let part = |rows: &[usize]| (said.pick(rows), rows.iter().map(|&row| truths[row]).collect::<Vec<_>>());
    let ((first, first_truths), (second, second_truths)) = (part(&halves[0]), part(&halves[1]));
    let rows: Vec<usize> = (0..second_truths.len()).collect();
    let mut found: Vec<((usize, f64), Words)> = assignments(&first, &first_truths, classes, RANKED)
        .into_iter()
        .map(|words| (fit(&second, &second_truths, &rows, &words), words))
        .collect();
    found.sort_by(|(one, _), (other, _)| other.0.cmp(&one.0).then(other.1.total_cmp(&one.1)));
    found.into_iter().map(|(_, words)| words).collect()
}

/// So many words for each class, nearest to the given ones in the embeddings, these among them: see
/// [`Method::Nearest`]. A word that is near to two classes goes to the nearer.
pub fn nearest(base: &VerbalizedLm, given: &[Vec<i64>], count: usize) -> Words {
    let mut near: Vec<(f64, usize, i64)> = Vec::new();
    for (class, words) in given.iter().enumerate() {
        for &word in words {
            near.push((1.0, class, word));
            near.extend(neighbours(base, word).into_iter().map(|(id, cosine)| (cosine, class, id)));
        }
    }
    near.sort_by(|one, other| other.0.total_cmp(&one.0).then((one.1, one.2).cmp(&(other.1, other.2))));
    let mut taken = BTreeSet::new();
    let mut found: Vec<Vec<(i64, f64)>> = vec![Vec::new(); given.len()];
    for (cosine, class, id) in near {
        if found[class].len() < count && taken.insert(id) {
            found[class].push((id, cosine));
        }
    }
    let weighted = |words: Vec<(i64, f64)>| {
        let weights = softmax(words.iter().map(|(_, cosine)| *cosine).collect());
        words.iter().zip(weights).map(|((id, _), weight)| (*id, weight)).collect()
    };
    found.into_iter().map(weighted).collect()
}
