//! A run in cells: models that can be made at the same time, by as many processes as there are, on one
//! machine or on many that share a folder.
//!
//! A plan numbers them from 1. Those of a stage need nothing of each other, only what the stages before it
//! made. Each cell leaves what it made where the run by itself would have put it; so what is left to do when
//! all are done is what a run that goes on does: to read, and to reckon.

use serde::Serialize;

use crate::error::{Result, RunError};
use crate::learn::run::RunFolder;

/// One of the models of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// Its number, from 1.
    pub cell: usize,
    /// Cells of a stage can be done when those of all stages before it are; from 1.
    pub stage: usize,
    /// Whose rows it learns from; none where it learns from none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The generation of an ensemble's model; none without training, and where there are no generations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<usize>,
    /// What is trained: an ensemble's member or its student; `run` is the method itself, all others what it
    /// is compared with.
    pub model: String,
}

/// What `plan.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The version of the form.
    pub version: u32,
    /// In the order of their numbers.
    pub cells: Vec<Cell>,
}

/// The version of [`Plan`].
pub const VERSION: u32 = 1;
/// The plan in a run's folder.
pub const PLAN: &str = "plan.json";

/// How the process of a cell ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellEnd {
    /// It made what it should.
    Done,
    /// Another one had, before.
    WasDone,
    /// It was stopped; the folder holds where it stands.
    Stopped,
}

impl Plan {
    /// Of models in the order in which a single process would make them.
    pub fn of(mut cells: Vec<Cell>) -> Plan {
        cells.sort_by_key(|cell| cell.stage);
        cells.iter_mut().enumerate().for_each(|(index, cell)| cell.cell = index + 1);
        Plan { version: VERSION, cells }
    }

    /// Puts the plan into a new run's folder.
    pub fn write(&self, folder: &RunFolder) -> Result<()> {
        folder.write_json(&folder.path().join(PLAN), self)
    }

    /// The numbers of each stage's cells, first and last.
    pub fn stages(&self) -> Vec<(usize, usize)> {
        let of_stage = self.cells.chunk_by(|one, next| one.stage == next.stage);
        of_stage.map(|cells| (cells[0].cell, cells[cells.len() - 1].cell)).collect()
    }

    /// The place of a cell by its number.
    pub fn place(&self, folder: &RunFolder, cell: usize) -> Result<usize> {
        let place = cell.checked_sub(1).filter(|place| *place < self.cells.len());
        let path = folder.path().to_owned();
        place.ok_or_else(|| RunError::NoCell { path, cell, cells: self.cells.len() }.into())
    }

    /// Refuses a cell whose turn has not come: it needs its seed's models of the stages before.
    pub fn check_turn(&self, folder: &RunFolder, place: usize, done: &[bool]) -> Result<()> {
        let missing: Vec<usize> =
            self.needed_by(place).filter(|other| !done[*other]).map(|p| p + 1).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(RunError::CellTooEarly { path: folder.path().to_owned(), cell: place + 1, missing }.into())
    }

    /// The places of the cells that one needs.
    pub fn needed_by(&self, place: usize) -> impl Iterator<Item = usize> {
        let own = &self.cells[place];
        let needs =
            move |other: &Cell| other.stage < own.stage && (other.seed.is_none() || other.seed == own.seed);
        self.cells.iter().enumerate().filter(move |(_, other)| needs(other)).map(|(place, _)| place)
    }

    /// Refuses a run with cells that are not done.
    pub fn check_all(&self, folder: &RunFolder, done: &[bool]) -> Result<()> {
        let missing: Vec<usize> = (0..done.len()).filter(|place| !done[*place]).map(|p| p + 1).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(RunError::CellsMissing { path: folder.path().to_owned(), missing }.into())
    }
}
