//! What an earlier run has otherwise than a training that is to start from it.

use std::fmt;

use super::notes::{MOST_LISTED, Note};

/// What is otherwise in an earlier run than in a training that is to start from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What: the method, an option of it, or a tensor.
    pub what: String,
    /// What it is in the earlier run.
    pub there: String,
    /// What it is in the training.
    pub here: String,
}

impl Difference {
    /// Of two values.
    pub fn of(what: impl Into<String>, there: impl fmt::Display, here: impl fmt::Display) -> Difference {
        Difference { what: what.into(), there: there.to_string(), here: here.to_string() }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {} there and {} here", self.what, self.there, self.here)
    }
}

/// The first of some differences.
pub(super) fn first(differences: &[Difference]) -> String {
    differences.first().map(Difference::to_string).unwrap_or_default()
}

/// The other differences, a note for each.
pub fn further(differences: &[Difference]) -> Vec<Note> {
    let lines: Vec<String> = differences.iter().skip(1).map(Difference::to_string).collect();
    let more = lines.len().saturating_sub(MOST_LISTED);
    let listed = lines.into_iter().take(MOST_LISTED).map(|line| ("differs", line));
    listed.chain((more > 0).then(|| ("differs", format!("… and {more} more")))).collect()
}
