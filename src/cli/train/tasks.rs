//! `cloze train --tasks`: one model for several tasks.

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Result;
use cloze::error::source::Source;
use cloze::error::{Error, RunError};
use cloze::learn::plan::PlanOptions;
use cloze::learn::run::{MANIFEST, RunFolder};
use cloze::model::threads::Threads;
use cloze::study::multi_task::{Manifest, MultiTask, TasksFile, TasksRequest};
use cloze::text::json::{self, Node};

use super::super::render::{self, Live, TasksProgress};
use super::super::{setup, signals, source};
use super::{Train, manifest_file, open_page, page_of_run};

/// Runs the command with a file of tasks.
pub fn run(args: &Train, tasks: &Path) -> Result<()> {
    RunFolder::check_free(&args.out)?;
    let request = TasksRequest {
        files: TasksFile::read(tasks)?,
        tuning: setup::tuning(&args.tuning)?,
        init_from: args.init_from.clone(),
        plan: PlanOptions { r_drop: args.r_drop, ..setup::plan_options(&args.plan) },
        drawing: args.drawing.any().then(|| setup::drawing(&args.drawing)),
        evaluate_every: args.held_out.evaluate_every,
        folder: setup::open_model(&args.model.limits)?,
        max_length: args.model.limits.max_length,
        reading: source::reading_without_file(&args.reading)?,
        engine: args.model.engine,
        device: args.model.device,
        seeds: args.seeds.clone(),
        threads: args.model.threads.map_or_else(Threads::usual, usize::from),
        command: setup::command(),
    };
    train(args, request.manifest()?, None)
}

/// Goes on with a run of several tasks that was stopped.
pub fn resume(args: &Train) -> Result<()> {
    let mut folder = RunFolder::existing(&args.out)?;
    let file = args.out.join(MANIFEST);
    let mut manifest = Manifest::read(&file)?;
    if manifest.header.seeds.iter().all(|&seed| folder.learned(seed).exists()) && folder.has_metrics() {
        return Err(Error::from(RunError::Finished { path: args.out.clone() }).into());
    }
    folder.hold()?;
    setup::again(&args.model, args.allow_other_base)?.tasks_go_on(&mut manifest)?;
    train(args, manifest, Some(folder))
}

/// Runs the manifest of such a run again.
pub fn anew(args: &Train, from: &Path) -> Result<()> {
    RunFolder::check_free(&args.out)?;
    let mut manifest = Manifest::read(&manifest_file(from))?;
    setup::again(&args.model, args.allow_other_base)?.tasks_anew(&mut manifest)?;
    train(args, manifest, None)
}

fn train(args: &Train, manifest: Manifest, existing: Option<RunFolder>) -> Result<()> {
    let placed = |error: Error| placed(error, &manifest, args);
    let live = Live::start(args.quiet, "reading rows and the model");
    let prepared = MultiTask::prepare(manifest.clone(), args.checkpoint_every as usize);
    let (training, warnings) = prepared.map_err(|errors| errors.map(placed))?;
    let losses = training.check().map_err(placed)?;
    if !args.quiet {
        live.beside(|| render::warnings(&warnings))?;
    }
    let is_new = existing.is_none();
    let page = open_page(args)?;
    let folder = existing.map_or_else(|| RunFolder::create(&args.out, &manifest.written()), Ok)?;
    let stops = signals::stop_at_step(args.out.clone(), None);
    let mut progress = TasksProgress::start(live, &manifest);
    let metrics = training.run(&folder, losses, &mut |event| {
        progress.show(event);
        if stops() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drop(progress);
    match folder.unless_in_vain(metrics, is_new)? {
        None => Err(Error::from(RunError::Interrupted { path: args.out.clone(), cell: None }).into()),
        Some(metrics) => {
            page_of_run(args, page)?;
            if !args.quiet {
                render::tell(&(render::tasks(&metrics) + &render::terms(&std::io::stderr())))?;
            }
            Ok(())
        }
    }
}

/// An error about a value that stands in a manifest, at its place there.
fn placed(error: Error, manifest: &Manifest, args: &Train) -> Error {
    let file = match (&args.from, args.resume) {
        (Some(from), _) => manifest_file(from),
        (None, true) => args.out.join(MANIFEST),
        (None, false) => return error,
    };
    let Ok(text) = json::read_text(&file) else { return error };
    let source = Source::new(file.display().to_string(), text);
    manifest.place_error(error, &Node::root(&source))
}
