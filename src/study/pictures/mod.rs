//! Pages of scored rows: what a report says in pictures, the rows themselves, and what moved them.

mod explanations;
mod rows;
mod scores;
mod several;
mod strict;

pub use explanations::explanations_page;
pub use rows::{KeptRow, RowSample, SEED};
pub use scores::score_page;
pub use several::{LabelRows, several_labels_page};
pub use strict::strict_page;

pub(crate) use rows::{ONE_LABEL, table as table_of_rows};
pub(crate) use scores::{classes, confused, reliable};
