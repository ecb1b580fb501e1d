//! Corrections of probabilities, and prediction sets.

use std::path::PathBuf;

use super::notes::{Note, help, listed};

/// Corrections of probabilities, and prediction sets.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum CalibrationError {
    #[error("the shares of a prior must sum to 1; these sum to {sum}")]
    PriorNotOne { sum: f64 },
    #[error("a share of a prior must be above 0, and one is {share}")]
    PriorNotAbove { share: f64 },
    #[error("{written:?} is no LABEL=SHARE for each class")]
    PriorUnclear { written: String, labels: Vec<String> },
    #[error("{} was fitted for {what}", path.display())]
    Misfit { path: PathBuf, what: &'static str, fitted_for: String, now: String },
    #[error("{} for {classes} classes", crate::numbers::counted(*found as u64, "number"))]
    Count { found: usize, classes: usize },
    #[error("{name} must be {allowed}, not {found}")]
    Number { name: String, found: f64, allowed: String },
    #[error("{reason}")]
    Unclear { reason: String },
    #[error("{} is to fit the correction and to find the thresholds of prediction sets", path.display())]
    SameRows { path: PathBuf },
    #[error("{data} has no rows to calibrate on")]
    WithoutRows { data: String },
    #[error(
        "{}{} are too few for sets that hold the truth in {} % of the rows",
        crate::numbers::counted(*found as u64, "labelled row"),
        class.as_ref().map(|class| format!(" of {class}")).unwrap_or_default(),
        (1.0 - alpha) * 100.0
    )]
    ConformalTooFew { alpha: f64, found: usize, needed: usize, class: Option<String> },
}

impl CalibrationError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        use CalibrationError::*;
        match self {
            ConformalTooFew { needed, class, .. } => {
                let each = if class.is_some() { " of each class" } else { "" };
                vec![
                    ("needed", format!("{needed} rows at least{each}")),
                    ("help", "give more rows, or a larger ALPHA".into()),
                ]
            }
            PriorNotOne { .. } => help("make the shares sum to 1"),
            PriorNotAbove { .. } => help("give each class a share above 0: one of 0 could never be told"),
            PriorUnclear { labels, .. } => vec![("classes", listed(labels))],
            Misfit { fitted_for, now, .. } => {
                vec![("fitted for", fitted_for.clone()), ("now", now.clone()), ("help", "fit it anew".into())]
            }
            Count { .. } | Number { .. } | Unclear { .. } => help("fit it anew"),
            SameRows { .. } => help(
                "give each rows of its own: on those that it was fitted on, a correction looks better than it is",
            ),
            WithoutRows { .. } => {
                help("give rows to fit it on, or a method that needs none: contextual, pmi")
            }
        }
    }
}
