//! Training: few rows, what is minimised, runs that can be resumed.

// rates over steps, few rows
pub mod adamw;
pub mod sample;
pub mod schedule;

// rows to models
pub mod train;

// what training leaves, rows to draw from
pub mod dataset;
pub mod run;

// trainings that can be gone on with
pub mod job;
