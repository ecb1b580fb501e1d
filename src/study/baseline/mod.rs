//! Baselines on the same rows, for a method to beat: what bags of words give, what the model's own states give
//! to a linear classifier, and what its word vectors give to an LSTM.
//!
//! Texts become TF-IDF vectors, and a linear classifier learns on them, as in scikit-learn:
//! `TfidfVectorizer()`, `MultinomialNB()` and `LogisticRegression()` give the same probabilities. No random
//! numbers are drawn.
//!
//! Of linfa, the usual crates for this, none could be used:
//! - linfa-preprocessing (0.7.1 and 0.8.1) counts document frequencies anew in the texts that it transforms,
//!   not in the training texts, so that a text's vector depends on the texts beside it; and it does not scale
//!   vectors to length 1.
//! - linfa-bayes 0.7.1 has no probabilities; 0.8.1 prints each class's weights to the standard error with a
//!   forgotten `dbg!` (rust-ml/linfa#441), and its probabilities are not numbers where all likelihoods
//!   underflow.
//! - Both classifiers take dense matrices only, rows × words: for 120,000 rows of 65,000 words 62 GB.
//!
//! linfa-logistic's own optimiser, argmin, is used here on sparse rows.

mod design;
mod logistic;
mod lstm;
mod naive_bayes;
mod ridge;
mod tf_idf;

use crate::numbers::softmax::softmax;
use crate::predict::report::Prediction;

use design::{Dense, Design, Sparse};
use logistic::Training;
use tf_idf::Vectorizer;

pub use lstm::{BiLstm, WordVectors, lstm_steps};
pub use ridge::{Ridge, ridge};

/// What a logistic regression says.
#[derive(Debug, Clone, PartialEq)]
pub struct Regression {
    /// In the order of the texts to classify.
    pub predictions: Vec<Prediction>,
    /// One over the penalty, as scikit-learn counts it; none where there was nothing to tell apart.
    pub c: Option<f64>,
}

/// Multinomial naive Bayes (McCallum & Nigam 1998) on TF-IDF, with one added to each count (alpha 1).
///
/// Texts of training with their classes, each below `classes`, and texts to classify; the predictions stand
/// in the order of `test`. A class without a training row has probability 0; with no training rows at all
/// every class has the same.
///
/// ```
/// let train = [("a fine warm day", 0), ("warm and fine", 0), ("rain and wind", 1), ("a cold wind", 1)];
/// let found = cloze::study::baseline::naive_bayes(&train, &["fine day", "wind"], 2);
/// assert_eq!((found[0].class(), found[1].class()), (0, 1));
/// ```
pub fn naive_bayes<S: AsRef<str>, T: AsRef<str>>(
    train: &[(S, usize)],
    test: &[T],
    classes: usize,
) -> Vec<Prediction> {
    let (present, truths) = present(train, classes);
    let scores =
        of_texts(train, test, &truths, &present, |training, test| naive_bayes::fit(training).scores(test));
    predictions(scores, &present, classes)
}

/// Logistic regression on TF-IDF, with a squared penalty on the weights and none on the intercepts. As in
/// scikit-learn: two classes share one vector of weights, more have one each (softmax).
///
/// Where no C is given, it is chosen among the powers of ten from 10⁻⁴ to 10⁴ by cross-validation on the
/// training rows: the least mean loss on five parts, or on as many as the rarest class has rows. Each class's
/// rows are dealt out to the parts in turn. It is 1 where a class has one row.
///
/// Texts and probabilities are as in [`naive_bayes`].
///
/// ```
/// let train = [("a fine warm day", 0), ("warm and fine", 0), ("rain and wind", 1)];
/// let found = cloze::study::baseline::logistic_regression(&train, &["fine day", "wind"], 2, Some(1.0));
/// assert!(found.predictions[0].probabilities[0] > found.predictions[1].probabilities[0]);
/// ```
pub fn logistic_regression<S: AsRef<str>, T: AsRef<str>>(
    train: &[(S, usize)],
    test: &[T],
    classes: usize,
    c: Option<f64>,
) -> Regression {
    let (present, truths) = present(train, classes);
    let mut chosen = None;
    let scores =
        of_texts(train, test, &truths, &present, |training, test| regressed(training, test, c, &mut chosen));
    Regression { predictions: predictions(scores, &present, classes), c: chosen }
}

/// The same on vectors `[D]` of texts, as a model gives them.
///
/// ```
/// let train = [(vec![1.0, 0.1], 0), (vec![0.9, 0.0], 0), (vec![0.0, 1.0], 1), (vec![0.1, 0.8], 1)];
/// let found = cloze::study::baseline::logistic_regression_on_vectors(&train, &[vec![0.8, 0.3]], 2, None);
/// assert_eq!(found.predictions[0].class(), 0);
/// ```
pub fn logistic_regression_on_vectors(
    train: &[(Vec<f32>, usize)],
    test: &[Vec<f32>],
    classes: usize,
    c: Option<f64>,
) -> Regression {
    let (present, truths) = present(train, classes);
    let mut chosen = None;
    let scores = match present.len() {
        0 | 1 => vec![vec![0.0; present.len().max(1)]; test.len()],
        classes => {
            let width = train[0].0.len();
            let vectors: Vec<&Vec<f32>> = train.iter().map(|(vector, _)| vector).collect();
            let rows = Dense::of(&vectors, width);
            let training = Training { rows: &rows, truths: &truths, classes };
            regressed(&training, &Dense::of(test, width), c, &mut chosen)
        }
    };
    Regression { predictions: predictions(scores, &present, classes), c: chosen }
}

/// The scores of rows by a regression of that C, or of a chosen one, which is noted.
fn regressed<D: Design>(
    training: &Training<'_, D>,
    test: &D,
    c: Option<f64>,
    chosen: &mut Option<f64>,
) -> Vec<Vec<f64>> {
    let c = *chosen.insert(c.unwrap_or_else(|| logistic::best_c(training)));
    logistic::fit(training, c).scores(test)
}

/// The classes that have rows, in their order, and each row's place among them.
fn present<T>(train: &[(T, usize)], classes: usize) -> (Vec<usize>, Vec<usize>) {
    let has_rows = |class: &usize| train.iter().any(|(_, other)| other == class);
    let present: Vec<usize> = (0..classes).filter(has_rows).collect();
    let place = |class: &usize| present.partition_point(|other| other < class);
    let truths = train.iter().map(|(_, class)| place(class)).collect();
    (present, truths)
}

/// The scores of texts, of the classes that have rows, by a classifier of TF-IDF vectors where there is
/// something to tell apart.
fn of_texts<S: AsRef<str>, T: AsRef<str>>(
    train: &[(S, usize)],
    test: &[T],
    truths: &[usize],
    present: &[usize],
    classify: impl FnOnce(&Training<'_, Sparse>, &Sparse) -> Vec<Vec<f64>>,
) -> Vec<Vec<f64>> {
    if present.len() < 2 {
        return vec![vec![0.0; present.len().max(1)]; test.len()];
    }
    let vectorizer = Vectorizer::fit(train.iter().map(|(text, _)| text.as_ref()));
    let width = vectorizer.words();
    let rows =
        Sparse { rows: train.iter().map(|(text, _)| vectorizer.transform(text.as_ref())).collect(), width };
    let test = Sparse { rows: test.iter().map(|text| vectorizer.transform(text.as_ref())).collect(), width };
    classify(&Training { rows: &rows, truths, classes: present.len() }, &test)
}

/// Probabilities in class order: the softmax of scores, one for each class that has training rows. With none
/// all classes have the same.
fn predictions(scores: Vec<Vec<f64>>, present: &[usize], classes: usize) -> Vec<Prediction> {
    let prediction = |scores: Vec<f64>| {
        if present.is_empty() {
            return Prediction { probabilities: vec![1.0 / classes as f64; classes] };
        }
        let mut probabilities = vec![0.0; classes];
        for (class, probability) in present.iter().zip(softmax(scores)) {
            probabilities[*class] = probability;
        }
        Prediction { probabilities }
    };
    scores.into_iter().map(prediction).collect()
}
