//! Rows to predictions: a pattern, label words and a model bound together.

// scores in a tree
pub mod tree_scores;

// label words' logits become class scores
pub mod class_scores;

// label words as tokens, prompts as ids, results
pub mod encode;
pub mod label_words;
pub mod report;

// patterns and label words bound to a model
pub mod pvp;

// patterns on columns
pub mod task;

// what rows are like to patterns
pub mod census;

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

// which words were said
pub mod mask_words;

// what is done to what they say
pub mod calibration;

// what a model says to no row, and of label words
pub mod content_free;
pub mod strict;

// rows that are shown, classifiers before their weights
pub mod blueprint;
pub mod showing;

// all that could go wrong, how rows look to a model, what moves its answers
pub mod checkup;
pub mod explain;
pub mod preview;

// words for blanks in texts
pub mod fill;

// what is fitted on which rows
pub mod calibrator;

// shares of the rows, put together
pub mod shards;

// patterns for whoever writes none
pub mod general;

// labels that tell by their names what is asked
pub mod usual_labels;

// from texts and labels to a classifier, and to files for one
pub mod starter;
pub mod zero_shot;

// the front door
pub mod prompt_classifier;

// several labels a row
pub mod multi_label;

// which rows to label
pub mod selection;
