//! `cloze train --tasks`: one model for several tasks.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use cloze::learn::run::RunFolder;
use cloze::learn::train::Event;
use cloze::model::threads::Threads;
use cloze::numbers::{interval, percent};
use cloze::study::multi_task::{MultiTask, TaskFiles, TaskMetrics, TasksRequest};

use super::super::render::{self, Align, Live};
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
        reading: source::training_reading(&args.reading)?,
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
        render::tell(&(table(&metrics) + &render::terms(&std::io::stderr())))?;
    }
    Ok(())
}

fn table(metrics: &[TaskMetrics]) -> String {
    let mut rows =
        vec![["task", "", "test rows", "before", "after", "± sd", "95 % seeds"].map(str::to_owned).to_vec()];
    for task in metrics {
        let after = task.after.iter().sum::<f64>() / task.after.len().max(1) as f64;
        let after = if task.after.is_empty() { String::new() } else { percent(after) };
        let (deviation, seeds) = match &task.over_seeds {
            Some(over_seeds) => (percent(over_seeds.spread.standard_deviation), interval(over_seeds.mean_95)),
            None => (String::new(), String::new()),
        };
        rows.push(vec![
            task.name.clone(),
            if task.learned { "learned" } else { "not seen" }.to_owned(),
            task.test_rows.to_string(),
            task.before.map(percent).unwrap_or_default(),
            after,
            deviation,
            seeds,
        ]);
    }
    let right = Align::Right;
    let mut text = render::table(&[Align::Left, Align::Left, right, right, right, right, right], &rows);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  accuracy in percent; the mean over the seeds");
    text
}
