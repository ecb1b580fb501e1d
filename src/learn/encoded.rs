//! Encoded rows: a data set as ids, made once for a training, and the order in which its epochs go through
//! them.

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use rand::seq::SliceRandom as _;

use crate::error::{Error, Kind, Result};
use crate::model::features::Features;
use crate::model::folder::ModelFolder;
use crate::predict::score::Scorer;
use crate::predict::task::Task;
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
///
/// An input is made when it is first asked for, and kept, where every row fits its pattern: of many rows in
/// many patterns a training may see a part only. Where a row may be too long, or shows others, all are made
/// at once.
pub struct EncodedRows {
    columns: Arc<Columns>,
    examples: Vec<Example>,
    patterns: Vec<Pattern>,
    model: Arc<ModelFolder>,
    max_length: usize,
}

struct Pattern {
    task: Task,
    items: Vec<OnceCell<Item>>,
    /// Where its inputs begin among all.
    start: usize,
}

impl EncodedRows {
    /// Rows in a model's patterns. One that is too long for a pattern is refused.
    pub fn new(
        model: Arc<ModelFolder>,
        tasks: &[Task],
        max_length: usize,
        columns: &Arc<Columns>,
        examples: &[Example],
    ) -> Result<EncodedRows> {
        let mut rows = EncodedRows {
            columns: columns.clone(),
            examples: examples.to_vec(),
            patterns: Vec::with_capacity(tasks.len()),
            model,
            max_length,
        };
        for task in tasks {
            let start = rows.len();
            // The first tells whether the pattern itself fits.
            let now = if task.fits_every_row() { &examples[..examples.len().min(1)] } else { examples };
            let encoded = rows.scorer().encode(task, columns, now)?.into_iter().enumerate();
            let of_row = |(row, draws): (usize, Vec<(Features, f64)>)| {
                draws.into_iter().map(move |(features, _)| OnceCell::from(Item { features, row }))
            };
            let mut items: Vec<OnceCell<Item>> = encoded.flat_map(of_row).collect();
            items.resize_with(items.len() + examples.len() - now.len(), OnceCell::new);
            rows.patterns.push(Pattern { task: task.clone(), items, start });
        }
        Ok(rows)
    }

    /// How many inputs there are.
    pub fn len(&self) -> usize {
        self.patterns.last().map_or(0, |last| last.start + last.items.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of the inputs.
    pub fn item(&self, place: usize) -> Result<&Item> {
        let pattern = &self.patterns[self.pattern_of(place)];
        let within = place - pattern.start;
        let cell = &pattern.items[within];
        if cell.get().is_none() {
            let row = std::slice::from_ref(&self.examples[within]);
            let features =
                self.scorer().encode(&pattern.task, &self.columns, row)?.into_iter().flatten().next();
            let (features, _) =
                features.unwrap_or_else(|| unreachable!("a row has one input in such a pattern"));
            let _ = cell.set(Item { features, row: within });
        }
        Ok(cell.get().unwrap_or_else(|| unreachable!("it was just made")))
    }

    /// One of the inputs as it is in an epoch, counted from 0, where its pattern then shows other rows than
    /// in the first; none where it is the same.
    pub fn anew(&self, place: usize, epoch: usize) -> Result<Option<Item>> {
        let pattern = &self.patterns[self.pattern_of(place)];
        let Some(drawing) = pattern.task.drawing().filter(|drawing| drawing.each_epoch && epoch > 0) else {
            return Ok(None);
        };
        let (row, draw) = (self.item(place)?.row, (place - pattern.start) % drawing.draws);
        let task = pattern.task.in_epoch(epoch);
        let encoded =
            self.scorer().encode(&task, &self.columns, std::slice::from_ref(&self.examples[row]))?;
        let features = encoded.into_iter().flatten().nth(draw);
        Ok(features.map(|(features, _)| Item { features, row }))
    }

    /// Which row an input is of.
    pub fn row_of(&self, place: usize) -> usize {
        let pattern = &self.patterns[self.pattern_of(place)];
        let within = place - pattern.start;
        pattern.items[within].get().map_or(within, |item| item.row)
    }

    /// How many patterns there are.
    pub fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// Which inputs are a pattern's.
    pub fn of_pattern(&self, pattern: usize) -> Range<usize> {
        let Pattern { start, items, .. } = &self.patterns[pattern];
        *start..start + items.len()
    }

    /// Where the rows came from.
    pub fn data(&self) -> &str {
        self.columns.data()
    }

    fn pattern_of(&self, place: usize) -> usize {
        self.patterns.partition_point(|pattern| pattern.start <= place) - 1
    }

    fn scorer(&self) -> Scorer<'_> {
        Scorer::to_encode(&self.model.tokenizer, self.max_length)
    }

    /// The error of rows whose losses are not finite.
    pub(super) fn not_finite(&self, rows: &[usize], kind: impl FnOnce(Vec<u64>) -> Kind) -> Error {
        let mut records: Vec<u64> = rows.iter().map(|&row| self.examples[row].record).collect();
        records.sort_unstable();
        records.dedup();
        // Where many rows are concerned, it is none of them that is at fault.
        let place = (records.len() == 1).then(|| self.columns.place(&self.examples[rows[0]], None));
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
    name: String,
    count: usize,
    /// The epoch whose order was asked for last, and that order: a step costs what its items cost, however
    /// many there are.
    current: Option<(usize, Vec<usize>)>,
}

impl EpochOrder {
    /// Of so many items.
    pub fn new(seed: u64, name: &str, count: usize) -> EpochOrder {
        EpochOrder { seed, name: name.to_owned(), count, current: None }
    }

    /// The items at some places of all epochs, one behind the other; none of none.
    pub fn items(&mut self, places: Range<usize>) -> Vec<usize> {
        let count = self.count;
        if count == 0 {
            return Vec::new();
        }
        places.map(|place| self.of_epoch(place / count)[place % count]).collect()
    }

    /// The epoch of a place, counted from 0.
    pub fn epoch_of(&self, place: usize) -> usize {
        place / self.count.max(1)
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
