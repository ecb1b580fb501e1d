//! How far a command is: a bar on a terminal, a line now and then elsewhere, nothing if asked to be quiet.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use cloze::numbers::brief;
use indicatif::{ProgressBar, ProgressStyle};

/// Lines come this far apart at first, so that somebody who watches sees that it works.
const FIRST_LINES: Duration = Duration::from_secs(10);
/// And so far apart after the first minute: a log of hours is still one that people read.
const LATER_LINES: Duration = Duration::from_secs(60);
/// Often enough to be seen to move.
const BETWEEN_TICKS: Duration = Duration::from_millis(200);
/// The time left is told when so much of the whole is done: the first part tells little of the rest.
const TELLS: f64 = 0.02;
/// Parts of a bar.
const PARTS: u64 = 1000;

/// What moves while a command works. It goes when it is dropped.
pub struct Live {
    shown: Shown,
    /// When what is measured began, and how much was done then.
    began: Option<(Instant, f64)>,
}

enum Shown {
    Nothing,
    Bar(ProgressBar),
    Lines { start: Instant, last: Instant },
}

impl Live {
    /// Starts with something whose end is not known, such as "loading the model".
    pub fn start(quiet: bool, what: &str) -> Live {
        let shown = if quiet {
            Shown::Nothing
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(PARTS);
            bar.set_style(style("{spinner} {wide_msg}"));
            bar.set_message(what.to_owned());
            bar.enable_steady_tick(BETWEEN_TICKS);
            Shown::Bar(bar)
        } else {
            let now = Instant::now();
            Shown::Lines { start: now, last: now }
        };
        Live { shown, began: None }
    }

    /// Goes on with something else: its rate and the time left are its own.
    pub fn turn_to(&mut self, what: &str) {
        self.began = None;
        if let Shown::Bar(bar) = &self.shown {
            bar.set_style(style("{spinner} {wide_msg}"));
            bar.set_message(what.to_owned());
        }
    }

    /// So much is done, from 0 to 1, where that is known.
    pub fn at(&mut self, share: Option<f64>, what: impl FnOnce() -> String) {
        let left = share.and_then(|share| self.left(share)).map(|left| format!("  {} left", brief(left)));
        let left = left.unwrap_or_default();
        match &mut self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                if let Some(share) = share {
                    bar.set_style(style("{spinner} {bar:12}  {wide_msg}"));
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    // A share of the parts.
                    bar.set_position((share * PARTS as f64) as u64);
                }
                bar.set_message(what() + &left);
            }
            Shown::Lines { start, last } if last.elapsed() >= between_lines(start.elapsed()) => {
                *last = Instant::now();
                say(&(what() + &left));
            }
            Shown::Lines { .. } => {}
        }
    }

    /// A line that stays.
    pub fn line(&self, text: &str) {
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => bar.println(text),
            Shown::Lines { .. } => say(text),
        }
    }

    /// Does what may write to the same terminal.
    pub fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.shown {
            Shown::Bar(bar) => bar.suspend(write),
            _ => write(),
        }
    }

    /// The time left, by the time that it took from the first that was told.
    fn left(&mut self, share: f64) -> Option<Duration> {
        let (began, before) = *self.began.get_or_insert_with(|| (Instant::now(), share));
        let done = share - before;
        (done >= TELLS).then(|| began.elapsed().mul_f64(((1.0 - share) / done).max(0.0)))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn between_lines(elapsed: Duration) -> Duration {
    if elapsed < LATER_LINES { FIRST_LINES } else { LATER_LINES }
}

fn say(line: &str) {
    // Only for people who watch: that it cannot be shown stops nothing.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A template of constants: it is tried whenever a bar is shown.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━━─")
}
