//! The models of an experiment in the order in which one process makes them, and as cells for many.

use std::ops::ControlFlow;

use super::{Ensemble, EnsembleEvent, EnsembleFolder, Generation, STUDENT, Watch};
use crate::error::Result;
use crate::model::threads::Threads;
use crate::study::cells::{Cell, CellEnd, Plan};

/// A model's turn: it is trained, scores rows and leaves what it says in the run's folder.
#[derive(Debug, Clone, Copy)]
pub(super) enum Turn {
    /// A pattern without training, by its place among the members.
    Untrained { member: usize },
    /// A member of a generation.
    Member { seed: u64, generation: usize, member: usize },
    /// The student of a stage.
    Student { seed: u64, stage: Generation },
}

impl Ensemble {
    /// All of them. The others go on where a stage of a seed has no members left, so their number is that of the
    /// plan.
    pub(super) fn turns(&self) -> Vec<Turn> {
        let members = 0..self.members.len();
        let mut turns: Vec<Turn> = members.clone().map(|member| Turn::Untrained { member }).collect();
        for &seed in &self.manifest.seeds {
            for stage in self.stages() {
                let trained = stage.map(|generation| {
                    members.clone().map(move |member| Turn::Member { seed, generation, member })
                });
                turns.extend(trained.into_iter().flatten());
                turns.extend(self.student.as_ref().map(|_| Turn::Student { seed, stage }));
            }
        }
        turns
    }

    /// Takes a turn, after so many of all. Where it has nobody to learn from it is left out.
    pub(super) fn take(
        &self,
        folder: &EnsembleFolder,
        turn: Turn,
        (done, all): (usize, usize),
        watch: Watch<'_>,
    ) -> Result<ControlFlow<()>> {
        if self.has_nobody(folder, turn) {
            return Ok(ControlFlow::Continue(()));
        }
        let (seed, generation, name) = self.place_of(turn);
        if watch(EnsembleEvent::Begins { done, all, seed, generation, name }).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        match turn {
            Turn::Untrained { member } => {
                self.without_training(folder, &self.members[member], watch)?;
                Ok(ControlFlow::Continue(()))
            }
            Turn::Member { seed, generation, member } => self.member(folder, seed, generation, member, watch),
            Turn::Student { seed, stage } => match &self.student {
                Some(model) => self.teach(folder, model, seed, stage, watch),
                None => Ok(ControlFlow::Continue(())),
            },
        }
    }

    /// The seed, the generation and the name that a model's files have.
    fn place_of(&self, turn: Turn) -> (Option<u64>, Generation, &str) {
        match turn {
            Turn::Untrained { member } => (None, None, &self.members[member].name),
            Turn::Member { seed, generation, member } => {
                (Some(seed), Some(generation), &self.members[member].name)
            }
            Turn::Student { seed, stage } => (Some(seed), stage, STUDENT),
        }
    }

    /// Whether none of those that a model learns from could be trained.
    fn has_nobody(&self, folder: &EnsembleFolder, turn: Turn) -> bool {
        let teachers = match turn {
            Turn::Untrained { .. } => None,
            Turn::Member { seed, generation, .. } => self.before(generation).map(|stage| (seed, stage)),
            Turn::Student { seed, stage } => Some((seed, stage)),
        };
        teachers.is_some_and(|(seed, stage)| self.alive(folder, stage, seed).is_empty())
    }

    /// The models as cells, and which turn each is, by its place.
    fn planned(&self) -> (Plan, Vec<Turn>) {
        let position = |stage| self.stages().iter().position(|other| *other == stage).unwrap_or_default();
        let cell = |turn: &Turn| {
            let (seed, generation, name) = self.place_of(*turn);
            let stage = match turn {
                Turn::Untrained { .. } => 1,
                Turn::Member { generation, .. } => 1 + position(Some(*generation)),
                Turn::Student { stage, .. } => 2 + position(*stage),
            };
            Cell { cell: 0, stage, seed, generation, model: name.to_owned() }
        };
        let mut turns = self.turns();
        turns.sort_by_key(|turn| cell(turn).stage);
        (Plan::of(turns.iter().map(cell).collect()), turns)
    }

    /// The models as cells: patterns without training and the first members are a stage; then each student
    /// beside the members of the next generation.
    pub fn plan(&self) -> Plan {
        self.planned().0
    }

    /// Which cells are done, by their places.
    pub fn cells_done(&self, folder: &EnsembleFolder) -> Vec<bool> {
        let (plan, turns) = self.planned();
        let mut done = Vec::with_capacity(turns.len());
        for (place, &turn) in turns.iter().enumerate() {
            let (seed, generation, name) = self.place_of(turn);
            let seed = seed.unwrap_or_default();
            // A student of members without training is filed under generation 0.
            let filed = match turn {
                Turn::Student { .. } => Some(generation.unwrap_or_default()),
                _ => generation,
            };
            let made = folder.scores(filed, seed, name).exists()
                || filed.is_some_and(|generation| folder.failure(generation, seed, name).is_some());
            done.push(
                made || self.has_nobody(folder, turn) && plan.needed_by(place).all(|other| done[other]),
            );
        }
        done
    }

    /// Does a cell of the plan, by its number, in a folder that its process has:
    /// [`EnsembleFolder::for_cell`].
    pub fn run_cell(&self, folder: &EnsembleFolder, cell: usize, watch: Watch<'_>) -> Result<CellEnd> {
        let _threads = Threads::on(self.manifest.threads.unwrap_or(1));
        let (plan, turns) = self.planned();
        let place = plan.place(&folder.run, cell)?;
        let done = self.cells_done(folder);
        if done[place] {
            return Ok(CellEnd::WasDone);
        }
        plan.check_turn(&folder.run, place, &done)?;
        let flow = self.take(folder, turns[place], (place, turns.len()), watch)?;
        Ok(if flow.is_break() { CellEnd::Stopped } else { CellEnd::Done })
    }
}
