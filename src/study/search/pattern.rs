//! Patterns: how much they tell, and new ones that the model writes itself.

use rand::Rng as _;
use tch::{Kind as Type, no_grad};

use crate::error::Result;
use crate::learn::sample;
use crate::model::batch::small_batches;
use crate::model::features::Features;
use crate::model::tokenizer::Tokenizer;
use crate::model::values::values;
use crate::numbers::percentiles_95;
use crate::predict::calibration::Correction;
use crate::predict::encode::encode;
use crate::predict::prompt_model::PromptModel;
use crate::predict::pvp::Pvp;
use crate::predict::report::Prediction;
use crate::seed;
use crate::text::data::Columns;
use crate::text::template::Template;

/// Folds of a cross-validation.
pub const FOLDS: usize = 4;

/// Words that stay at each gap.
const BEAM: usize = 8;

/// Resamples for an interval.
const RESAMPLES: usize = 1000;

/// The mutual information of rows and classes, `H(mean of p) - mean of H(p)` in nats: how much a pattern's
/// answers differ from row to row beyond how unsure each is (Sorensen et al. 2022).
///
/// ```
/// use cloze::predict::report::Prediction;
/// let said = [[1.0, 0.0], [0.5, 0.5]].map(|probabilities| Prediction { probabilities: probabilities.to_vec() });
/// // By hand: H(.75, .25) = .5623, the mean of 0 and ln 2 is .3466.
/// assert!((cloze::study::search::pattern::mutual_information(&said) - 0.2158).abs() < 1e-4);
/// ```
pub fn mutual_information(said: &[Prediction]) -> f64 {
    let entropy = |prediction: &Prediction| -> f64 {
        prediction.probabilities.iter().filter(|share| **share > 0.0).map(|share| -share * share.ln()).sum()
    };
    // Never below 0 but for rounding.
    (entropy(&Prediction::average(said)) - said.iter().map(entropy).sum::<f64>() / said.len() as f64).max(0.0)
}

/// The 95 % percentile intervals over rows, by bootstrap, of each pattern's mutual information and of the
/// first's less each other's. All are resampled alike.
pub fn intervals(by_pattern: &[Vec<Prediction>], first: usize, seed: u64) -> Vec<([f64; 2], [f64; 2])> {
    let rows = by_pattern[first].len();
    let mut random = seed::generator(seed, "information");
    let mut resampled: Vec<Vec<f64>> = vec![Vec::with_capacity(RESAMPLES); by_pattern.len()];
    for _ in 0..RESAMPLES {
        let drawn: Vec<usize> = (0..rows).map(|_| random.gen_range(0..rows)).collect();
        for (found, said) in resampled.iter_mut().zip(by_pattern) {
            found.push(mutual_information(&drawn.iter().map(|&row| said[row].clone()).collect::<Vec<_>>()));
        }
    }
    let less = |own: &[f64]| resampled[first].iter().zip(own).map(|(one, other)| one - other).collect();
    resampled.iter().map(|own| (percentiles_95(own.clone()), percentiles_95(less(own)))).collect()
}

/// What a pattern says of labelled rows in a cross-validation: each fold's rows are corrected as the other
/// folds ask for, so that their mean is how often each class is among them ([`Correction::to_prior`]).
pub fn cross_validated(said: &[Prediction], truths: &[usize], classes: usize, seed: u64) -> Vec<Prediction> {
    let mut corrected = said.to_vec();
    for fold in sample::folds(truths, FOLDS, seed) {
        let others: Vec<usize> = (0..said.len()).filter(|row| !fold.contains(row)).collect();
        let share = |class: usize| {
            others.iter().filter(|&&row| truths[row] == class).count() as f64 / others.len() as f64
        };
        let prior: Vec<f64> = (0..classes).map(share).collect();
        // A class that no other fold has says nothing of its bias.
        if prior.contains(&0.0) {
            continue;
        }
        let rows: Vec<Prediction> = others.iter().map(|&row| said[row].clone()).collect();
        let correction = Correction::to_prior(&rows, &prior);
        fold.into_iter().for_each(|row| corrected[row] = correction.apply(&said[row]));
    }
    corrected
}

/// What would have been said had the candidate been chosen by the other folds each time: the accuracy of
/// choosing, not of the choice. `held_out` is what each says of every row, found without the row's fold;
/// `without` gives what each says of the rows outside of a fold, where that fold had no part in it.
pub fn of_chosen(
    held_out: &[Vec<Prediction>],
    truths: &[usize],
    seed: u64,
    without: impl Fn(&[usize]) -> Vec<Vec<Prediction>>,
) -> Vec<Prediction> {
    let by_pattern = held_out;
    let mut said = by_pattern[0].clone();
    for fold in sample::folds(truths, FOLDS, seed) {
        let others: Vec<usize> = (0..truths.len()).filter(|row| !fold.contains(row)).collect();
        let by_others = without(&others);
        let right = |own: &[Prediction]| {
            own.iter().zip(&others).filter(|(said, row)| said.class() == truths[**row]).count()
        };
        let best = (0..by_pattern.len())
            .reduce(|best, next| if right(&by_others[next]) > right(&by_others[best]) { next } else { best });
        fold.into_iter().for_each(|row| said[row] = by_pattern[best.unwrap_or(0)][row].clone());
    }
    said
}

/// Where the gaps are: the pattern round the blank, and so many gaps before the answer in it.
fn skeletons(fields: &str) -> Vec<(String, usize)> {
    let around = [format!("{fields} {{mask}}."), format!("{{mask}}. {fields}")];
    around.into_iter().flat_map(|pattern| [2, 3].map(|gaps| (pattern.clone(), gaps))).collect()
}

/// A pattern that was written, and the mean log probability of its words.
pub struct Written {
    /// The pattern.
    pub pattern: String,
    /// The mean over rows and words of the logarithm of a word's probability.
    pub score: f64,
}

/// A model with labelled rows, to write patterns for.
pub struct Writer<'a> {
    /// The model.
    pub model: &'a PromptModel,
    /// Its tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The longest input, in tokens.
    pub max_length: usize,
}

impl Writer<'_> {
    /// Patterns of the columns in `fields` (`{title} {body}`) whose words the model itself finds likeliest:
    /// each gap is a mask that it fills, the answer's place holds the row's label word, and the words are
    /// those that are likely over all rows together (as Gao et al. 2021 do with a second model). Beam search
    /// from left to right; the best `count`, the best first.
    ///
    /// `columns` are the rows'; `words` are their label words.
    pub fn write(
        &self,
        fields: &str,
        columns: &Columns,
        rows: &[crate::text::data::Example],
        words: &[i64],
        count: usize,
    ) -> Result<Vec<Written>> {
        let mut found = Vec::new();
        for (pattern, gaps) in skeletons(fields) {
            let task = Pvp::plain(Template::from_pattern(&pattern)?)?.with_room(gaps).on(columns)?;
            let inputs: Vec<Features> = rows
                .iter()
                .map(|row| encode(&task.wrap(row), self.tokenizer, self.max_length))
                .collect::<Result<_>>()?;
            let mut beam: Vec<(f64, Vec<i64>)> = vec![(0.0, Vec::new())];
            for gap in 0..gaps {
                let mut extended = Vec::new();
                for (score, filled) in &beam {
                    let means = self.mean_log_probabilities(&inputs, words, filled, gaps);
                    extended.extend(
                        means
                            .into_iter()
                            .map(|(id, mean)| (score + mean, [filled.as_slice(), &[id]].concat())),
                    );
                }
                extended.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
                extended.truncate(BEAM);
                beam = extended;
                debug_assert!(beam.iter().all(|(_, filled)| filled.len() == gap + 1));
            }
            for (score, filled) in beam {
                let said = filled.iter().map(|id| self.tokenizer.written(*id)).collect::<Vec<_>>().join(" ");
                let pattern = pattern.replace("{mask}", &format!("{said} {{mask}}"));
                found.push(Written { pattern, score: score / gaps as f64 });
            }
        }
        found.sort_by(|one, other| other.score.total_cmp(&one.score).then(one.pattern.cmp(&other.pattern)));
        found.truncate(count);
        Ok(found)
    }

    /// The likeliest words of the next gap, by their mean log probability over the rows.
    fn mean_log_probabilities(
        &self,
        inputs: &[Features],
        words: &[i64],
        filled: &[i64],
        gaps: usize,
    ) -> Vec<(i64, f64)> {
        let mask = self.tokenizer.special().mask;
        let blank = |word: i64| [filled, &vec![mask; gaps - filled.len()], &[word]].concat();
        let asked: Vec<Features> = inputs
            .iter()
            .zip(words)
            .map(|(input, word)| input.with_blank(&blank(*word)).read_at(filled.len()))
            .collect();
        let sum = no_grad(|| {
            let of_batch = |inputs: Vec<&Features>| {
                let said = self.model.vocabulary_logits(&inputs).log_softmax(-1, Type::Double);
                said.sum_dim_intlist([0].as_slice(), false, Type::Double)
            };
            small_batches(&asked).map(of_batch).reduce(|sum, next| sum + next)
        });
        // Without rows there is no sum.
        let sum: Vec<f64> = sum.as_ref().map(values).unwrap_or_default();
        let mut means: Vec<(i64, f64)> =
            (0..).zip(sum).map(|(id, sum)| (id, sum / inputs.len() as f64)).collect();
        means.retain(|(id, _)| self.tokenizer.is_word(*id) && !words.contains(id));
        means.sort_by(|one, other| other.1.total_cmp(&one.1));
        means.truncate(BEAM);
        means
    }
}
