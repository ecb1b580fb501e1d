//! Experiments: over seeds, several tasks, ensembles, searches, and what methods must beat.

// what a reader of results should know
pub mod warning;

// pages of scored rows
pub mod pictures;

// what a method must beat
pub mod baseline;
pub mod compare;

// rows under changes, and what to ask them with
pub mod robustness;
pub mod search;

// long lists of words
pub mod knowledge;

// runs that many processes do
pub mod cells;

// trainings over seeds
pub mod experiment;

// a model that goes on reading
pub mod pretrain;

// one model for several tasks
pub mod multi_task;

// ensembles of patterns
pub mod ensemble;

// what any of them leaves, and what came of it
pub mod report;
pub mod run;

// methods against each other, runs or not
pub mod methods;

// what could go wrong with it, and what it was trained on
pub mod checkup;
pub mod seen;

// a run that goes on
pub mod again;

// what runs learned, for other programs
pub mod export;

// members of ensembles, at work
pub mod members;
