//! Refinement of a list by what a model says of unlabelled rows.

use ndarray::{Array2, Axis};

/// What is left of a class's words, and why the others are not.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// Kept, with its prior: its mean probability over the rows.
    Kept(f64),
    /// The model hardly says it: its prior is among the lowest.
    Rare,
    /// Its probabilities over the rows are no more like those of its own class's first word than like those
    /// of others.
    Irrelevant,
}

/// Frequency and relevance refinement of all classes' words together (Hu et al. 2022).
///
/// `said` is `[rows, words]`, each word's probability at the rows' masks; `class_of` has the class of each
/// word, a class's words one behind another, its first the one it is known by. A word's prior is its mean
/// probability. Of all words the share `keep` with the largest priors is kept, and each class's first word.
/// With `q_v` a word's probabilities over the rows and `r(v,y)` its cosine with class y's first word, a word
/// is relevant where `r(v, own) · (C-1) / Σ_{other classes} r(v,y) ≥ 1`.
///
/// ```
/// use cloze::study::knowledge::refine::{Fate, refine};
/// use ndarray::array;
/// // Words of class 0: a, b, c; of class 1: d, e. Over two rows:
/// let said = array![[0.4, 0.2, 0.1, 0.1, 0.001], [0.1, 0.05, 0.3, 0.4, 0.002]];
/// // By hand: b is a's half, so its cosine with a is 1 and with d less; c's is .87 with d and .56 with a; e is rarest.
/// let found = refine(&said, &[0, 0, 0, 1, 1], 0.8, true);
/// assert_eq!(found, [Fate::Kept(0.25), Fate::Kept(0.125), Fate::Irrelevant, Fate::Kept(0.25), Fate::Rare]);
/// assert_eq!(refine(&said, &[0, 0, 0, 1, 1], 1.0, false)[2], Fate::Kept(0.2));
/// ```
pub fn refine(said: &Array2<f64>, class_of: &[usize], keep: f64, relevance: bool) -> Vec<Fate> {
    let priors: Vec<f64> = said.axis_iter(Axis(1)).map(|word| word.mean().unwrap_or(0.0)).collect();
    let mut order: Vec<usize> = (0..priors.len()).collect();
    order.sort_by(|&one, &other| priors[other].total_cmp(&priors[one]));
    let frequent = &order[..((priors.len() as f64 * keep).round() as usize).min(priors.len())];
    let classes = class_of.iter().max().map_or(0, |last| last + 1);
    let first = |class: usize| class_of.iter().position(|own| *own == class).unwrap_or(0);
    let cosine = |one: usize, other: usize| {
        let (one, other) = (said.column(one), said.column(other));
        one.dot(&other) / (one.dot(&one) * other.dot(&other)).sqrt().max(f64::MIN_POSITIVE)
    };
    let is_relevant = |word: usize| {
        let own = class_of[word];
        let others: f64 =
            (0..classes).filter(|class| *class != own).map(|class| cosine(word, first(class))).sum();
        cosine(word, first(own)) * (classes - 1) as f64 >= others
    };
    let fate = |word: usize| {
        let is_first = first(class_of[word]) == word;
        match () {
            () if !is_first && !frequent.contains(&word) => Fate::Rare,
            () if !is_first && relevance && !is_relevant(word) => Fate::Irrelevant,
            () => Fate::Kept(priors[word]),
        }
    };
    (0..priors.len()).map(fate).collect()
}
