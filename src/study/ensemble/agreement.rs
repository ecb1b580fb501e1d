//! How far the members of an ensemble agree.

use serde::{Deserialize, Serialize};

/// Agreement of M members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// `[M,M]`: the share of rows on which two members predict the same class; the mean over the seeds.
    pub pairwise: Vec<Vec<f64>>,
    /// Fleiss' kappa (1971): agreement beyond chance, 1 if all agree on every row; the mean over the seeds.
    pub fleiss_kappa: f64,
}

impl Agreement {
    /// Of the classes that M members predict for the same rows; none with fewer than two members or without
    /// rows.
    ///
    /// ```
    /// use cloze::study::ensemble::agreement::Agreement;
    /// // Three members, four rows, two classes. By hand: row agreements 1, 1/3, 1/3, 1 (pairs alike of 3), mean 2/3. Votes for class 0:
    /// // 3 + 2 + 1 + 0 = 6 of 12, so chance is 0.5² + 0.5² = 1/2, and kappa (2/3 - 1/2) / (1 - 1/2) = 1/3.
    /// let found = Agreement::of(&[vec![0, 0, 0, 1], vec![0, 0, 1, 1], vec![0, 1, 1, 1]], 2).unwrap();
    /// assert!((found.fleiss_kappa - 1.0 / 3.0).abs() < 1e-12);
    /// assert_eq!(found.pairwise[0], [1.0, 0.75, 0.5]);
    /// ```
    pub fn of(members: &[Vec<usize>], classes: usize) -> Option<Agreement> {
        let rows = members.first()?.len();
        if rows == 0 || members.len() < 2 {
            return None;
        }
        let alike = |one: &[usize], other: &[usize]| {
            one.iter().zip(other).filter(|(one, other)| one == other).count() as f64 / rows as f64
        };
        let pairwise =
            members.iter().map(|one| members.iter().map(|other| alike(one, other)).collect()).collect();
        let raters = members.len() as f64;
        let (mut votes, mut observed) = (vec![0.0; classes], 0.0);
        for row in 0..rows {
            let mut counts = vec![0.0; classes];
            members.iter().for_each(|member| counts[member[row]] += 1.0);
            observed +=
                counts.iter().map(|count| count * (count - 1.0)).sum::<f64>() / (raters * (raters - 1.0));
            votes.iter_mut().zip(&counts).for_each(|(sum, count)| *sum += count);
        }
        let observed = observed / rows as f64;
        let chance: f64 = votes.iter().map(|votes| (votes / (rows as f64 * raters)).powi(2)).sum();
        // Where all members always say one class, nothing is beyond chance, and nothing disagrees.
        let fleiss_kappa = if chance < 1.0 { (observed - chance) / (1.0 - chance) } else { 1.0 };
        Some(Agreement { pairwise, fleiss_kappa })
    }

    /// The mean over the seeds.
    pub fn mean(seeds: &[Agreement]) -> Option<Agreement> {
        let first = seeds.first()?;
        let count = seeds.len() as f64;
        let members = first.pairwise.len();
        let pair = |one: usize, other: usize| {
            seeds.iter().map(|seed| seed.pairwise[one][other]).sum::<f64>() / count
        };
        Some(Agreement {
            pairwise: (0..members).map(|one| (0..members).map(|other| pair(one, other)).collect()).collect(),
            fleiss_kappa: seeds.iter().map(|seed| seed.fleiss_kappa).sum::<f64>() / count,
        })
    }
}
