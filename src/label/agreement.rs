//! What several labellers agree on.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::project::Kept;
use crate::numbers::kappa::{cohen_kappa, fleiss_kappa};

/// What two labellers said of the rows that both gave a label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairOfLabellers {
    /// Their names.
    pub names: [String; 2],
    /// The rows that both gave a label.
    pub rows: u64,
    /// Those to which they gave the same.
    pub agreed: u64,
    /// Cohen's κ; none where both gave one and the same label to all rows, or there are none.
    pub kappa: Option<f64>,
}

/// A row of which not all say the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disputed {
    /// Its place in the order.
    pub place: u32,
    /// What each said who gave it a label.
    pub answers: Vec<Kept>,
}

/// What all labellers said of the rows that each of them gave a label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AllLabellers {
    /// How many they are: three or more.
    pub labellers: usize,
    /// The rows that all of them gave a label.
    pub rows: u64,
    /// Fleiss' κ; none where all gave one and the same label to all rows.
    pub kappa: Option<f64>,
}

/// What labellers agree on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// All of them together, where there are three or more and they have rows in common.
    pub all: Option<AllLabellers>,
    /// Each two of them.
    pub pairs: Vec<PairOfLabellers>,
    /// The rows of which they do not say the same.
    pub disputed: Vec<Disputed>,
}

/// Compares each two labellers on the rows that both gave a label, and three or more on those that all did;
/// skipped rows say nothing.
pub fn agreement(answers: &BTreeMap<u32, Vec<Kept>>, labels: &[String]) -> Agreement {
    let class = |kept: &Kept| labels.iter().position(|label| Some(label) == kept.label.as_ref());
    let mut pairs: BTreeMap<[String; 2], Vec<(usize, usize)>> = BTreeMap::new();
    let mut disputed = Vec::new();
    let names: BTreeSet<&str> = answers
        .values()
        .flatten()
        .filter(|kept| kept.label.is_some())
        .map(|kept| kept.labeller.as_str())
        .collect();
    let mut of_all = Vec::new();
    for (place, answers) in answers {
        let mut given: Vec<(&Kept, usize)> =
            answers.iter().filter_map(|kept| Some((kept, class(kept)?))).collect();
        given.sort_by(|one, other| one.0.labeller.cmp(&other.0.labeller));
        if given.len() == names.len() {
            let mut counts = vec![0; labels.len()];
            given.iter().for_each(|(_, class)| counts[*class] += 1);
            of_all.push(counts);
        }
        for (index, (one, class)) in given.iter().enumerate() {
            for (other, its) in &given[index + 1..] {
                let names = [one.labeller.clone(), other.labeller.clone()];
                pairs.entry(names).or_default().push((*class, *its));
            }
        }
        if given.windows(2).any(|two| two[0].1 != two[1].1) {
            let answers = given.iter().map(|(kept, _)| (*kept).clone()).collect();
            disputed.push(Disputed { place: *place, answers });
        }
    }
    let pair = |(names, classes): ([String; 2], Vec<(usize, usize)>)| PairOfLabellers {
        names,
        rows: classes.len() as u64,
        agreed: classes.iter().filter(|(one, other)| one == other).count() as u64,
        kappa: cohen_kappa(&classes),
    };
    let all = (names.len() > 2 && !of_all.is_empty()).then(|| AllLabellers {
        labellers: names.len(),
        rows: of_all.len() as u64,
        kappa: fleiss_kappa(&of_all),
    });
    Agreement { all, pairs: pairs.into_iter().map(pair).collect(), disputed }
}
