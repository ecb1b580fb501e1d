//! Labelling in the browser: a project file beside the rows, a page that shows one row at a time, and tables
//! of what was said.

// rows in their order
mod order;

// what was said, in a file
mod project;

// what labellers agree on
mod agreement;

// tables of what was said
mod export;

// and as another program's tasks
mod studio;

// the page
mod pages;

// what all requests share
mod app;

// what the page asks
mod routes;

// the front door
mod service;

pub use agreement::{Agreement, Disputed, PairOfLabellers, agreement};
pub use app::Opinion;
pub use export::{Exported, export};
pub use order::{OrderRequest, Placed, order};
pub use project::{About, Given, Kept, Outcome, Progress, Project, ShownRow, check_columns, check_labeller};
pub use service::Labelling;
pub use studio::export_tasks;
