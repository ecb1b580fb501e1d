//! Integrals as weighted sums.

/// Gauss's places between 0 and 1 with their weights: the zeros of Legendre's polynomial, found by Newton's
/// method. With n of them the integral of a polynomial of degree 2n - 1 is exact.
///
/// ```
/// use cloze::numbers::quadrature::gauss_legendre;
/// // numpy.polynomial.legendre.leggauss(3), from -1..1 to 0..1.
/// let wanted = [(0.112_701_665_379_258_3, 5.0 / 18.0), (0.5, 8.0 / 18.0), (0.887_298_334_620_741_7, 5.0 / 18.0)];
/// for ((place, weight), (wanted, share)) in gauss_legendre(3).into_iter().zip(wanted) {
///     assert!((place - wanted).abs() < 1e-14 && (weight - share).abs() < 1e-14);
/// }
/// // The integral of x^7 from 0 to 1 is 1/8.
/// let integral: f64 = gauss_legendre(4).iter().map(|(place, weight)| weight * place.powi(7)).sum();
/// assert!((integral - 0.125).abs() < 1e-14);
/// ```
pub fn gauss_legendre(count: usize) -> Vec<(f64, f64)> {
    let n = count as f64;
    let place = |index: usize| {
        let mut x = (std::f64::consts::PI * (index as f64 + 0.75) / (n + 0.5)).cos();
        let mut slope = 1.0;
        // A handful of turns do; more would move it between two neighbours.
        for _ in 0..100 {
            let (mut value, mut before) = (1.0, 0.0);
            for degree in 1..=count {
                let k = degree as f64;
                (value, before) = (((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k, value);
            }
            slope = n * (x * value - before) / (x * x - 1.0);
            let step = value / slope;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        ((1.0 - x) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..count).map(place).collect()
}
