//! Encoded rows: a data set as ids, made once for a training, and the order in which its epochs go through
//! them.

use std::ops::Range;
use std::sync::Arc;

use rand::seq::SliceRandom as _;

use crate::error::{Error, Kind, Result};
use crate::model::features::Features;
use crate::predict::score::Scorer;
use crate::seed;
use crate::text::data::{Columns, Example};

/// A row in a pattern, as ids.
pub struct Item {
    /// The input.
    pub features: Features,
    /// Which of the rows.
    pub row: usize,
}

/// Rows in every pattern, as ids: pattern by pattern, and in each in the rows' order.
pub struct EncodedRows {
    columns: Arc<Columns>,
    /// The rows without their fields: an error needs their places alone.
    origins: Vec<Example>,
    items: Vec<Item>,
}

impl EncodedRows {
    /// Encodes rows in a scorer's patterns. One that is too long for a pattern is refused.
    pub fn new(scorer: &Scorer<'_>, columns: &Arc<Columns>, examples: &[Example]) -> Result<EncodedRows> {
        let mut items = Vec::with_capacity(examples.len() * scorer.tasks.len());
        for task in scorer.tasks {
            let features = scorer.encode(task, columns, examples)?;
            let of_row = |(row, draws): (usize, Vec<(Features, f64)>)| {
                draws.into_iter().map(move |(features, _)| Item { features, row })
            };
            items.extend(features.into_iter().enumerate().flat_map(of_row));
        }
        let origin = |example: &Example| Example { fields: Vec::new(), label: None, ..*example };
        Ok(EncodedRows { columns: columns.clone(), origins: examples.iter().map(origin).collect(), items })
    }

    /// The inputs.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Where the rows came from.
    pub fn data(&self) -> &str {
        self.columns.data()
    }

    /// The error of rows whose losses are not finite.
    pub(super) fn not_finite(&self, rows: &[usize], kind: impl FnOnce(Vec<u64>) -> Kind) -> Error {
        let mut records: Vec<u64> = rows.iter().map(|&row| self.origins[row].record).collect();
        records.sort_unstable();
        records.dedup();
        // Where many rows are concerned, it is none of them that is at fault.
        let place = (records.len() == 1).then(|| self.columns.place(&self.origins[rows[0]], None));
        let error = Error::new(kind(records));
        match place {
            Some(place) => error.at(place),
            None => error,
        }
    }
}

/// The order of some items. Every epoch has its own, which depends on the seed, the epoch and the order's
/// name alone: a training that is taken up again goes on in it.
///
/// ```
/// use cloze::learn::encoded::EpochOrder;
/// let mut order = EpochOrder::new(7, "order", 5);
/// let (mut first, second) = (order.items(0..5), order.items(5..10));
/// assert_ne!(first, second);
/// // Taken up again in the middle of an epoch, across its end.
/// assert_eq!(EpochOrder::new(7, "order", 5).items(3..7), [&first[3..], &second[..2]].concat());
/// first.sort_unstable();
/// assert_eq!(first, [0, 1, 2, 3, 4]);
/// ```
pub struct EpochOrder {
    seed: u64,
    name: &'static str,
    count: usize,
    /// The epoch whose order was asked for last, and that order: a step costs what its items cost, however
    /// many there are.
    current: Option<(usize, Vec<usize>)>,
}

impl EpochOrder {
    /// Of so many items.
    pub fn new(seed: u64, name: &'static str, count: usize) -> EpochOrder {
        EpochOrder { seed, name, count, current: None }
    }

    /// The items at some places of all epochs, one behind the other; none of none.
    pub fn items(&mut self, places: Range<usize>) -> Vec<usize> {
        let count = self.count;
        if count == 0 {
            return Vec::new();
        }
        places.map(|place| self.of_epoch(place / count)[place % count]).collect()
    }

    fn of_epoch(&mut self, epoch: usize) -> &[usize] {
        let order = match self.current.take() {
            Some((current, order)) if current == epoch => order,
            _ => {
                let mut order: Vec<usize> = (0..self.count).collect();
                order.shuffle(&mut seed::generator(self.seed, &format!("{} of epoch {epoch}", self.name)));
                order
            }
        };
        &self.current.insert((epoch, order)).1
    }
}
