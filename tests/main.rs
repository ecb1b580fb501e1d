//! One binary for all integration tests: each binary of its own would link libtorch again.

mod architecture;
mod golden;
mod invariants;
mod oracle;
mod shipped;
mod support;
