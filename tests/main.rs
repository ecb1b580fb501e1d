//! One binary for all integration tests: each binary of its own would link libtorch again.

mod architecture;
mod cases;
mod golden;
mod invariants;
mod oracle;
mod shipped;
mod support;
