//! Choosing rows: few for each class, folds, and rows that stand in two sets.
//!
//! Few-shot results vary with the rows that were drawn, so methods are compared on several samples, one for
//! each seed, of K rows a class (Gao et al. 2021, section 3). A sample here depends on the seed and on the
//! rows' identities, and on nothing else: the same rows in another order, or among rows of other classes,
//! give the same sample.

use std::collections::HashSet;

use rand::RngCore;
use rand::seq::SliceRandom;

use crate::seed;
use crate::text::data::{Columns, Example, ID};

/// A labelled row that may be drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What the row is known by: see [`identity`].
    pub identity: String,
    /// Its class, counted from 0.
    pub class: usize,
}

/// The rows drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Indices of the candidates drawn: class by class, and in a class in the order of the draw, so that a
    /// larger K only adds rows to each class.
    pub rows: Vec<usize>,
    /// The classes that had fewer rows than were asked for; all that there were are in `rows`.
    pub short: Vec<Shortage>,
}

/// A class with fewer rows than were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// The class.
    pub class: usize,
    /// The rows found.
    pub found: usize,
}

/// What a row is known by: its field in the column `id`, or without such a column its record number, which is
/// an identity only for as long as the file keeps its order.
pub fn identity(columns: &Columns, example: &Example) -> String {
    columns
        .names()
        .iter()
        .position(|name| name == ID)
        .map_or_else(|| example.record.to_string(), |id| example.fields[id].clone())
}

/// Draws `shots` rows of each of the classes 0 to `classes - 1`.
///
/// Each row has a random key, the first number of the generator named `k-shot` and the row's identity; the
/// smallest keys of a class are taken. Keys that are equal go by identity, and rows of one identity by their
/// place.
///
/// ```
/// use cloze::learn::sample::{Candidate, Shortage, k_shot, k_shot_after};
/// let rows = ["a", "b", "c", "d", "e"].map(|id| Candidate { identity: id.to_owned(), class: usize::from(id == "e") });
/// let train = k_shot(&rows, 2, 2, 0);
/// assert_eq!(train.rows.len(), 3);
/// assert_eq!(train.short, [Shortage { class: 1, found: 1 }]);
/// let dev = k_shot_after(&rows, 2, 2, 2, 0);
/// assert!(dev.rows.iter().all(|row| !train.rows.contains(row)));
/// ```
pub fn k_shot(candidates: &[Candidate], classes: usize, shots: usize, seed: u64) -> Sample {
    k_shot_after(candidates, classes, 0, shots, seed)
}

/// Draws the `shots` rows of each class that come after the `before` rows that [`k_shot`] draws with the same
/// seed: a development set from the same file, with no row of the training set. A shortage counts the rows
/// that were left.
pub fn k_shot_after(
    candidates: &[Candidate],
    classes: usize,
    before: usize,
    shots: usize,
    seed: u64,
) -> Sample {
    let mut of_class: Vec<Vec<(u64, &str, usize)>> = vec![Vec::new(); classes];
    for (index, Candidate { identity, class }) in candidates.iter().enumerate() {
        let key = seed::generator(seed, &format!("k-shot {identity}")).next_u64();
        of_class[*class].push((key, identity, index));
    }
    let mut sample = Sample { rows: Vec::new(), short: Vec::new() };
    for (class, mut rows) in of_class.into_iter().enumerate() {
        rows.sort_unstable();
        let drawn = rows.iter().skip(before).take(shots).map(|(_, _, index)| *index);
        let already = sample.rows.len();
        sample.rows.extend(drawn);
        let found = sample.rows.len() - already;
        if found < shots {
            sample.short.push(Shortage { class, found });
        }
    }
    sample
}

/// Draws rows that have several labels, or none: `shots` of each label, label by label, and `shots` of those
/// without any, among the rows that are not `taken`. A row that a label before it has drawn counts for each
/// of its labels, and is drawn once. What is short is told by the label's number; rows without any have the
/// number behind the last.
///
/// ```
/// use cloze::learn::sample::{Shortage, k_shot_of_sets};
/// let identities = ["a", "b", "c", "d"].map(str::to_owned);
/// let truths = [vec![true, true], vec![true, false], vec![true, false], vec![false, false]];
/// let sample = k_shot_of_sets(&identities, &truths, 1, &[], 0);
/// assert!(sample.rows.contains(&0) && sample.rows.contains(&3) && sample.rows.len() <= 3);
/// assert_eq!(k_shot_of_sets(&identities, &truths, 2, &[], 0).short[0], Shortage { class: 1, found: 1 });
/// ```
pub fn k_shot_of_sets(
    identities: &[String],
    truths: &[Vec<bool>],
    shots: usize,
    taken: &[usize],
    seed: u64,
) -> Sample {
    let labels = truths.first().map_or(0, Vec::len);
    let key = |row: &usize| {
        let identity = identities[*row].as_str();
        (seed::generator(seed, &format!("k-shot {identity}")).next_u64(), identity)
    };
    let taken: HashSet<usize> = taken.iter().copied().collect();
    let mut order: Vec<usize> = (0..truths.len()).filter(|row| !taken.contains(row)).collect();
    order.sort_by_cached_key(|row| {
        let (key, identity) = key(row);
        (key, identity.to_owned(), *row)
    });
    let (mut rows, mut drawn) = (Vec::new(), HashSet::new());
    let mut short = Vec::new();
    for class in 0..=labels {
        let is_of = |row: &&usize| match class < labels {
            true => truths[**row][class],
            false => !truths[**row].contains(&true),
        };
        let of_class: Vec<usize> = order.iter().filter(is_of).take(shots).copied().collect();
        if of_class.len() < shots {
            short.push(Shortage { class, found: of_class.len() });
        }
        rows.extend(of_class.into_iter().filter(|row| drawn.insert(*row)));
    }
    Sample { rows, short }
}

/// Stratified folds: `count` lists of row indices, each row in one of them, rows and classes spread as evenly
/// as they divide.
///
/// Each class is shuffled, and the classes are dealt one after the other like a pack of cards; so two folds
/// differ by one row at most, in all and in each class. In a fold the rows stand in their order in the data.
///
/// ```
/// let folds = cloze::learn::sample::folds(&[0, 0, 0, 0, 1, 1], 2, 0);
/// assert!(folds.iter().all(|fold| fold.len() == 3));
/// assert!(folds.iter().all(|fold| fold.iter().filter(|row| **row >= 4).count() == 1));
/// ```
pub fn folds(truths: &[usize], count: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut generator = seed::generator(seed, "folds");
    let mut rows: Vec<usize> = (0..truths.len()).collect();
    rows.shuffle(&mut generator);
    // Stable: a class's rows stay shuffled.
    rows.sort_by_key(|row| truths[*row]);
    let mut folds = vec![Vec::new(); count];
    for (row, fold) in rows.into_iter().zip((0..count).cycle()) {
        folds[fold].push(row);
    }
    folds.iter_mut().for_each(|fold| fold.sort_unstable());
    folds
}

/// Rows of one set whose text also stands in another: indices into `rows`.
///
/// Two rows are the same if they agree, but for white space at both ends, in every column that both sets
/// have; `id` and the columns of labels do not count. Sets without a column in common share nothing.
///
/// ```
/// use cloze::text::data::{Example, Format, Rows};
/// let read = |csv: &'static str| {
///     let rows = Rows::read(Box::new(csv.as_bytes()), "demo", Format::Csv, None)?;
///     Ok::<_, cloze::Error>((rows.columns().clone(), rows.collect::<Result<Vec<Example>, _>>()?))
/// };
/// let (train_columns, train) = read("id,text,label\n1,good,yes\n2,bad,no\n")?;
/// let (test_columns, test) = read("text,label\nfine,yes\n bad ,yes\n")?;
/// assert_eq!(cloze::learn::sample::shared((&test_columns, &test), (&train_columns, &train)), [1]);
/// # Ok::<(), cloze::Error>(())
/// ```
pub fn shared(
    (columns, rows): (&Columns, &[Example]),
    (other_columns, others): (&Columns, &[Example]),
) -> Vec<usize> {
    let is_text = |name: &str| name != ID && ![columns.label(), other_columns.label()].contains(&Some(name));
    let place_in = |names: &[String], name: &str| names.iter().position(|other| other == name);
    let (here, there): (Vec<usize>, Vec<usize>) = columns
        .names()
        .iter()
        .enumerate()
        .filter(|(_, name)| is_text(name))
        .filter_map(|(index, name)| Some((index, place_in(other_columns.names(), name)?)))
        .unzip();
    if here.is_empty() {
        return Vec::new();
    }
    let others: HashSet<Vec<&str>> = others.iter().map(|other| text(other, &there)).collect();
    rows.iter()
        .enumerate()
        .filter(|(_, row)| others.contains(&text(row, &here)))
        .map(|(index, _)| index)
        .collect()
}

/// The trimmed fields of some columns.
fn text<'a>(example: &'a Example, columns: &[usize]) -> Vec<&'a str> {
    columns.iter().map(|column| example.fields[*column].trim()).collect()
}
