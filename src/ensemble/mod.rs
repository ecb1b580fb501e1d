//! Pattern-ensemble experiments: PET, iPET and distillation (Schick & Schütze 2021, arXiv 2001.07676).

pub mod agreement;
pub mod report;
