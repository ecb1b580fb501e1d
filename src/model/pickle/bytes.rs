//! Numbers and texts from the front of a slice of bytes, all little-endian.

use super::{PickleError, damaged};

/// What is left of a part of the file.
pub(super) struct Bytes<'a> {
    rest: &'a [u8],
    /// The part's name, for the error when it ends too early.
    part: &'static str,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8], part: &'static str) -> Bytes<'a> {
        Bytes { rest: bytes, part }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next bytes, so many.
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], PickleError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.ended())?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next bytes up to a line's end, which is taken too.
    pub(super) fn line(&mut self) -> Result<&'a [u8], PickleError> {
        let length = self.rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| self.ended())?;
        let line = self.take(length)?;
        self.take(1)?;
        Ok(line)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(|| self.ended())?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, PickleError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, PickleError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, PickleError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, PickleError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn ended(&self) -> PickleError {
        damaged(format!("{} ends too early", self.part))
    }
}
