//! An ensemble experiment as it goes.

use std::fmt::Write as _;
use std::time::Instant;

use cloze::learn::train::Event;
use cloze::study::ensemble::{EnsembleEvent, Generation};

use super::live::Live;

/// The part of a model's time that its training takes, about.
const TRAINING: f64 = 0.8;

/// Where an experiment stands.
pub struct EnsembleProgress {
    live: Live,
    /// The model whose turn it is, as it is told.
    name: String,
    done: usize,
    all: usize,
    /// When its first step was seen, and which it was.
    began: Option<(Instant, usize)>,
}

impl EnsembleProgress {
    /// Starts now, in place of what was shown.
    pub fn start(mut live: Live) -> EnsembleProgress {
        live.turn_to("before the first model");
        EnsembleProgress { live, name: String::new(), done: 0, all: 0, began: None }
    }

    /// Shows what happened.
    pub fn show(&mut self, event: EnsembleEvent<'_>) {
        match event {
            EnsembleEvent::Begins { done, all, seed, generation, name } => {
                (self.done, self.all, self.began) = (done, all, None);
                self.name = named(seed, generation, name);
            }
            EnsembleEvent::Resumed { steps } => {
                self.live.line(&format!("{}: going on after step {steps}", self.name));
            }
            EnsembleEvent::Training { steps, event: Event::Step { step, losses, .. } } => {
                let (loss, mlm_loss) = (losses.leading().unwrap_or_default(), losses.language_modelling);
                let of_language = mlm_loss.map(|loss| format!("  MLM loss {loss:.2}")).unwrap_or_default();
                let (began, first) = *self.began.get_or_insert_with(|| (Instant::now(), *step));
                let rate = (step - first) as f64 / began.elapsed().as_secs_f64().max(1e-9);
                let rate = if step > &first { format!("  {rate:.1} steps/s") } else { String::new() };
                self.at(
                    &format!("step {step}/{steps}  loss {loss:.3}{of_language}{rate}"),
                    TRAINING * *step as f64 / steps as f64,
                );
            }
            EnsembleEvent::Training { .. } => {}
            EnsembleEvent::Scoring { share } => {
                self.at(&format!("scoring {:.0} %", share * 100.0), TRAINING + (1.0 - TRAINING) * share);
            }
            EnsembleEvent::Failed { reason } => {
                self.live.line(&format!("{}: left out, {reason}", self.name));
            }
        }
    }

    /// Tells where the model at hand stands, `share` of it done.
    fn at(&mut self, what: &str, share: f64) {
        let done = (self.done as f64 + share) / self.all.max(1) as f64;
        self.live.at(Some(done), || format!("{}/{}  {}  {what}", self.done + 1, self.all, self.name));
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
