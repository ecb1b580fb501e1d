//! Classical baselines: what bags of words give on the same rows, for a language model to beat.
//!
//! Texts become TF-IDF vectors, and a linear classifier learns on them, with scikit-learn's defaults
//! throughout: `TfidfVectorizer()`, `MultinomialNB()` and `LogisticRegression()` give the same probabilities.
//! No random numbers are drawn.
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

mod logistic;
mod naive_bayes;
mod tf_idf;

use crate::numbers::softmax::softmax;
use crate::predict::report::Prediction;

use logistic::Logistic;
use naive_bayes::NaiveBayes;
use tf_idf::{SparseRow, Vectorizer};

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
    classify(train, test, classes, naive_bayes::fit, NaiveBayes::scores)
}

/// Logistic regression on TF-IDF, with a squared penalty on the weights and none on the intercepts (C = 1).
/// As in scikit-learn: two classes share one vector of weights, more have one each (softmax).
///
/// Texts and probabilities are as in [`naive_bayes`].
///
/// ```
/// let train = [("a fine warm day", 0), ("warm and fine", 0), ("rain and wind", 1)];
/// let found = cloze::study::baseline::logistic_regression(&train, &["fine day", "wind"], 2);
/// assert!(found[0].probabilities[0] > found[1].probabilities[0]);
/// ```
pub fn logistic_regression<S: AsRef<str>, T: AsRef<str>>(
    train: &[(S, usize)],
    test: &[T],
    classes: usize,
) -> Vec<Prediction> {
    classify(train, test, classes, logistic::fit, Logistic::scores)
}

/// Training rows as a classifier takes them.
struct Training<'a> {
    rows: &'a [SparseRow],
    /// Each row's class, counted among the classes that have rows.
    truths: &'a [usize],
    /// The number of classes that have rows, at least two.
    classes: usize,
    /// The number of words known.
    words: usize,
}

/// Vectors, a fit where there is something to tell apart, and probabilities in class order: the softmax of
/// the model's scores, one for each class that has training rows.
fn classify<S: AsRef<str>, T: AsRef<str>, M>(
    train: &[(S, usize)],
    test: &[T],
    classes: usize,
    fit: fn(&Training<'_>) -> M,
    scores: fn(&M, &SparseRow) -> Vec<f64>,
) -> Vec<Prediction> {
    let mut present: Vec<usize> = train.iter().map(|(_, class)| *class).collect();
    present.sort_unstable();
    present.dedup();
    let scores: Vec<Vec<f64>> = match present.len() {
        0 => {
            present = (0..classes).collect();
            vec![vec![0.0; classes]; test.len()]
        }
        1 => vec![vec![0.0]; test.len()],
        count => {
            let vectorizer = Vectorizer::fit(train.iter().map(|(text, _)| text.as_ref()));
            let rows: Vec<SparseRow> =
                train.iter().map(|(text, _)| vectorizer.transform(text.as_ref())).collect();
            let truths: Vec<usize> =
                train.iter().map(|(_, class)| present.partition_point(|other| other < class)).collect();
            let model =
                fit(&Training { rows: &rows, truths: &truths, classes: count, words: vectorizer.words() });
            test.iter().map(|text| scores(&model, &vectorizer.transform(text.as_ref()))).collect()
        }
    };
    let prediction = |scores: Vec<f64>| {
        let mut probabilities = vec![0.0; classes];
        for (class, probability) in present.iter().zip(softmax(scores)) {
            probabilities[*class] = probability;
        }
        Prediction { probabilities }
    };
    scores.into_iter().map(prediction).collect()
}
