//! `cloze train --tasks`: one model for several tasks.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use cloze::learn::run::RunFolder;
use cloze::learn::train::Event;
use cloze::model::threads::Threads;
use cloze::study::multi_task::{MultiTask, TaskFiles, TasksRequest};

use super::super::render::{self, Live};
use super::super::{setup, signals, source};
use super::Train;

/// Runs the command with a file of tasks.
pub fn run(args: &Train, tasks: &Path) -> Result<()> {
    RunFolder::check_free(&args.out)?;
    let request = TasksRequest {
        tuning: setup::tuning(&args.tuning)?,
        files: TaskFiles::read(tasks)?,
        plan: setup::plan_options(&args.plan),
        options: setup::options(&args.model)?,
        folder: setup::open_model(&args.model.limits)?,
        max_length: args.model.limits.max_length,
        reading: source::reading_without_file(&args.reading)?,
        seeds: args.seeds.clone(),
        threads: args.model.threads.map_or_else(Threads::usual, usize::from),
        command: setup::command(),
    };
    let mut live = Live::start(args.quiet, "reading rows and the model");
    let (training, warnings) = MultiTask::prepare(request)?;
    let mixture = training.check()?;
    if !args.quiet {
        live.beside(|| render::warnings(&warnings))?;
    }
    let run = RunFolder::create(&args.out, &training.manifest.written())?;
    signals::kept(format!(
        "{} is not finished, and several tasks are not gone on with: delete it, and give the command again",
        args.out.display()
    ));
    live.turn_to("scoring test rows before the training");
    let (steps, seeds) = (training.manifest.plan.steps, &training.manifest.header.seeds);
    let (began, mut rows_done) = (Instant::now(), 0);
    let metrics = training.run(&run, mixture, &mut |seed, event| {
        let Event::Step { step, task: Some(task), losses, rows, .. } = event else { return };
        rows_done += rows;
        let number = seeds.iter().position(|known| *known == seed).unwrap_or(0);
        let share = (number * steps + step) as f64 / (seeds.len() * steps) as f64;
        let loss = losses.leading().unwrap_or_default();
        let rate = rows_done as f64 / began.elapsed().as_secs_f64();
        live.at(Some(share), || {
            let of_seeds = format!("seed {seed} ({}/{})", number + 1, seeds.len());
            format!("{of_seeds}  step {step}/{steps}  {task}: loss {loss:.3}  {rate:.0} rows/s")
        });
    })?;
    drop(live);
    if !args.quiet {
        render::tell(&(render::tasks(&metrics) + &render::terms(&std::io::stderr())))?;
    }
    Ok(())
}
