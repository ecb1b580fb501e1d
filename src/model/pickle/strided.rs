//! A tensor as a view of its storage.
//!
//! The number at `[i, j, …]` stands at `offset + i · stride[0] + j · stride[1] + …`, counted in numbers.

use std::ops::Range;

use super::machine::Tensor;
use super::{PickleError, Unsupported, damaged, unsupported};

/// An expanded tensor repeats numbers (by a stride of 0), so that a short file can describe a tensor of any
/// size. It is read up to this many bytes, or up to its storage's length, where that is more.
const MAX_EXPANDED: usize = 64 << 20;

/// A view that has been compared with its storage: each of its numbers is there.
#[derive(Debug)]
pub(super) struct Strided {
    /// The bytes of the storage from the first number of the view to the last.
    span: Range<usize>,
    /// How many bytes the tensor takes when contiguous.
    length: usize,
    /// How many bytes lie together, as they do in the tensor.
    run: usize,
    /// The dimensions outside a run: the size of each, and its stride in bytes.
    outer: Vec<(usize, usize)>,
}

impl Strided {
    /// Compares a tensor with its storage, which has so many bytes in the file.
    pub(super) fn check(tensor: &Tensor<'_>, storage_bytes: u64) -> Result<Strided, PickleError> {
        let Tensor { storage, offset, size, stride } = tensor;
        let item = storage.dtype.size();
        let declared = storage.count.checked_mul(item).filter(|bytes| *bytes as u64 <= storage_bytes);
        let declared = declared.ok_or_else(|| {
            damaged(format!(
                "its storage should have {} numbers, but has {storage_bytes} bytes",
                storage.count
            ))
        })?;
        if size.len() != stride.len() {
            return Err(damaged(format!("it has {} sizes and {} strides", size.len(), stride.len())));
        }
        let outside = || damaged(format!("it reaches beyond its storage of {} numbers", storage.count));
        if size.contains(&0) {
            let within = *offset <= storage.count;
            let empty = Strided { span: 0..0, length: 0, run: 0, outer: Vec::new() };
            return if within { Ok(empty) } else { Err(outside()) };
        }
        let reach = size.iter().zip(stride).try_fold(0_usize, |reach, (size, stride)| {
            (size - 1).checked_mul(*stride).and_then(|more| reach.checked_add(more))
        });
        let end = reach.and_then(|reach| offset.checked_add(reach)).and_then(|last| last.checked_add(1));
        let end = end.filter(|end| *end <= storage.count).ok_or_else(outside)?;
        let elements = size.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        let length = elements.and_then(|elements| elements.checked_mul(item));
        let most = declared.max(MAX_EXPANDED);
        let length = length.filter(|length| *length <= most).ok_or_else(|| {
            unsupported(Unsupported::TooLarge { of: "bytes in an expanded tensor", most: most as u64 })
        })?;
        let (run, outer) = runs(item, size, stride);
        // None of these overflows: the storage's last byte, `declared`, is farther.
        Ok(Strided { span: offset * item..end * item, length, run, outer })
    }

    /// The bytes of the storage that [`Strided::gather`] needs.
    pub(super) fn span(&self) -> Range<u64> {
        self.span.start as u64..self.span.end as u64
    }

    /// The tensor's numbers in their order, from the bytes of its span.
    pub(super) fn gather(&self, bytes: Vec<u8>) -> Result<Vec<u8>, PickleError> {
        if self.outer.is_empty() {
            return Ok(bytes);
        }
        let mut gathered = Vec::new();
        let room = gathered.try_reserve_exact(self.length);
        room.map_err(|_| std::io::Error::from(std::io::ErrorKind::OutOfMemory))?;
        let mut index = vec![0; self.outer.len()];
        let mut place = 0;
        while gathered.len() < self.length {
            gathered.extend_from_slice(&bytes[place..place + self.run]);
            // Counts the index up, the last dimension fastest.
            for (index, (size, stride)) in index.iter_mut().zip(&self.outer).rev() {
                *index += 1;
                place += stride;
                if *index < *size {
                    break;
                }
                place -= size * stride;
                *index = 0;
            }
        }
        Ok(gathered)
    }
}

/// How many bytes lie together, and the dimensions outside them.
fn runs(item: usize, size: &[usize], stride: &[usize]) -> (usize, Vec<(usize, usize)>) {
    // A dimension of one number takes no step, whatever its stride.
    let dimensions = size.iter().copied().zip(stride.iter().copied()).filter(|(size, _)| *size > 1);
    let mut outer: Vec<(usize, usize)> = dimensions.map(|(size, stride)| (size, stride * item)).collect();
    let mut run = item;
    while let Some((size, stride)) = outer.last().copied()
        && stride == run
    {
        run *= size;
        outer.pop();
    }
    (run, outer)
}
