//! Logistic regression: `Σ -ln softmax(x·W + b)[truth] + penalty / 2 · |W|²` over the training rows,
//! minimised over W and b by L-BFGS (Liu & Nocedal 1989).

use super::design::Design;
use crate::numbers::lbfgs::{Smooth, minimise};
use crate::numbers::softmax::{log_sum_exp, softmax};

/// The mean loss's gradient at which the weights are good, as its length: a thousandth of scikit-learn's
/// `tol`. Much less is below the loss's rounding errors from 20,000 rows on, and the line search would go
/// astray in them.
const TOLERANCE: f64 = 1e-7;
/// The same where values of C are tried: scikit-learn's own.
const TOLERANCE_OF_TRIALS: f64 = 1e-4;
/// The values of C that are tried, from the smallest on: between the ends that scikit-learn has.
const TRIED: [f64; 9] = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e4];
/// Where nothing can be tried.
const USUAL: f64 = 1.0;
/// Parts of a cross-validation.
const FOLDS: usize = 5;
/// So many rows tell which C is good; more take minutes.
const ROWS_OF_TRIALS: usize = 2000;

/// Rows with their truths.
pub(super) struct Training<'a, D> {
    pub rows: &'a D,
    /// Each row's class, counted among the classes that have rows.
    pub truths: &'a [usize],
    /// The number of classes that have rows, at least two.
    pub classes: usize,
}

/// The weights: for each number of a row one for each class, and last the intercepts, `[D+1,C]`.
pub(super) struct Logistic {
    weights: Vec<f64>,
    classes: usize,
}

impl Logistic {
    /// A score for each class, row by row.
    pub(super) fn scores(&self, rows: &impl Design) -> Vec<Vec<f64>> {
        scores(&self.weights, self.classes, rows).chunks(self.classes).map(<[f64]>::to_vec).collect()
    }
}

/// The weights where one over the penalty is `c`.
pub(super) fn fit<D: Design>(training: &Training<'_, D>, c: f64) -> Logistic {
    let start = vec![0.0; (training.rows.width() + 1) * training.classes];
    let weights = minimise(&Loss { training, c }, start, TOLERANCE * training.rows.rows() as f64);
    Logistic { weights, classes: training.classes }
}

/// The C of the least mean loss on rows that were held out, in five parts or in as many as the rarest class
/// has rows; the smallest of equals. Each class's rows are dealt out to the parts in turn. Of many rows the
/// first of each class are looked at.
pub(super) fn best_c<D: Design>(training: &Training<'_, D>) -> f64 {
    let mut of_class = vec![Vec::new(); training.classes];
    training.truths.iter().enumerate().for_each(|(row, class)| of_class[*class].push(row));
    let most = ROWS_OF_TRIALS.div_ceil(training.classes);
    of_class.iter_mut().for_each(|rows| rows.truncate(most));
    let folds = of_class.iter().map(Vec::len).min().unwrap_or(0).min(FOLDS);
    if folds < 2 {
        return USUAL;
    }
    let mut losses = [0.0; TRIED.len()];
    for fold in 0..folds {
        let is_held_out = |place: usize| place % folds == fold;
        let part = |held_out: bool| -> Vec<usize> {
            let of_part = |rows: &Vec<usize>| {
                let rows = rows.iter().enumerate().filter(|(place, _)| is_held_out(*place) == held_out);
                rows.map(|(_, row)| *row).collect::<Vec<_>>()
            };
            of_class.iter().flat_map(of_part).collect()
        };
        let with_truths = |rows: &[usize]| {
            (training.rows.pick(rows), rows.iter().map(|row| training.truths[*row]).collect::<Vec<_>>())
        };
        let [(learned, truths), (held_out, wanted)] =
            [false, true].map(|part_of| with_truths(&part(part_of)));
        let training = Training { rows: &learned, truths: &truths, classes: training.classes };
        let mut weights = vec![0.0; (learned.width() + 1) * training.classes];
        for (loss, c) in losses.iter_mut().zip(TRIED) {
            let tolerance = TOLERANCE_OF_TRIALS * truths.len() as f64;
            // From where the smaller one ended.
            weights = minimise(&Loss { training: &training, c }, weights, tolerance);
            *loss += mean_loss(&scores(&weights, training.classes, &held_out), &wanted, training.classes);
        }
    }
    let best = (0..TRIED.len()).reduce(|best, next| if losses[next] < losses[best] { next } else { best });
    best.map_or(USUAL, |best| TRIED[best])
}

fn mean_loss(scores: &[f64], truths: &[usize], classes: usize) -> f64 {
    let of_row = |(scores, truth): (&[f64], &usize)| log_sum_exp(scores.iter().copied()) - scores[*truth];
    scores.chunks(classes).zip(truths).map(of_row).sum::<f64>() / truths.len() as f64
}

/// The loss, over the training rows.
struct Loss<'a, D> {
    training: &'a Training<'a, D>,
    c: f64,
}

impl<D: Design> Loss<'_, D> {
    /// 1/C, but twice that for two classes: scikit-learn gives those one vector v of weights, which is the
    /// difference of our two. Ours come out as v/2 and -v/2, with half the square of v.
    fn penalty(&self) -> f64 {
        if self.training.classes == 2 { 2.0 / self.c } else { 1.0 / self.c }
    }

    /// All weights but the intercepts.
    fn penalised<'w>(&self, weights: &'w [f64]) -> &'w [f64] {
        &weights[..self.training.rows.width() * self.training.classes]
    }
}

impl<D: Design> Smooth for Loss<'_, D> {
    fn value(&self, weights: &[f64]) -> f64 {
        let Training { rows, truths, classes } = *self.training;
        let squares: f64 = self.penalised(weights).iter().map(|weight| weight * weight).sum();
        let loss = mean_loss(&scores(weights, classes, rows), truths, classes) * truths.len() as f64;
        loss + self.penalty() / 2.0 * squares
    }

    fn gradient(&self, weights: &[f64]) -> Vec<f64> {
        let Training { rows, truths, classes } = *self.training;
        let mut intercepts = vec![0.0; classes];
        let mut excess = Vec::with_capacity(truths.len() * classes);
        for (scores, truth) in scores(weights, classes, rows).chunks(classes).zip(truths) {
            let mut of_row = softmax(scores.to_vec());
            of_row[*truth] -= 1.0;
            intercepts.iter_mut().zip(&of_row).for_each(|(sum, excess)| *sum += excess);
            excess.extend(of_row);
        }
        let mut gradient = rows.back(&excess, classes);
        let penalised = gradient.iter_mut().zip(self.penalised(weights));
        penalised.for_each(|(sum, weight)| *sum += self.penalty() * weight);
        gradient.extend(intercepts);
        gradient
    }
}

/// `X·W + b`, `[N,C]`
fn scores(weights: &[f64], classes: usize, rows: &impl Design) -> Vec<f64> {
    let (weights, intercepts) = weights.split_at(weights.len() - classes);
    let mut scores = rows.times(weights, classes);
    for row in scores.chunks_mut(classes) {
        row.iter_mut().zip(intercepts).for_each(|(score, intercept)| *score += intercept);
    }
    scores
}
