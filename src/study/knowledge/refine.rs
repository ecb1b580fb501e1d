//! Refinement of a list by what a model says of unlabelled rows.

use ndarray::{Array1, Array2, Axis};

/// What a model says of words at the masks of rows.
#[derive(Debug, Clone)]
pub struct WordsSaid {
    /// The words' logits, `[rows, words]`, for each pattern, and each model where there are several.
    pub logits: Vec<Array2<f64>>,
    /// Each word's prior in each pattern, `[patterns, words]`: its mean probability over the rows.
    pub priors: Array2<f64>,
    /// For each word how many of the vocabulary have a lower prior, in the mean over the patterns.
    pub ranks: Vec<usize>,
    /// So many words the vocabulary has.
    pub vocabulary: usize,
}

/// What is left of a class's words, and why the others are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Kept.
    Kept,
    /// The model hardly says it: its prior is among the lowest of the vocabulary.
    Rare,
    /// Its logits over the rows go no more with those of its own class's first word than with those of
    /// others.
    Irrelevant,
}

/// Frequency and relevance refinement of all classes' words together (Hu et al. 2022).
///
/// `class_of` has the class of each word, a class's words one behind another, its first the one it is known
/// by, which is always kept. A word is rare that is not within the share `keep` of the vocabulary with the
/// largest priors; as in OpenPrompt `⌊(1 - keep) · V⌋` are without. With `q_v` a word's logits over the rows
/// less their mean, as the authors' program takes it, and `r(v,y)` its cosine with class y's first word, a word
/// is relevant where `r(v, own) > 0` and `r(v, own) · (C-1) / Σ_{other classes} r(v,y) ≥ 1`.
///
/// ```
/// use cloze::study::knowledge::refine::{Fate, WordsSaid, refine};
/// use ndarray::array;
/// // Words of class 0: a, b, c; of class 1: d, e. Over three rows:
/// let logits = array![[3.0, 5.0, 8.0, 1.0, 9.0], [1.0, 3.0, 9.0, 3.0, 9.5], [2.0, 4.0, 8.5, 2.0, 9.0]];
/// // By hand, less their means: a and b go 1, -1, 0; c and d go down and up instead; e is too rare to be looked at:
/// // 40 of 100 words have lower priors, and half of the vocabulary is kept.
/// let ranks = vec![20, 90, 80, 60, 40];
/// let said = WordsSaid { logits: vec![logits], priors: array![[0.25, 0.1, 0.2, 0.2, 0.01]], ranks, vocabulary: 100 };
/// let found = refine(&said, &[0, 0, 0, 1, 1], 0.5, true);
/// assert_eq!(found, [Fate::Kept, Fate::Kept, Fate::Irrelevant, Fate::Kept, Fate::Rare]);
/// assert_eq!(refine(&said, &[0, 0, 0, 1, 1], 1.0, false), [Fate::Kept; 5]);
/// ```
pub fn refine(said: &WordsSaid, class_of: &[usize], keep: f64, relevance: bool) -> Vec<Fate> {
    // Meant exactly: of 10 words a tenth is 1.
    let rare = ((1.0 - keep) * said.vocabulary as f64 + 1e-9) as usize;
    let classes = class_of.iter().max().map_or(0, |last| last + 1);
    let first = |class: usize| class_of.iter().position(|own| *own == class).unwrap_or(0);
    let centred = centred(&said.logits);
    let cosine = |one: usize, other: usize| {
        let (one, other) = (&centred[one], &centred[other]);
        one.dot(other) / (one.dot(one) * other.dot(other)).sqrt().max(f64::MIN_POSITIVE)
    };
    let is_relevant = |word: usize| {
        let own = class_of[word];
        let others: f64 =
            (0..classes).filter(|class| *class != own).map(|class| cosine(word, first(class))).sum();
        let likeness = cosine(word, first(own));
        likeness > 0.0 && likeness * (classes - 1) as f64 >= others
    };
    let fate = |word: usize| {
        let is_first = first(class_of[word]) == word;
        match () {
            () if !is_first && said.ranks[word] < rare => Fate::Rare,
            () if !is_first && relevance && !is_relevant(word) => Fate::Irrelevant,
            () => Fate::Kept,
        }
    };
    (0..class_of.len()).map(fate).collect()
}

/// For each word its logits over the rows of all patterns, less the mean of each pattern's.
fn centred(logits: &[Array2<f64>]) -> Vec<Array1<f64>> {
    let words = logits.first().map_or(0, Array2::ncols);
    let of_word = |word: usize| {
        let of_pattern = |said: &Array2<f64>| {
            let said = said.index_axis(Axis(1), word);
            let mean = said.mean().unwrap_or(0.0);
            said.iter().map(|logit| logit - mean).collect::<Vec<_>>()
        };
        logits.iter().flat_map(of_pattern).collect()
    };
    (0..words).map(of_word).collect()
}
