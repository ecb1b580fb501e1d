//! Labelling in the browser: a project file beside the rows, a page that shows one row at a time, and tables
//! of what was said.

// rows in their order
mod order;

// what was said, in a file
mod project;

// what labellers agree on, and labels that may be wrong
mod agreement;
mod doubt;

// tables of what was said
mod export;

// a model that is asked, and what was learned
mod lessons;
mod opinion;

// another program's tasks
mod studio;

// learning beside the labelling
mod learning;

// the page
mod pages;

// what all requests share
mod app;

// what the page asks
mod routes;

// the front door
mod service;

pub use agreement::{Agreement, AllLabellers, Disputed, PairOfLabellers, agreement};
pub use doubt::{InDoubt, in_doubt, out_of_fold};
pub use export::{Exported, export};
pub use learning::{Learning, Lecture, Taught, Teach};
pub use lessons::{Doubt, Gain, Learned, Lesson, Pays};
pub use opinion::Opinion;
pub use order::{OrderRequest, Placed, order};
pub use project::{
    About, ChangedLabels, Given, Kept, LabelChange, Outcome, Progress, Project, ShownRow, check_columns,
    check_labeller,
};
pub use service::Labelling;
pub use studio::export_tasks;
