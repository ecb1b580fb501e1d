//! One binary for all integration tests: each binary of its own would link libtorch again.

mod arch;
mod architecture;
mod baselines;
mod calibration;
mod cases;
mod chains;
mod compare;
mod corpus;
mod damage;
mod families;
mod front_door;
mod golden;
mod hub;
mod invariants;
mod knowledge;
mod multi_token;
mod oracle;
mod peft;
mod pickle;
mod report;
mod runs;
mod sample;
mod search;
mod shipped;
mod support;
mod training;
