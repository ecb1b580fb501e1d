//! Tensors that several threads look at.

use std::ops::Deref;

use tch::Tensor;

/// A tensor whose clones are the same numbers in memory, so that each thread may have one: a [`Tensor`]
/// itself may be sent to another thread, but not looked at by two.
pub struct Shared(Tensor);

impl From<Tensor> for Shared {
    fn from(tensor: Tensor) -> Shared {
        Shared(tensor)
    }
}

impl Clone for Shared {
    fn clone(&self) -> Shared {
        Shared(self.0.shallow_clone())
    }
}

impl Deref for Shared {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.0
    }
}
