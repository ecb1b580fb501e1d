//! The results of a model that learned several tasks, from its folder.

use std::collections::BTreeMap;
use std::path::Path;

use maud::{Markup, html};

use crate::error::Result;
use crate::error::source::Source;
use crate::learn::run::{METRICS, RunFolder, SeedEvent};
use crate::learn::train::Event;
use crate::page::plots::{Line, POINTS, losses, thinned};
use crate::study::multi_task::TaskMetrics;
use crate::text::json::{self, Node};

/// The results, task by task.
pub struct TasksReport {
    /// What came of each.
    pub tasks: Vec<TaskMetrics>,
    /// The loss on each task by step, the seeds one after the other: in training, and on held-out rows.
    losses: [Vec<Line>; 2],
}

impl TasksReport {
    /// Reads the results of a finished run.
    pub fn read(run: &Path) -> Result<TasksReport> {
        let file = run.join(METRICS);
        let source = Source::new(file.display().to_string(), json::read_text(&file)?);
        let tasks = Node::root(&source).read()?;
        let mut found: [BTreeMap<String, Vec<(f64, f64)>>; 2] = Default::default();
        let mut first = None;
        RunFolder::existing(run)?.each_event(&mut |SeedEvent { seed, event, .. }| {
            // Of several seeds the first: a line of each for each task would be too many.
            if *first.get_or_insert(seed) != seed {
                return;
            }
            let mut add = |which: usize, name: String, step: usize, loss: f64| {
                if loss.is_finite() {
                    found[which].entry(name).or_default().push((step as f64, loss));
                }
            };
            match event {
                Event::Step { step, task, losses, .. } => {
                    if let (Some(task), Some(loss)) = (task, losses.leading()) {
                        add(0, task, step, loss);
                    }
                }
                Event::Looked { step, looks } => {
                    looks.into_iter().for_each(|look| add(1, look.of, step, look.loss));
                }
                Event::Evaluated { .. } => {}
            }
        })?;
        let lines = |of_tasks: BTreeMap<String, Vec<(f64, f64)>>| {
            of_tasks.into_iter().map(|(task, points)| (task, thinned(&points, POINTS))).collect()
        };
        Ok(TasksReport { tasks, losses: found.map(lines) })
    }

    /// How the losses fell; nothing where none were written down.
    pub(super) fn curves(&self) -> Option<Markup> {
        self.losses.iter().any(|lines| !lines.is_empty()).then(|| {
            html! {
                p { "The loss by step, of the first seed." }
                div.beside {
                    (losses("tasks that are learned", &self.losses[0]))
                    (losses("held-out rows", &self.losses[1]))
                }
            }
        })
    }
}
