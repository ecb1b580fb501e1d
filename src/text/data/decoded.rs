//! Bytes as they are read: unpacked, and as UTF-8 whatever encoding they come in.

use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, DecoderResult};

use super::layout::Encoding;

/// Stands where the input has bytes that are no text in its encoding. No UTF-8 has this byte, so the row in
/// which it stands is told, as rows of files are that call themselves UTF-8 and are not.
const NO_TEXT: u8 = 0xff;

/// A text in some encoding, read as UTF-8, with [`NO_TEXT`] where it is no text.
pub(super) struct Decoded<R> {
    input: R,
    decoder: Decoder,
    /// What has been decoded, and how much of it has been given away.
    text: Vec<u8>,
    given: usize,
    ended: bool,
}

impl<R: BufRead> Decoded<R> {
    /// A byte order mark is left out.
    pub(super) fn new(input: R, encoding: Encoding) -> Decoded<R> {
        let decoder = encoding.table().new_decoder_with_bom_removal();
        Decoded { input, decoder, text: Vec::new(), given: 0, ended: false }
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
        self.given = 0;
        self.input.consume(read);
        if matches!(result, DecoderResult::Malformed(..)) {
            self.text.push(NO_TEXT);
            // The decoder may hold more.
            self.ended = false;
        }
        Ok(())
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
