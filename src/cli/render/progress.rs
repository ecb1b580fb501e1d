//! How far rows are answered.

use std::time::Instant;

use cloze::numbers::counted;
use cloze::predict::prompt_classifier::ScoringProgress;

use super::live::Live;

/// Progress over the rows of a file of known or unknown size.
pub struct Progress {
    live: Live,
    /// The file's size in bytes.
    size: Option<u64>,
    fitting: bool,
    started: Instant,
}

impl Progress {
    /// Starts now, in place of what was shown.
    pub fn over(mut live: Live, size: Option<u64>) -> Progress {
        live.turn_to("scoring rows");
        Progress { live, size, fitting: false, started: Instant::now() }
    }

    /// So many rows are done, of the rows and bytes that have been read.
    pub fn advance(&mut self, at: ScoringProgress) {
        if let Some(share) = at.fitting {
            self.fitting = true;
            return self.live.at(Some(share), || format!("fitting the correction  {:.0} %", share * 100.0));
        }
        if std::mem::take(&mut self.fitting) {
            self.live.turn_to("scoring rows");
        }
        let read = at.bytes_read as f64 * at.done / at.rows_read.max(1) as f64;
        let share = self.size.filter(|size| *size > 0).map(|size| (read / size as f64).min(1.0));
        // The last rows need no line: the report follows.
        if share == Some(1.0) {
            return;
        }
        let rate = at.done / self.started.elapsed().as_secs_f64().max(1e-9);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Not above what has been read.
        self.live.at(share, || format!("{}  {rate:.0} rows/s", counted(at.done as u64, "row")));
    }

    /// Writes what may go to the same terminal.
    pub fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.live.beside(write)
    }

    /// Takes the bar away and tells how many seconds it took.
    pub fn finish(self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}
