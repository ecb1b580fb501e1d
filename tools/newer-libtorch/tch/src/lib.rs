//! tch 0.26 under the version that cloze and rust-bert ask for.
pub use real::*;
