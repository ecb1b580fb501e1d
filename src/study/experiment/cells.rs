//! A run in cells: each seed's training, and each training that it is compared with.

use std::ops::ControlFlow;

use super::trainings::{CLS_PART, RUN_PART, SETFIT_PART, Trainings};
use super::{CLS, Experiment, ExperimentEvent, setfit_steps};
use crate::error::Result;
use crate::learn::run::RunFolder;
use crate::model::threads::Threads;
use crate::study::cells::{Cell, CellEnd, Plan};

impl Experiment {
    /// The trainings of all seeds; none needs another.
    pub fn plan(&self) -> Plan {
        let compared = [
            (self.manifest.cls_baseline, CLS_PART),
            (self.manifest.setfit_baseline && self.test.is_some(), SETFIT_PART),
        ];
        let parts: Vec<&str> =
            [(true, RUN_PART)].into_iter().chain(compared).filter(|p| p.0).map(|p| p.1).collect();
        let cells = self.manifest.header.seeds.iter().flat_map(|&seed| {
            parts.iter().map(move |part| Cell {
                cell: 0,
                stage: 1,
                seed: Some(seed),
                generation: None,
                model: (*part).to_owned(),
            })
        });
        Plan::of(cells.collect())
    }

    /// Which cells are done, by their places.
    pub fn cells_done(&self, folder: &RunFolder) -> Result<Vec<bool>> {
        self.plan().cells.iter().map(|cell| self.is_done(folder, cell)).collect()
    }

    fn is_done(&self, folder: &RunFolder, cell: &Cell) -> Result<bool> {
        let seed = cell.seed.unwrap_or_default();
        let last = match &*cell.model {
            RUN_PART => return Ok(folder.learned(seed).exists()),
            CLS_PART => CLS.defaults(self.manifest.classes.len()).steps,
            _ => setfit_steps(self.rows(&self.split(seed)?).targets.len()),
        };
        Ok(folder.stands_at(seed, &cell.model)? == Some(last))
    }

    /// Does a cell of the plan, by its number, in a folder that its process has: [`RunFolder::for_cell`].
    pub fn run_cell(
        &self,
        folder: &RunFolder,
        cell: usize,
        watch: &mut dyn FnMut(ExperimentEvent<'_>) -> ControlFlow<()>,
    ) -> Result<CellEnd> {
        let _threads = Threads::on(self.manifest.header.threads);
        let plan = self.plan();
        let cell = &plan.cells[plan.place(folder, cell)?];
        if self.is_done(folder, cell)? {
            return Ok(CellEnd::WasDone);
        }
        let seed = cell.seed.unwrap_or_default();
        let split = self.split(seed)?;
        let rows = self.rows(&split);
        let held_out = split.held_out.as_ref();
        let count = held_out.map_or(0, |rows| rows.targets.len());
        let _ = watch(ExperimentEvent::Seed { seed, train: rows.targets.len(), held_out: count });
        let ended = if cell.model == RUN_PART {
            let patterns = self.showing(&self.patterns, &rows)?;
            self.learn(folder, seed, (&patterns, &rows, held_out), watch)?.is_some()
        } else {
            let mut job = Trainings { experiment: self, folder, seed, start: None, resumed: false, watch };
            let state = if cell.model == CLS_PART { job.fit_cls(&rows) } else { job.fit_setfit(&rows) };
            state?.is_some()
        };
        Ok(if ended { CellEnd::Done } else { CellEnd::Stopped })
    }
}
