//! cloze classifies text by asking a masked language model to fill a blank.
//!
//! A [`template::Template`] wraps each row of a data file into a cloze text with a mask, a BERT masked language model scores the
//! label words of a [`verbalizer::Verbalizer`] at the mask, and out come labels, probabilities and a report.
//!
//! # The flow
//!
//! B batch · L tokens · H hidden · V vocabulary · C classes · W most label words of a class · M masks · S soft tokens
//!
//! | act | type → type | shape |
//! |---|---|---|
//! | [`data::Rows`] | file → [`data::Example`]s, streamed | – |
//! | [`task::Task::wrap`] | `Example` → [`template::Prompt`] | – |
//! | [`encode::encode`] | `Prompt` → [`encode::Features`] | ids ≤ L |
//! | [`batch::Batch::collate`] | `Features` → `Batch` | `[B,L]` |
//! | [`encoder::Encoder::states_at_masks`] | `Batch` → states | `[B,M,H]` |
//! | [`head::MlmHead::logits_of`] | state → label-word logits | `[B,H] → [B,C·W]` |
//! | [`label_words::LabelWords::class_scores`] | logits → class scores | `[B,C·W] → [B,C]` |
//! | [`score::Scorer`] | rows → [`report::Prediction`]s in their order | softmax of `[B,C]` |
//! | [`calibration::Correction`] | a pattern's prediction → the same without its bias | `[C] → [C]` |
//! | [`report::Tally`] | predictions → [`report::Evaluation`] | counts |
//! | [`tuning::Learner`] | base model → tensors that move → what is learned | by method |
//! | [`tuning::adapt`] | base model and what was learned → weights and [`encoder::Additions`] | by method |
//! | [`train::Trainer`] | labelled rows → what is learned | cross-entropy of `[B,C]` |
//! | [`train::Auxiliary`] | unlabelled rows → a second loss beside it | cross-entropy of `[M,V]`, M chosen tokens |
//! | [`experiment::Experiment`] | seeds → [`experiment::Metrics`] and a [`run::RunFolder`] | – |
//!
//! The head runs on mask rows only and the decoder on label-word columns only, and the mask's position is carried from the
//! template, never searched for, so a `[MASK]` in a user's text is text.
//!
//! # The floors
//!
//! Modules stand in groups below, ground floor first. A module imports only from groups above its own line; a test reads these
//! groups and holds the code to them.

// places in texts, rates over steps, numbers as people read them and machines compute them
pub mod dtype;
pub mod minimise;
pub mod numbers;
pub mod schedule;
pub mod shared;
pub mod source;

// errors, which carry places
pub mod error;

// doors and dice
pub mod json;
pub mod seed;

// rows as they are read
pub mod data;

// rows that are shown
pub mod demonstrations;

// words: what users write and read
pub mod config;
pub mod hub;
pub mod report;
pub mod template;
pub mod verbalizer;

// rows meet patterns, and results leave
pub mod output;
pub mod task;

// few rows, what a method on them must beat, and what is done to what it says
pub mod baseline;
pub mod calibration;
pub mod compare;
pub mod sample;

// tokens
pub mod tokenizer;

// patterns and prompts as tokens
pub mod encode;
pub mod soft;

// tensors in files
pub mod tensor_file;

// tensors from files, rows and words
pub mod adamw;
pub mod batch;
pub mod label_words;
pub mod parameters;

// forward passes
pub mod encoder;

// from states to words
pub mod head;
pub mod reference;

// what may move
pub mod tuning;

// whole models
pub mod prompt_model;

// models with another head
pub mod sequence_classifier;

// models with what was learned
pub mod classifier;

// what rows are like to them
pub mod likeness;

// words that are near to others in them
pub mod synonyms;

// which type of numbers they compute in
pub mod auto;

// procedures: rows to predictions
pub mod score;

// rows under changes, and what to ask them with
pub mod robustness;
pub mod search;

// long lists of words
pub mod knowledge;

// what a model says to no row, and rows to models
pub mod content_free;
pub mod train;

// what training leaves
pub mod export;
pub mod run;

// rows to draw from
pub mod rows;

// trainings that can be gone on with
pub mod job;

// trainings over seeds
pub mod experiment;

// one model for several tasks
pub mod joint;

// ensembles of patterns
pub mod ensemble;

pub use error::{Error, Result};
