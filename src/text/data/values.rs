//! Where a row of columns with types came from, for those who write it as it was.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};

/// A row of a batch: its values with their types.
#[derive(Debug, Clone)]
pub struct Values {
    batch: Arc<RecordBatch>,
    row: usize,
}

impl Values {
    pub(super) fn new(batch: Arc<RecordBatch>, row: usize) -> Values {
        Values { batch, row }
    }

    /// The array that a column's value stands in, and where.
    pub(crate) fn value(&self, column: usize) -> (ArrayRef, usize) {
        (self.batch.column(column).clone(), self.row)
    }
}

/// The same row of the same batch.
impl PartialEq for Values {
    fn eq(&self, other: &Values) -> bool {
        Arc::ptr_eq(&self.batch, &other.batch) && self.row == other.row
    }
}

impl Eq for Values {}
