//! What pages are made of: a document that needs nothing but itself, plots and tables. Every value is shown
//! as text, colours follow light and dark, and what a plot shows is told in words too.

// numbers as pages show them, what plots are drawn on
pub(crate) mod canvas;
pub(crate) mod numbers;

// the page round everything, and what stands on it
pub(crate) mod document;
pub(crate) mod plots;
pub(crate) mod tables;
