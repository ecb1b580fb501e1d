//! Rows that come as somebody writes them: a thread waits for them, so that nobody else has to.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use super::{Columns, Raw, Reader, Step};

/// So many rows are read ahead at most.
const AHEAD: usize = 4096;

pub(super) struct Background(Receiver<Step>);

/// What has come.
pub(super) enum Come {
    Row(Raw),
    EndOfBatch,
    Nothing,
    End,
}

impl Background {
    /// Reads on a thread of its own, which ends with the input, or when no one wants the next row.
    pub(super) fn start(mut reader: Reader, columns: Arc<Columns>) -> Background {
        let (tell, rows) = sync_channel(AHEAD);
        thread::spawn(move || {
            while let Some(step) = reader.step(&columns) {
                if tell.send(step).is_err() {
                    break;
                }
            }
        });
        Background(rows)
    }

    /// The next row, waited for at most so long; without a time, as long as it takes.
    pub(super) fn next(&self, wait: Option<Duration>) -> Come {
        let ended = RecvTimeoutError::Disconnected;
        let come = match wait {
            Some(wait) => self.0.recv_timeout(wait),
            None => self.0.recv().map_err(|_| ended),
        };
        match come {
            Ok(Step::Row(row)) => Come::Row(row),
            Ok(Step::EndOfBatch) => Come::EndOfBatch,
            Err(RecvTimeoutError::Timeout) => Come::Nothing,
            Err(RecvTimeoutError::Disconnected) => Come::End,
        }
    }
}
