//! Training: few rows, what is minimised, runs that can be resumed.

// rates over steps, few rows, what rows are answered with
pub mod adamw;
pub mod sample;
pub mod schedule;
pub mod target;

// how long, on what
pub mod dataset;
pub mod plan;

// rows as ids
pub mod encoded;

// what is minimised
pub mod objective;

// rows to models
pub mod train;

// what training leaves
pub mod run;

// trainings that can be gone on with
pub mod job;
