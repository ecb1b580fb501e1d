//! Criterion benchmarks of the parts.
fn main() {}
