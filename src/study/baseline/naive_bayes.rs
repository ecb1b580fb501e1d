//! Multinomial naive Bayes: a class's score is `ln P(class) + Σ weight of w · ln P(w | class)`, where a
//! word's probability is its share in the summed vectors of the class, with 1 added to each word's sum.

use super::design::Sparse;
use super::logistic::Training;
use super::tf_idf::SparseRow;

/// What is known of each class that has training rows.
pub(super) struct NaiveBayes {
    /// `ln P(class)`
    priors: Vec<f64>,
    /// `ln P(word | class)`, `[class][word]`
    likelihoods: Vec<Vec<f64>>,
}

pub(super) fn fit(training: &Training<'_, Sparse>) -> NaiveBayes {
    let mut rows_of = vec![0_u64; training.classes];
    let mut sums = vec![vec![1.0; training.rows.width]; training.classes];
    for (row, class) in training.rows.rows.iter().zip(training.truths) {
        rows_of[*class] += 1;
        row.iter().for_each(|(word, weight)| sums[*class][*word] += weight);
    }
    for class in &mut sums {
        let total = class.iter().sum::<f64>().ln();
        class.iter_mut().for_each(|sum| *sum = sum.ln() - total);
    }
    let priors = rows_of.iter().map(|rows| (*rows as f64 / training.truths.len() as f64).ln()).collect();
    NaiveBayes { priors, likelihoods: sums }
}

impl NaiveBayes {
    /// A score for each class, row by row.
    pub(super) fn scores(&self, rows: &Sparse) -> Vec<Vec<f64>> {
        let score = |row: &SparseRow, (prior, words): (&f64, &Vec<f64>)| {
            prior + row.iter().map(|(word, weight)| weight * words[*word]).sum::<f64>()
        };
        let of_row = |row| self.priors.iter().zip(&self.likelihoods).map(|class| score(row, class)).collect();
        rows.rows.iter().map(of_row).collect()
    }
}
