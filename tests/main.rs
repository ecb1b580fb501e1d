//! One binary for all integration tests: each binary of its own would link libtorch again.

mod architecture;
mod baselines;
mod calibration;
mod cases;
mod chains;
mod compare;
mod golden;
mod invariants;
mod knowledge;
mod multi_token;
mod oracle;
mod peft;
mod report;
mod sample;
mod search;
mod shipped;
mod support;
mod training;
