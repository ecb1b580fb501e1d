//! What gzip packed: one member after another, and zeros behind the last, with which tapes and archives fill
//! their blocks.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// What a member begins with.
pub(super) const MAGIC: &[u8] = b"\x1f\x8b";

/// A file that gzip packed, unpacked.
pub(super) struct Gzip<R> {
    /// The member that is read; none behind the last.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Gzip<R> {
    pub(super) fn new(input: R) -> Gzip<R> {
        Gzip { member: Some(GzDecoder::new(input)) }
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let length = member.read(buffer).map_err(told)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            if let Some(ended) = self.member.take() {
                self.member = next(ended.into_inner())?;
            }
        }
        Ok(0)
    }
}

/// The member that comes behind zeros, or at once; none at the end.
fn next<R: BufRead>(mut input: R) -> io::Result<Option<GzDecoder<R>>> {
    loop {
        let bytes = input.fill_buf()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        match bytes.get(zeros) {
            None if bytes.is_empty() => return Ok(None),
            None => input.consume(zeros),
            Some(byte) if *byte == MAGIC[0] => {
                input.consume(zeros);
                return Ok(Some(GzDecoder::new(input)));
            }
            Some(_) => {
                let message = "something stands behind what gzip packed; pack it again, or take that off";
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
        }
    }
}

/// An error of unpacking, as what it means and what to do.
fn told(error: io::Error) -> io::Error {
    let message = match error.kind() {
        io::ErrorKind::UnexpectedEof => "what gzip packed is cut off",
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => "what gzip packed is damaged",
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{message} ({error}); copy the file again"))
}
