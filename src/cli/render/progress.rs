//! How far a run is: a bar on a terminal, a line now and then elsewhere, nothing if asked to be quiet.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use cloze::numbers::counted;
use indicatif::{ProgressBar, ProgressStyle};

/// Long enough not to fill a log.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Progress over the rows of a file of known or unknown size.
pub struct Progress {
    shown: Shown,
    started: Instant,
}

enum Shown {
    Nothing,
    Bar(ProgressBar),
    Lines { size: Option<u64>, last: Instant },
}

impl Progress {
    /// Starts now. `size` is the input's size in bytes, if known.
    pub fn start(quiet: bool, size: Option<u64>) -> Progress {
        let shown = if quiet {
            Shown::Nothing
        } else if std::io::stderr().is_terminal() {
            Shown::Bar(bar(size))
        } else {
            Shown::Lines { size, last: Instant::now() }
        };
        Progress { shown, started: Instant::now() }
    }

    /// So many rows are done, of the rows and bytes that have been read.
    pub fn advance(&mut self, rows: f64, read: (u64, u64)) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Not above what has been read.
        let (rows, bytes) = (rows as u64, (read.1 as f64 * rows / read.0 as f64) as u64);
        let rate = rows as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let done = counted(rows, "row");
        match &mut self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                bar.set_position(bytes);
                bar.set_message(format!("{done}  {rate:.0} rows/s"));
            }
            Shown::Lines { size, last } => {
                // The last rows need no line: the report follows.
                if last.elapsed() < BETWEEN_LINES || *size == Some(bytes) {
                    return;
                }
                *last = Instant::now();
                let left = size.map(|size| left(size, bytes, self.started.elapsed())).unwrap_or_default();
                let _ = writeln!(std::io::stderr(), "{done}, {rate:.0} rows/s{left}");
            }
        }
    }

    /// Takes the bar away and tells how many seconds it took.
    pub fn finish(self) -> f64 {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
        self.started.elapsed().as_secs_f64()
    }
}

fn left(size: u64, bytes: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64() * size.saturating_sub(bytes) as f64 / bytes.max(1) as f64;
    format!(", {} left", indicatif::HumanDuration(Duration::from_secs_f64(seconds)))
}

fn bar(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => (ProgressBar::new(size), "{bar:30} {percent:>3} %  {msg}  {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner}  {msg}  {elapsed}"),
    };
    // A template of constants: it is tried whenever a bar is shown.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("━━─"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A sign that something goes on, on a terminal alone; it goes when it is dropped.
pub struct Working(ProgressBar);

impl Working {
    /// Says what goes on.
    pub fn on(what: impl Into<String>) -> Working {
        let spinner =
            if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        spinner.set_message(what.into());
        spinner.enable_steady_tick(Duration::from_millis(120));
        Working(spinner)
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
