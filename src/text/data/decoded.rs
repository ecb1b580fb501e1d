//! Bytes as they are read: unpacked, and as UTF-8 whatever encoding they come in.

use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, DecoderResult};

use super::layout::Encoding;

/// A text in some encoding, read as UTF-8. What is no text in it is an error, which says at which byte.
pub(super) struct Decoded<R> {
    input: R,
    decoder: Decoder,
    encoding: Encoding,
    /// What has been decoded, and how much of it has been given away.
    text: Vec<u8>,
    given: usize,
    /// Bytes of the input that have been decoded.
    read: u64,
    ended: bool,
}

impl<R: BufRead> Decoded<R> {
    /// A byte order mark is left out.
    pub(super) fn new(input: R, encoding: Encoding) -> Decoded<R> {
        let decoder = encoding.table().new_decoder_with_bom_removal();
        Decoded { input, decoder, encoding, text: Vec::new(), given: 0, read: 0, ended: false }
    }

    /// Decodes what has come of the input.
    fn decode(&mut self) -> io::Result<()> {
        let bytes = self.input.fill_buf()?;
        self.ended = bytes.is_empty();
        let most = self.decoder.max_utf8_buffer_length_without_replacement(bytes.len()).unwrap_or(usize::MAX);
        self.text.resize(most.min(4 * bytes.len() + 16), 0);
        let (result, read, written) =
            self.decoder.decode_to_utf8_without_replacement(bytes, &mut self.text, self.ended);
        self.text.truncate(written);
        (self.given, self.read) = (0, self.read + read as u64);
        self.input.consume(read);
        match result {
            DecoderResult::Malformed(..) => {
                let message = format!("byte {} is no {} text", self.read, self.encoding);
                Err(io::Error::new(io::ErrorKind::InvalidData, message))
            }
            _ => Ok(()),
        }
    }
}

impl<R: BufRead> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.text.len() {
            if self.ended {
                return Ok(0);
            }
            self.decode()?;
        }
        let some = buffer.len().min(self.text.len() - self.given);
        buffer[..some].copy_from_slice(&self.text[self.given..self.given + some]);
        self.given += some;
        Ok(some)
    }
}
