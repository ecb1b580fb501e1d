//! Numbers as people read them, on the terminal and on pages: shares in percent with one decimal, counts in
//! groups of three digits.

// procedures on plain numbers
pub mod correlation;
pub mod kappa;
pub mod lbfgs;
pub mod multi_label;
pub mod quadrature;
pub mod softmax;

// counts and sums that are put together
pub(crate) mod counts;
pub mod sum;

use std::time::Duration;

/// A share in percent.
///
/// ```
/// assert_eq!(cloze::numbers::percent(0.7214), "72.1");
/// ```
pub fn percent(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

/// The ends of an interval of shares, kept between 0 and 1: Student's t knows nothing of those.
///
/// ```
/// assert_eq!(cloze::numbers::interval([0.6, 1.02]), "60.0–100.0");
/// ```
pub fn interval(ends: [f64; 2]) -> String {
    let [low, high] = ends.map(|end| percent(end.clamp(0.0, 1.0)));
    format!("{low}–{high}")
}

/// The 95 % percentile interval of what a bootstrap drew; there are draws.
///
/// ```
/// let drawn = (0..=1000).map(f64::from).collect();
/// assert_eq!(cloze::numbers::percentiles_95(drawn), [25.0, 975.0]);
/// ```
pub fn percentiles_95(mut drawn: Vec<f64>) -> [f64; 2] {
    drawn.sort_by(f64::total_cmp);
    [0.025, 0.975].map(|place| drawn[((drawn.len() - 1) as f64 * place).round() as usize])
}

/// The standard normal distribution's quantile at 0.975.
pub(crate) const Z: f64 = 1.959_963_984_540_054;

/// The 95 % score interval of a share (Wilson 1927): it has a width at the edges too, where resampling the
/// rows that were seen shows none. Of no rows it is everything.
///
/// ```
/// use cloze::numbers::wilson;
/// // scipy.stats.binomtest(8, 10).proportion_ci(method="wilson")
/// let [low, high] = wilson(8, 10);
/// assert!((low - 0.490_162_5).abs() < 1e-6 && (high - 0.943_317_8).abs() < 1e-6);
/// assert!((wilson(20, 20)[0] - 0.838_875).abs() < 1e-5 && wilson(20, 20)[1] == 1.0);
/// assert_eq!(wilson(0, 0), [0.0, 1.0]);
/// ```
pub fn wilson(part: u64, whole: u64) -> [f64; 2] {
    wilson_of(part as f64, whole as f64)
}

/// The same of a mean of shares that is as sure as one of so many rows; these need not be a whole number.
///
/// ```
/// use cloze::numbers::{wilson, wilson_of_mean};
/// assert_eq!(wilson_of_mean(0.75, 8.0), wilson(6, 8));
/// ```
pub fn wilson_of_mean(share: f64, rows: f64) -> [f64; 2] {
    wilson_of(share * rows, rows)
}

fn wilson_of(hits: f64, rows: f64) -> [f64; 2] {
    const Z2: f64 = Z * Z;
    let (middle, half) = (hits + Z2 / 2.0, (Z2 * (hits * (rows - hits) / rows.max(1.0) + Z2 / 4.0)).sqrt());
    // The edges themselves without rounding.
    let low = if hits <= 0.0 { 0.0 } else { (middle - half) / (rows + Z2) };
    let high = if hits >= rows { 1.0 } else { (middle + half) / (rows + Z2) };
    [low, high]
}

/// A p-value, no more exact than what it comes from.
///
/// ```
/// assert_eq!(cloze::numbers::p_value(0.0004), "< 0.001");
/// ```
pub fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

/// A count with its groups apart.
///
/// ```
/// assert_eq!(cloze::numbers::count(1_234_567), "1,234,567");
/// ```
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// A count and what is counted.
///
/// ```
/// assert_eq!(cloze::numbers::counted(1, "row"), "1 row");
/// assert_eq!(cloze::numbers::counted(1234, "row"), "1,234 rows");
/// ```
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A time to wait, in whole seconds or larger.
///
/// ```
/// # use std::time::Duration;
/// assert_eq!(cloze::numbers::brief(Duration::from_secs(200)), "3 min 20 s");
/// ```
pub fn brief(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}
