//! Training: few rows, what is minimised, runs that can be resumed.

// rates and turns over steps, few rows, what rows are answered with
pub mod adamw;
pub mod sample;
pub mod schedule;
pub mod target;
pub mod turns;

// how long, on what
pub mod dataset;
pub mod plan;

// rows and texts as ids
pub mod corpus;
pub mod encoded;

// what is minimised
pub mod objective;

// rows to models
pub mod train;

// what training leaves
pub mod run;

// trainings that start from another, and that can be gone on with
pub mod job;
pub mod start;

// texts of a run
pub mod texts;
