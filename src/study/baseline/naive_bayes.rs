//! Multinomial naive Bayes: a class's score is `ln P(class) + Σ weight of w · ln P(w | class)`, where a
//! word's probability is its share in the summed vectors of the class, with 1 added to each word's sum.

use super::Training;
use super::tf_idf::SparseRow;

/// What is known of each class that has training rows.
pub(super) struct NaiveBayes {
    /// `ln P(class)`
    priors: Vec<f64>,
    /// `ln P(word | class)`, `[class][word]`
    likelihoods: Vec<Vec<f64>>,
}

pub(super) fn fit(training: &Training<'_>) -> NaiveBayes {
    let mut rows_of = vec![0_u64; training.classes];
    let mut sums = vec![vec![1.0; training.words]; training.classes];
    for (row, class) in training.rows.iter().zip(training.truths) {
        rows_of[*class] += 1;
        row.iter().for_each(|(word, weight)| sums[*class][*word] += weight);
    }
    for class in &mut sums {
        let total = class.iter().sum::<f64>().ln();
        class.iter_mut().for_each(|sum| *sum = sum.ln() - total);
    }
    let priors = rows_of.iter().map(|rows| (*rows as f64 / training.rows.len() as f64).ln()).collect();
    NaiveBayes { priors, likelihoods: sums }
}

impl NaiveBayes {
    /// A score for each class.
    pub(super) fn scores(&self, row: &SparseRow) -> Vec<f64> {
        let score = |(prior, words): (&f64, &Vec<f64>)| {
            prior + row.iter().map(|(word, weight)| weight * words[*word]).sum::<f64>()
        };
        self.priors.iter().zip(&self.likelihoods).map(score).collect()
    }
}
