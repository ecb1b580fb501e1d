//! Ridge regression (Hoerl & Kennard 1970): numbers from vectors, with a squared penalty on the weights and none
//! on the intercept, as scikit-learn's `Ridge`.

use tch::{Kind as Type, Tensor};

/// The penalties that are tried.
const ALPHAS: [f64; 9] = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e4];
/// Parts of a cross-validation.
const PARTS: usize = 5;

/// What a ridge regression says.
#[derive(Debug, Clone, PartialEq)]
pub struct Ridge {
    /// In the order of the vectors to predict for.
    pub numbers: Vec<f64>,
    /// The penalty that was chosen; none where there was nothing to choose by.
    pub alpha: Option<f64>,
}

/// Learns from vectors `[D]` with their numbers, and says one for each of others. The penalty is chosen among
/// the powers of ten from 10⁻⁴ to 10⁴ by cross-validation on the training rows: the least mean square error on
/// five parts, to which rows are dealt out in turn. With fewer rows than parts it is 1; of none it says 0.
///
/// ```
/// use cloze::study::baseline::ridge;
/// let row = |at: i32| (vec![at as f32, 1.0], 2.0 * f64::from(at) + 1.0);
/// let train: Vec<(Vec<f32>, f64)> = (0..10).map(row).collect();
/// let found = ridge(&train, &[vec![20.0, 1.0]]);
/// assert!((found.numbers[0] - 41.0).abs() < 1e-3 && found.alpha == Some(1e-4));
/// ```
pub fn ridge(train: &[(Vec<f32>, f64)], test: &[Vec<f32>]) -> Ridge {
    let (rows, numbers): (Vec<&[f32]>, Vec<f64>) =
        train.iter().map(|(vector, number)| (vector.as_slice(), *number)).unzip();
    let test: Vec<&[f32]> = test.iter().map(Vec::as_slice).collect();
    if rows.is_empty() {
        return Ridge { numbers: vec![0.0; test.len()], alpha: None };
    }
    let alpha = (rows.len() >= PARTS).then(|| best_alpha(&rows, &numbers));
    Ridge { numbers: said(&rows, &numbers, &test, &[alpha.unwrap_or(1.0)]).remove(0), alpha }
}

/// The penalty with the least mean square error on the parts; the first of equals.
fn best_alpha(rows: &[&[f32]], numbers: &[f64]) -> f64 {
    let mut errors = [0.0; ALPHAS.len()];
    for part in 0..PARTS {
        let (mut kept, mut truths, mut out, mut wanted) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (row, (vector, number)) in rows.iter().zip(numbers).enumerate() {
            if row % PARTS == part {
                out.push(*vector);
                wanted.push(*number);
            } else {
                kept.push(*vector);
                truths.push(*number);
            }
        }
        for (error, said) in errors.iter_mut().zip(said(&kept, &truths, &out, &ALPHAS)) {
            *error += said.iter().zip(&wanted).map(|(said, wanted)| (said - wanted).powi(2)).sum::<f64>();
        }
    }
    let best = (0..ALPHAS.len()).reduce(|best, next| if errors[next] < errors[best] { next } else { best });
    ALPHAS[best.unwrap_or(0)]
}

/// What regressions with these penalties say of test rows, a list for each.
fn said(rows: &[&[f32]], numbers: &[f64], test: &[&[f32]], alphas: &[f64]) -> Vec<Vec<f64>> {
    let width = rows.first().map_or(0, |row| row.len()) as i64;
    let table = |rows: &[&[f32]]| Tensor::from_slice(&rows.concat()).to_kind(Type::Double).view([-1, width]);
    let (x, y) = (table(rows), Tensor::from_slice(numbers).unsqueeze(1));
    let (middle, mean) = (x.mean_dim([0].as_slice(), true, Type::Double), y.mean(Type::Double));
    let (x, y) = (x - &middle, y - &mean);
    let test = table(test) - middle;
    // With few rows by rows, with many by numbers: α makes both regular.
    let by_rows = (rows.len() as i64) < width;
    let products = if by_rows { x.matmul(&x.transpose(0, 1)) } else { x.transpose(0, 1).matmul(&x) };
    let one = Tensor::eye(products.size()[0], (Type::Double, products.device()));
    let of_alpha = |alpha: &f64| {
        let factor = (&products + &one * *alpha).linalg_cholesky(false);
        let weights = match by_rows {
            true => x.transpose(0, 1).matmul(&y.cholesky_solve(&factor, false)),
            false => x.transpose(0, 1).matmul(&y).cholesky_solve(&factor, false),
        };
        let found = test.matmul(&weights).squeeze_dim(1) + &mean;
        Vec::try_from(found).unwrap_or_else(|error| unreachable!("a list of numbers: {error}"))
    };
    alphas.iter().map(of_alpha).collect()
}
