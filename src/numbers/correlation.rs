//! How two lists of numbers go together.

/// Pairs of numbers, with the order of each side: made once, so that many weightings of the pairs are measured
/// fast.
#[derive(Debug, Clone)]
pub struct Pairs {
    sides: [Side; 2],
}

#[derive(Debug, Clone)]
struct Side {
    values: Vec<f64>,
    /// Places from the lowest value to the highest.
    ascending: Vec<usize>,
}

impl Pairs {
    /// Of two lists of finite numbers, both as long.
    pub fn new(first: Vec<f64>, second: Vec<f64>) -> Pairs {
        let side = |values: Vec<f64>| {
            let mut ascending: Vec<usize> = (0..values.len()).collect();
            ascending.sort_by(|one, other| values[*one].total_cmp(&values[*other]));
            Side { values, ascending }
        };
        Pairs { sides: [side(first), side(second)] }
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.sides[0].values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Both lists.
    pub fn values(&self) -> [&[f64]; 2] {
        [&self.sides[0].values, &self.sides[1].values]
    }

    /// Pearson's correlation of the pairs, each as often as its weight says; none where one side is the same
    /// everywhere.
    ///
    /// ```
    /// use cloze::numbers::correlation::Pairs;
    /// let pairs = Pairs::new(vec![1.0, 2.0, 3.0], vec![1.0, 3.0, 2.0]);
    /// // By hand: deviations -1 0 1 and -1 1 0, so 1 / √(2 · 2).
    /// assert!((pairs.pearson(&[1.0; 3]).unwrap() - 0.5).abs() < 1e-12);
    /// assert_eq!(pairs.pearson(&[2.0, 0.0, 0.0]), None);
    /// ```
    pub fn pearson(&self, weights: &[f64]) -> Option<f64> {
        let [first, second] = &self.sides;
        correlation(&first.values, &second.values, weights)
    }

    /// Spearman's: Pearson's of the ranks, equals with their mean rank.
    ///
    /// ```
    /// use cloze::numbers::correlation::Pairs;
    /// // By hand: ranks 1 2.5 2.5 4 and 1 3 2 4, deviations -1.5 0 0 1.5 and -1.5 .5 -.5 1.5: 4.5 / √(4.5 · 5).
    /// let pairs = Pairs::new(vec![1.0, 2.0, 2.0, 9.0], vec![0.1, 0.4, 0.3, 0.5]);
    /// assert!((pairs.spearman(&[1.0; 4]).unwrap() - 0.9_f64.sqrt()).abs() < 1e-12);
    /// ```
    pub fn spearman(&self, weights: &[f64]) -> Option<f64> {
        let [first, second] = self.sides.each_ref().map(|side| side.ranks(weights));
        correlation(&first, &second, weights)
    }

    /// The mean distance of the two.
    pub fn mean_absolute_difference(&self, weights: &[f64]) -> f64 {
        let [first, second] = self.values();
        let pairs = first.iter().zip(second).zip(weights);
        pairs.map(|((one, other), weight)| weight * (one - other).abs()).sum::<f64>()
            / weights.iter().sum::<f64>()
    }
}

impl Side {
    /// The mean rank of each value among all, from 1.
    fn ranks(&self, weights: &[f64]) -> Vec<f64> {
        let mut ranks = vec![0.0; self.values.len()];
        let mut before = 0.0;
        for equals in self.ascending.chunk_by(|one, other| self.values[*one] == self.values[*other]) {
            let count: f64 = equals.iter().map(|&place| weights[place]).sum();
            equals.iter().for_each(|&place| ranks[place] = before + (count + 1.0) / 2.0);
            before += count;
        }
        ranks
    }
}

fn correlation(first: &[f64], second: &[f64], weights: &[f64]) -> Option<f64> {
    let count: f64 = weights.iter().sum();
    let mean = |values: &[f64]| {
        values.iter().zip(weights).map(|(value, weight)| value * weight).sum::<f64>() / count
    };
    let means = [mean(first), mean(second)];
    let (mut together, mut squares) = (0.0, [0.0; 2]);
    for ((one, other), weight) in first.iter().zip(second).zip(weights) {
        let off = [one - means[0], other - means[1]];
        together += weight * off[0] * off[1];
        squares.iter_mut().zip(off).for_each(|(square, off)| *square += weight * off * off);
    }
    // Values that are the same have means that differ from them by rounding alone.
    let varies = |values: &[f64]| {
        let mut counted =
            values.iter().zip(weights).filter(|(_, weight)| **weight > 0.0).map(|(value, _)| value);
        let first = counted.next();
        counted.any(|value| Some(value) != first)
    };
    (varies(first) && varies(second)).then(|| together / (squares[0] * squares[1]).sqrt())
}
