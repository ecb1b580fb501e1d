//! cloze classifies text by asking a masked language model to fill a blank.
//!
//! A [`text::template::Template`] wraps each row of a data file into a cloze text with a mask, a masked
//! language model scores the label words of a [`text::verbalizer::Verbalizer`] at the mask, and out come
//! labels, probabilities and a report.
//!
//! ```
//! use cloze::{MaskedLm, Options, PromptClassifier, Template, Verbalizer};
//! let model = MaskedLm::load("models/cloze-minilm-l6", Options::default())?;
//! let classifier = PromptClassifier::builder(model)
//!     .template(Template::from_pattern("{text} It was {mask}.")?)
//!     .verbalizer(Verbalizer::of(&[("negative", &["terrible"]), ("positive", &["great"])])?)
//!     .build()?;
//! let answers = classifier.classify(&["What a lovely film!", "I want my money back."])?;
//! assert_eq!(classifier.label(&answers[0]), "positive");
//! assert!(answers.iter().all(|answer| answer.prediction.confidence() >= 0.5));
//! # Ok::<(), cloze::Error>(())
//! ```
//!
//! # The flow
//!
//! B batch · L tokens · H hidden · V vocabulary · C classes · W most label words of a class · M masks · S
//! soft tokens
//!
//! | act | type → type | shape |
//! |---|---|---|
//! | [`text::data::Rows`] | file → [`text::data::Example`]s, streamed | – |
//! | [`predict::task::Task`] | `Example` → [`text::template::Prompt`] | – |
//! | [`predict::encode::encode`] | `Prompt` → [`model::features::Features`] | ids ≤ L |
//! | [`model::batch::Batch::collate`] | `Features` → `Batch` | `[B,L]` |
//! | [`model::encoder::Encoder::states_at_masks`] | `Batch` → states | `[B,M,H]` |
//! | [`model::head::MlmHead::logits_of`] | state → label-word logits | `[B,H] → [B,C·W]` |
//! | [`predict::class_scores::ClassScores::of`] | logits → class scores | `[B,C·W] → [B,C]` |
//! | [`predict::score::Scorer`] | rows → [`predict::report::Prediction`]s in their order | softmax of `[B,C]` |
//! | [`predict::calibration::Correction`] | a pattern's prediction → the same without its bias | `[C] → [C]` |
//! | [`predict::report::Tally`] | predictions → [`predict::report::Evaluation`] | counts |
//! | [`tune::Trainable`] | base model → tensors that move → what is learned | by method |
//! | [`fn@tune::adapt`] | base model and what was learned → weights and [`model::encoder::Additions`] | by method |
//! | [`learn::encoded::EncodedRows`] | rows → `Features` in every pattern, once for a training | ids ≤ L |
//! | [`learn::objective::Classification`] | labelled rows → a loss | cross-entropy of `[B,C]` |
//! | [`learn::objective::LanguageModelling`] | unlabelled rows → a loss | cross-entropy of `[M,V]`, M chosen tokens |
//! | [`learn::train::Trainer`] | a mixture of losses → what is learned | – |
//! | [`study::experiment::Experiment`] | seeds → [`study::experiment::Metrics`] and a [`learn::run::RunFolder`] | – |
//!
//! The head runs on mask rows only and the decoder on label-word columns only, and the mask's position is
//! carried from the template, never searched for, so a `[MASK]` in a user's text is text.
//!
//! # The floors
//!
//! Floors stand below, ground floor first, each a folder; its `mod.rs` lists its modules in the same way. A
//! module imports only from lower floors, or from above its own line on its own floor; a test reads these
//! lines and holds the code to them.

// numbers, dice
pub mod numbers;
pub mod seed;

// what is wrong, and where
pub mod error;

// what users write and read
pub mod text;

// a masked language model
pub mod model;

// what may move
pub mod tune;

// rows to predictions
pub mod predict;

// rows to models
pub mod learn;

// what pages are made of
pub(crate) mod page;

// experiments
pub mod study;

// a classifier behind HTTP
#[cfg(feature = "serve")]
pub mod serve;

// rows that people label in the browser
#[cfg(feature = "label")]
pub mod label;

pub use error::{Error, Errors, Result};
pub use model::masked_lm::{MaskedLm, Options};
pub use predict::prompt_classifier::PromptClassifier;
pub use study::run::Run;
pub use text::template::Template;
pub use text::verbalizer::Verbalizer;
