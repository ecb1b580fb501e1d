//! Tensors that are not as they should be.

use super::notes::{MOST_LISTED, Note};

/// A tensor that a checkpoint should have and has not, or has in another shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorProblem {
    /// The tensor's name, as Hugging Face writes it.
    pub name: String,
    /// The shape that config.json asks for.
    pub wanted: Vec<i64>,
    /// The shape in the file; `None` where the tensor is missing.
    pub found: Option<Vec<i64>>,
}

/// One note for each line, up to a number.
pub fn tensor_lines(lines: impl Iterator<Item = String>) -> Vec<Note> {
    let lines: Vec<String> = lines.collect();
    let more = lines.len().saturating_sub(MOST_LISTED);
    let listed = lines.into_iter().take(MOST_LISTED).map(|line| ("tensor", line));
    listed.chain((more > 0).then(|| ("tensors", format!("… and {more} more")))).collect()
}

/// A tensor, what it should be and what it is.
pub fn tensor_line(tensor: &TensorProblem) -> String {
    match &tensor.found {
        None => format!("{} is missing, should be {:?}", tensor.name, tensor.wanted),
        Some(found) => format!("{} is {found:?}, should be {:?}", tensor.name, tensor.wanted),
    }
}
