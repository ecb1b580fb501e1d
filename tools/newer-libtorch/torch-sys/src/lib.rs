//! torch-sys 0.26 under the version that cloze asks for.
pub use real::*;
