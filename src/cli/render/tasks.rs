//! Several tasks on the terminal: a training as it goes, and its results.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use cloze::learn::train::{Event, Look};
use cloze::numbers::{interval, percent};
use cloze::study::compare::holm;
use cloze::study::multi_task::{Manifest, TaskMetrics, TasksEvent};

use super::live::Live;
use super::paired;
use super::pretrain::reading;
use super::table::{Align, table};

/// Where a training of several tasks stands.
pub struct TasksProgress {
    live: Live,
    seeds: Vec<u64>,
    steps: usize,
    /// Since when, and how many rows went through since then.
    began: Instant,
    rows: usize,
    loss: Option<f64>,
}

impl TasksProgress {
    /// Starts now, in place of what was shown.
    pub fn start(mut live: Live, manifest: &Manifest) -> TasksProgress {
        live.turn_to("scoring test rows before the training");
        let (seeds, steps) = (manifest.header.seeds.clone(), manifest.plan.steps);
        TasksProgress { live, seeds, steps, began: Instant::now(), rows: 0, loss: None }
    }

    /// Shows what happened.
    pub fn show(&mut self, event: TasksEvent<'_>) {
        match event {
            TasksEvent::Scoring(task) => self.live.at(None, || format!("scoring the test rows of {task}")),
            TasksEvent::Seed { seed, after } => {
                self.live.turn_to("before the first step");
                (self.began, self.rows, self.loss) = (Instant::now(), 0, None);
                if after > 0 {
                    self.live.line(&format!("seed {seed}: going on after step {after}"));
                }
            }
            TasksEvent::Reading(tokens) => self.live.at(None, || reading(tokens)),
            TasksEvent::Remark(remark) => self.live.line(&format!("warning: {remark}")),
            TasksEvent::Training(seed, Event::Looked { step, looks }) => {
                self.live.line(&format!("seed {seed}, step {step}: {}", looked(looks)));
            }
            TasksEvent::Training(seed, event) => self.step(seed, event),
        }
    }

    fn step(&mut self, seed: u64, event: &Event) {
        let Event::Step { step, losses, rows, .. } = event else { return };
        self.rows += rows;
        let loss = losses.leading().unwrap_or_default();
        // Losses of tasks differ, and of texts more; a running mean shows where they go.
        let mean = self.loss.map_or(loss, |mean| 0.98 * mean + 0.02 * loss);
        self.loss = Some(mean);
        let number = self.seeds.iter().position(|known| *known == seed).unwrap_or(0);
        let (steps, seeds, count) = (self.steps, self.seeds.len(), self.rows);
        let share = (number * steps + step) as f64 / (seeds * steps) as f64;
        let rate = count as f64 / self.began.elapsed().as_secs_f64().max(1e-9);
        self.live.at(Some(share), || {
            let of_seeds = format!("seed {seed} ({}/{seeds})", number + 1);
            format!("{of_seeds}: step {step}/{steps}  loss {mean:.3}  {rate:.0} rows/s")
        });
    }
}

/// What is held out, in one line: tasks by their accuracy, texts by their loss.
fn looked(looks: &[Look]) -> String {
    let said = |look: &Look| match look.accuracy {
        Some(accuracy) => format!("{} {}", look.of, percent(accuracy)),
        None => format!("{} {:.3} nats", look.of, look.loss),
    };
    looks.iter().map(said).collect::<Vec<_>>().join("  ")
}

/// The results of several tasks: those that were learned, then those that were not.
pub fn tasks(metrics: &[TaskMetrics]) -> String {
    let head = ["task", "rows", "before", "after", "95 %", "change"]
        .into_iter()
        .chain(paired::HEAD[1..].iter().copied());
    let head: Vec<String> = head.map(str::to_owned).collect();
    let found: Vec<_> = metrics.iter().filter_map(|task| task.difference.as_ref()).collect();
    let p_values = holm(&found.iter().map(|found| found.p_value).collect::<Vec<_>>());
    let mut p_holm = BTreeMap::new();
    for (task, p) in metrics.iter().filter(|task| task.difference.is_some()).zip(p_values) {
        p_holm.insert(task.name.as_str(), p);
    }
    let mut text = String::new();
    for (learned, title) in [(true, "Tasks that were learned:"), (false, "Tasks that were not:")] {
        let of_kind: Vec<&TaskMetrics> =
            metrics.iter().filter(|task| task.learned == learned && task.test_rows > 0).collect();
        if of_kind.is_empty() {
            continue;
        }
        let mut rows = vec![head.clone()];
        rows.extend(of_kind.into_iter().map(|task| row(task, p_holm.get(task.name.as_str()).copied())));
        let mut aligned = [Align::Right; 9];
        aligned[0] = Align::Left;
        // Writing to a String cannot fail.
        let _ = write!(text, "{title}\n{}", table(&aligned, &rows));
    }
    if text.is_empty() {
        return "nothing to evaluate on: \"test\" of a task names labelled rows\n".to_owned();
    }
    let spread = match metrics.iter().any(|task| task.after.len() > 1) {
        true => ", the mean over the seeds (95 %: theirs, Student's t)",
        false => " (95 %: over the rows, Wilson)",
    };
    let _ = writeln!(text, "  accuracy on test rows in percent{spread}");
    let _ = writeln!(text, "  change: after less before, in points\n  {}", paired::note(&found));
    text
}

fn row(task: &TaskMetrics, p_holm: Option<f64>) -> Vec<String> {
    let spread = match (&task.over_seeds, &task.after_95[..]) {
        (Some(over_seeds), _) => over_seeds.interval(),
        (None, [of_rows]) => interval(*of_rows),
        _ => String::new(),
    };
    let mut row = vec![
        task.name.clone(),
        task.test_rows.to_string(),
        task.before.map(percent).unwrap_or_default(),
        task.mean_after().map(percent).unwrap_or_default(),
        spread,
    ];
    if let Some((difference, p_holm)) = task.difference.as_ref().zip(p_holm) {
        row.extend(paired::cells(difference, p_holm));
    }
    row
}
