//! The lowest point of a smooth convex function, by L-BFGS (Liu & Nocedal 1989).

use std::cell::RefCell;

use argmin::core::{CostFunction, Error, Executor, Gradient};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;

/// Far more than the hundred steps or so that it takes.
const STEPS: u64 = 1000;
/// Steps that L-BFGS remembers, as in scikit-learn.
const MEMORY: usize = 10;

/// A differentiable function of some numbers.
pub trait Smooth {
    /// Its value at a point.
    fn value(&self, point: &[f64]) -> f64;
    /// Its gradient there.
    fn gradient(&self, point: &[f64]) -> Vec<f64>;
}

/// The point, found from `start`, where the gradient's length is at most the tolerance, or below which no
/// step leads.
pub fn minimise(function: &impl Smooth, start: Vec<f64>, tolerance: f64) -> Vec<f64> {
    let lowest = RefCell::new((f64::INFINITY, start));
    loop {
        let (value, start) = lowest.borrow().clone();
        let watched = Watched { function, lowest: &lowest };
        let done = LBFGS::new(MoreThuenteLineSearch::new(), MEMORY).with_tolerance_grad(tolerance).and_then(
            |solver| {
                Executor::new(watched, solver).configure(|state| state.param(start).max_iters(STEPS)).run()
            },
        );
        // Near the minimum rounding can turn the direction, which the line search takes for an error
        // (argmin-rs/argmin#400). A new start from the lowest point forgets the direction; where that does
        // not help any more, it is the minimum.
        if done.is_ok() || lowest.borrow().0 >= value {
            return lowest.into_inner().1;
        }
    }
}

/// The function, which notes the lowest point that it was asked for.
struct Watched<'a, F> {
    function: &'a F,
    lowest: &'a RefCell<(f64, Vec<f64>)>,
}

impl<F: Smooth> CostFunction for Watched<'_, F> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, point: &Vec<f64>) -> Result<f64, Error> {
        let value = self.function.value(point);
        if value < self.lowest.borrow().0 {
            *self.lowest.borrow_mut() = (value, point.clone());
        }
        Ok(value)
    }
}

impl<F: Smooth> Gradient for Watched<'_, F> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, point: &Vec<f64>) -> Result<Vec<f64>, Error> {
        Ok(self.function.gradient(point))
    }
}
