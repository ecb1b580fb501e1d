//! Reports of shares of the rows that are put together.

use super::notes::{Note, help};

/// Reports of shares of the rows that are put together.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum ShardError {
    #[error("{file} has no counts that could be added to others")]
    NoCounts { file: String },
    #[error("the counts of {file} do not fit together")]
    Damaged { file: String },
    #[error("{file} differs from {first} in {what}")]
    Differs { file: String, first: String, what: &'static str },
    #[error("shard {number}/{of} is there twice: {} and {}", files[0], files[1])]
    Twice { number: u64, of: u64, files: [String; 2] },
    #[error("of {of} shards {} missing: {}", if missing.len() == 1 { "one is" } else { "some are" }, some(missing))]
    Missing { of: u64, missing: Vec<u64> },
}

/// The first of some numbers.
fn some(numbers: &[u64]) -> String {
    const MOST: usize = 20;
    let named: Vec<String> = numbers.iter().take(MOST).map(u64::to_string).collect();
    let more = numbers.len().saturating_sub(MOST);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    named.join(", ") + &more
}

impl ShardError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        match self {
            ShardError::NoCounts { .. } => {
                help("only reports of shards have them: score the rows anew, share by share")
            }
            ShardError::Damaged { .. } => help("it was changed, or is damaged: score this shard anew"),
            ShardError::Differs { .. } => {
                help("all shards are scored with the same model, patterns and options, on the same files")
            }
            ShardError::Twice { .. } => help("leave one of them out"),
            ShardError::Missing { .. } => help("score them, and put all reports together"),
        }
    }
}
