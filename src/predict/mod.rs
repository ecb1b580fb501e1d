//! Rows to predictions: a pattern, label words and a model bound together.

// label words as tokens, patterns on columns, prompts as ids
pub mod encode;
pub mod label_words;
pub mod report;
pub mod task;

// results leave
pub mod output;

// whole models
pub mod prompt_model;

// models with another head
pub mod sequence_classifier;

// models with what was learned
pub mod classifier;

// what rows are like to them, words that are near to others in them, types of numbers
pub mod auto;
pub mod similarity;
pub mod synonyms;

// procedures: rows to predictions
pub mod score;

// what is done to what they say
pub mod calibration;

// what a model says to no row
pub mod content_free;
