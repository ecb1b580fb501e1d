//! One training in a run's folder: gone on with where it was stopped, its steps written down, checkpoints on
//! the way.

use crate::error::Result;
use crate::learn::dataset::Rows;
use crate::learn::run::{Events, RunFolder, SeedEvent};
use crate::learn::train::{Event, Flow, State, Trainer};

/// A training, by its place in a run.
pub struct Job<'a> {
    /// The run.
    pub folder: &'a RunFolder,
    /// The seed that it belongs to.
    pub seed: u64,
    /// Its name among the seed's trainings.
    pub part: &'a str,
    /// Steps from one checkpoint to the next.
    pub checkpoint_every: usize,
    /// Whether the end is a checkpoint too: where what came of it is needed again if a later training is
    /// stopped.
    pub keep_end: bool,
}

/// What happens in a training, for whoever watches.
#[derive(Debug, Clone, Copy)]
pub enum Moment<'a> {
    /// It goes on, having been stopped after so many steps.
    Resumed(usize),
    /// A step or a look.
    Event(&'a Event),
}

impl Job<'_> {
    /// Trains up to a step. None if `watch` said stop.
    pub fn train(
        &self,
        trainer: &Trainer<'_>,
        rows: &Rows,
        held_out: Option<&Rows>,
        last: usize,
        watch: &mut dyn FnMut(Moment<'_>) -> Flow,
    ) -> Result<Option<State>> {
        let mut state = trainer.begin()?;
        self.folder.resume(self.seed, self.part, &mut state)?;
        if state.step > 0 {
            watch(Moment::Resumed(state.step));
        }
        let mut events = self.events(state.step)?;
        let mut stopped = false;
        if state.step < last {
            trainer.train(
                &mut state,
                rows.labelled(),
                held_out.map(Rows::labelled),
                &mut |event, state| {
                    events.add(&SeedEvent {
                        seed: self.seed,
                        part: self.part.to_owned(),
                        event: event.clone(),
                    })?;
                    // Once asked to stop, a step's look may follow, and whoever watches need not say it again
                    // there.
                    stopped |= watch(Moment::Event(event)) == Flow::Stop;
                    let look_follows = held_out.is_some()
                        && matches!(event, Event::Step { .. })
                        && trainer.looks_after(state.step);
                    if look_follows {
                        return Ok(if stopped { Flow::Stop } else { Flow::On });
                    }
                    if state.step % self.checkpoint_every == 0 && state.step < last && !stopped {
                        self.folder.save_checkpoint(self.seed, self.part, state)?;
                    }
                    Ok(if stopped || state.step == last { Flow::Stop } else { Flow::On })
                },
            )?;
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
            let (Event::Step { step: at, .. } | Event::Evaluated { step: at, .. }) = &event.event;
            event.seed != self.seed || event.part != self.part || *at <= step
        })
    }
}
