//! Tensors' numbers as vectors, and rows of tensors.
//!
//! The conversion fails only on a mistake of ours, or where a device fails. Then it panics: an empty vector
//! in its place would go on as an answer.

use tch::{Kind as Type, TchError, Tensor};

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

/// Whether every number is finite. A sum is not if any of its terms is not; the terms are looked at one by
/// one only then.
pub(crate) fn is_finite(tensor: &Tensor) -> bool {
    tensor.sum(Type::Float).double_value(&[]).is_finite() || tensor.isfinite().all().int64_value(&[]) != 0
}

fn cannot_copy(tensor: &Tensor, error: &TchError) -> ! {
    panic!("the numbers of a tensor {:?} of {:?} cannot be copied: {error}", tensor.size(), tensor.kind())
}

/// The rows of states at positions.
///
/// # Shapes
/// states `[B,L,H]`, positions `[B,R]` → `[B,R,H]`
pub(crate) fn rows_at(states: &Tensor, positions: &Tensor) -> Tensor {
    let index = positions.unsqueeze(2).expand([-1, -1, states.size()[2]], false);
    states.gather(1, &index, false)
}
