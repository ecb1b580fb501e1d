//! A pre-training as it goes, and what came of it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use cloze::learn::train::{Event, Look};
use cloze::numbers::count;
use cloze::study::pretrain::{Manifest, PretrainEvent, PretrainMetrics};

use super::live::Live;
use super::table::{Align, table};

/// Where a pre-training stands.
pub struct PretrainProgress {
    live: Live,
    steps: usize,
    tokens_a_step: usize,
    /// Since when, and how many steps went by since then.
    began: Instant,
    taken: usize,
    loss: Option<f64>,
}

impl PretrainProgress {
    /// Starts now, in place of what was shown.
    pub fn start(mut live: Live, manifest: &Manifest) -> PretrainProgress {
        live.turn_to("reading texts");
        let tokens_a_step =
            manifest.plan.batch_size * manifest.plan.accumulation * manifest.texts.sequence_length;
        let (steps, began) = (manifest.plan.steps, Instant::now());
        PretrainProgress { live, steps, tokens_a_step, began, taken: 0, loss: None }
    }

    /// Shows what happened.
    pub fn show(&mut self, event: PretrainEvent<'_>) {
        match event {
            PretrainEvent::Reading(tokens) => self.live.at(None, || reading(tokens)),
            PretrainEvent::Remark(remark) => self.live.line(&format!("warning: {remark}")),
            PretrainEvent::Before(looks) => {
                self.live.line(&format!("before: {}", looked(looks)));
                self.live.turn_to("before the first step");
                self.began = Instant::now();
            }
            PretrainEvent::Resumed(steps) => self.live.line(&format!("going on after step {steps}")),
            PretrainEvent::Training(Event::Looked { step, looks }) => {
                self.live.line(&format!("step {step}: {}", looked(looks)));
            }
            PretrainEvent::Training(event) => self.step(event),
        }
    }

    fn step(&mut self, event: &Event) {
        let Event::Step { step, losses, learning_rate, .. } = event else { return };
        self.taken += 1;
        let loss = losses.leading().unwrap_or_default();
        // A single batch's loss jumps; a running mean shows where it goes.
        let mean = self.loss.map_or(loss, |mean| 0.95 * mean + 0.05 * loss);
        self.loss = Some(mean);
        let steps = self.steps;
        let rate = (self.taken * self.tokens_a_step) as f64 / self.began.elapsed().as_secs_f64().max(1e-9);
        self.live.at(Some(*step as f64 / steps as f64), || {
            format!("step {step}/{steps}  loss {mean:.3}  lr {learning_rate:.1e}  {rate:.0} tokens/s")
        });
    }
}

/// How far texts are read.
pub fn reading(tokens: usize) -> String {
    format!("reading texts: {} tokens", count(tokens as u64))
}

/// Held-out texts in a line.
fn looked(looks: &[Look]) -> String {
    let said = |look: &Look| format!("{} {:.3} nats (perplexity {:.1})", look.of, look.loss, look.loss.exp());
    looks.iter().map(said).collect::<Vec<_>>().join("  ")
}

/// What came of it.
pub fn pretraining(metrics: &PretrainMetrics, model: &Path) -> String {
    let head = ["held-out text", "masks", "before", "after", "perplexity before", "after"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (before, after) in metrics.before.iter().zip(&metrics.after) {
        rows.push(vec![
            after.of.clone(),
            count(after.rows as u64),
            format!("{:.3}", before.loss),
            format!("{:.3}", after.loss),
            format!("{:.1}", before.loss.exp()),
            format!("{:.1}", after.loss.exp()),
        ]);
    }
    let right = Align::Right;
    let mut text = String::new();
    // Writing to a String cannot fail.
    if rows.len() > 1 {
        let _ =
            writeln!(text, "{}", table(&[Align::Left, right, right, right, right, right], &rows).trim_end());
        let _ = writeln!(text, "  the mean loss of a masked token in nats, on the same masks");
    }
    let _ = writeln!(
        text,
        "{} tokens in {} steps, {:.0} a second: {}",
        count(metrics.tokens as u64),
        count(metrics.steps as u64),
        metrics.tokens as f64 / metrics.seconds.max(1e-9),
        model.display()
    );
    text
}
