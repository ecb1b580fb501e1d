//! Tensors' numbers as vectors.
//!
//! The conversion fails only on a mistake of ours, or where a device fails. Then it panics: an empty vector
//! in its place would go on as an answer.

use tch::{TchError, Tensor};

/// All numbers, row after row.
///
/// # Panics
/// If libtorch cannot copy them.
pub fn values<T>(tensor: &Tensor) -> Vec<T>
where
    Vec<T>: TryFrom<Tensor, Error = TchError>,
{
    Vec::try_from(tensor.flatten(0, -1)).unwrap_or_else(|error| cannot_copy(tensor, &error))
}

/// The rows of a tensor of two dimensions.
///
/// # Panics
/// If it has others, or libtorch cannot copy them.
pub fn rows<T>(tensor: &Tensor) -> Vec<Vec<T>>
where
    Vec<Vec<T>>: TryFrom<Tensor, Error = TchError>,
{
    Vec::try_from(tensor.shallow_clone()).unwrap_or_else(|error| cannot_copy(tensor, &error))
}

fn cannot_copy(tensor: &Tensor, error: &TchError) -> ! {
    panic!("the numbers of a tensor {:?} of {:?} cannot be copied: {error}", tensor.size(), tensor.kind())
}
