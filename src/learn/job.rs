//! One training in a run's folder: gone on with where it was stopped, its steps written down, checkpoints on
//! the way.

use std::ops::ControlFlow;

use crate::error::Result;
use crate::learn::objective::Mixture;
use crate::learn::run::{Events, RunFolder, SeedEvent};
use crate::learn::train::{Event, HeldOut, State, Trainer};
use crate::tune::Learned;

/// A training, by its place in a run.
pub struct Job<'a> {
    /// The run.
    pub folder: &'a RunFolder,
    /// The seed that it belongs to.
    pub seed: u64,
    /// Its name among the seed's trainings.
    pub part: &'a str,
    /// What it starts from, where it does not start anew.
    pub start: Option<&'a Learned>,
    /// Steps from one checkpoint to the next.
    pub checkpoint_every: usize,
    /// Whether the end is a checkpoint too: where what came of it is needed again if a later training is
    /// stopped.
    pub keep_end: bool,
}

/// What happens in a training, for whoever watches.
#[derive(Debug, Clone, Copy)]
pub enum JobEvent<'a> {
    /// It goes on, having been stopped after so many steps.
    Resumed(usize),
    /// A step or an evaluation.
    Training(&'a Event),
}

impl Job<'_> {
    /// Trains up to a step. None if `watch` said stop; that it goes on stops nothing yet.
    pub fn train(
        &self,
        trainer: &Trainer<'_>,
        mixture: &mut Mixture,
        held_out: Option<HeldOut<'_>>,
        last: usize,
        watch: &mut dyn FnMut(JobEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Option<State>> {
        let mut state = trainer.begin()?;
        if let Some(start) = self.start {
            state.trainable.start_from(start);
        }
        self.folder.resume(self.seed, self.part, &mut state)?;
        if state.step > 0 {
            let _ = watch(JobEvent::Resumed(state.step));
        }
        let mut events = self.events(state.step)?;
        let mut stopped = false;
        if state.step < last {
            trainer.train(&mut state, mixture, held_out, &mut |event, state| {
                events.add(&SeedEvent {
                    seed: self.seed,
                    part: self.part.to_owned(),
                    event: event.clone(),
                })?;
                // Once asked to stop, a step's evaluation may follow, and whoever watches need not say it
                // again there.
                stopped |= watch(JobEvent::Training(event)).is_break();
                let evaluation_follows = held_out.is_some()
                    && matches!(event, Event::Step { .. })
                    && trainer.evaluates_after(state.step);
                if evaluation_follows {
                    return Ok(stop_if(stopped));
                }
                if state.step % self.checkpoint_every == 0 && state.step < last && !stopped {
                    self.folder.save_checkpoint(self.seed, self.part, state)?;
                }
                Ok(stop_if(stopped || state.step == last))
            })?;
        }
        if stopped && state.step < last {
            self.folder.save_checkpoint(self.seed, self.part, &state)?;
            return Ok(None);
        }
        if self.keep_end {
            self.folder.save_checkpoint(self.seed, self.part, &state)?;
        }
        Ok(Some(state))
    }

    /// The list of events without what this training will say again.
    fn events(&self, step: usize) -> Result<Events> {
        self.folder.events(&|event: &SeedEvent| {
            event.seed != self.seed || event.part != self.part || event.event.step() <= step
        })
    }
}

fn stop_if(stop: bool) -> ControlFlow<()> {
    if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
