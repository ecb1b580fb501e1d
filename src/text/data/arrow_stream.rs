//! Arrow IPC: batches from the beginning of a stream to its end. A file is a stream with a mark before it and
//! a directory behind it, which nobody needs who reads on.

use std::io::{self, BufReader, Read};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::{Message, root_as_message};
use arrow_schema::{Schema, SchemaRef};

use super::stream_error;
use crate::error::{DataError, Error, Result};
use crate::text::guarded::guarded;

/// What a file begins with, and zeros to the next eighth byte.
const FILE: &[u8] = b"ARROW1\0\0";
/// So many more zeros may stand behind it.
const MOST_ZEROS: usize = 64;
/// What a file of Feather's first version begins with, which was another format.
const FEATHER_1: &[u8] = b"FEA1";
/// Stands before a message's length, but for streams of before 2019.
const CONTINUES: [u8; 4] = [0xff; 4];

/// So large a batch may be: what claims more is damaged, or made to fill the memory.
const BATCH_BYTES: u64 = 4 << 30;

/// More than a schema or the head of a batch ever has: what claims more is no Arrow.
const HEAD_BYTES: u32 = 1 << 28;

pub(super) struct Source {
    input: BufReader<Box<dyn Read + Send>>,
    decoder: StreamDecoder,
    schema: SchemaRef,
    /// What was read and is not decoded.
    message: Buffer,
    /// Batches that were read.
    batches: u64,
    ended: bool,
}

impl Source {
    pub(super) fn open(input: Box<dyn Read + Send>, name: &str) -> Result<Source> {
        let mut input = BufReader::new(input);
        let other = || DataError::OtherFormat { data: name.to_owned(), format: "Arrow" };
        let mut start = [0; FILE.len()];
        let found = fill(&mut input, &mut start).map_err(|error| stream_error(name, &error))?;
        if start.starts_with(FEATHER_1) {
            return Err(DataError::OldFeather { data: name.to_owned() }.into());
        }
        let input: Box<dyn Read + Send> = match start {
            _ if found == 0 => return Err(DataError::Empty { data: name.to_owned() }.into()),
            _ if start[..found] == *FILE => {
                let word = behind_zeros(&mut input).map_err(|error| stream_error(name, &error))?;
                Box::new(io::Cursor::new(word).chain(input))
            }
            // The first message is the schema, whose head is short.
            [0xff, 0xff, 0xff, 0xff, ..] => Box::new(io::Cursor::new(start).chain(input)),
            [_, _, 0, 0, ..] if found == start.len() => Box::new(io::Cursor::new(start).chain(input)),
            _ => return Err(other().into()),
        };
        let mut source = Source {
            input: BufReader::new(input),
            decoder: StreamDecoder::new(),
            schema: SchemaRef::new(Schema::empty()),
            message: Buffer::from_vec(Vec::<u8>::new()),
            batches: 0,
            ended: false,
        };
        let (message, head) = source.message(name)?;
        let schema = root_as_message(&message[head..]).ok().and_then(|message| message.header_as_schema());
        let schema = schema.ok_or_else(other)?;
        let schema = guarded(|| try_fb_to_schema(schema)).map_err(|message| source.broken(name, message))?;
        let schema = schema.map_err(|error| source.broken(name, error.to_string()))?;
        source.schema = SchemaRef::new(schema);
        source.message = Buffer::from_vec(message);
        Ok(source)
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    pub(super) fn next(&mut self, name: &str) -> Option<Result<RecordBatch>> {
        let batch = self.next_batch(name);
        self.ended |= batch.is_err();
        batch.transpose()
    }

    fn next_batch(&mut self, name: &str) -> Result<Option<RecordBatch>> {
        loop {
            // A message without a body is decoded when the one behind it has come.
            while !self.message.is_empty() {
                // On some damage the crate panics.
                let decoded = guarded(|| self.decoder.decode(&mut self.message));
                let decoded = decoded.map_err(|message| self.broken(name, message))?;
                if let Some(batch) = decoded.map_err(|error| self.broken(name, error.to_string()))? {
                    self.batches += 1;
                    return Ok(Some(batch));
                }
            }
            if self.ended {
                return Ok(None);
            }
            self.message = Buffer::from_vec(self.message(name)?.0);
        }
    }

    /// Reads a message, and says where in it its head stands; the mark of the end is the last.
    fn message(&mut self, name: &str) -> Result<(Vec<u8>, usize)> {
        let mut message = Vec::new();
        let mut length = self.word(name, &mut message)?;
        if length == CONTINUES {
            length = self.word(name, &mut message)?;
        }
        let (length, head) = (u32::from_le_bytes(length), message.len());
        if length == 0 {
            self.ended = true;
            return Ok((message, head));
        }
        if length > HEAD_BYTES {
            return Err(self.broken(name, format!("a head of {length} bytes")));
        }
        self.bytes(name, u64::from(length), &mut message)?;
        let body = match root_as_message(&message[head..]) {
            Ok(message) => u64::try_from(message.bodyLength()),
            Err(error) => return Err(self.broken(name, error.to_string())),
        };
        let Ok(body) = body else { return Err(self.broken(name, "a length below zero".to_owned())) };
        let start = message.len();
        self.bytes(name, body, &mut message)?;
        let (head_bytes, body) = message.split_at(start);
        let unpacked = root_as_message(&head_bytes[head..]).ok().and_then(|head| unpacked_bytes(&head, body));
        match unpacked {
            Some(unpacked) if unpacked > BATCH_BYTES => {
                let message = format!("a batch that is {} GiB when it is unpacked", unpacked >> 30);
                Err(self.broken(name, message))
            }
            _ => Ok((message, head)),
        }
    }

    fn word(&mut self, name: &str, message: &mut Vec<u8>) -> Result<[u8; 4]> {
        let start = message.len();
        self.bytes(name, 4, message)?;
        Ok(message[start..].try_into().unwrap_or_default())
    }

    /// Appends so many bytes. Memory is taken as they come: a damaged length costs none.
    fn bytes(&mut self, name: &str, length: u64, message: &mut Vec<u8>) -> Result<()> {
        let read = (&mut self.input).take(length).read_to_end(message);
        match read.map_err(|error| stream_error(name, &error))? as u64 {
            read if read == length => Ok(()),
            // Every writer marks the end: without the mark it stopped before.
            _ => Err(DataError::StreamCut { data: name.to_owned(), batches: self.batches }.into()),
        }
    }

    fn broken(&self, name: &str, message: String) -> Error {
        let message = format!("{message} (behind batch {})", self.batches);
        DataError::Broken { data: name.to_owned(), format: "Arrow", message }.into()
    }
}

/// How large the packed parts of a message say that they are; nothing where none is packed.
fn unpacked_bytes(head: &Message<'_>, body: &[u8]) -> Option<u64> {
    let dictionary = || head.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    let batch = head.header_as_record_batch().or_else(dictionary)?;
    batch.compression()?;
    let length = |part: &arrow_ipc::Buffer| {
        let start = usize::try_from(part.offset()).ok()?;
        let length = body.get(start..)?.first_chunk().map(|bytes| i64::from_le_bytes(*bytes))?;
        // Below zero is a part that is not packed.
        u64::try_from(length).ok()
    };
    Some(batch.buffers()?.iter().filter_map(length).fold(0, u64::saturating_add))
}

/// The first word behind a file's mark that is none of the zeros which some writers align it by.
fn behind_zeros(input: &mut impl Read) -> io::Result<[u8; 4]> {
    let mut word = [0; 4];
    for _ in 0..MOST_ZEROS / word.len() {
        fill(input, &mut word)?;
        if word != [0; 4] {
            break;
        }
    }
    Ok(word)
}

/// Reads until the buffer is full or the input ends; how much came.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut found = 0;
    while found < buffer.len() {
        match input.read(&mut buffer[found..]) {
            Ok(0) => break,
            Ok(read) => found += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
