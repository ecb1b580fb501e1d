//! What users write and read: patterns, label words, rows, files.

// panics of other crates
pub(crate) mod guarded;

// what paths mean
pub mod same_file;

// a door for JSON, lists on one line
pub mod commas;
pub mod json;
pub mod json_files;

// what is packed
pub mod packing;

// a door for files that are written whole
pub mod whole_file;

// work that is not done twice
pub mod done;

// how rows are written in files
pub mod format;

// columns with types
pub(crate) mod typed;

// columns and cells
mod column;

// tables of columns with types
mod typed_table;

// rows as they are written
pub mod table;

// rows as they are read
pub mod data;

// columns of what is read in what is written
pub mod kept;

// rows that are shown
pub mod demonstrations;

// patterns and label words
pub mod template;
pub mod verbalizer;

// labels as people give them, and where the texts are
pub mod labels;
pub mod text_column;

// labels in a tree or an order
pub mod structured_labels;
// several labels a row
pub mod label_sets;

// rows that are wanted whole
pub mod dataset;

// texts in place of rows
pub mod descriptions;
pub mod null_inputs;
