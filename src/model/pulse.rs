//! Whether a model works here, and how fast.

use std::time::{Duration, Instant};

use crate::model::batch::{Batch, sample_inputs};
use crate::model::encoder::{Additions, Encoder, Mode};
use crate::model::features::Features;
use crate::model::head::MlmHead;
use crate::model::masked_lm::MaskedLm;
use crate::model::threads::Threads;

/// What a model gave for sample inputs.
#[derive(Debug, Clone, Copy)]
pub struct Pulse {
    /// Whether all it gave were finite numbers.
    pub finite: bool,
    /// Tokens a second on one thread.
    pub tokens_per_second: f64,
}

impl Pulse {
    /// Lets a model read inputs of 32 tokens, 16 at a time, for about so long, after once for warming up.
    pub fn of(model: &MaskedLm, time: Duration) -> Pulse {
        // As rows are scored: each thread has batches of its own.
        let _one = Threads::on(1);
        let _no_grad = tch::no_grad_guard();
        let encoder = Encoder::new(model.config(), &model.parameters);
        let head = MlmHead::new(model.config(), &model.parameters);
        let inputs = sample_inputs(model.tokenizer(), model.config().max_position_embeddings);
        let batch = Batch::collate(
            &inputs.iter().collect::<Vec<&Features>>(),
            model.tokenizer().special().pad,
            model.device,
        );
        let forward = || {
            let states = encoder.states_at_masks(&batch, &Additions::default(), Mode::Score);
            let logits = head.logits(&states, None, Mode::Score);
            // To ask for a number waits for all of them.
            logits.isfinite().all().int64_value(&[]) == 1
        };
        let mut finite = forward();
        let (start, mut passes) = (Instant::now(), 0);
        while passes == 0 || start.elapsed() < time {
            finite &= forward();
            passes += 1;
        }
        let (rows, tokens) = batch.size();
        let tokens_per_second = (passes * rows * tokens) as f64 / start.elapsed().as_secs_f64();
        Pulse { finite, tokens_per_second }
    }
}
