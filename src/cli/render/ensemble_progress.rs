//! An ensemble experiment as it goes.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use cloze::learn::train::Event;
use cloze::numbers::brief;
use cloze::study::ensemble::{EnsembleEvent, Generation};
use indicatif::{ProgressBar, ProgressStyle};

/// Long enough not to fill a log.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Where an experiment stands: a bar on a terminal, a line now and then elsewhere.
pub struct EnsembleProgress {
    quiet: bool,
    bar: Option<ProgressBar>,
    /// The model whose turn it is, as it is told.
    name: String,
    done: usize,
    all: usize,
    /// When the first model began that was not done yet, and how many were done then.
    began: Option<(Instant, usize)>,
    last_line: Instant,
}

impl EnsembleProgress {
    /// Starts now.
    pub fn start(quiet: bool) -> EnsembleProgress {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{bar:12}  {wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(1);
            bar.set_style(style.progress_chars("━━─"));
            bar
        });
        EnsembleProgress {
            quiet,
            bar,
            name: String::new(),
            done: 0,
            all: 0,
            began: None,
            last_line: Instant::now(),
        }
    }

    /// Shows what happened.
    pub fn show(&mut self, event: EnsembleEvent<'_>) {
        if self.quiet {
            return;
        }
        match event {
            EnsembleEvent::Begins { done, all, seed, generation, name } => {
                (self.done, self.all) = (done, all);
                self.name = named(seed, generation, name);
            }
            EnsembleEvent::Resumed { steps } => {
                self.line(&format!("{}: going on after step {steps}", self.name))
            }
            EnsembleEvent::Training { steps, event: Event::Step { step, losses, .. } } => {
                let (loss, mlm_loss) = (losses.leading().unwrap_or_default(), losses.language_modelling);
                let of_language = mlm_loss.map(|loss| format!("  MLM loss {loss:.2}")).unwrap_or_default();
                self.at(
                    &format!("step {step}/{steps}  loss {loss:.3}{of_language}"),
                    0.8 * *step as f64 / steps as f64,
                );
            }
            EnsembleEvent::Training { .. } => {}
            EnsembleEvent::Scoring { share } => {
                self.at(&format!("scoring {:.0} %", share * 100.0), 0.8 + 0.2 * share)
            }
            EnsembleEvent::Failed { reason } => self.line(&format!("{}: left out, {reason}", self.name)),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Tells where the model at hand stands, `share` of it done.
    fn at(&mut self, what: &str, share: f64) {
        let (began, before) = *self.began.get_or_insert_with(|| (Instant::now(), self.done));
        let done = self.done as f64 + share;
        let mut text = format!("{}/{}  {}  {what}", self.done + 1, self.all, self.name);
        // The first share of the first model tells little of the rest.
        if done - before as f64 > 0.2 {
            let left = began.elapsed().mul_f64((self.all as f64 - done) / (done - before as f64));
            let _ = write!(text, "  {} left", brief(left));
        }
        match &self.bar {
            Some(bar) => {
                bar.set_length(self.all as u64 * 100);
                bar.set_position((done * 100.0) as u64);
                bar.set_message(text);
            }
            None if self.last_line.elapsed() >= BETWEEN_LINES => {
                self.last_line = Instant::now();
                self.line(&text);
            }
            None => {}
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }
}

/// "seed 13, generation 1, it-was+sentiment"
fn named(seed: Option<u64>, generation: Generation, name: &str) -> String {
    let mut text = String::new();
    if let Some(seed) = seed {
        let _ = write!(text, "seed {seed}, ");
    }
    match generation {
        Some(generation) => drop(write!(text, "generation {generation}, ")),
        None => text.push_str("without training, "),
    }
    text + name
}
