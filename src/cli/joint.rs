//! `cloze train --tasks`: one model for several tasks.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use anyhow::Result;
use cloze::error::{Error, Kind};
use cloze::learn::run::{DataFile, ModelFiles, RunFolder, StoredFile, hash_of_weights};
use cloze::learn::train::Event;
use cloze::model::folder::ModelFolder;
use cloze::numbers::{interval, percent};
use cloze::predict::classifier::Base;
use cloze::predict::label_words::LabelWords;
use cloze::study::multi_task::{
    EXPERIMENT, Joint, JointTask, Manifest, StoredTask, TaskFiles, TaskMetrics, VERSION,
};
use cloze::text::verbalizer::{Verbalizer, VerbalizerKind};
use cloze::tune::Tuning;
use cloze::tune::soft::SoftTokens;
use tch::Device;

use super::args::{Reading, Train};
use super::reading::{Labels, read_columns, read_rows};
use super::render::{self, Align};
use super::setup::{self, Problems};

/// Runs the command with a file of tasks.
pub fn run(args: &Train, tasks: &std::path::Path) -> Result<()> {
    RunFolder::check_free(&args.out)?;
    let files = TaskFiles::read(tasks)?;
    let tuning = setup::tuning(&args.tuning)?;
    anyhow::ensure!(
        !matches!(tuning, Tuning::Cls(_)),
        "--method cls has one head for one task: choose another method with --tasks"
    );
    let device = setup::device(args.model.device)?;
    if let Some(threads) = args.model.threads {
        tch::set_num_threads(i32::from(threads));
    }
    let mut folder = setup::open_model(&args.model.limits)?;
    if let Some(dropout) = args.plan.dropout {
        folder.config.hidden_dropout_prob = dropout;
        folder.config.attention_probs_dropout_prob = dropout;
    }
    let max_length = folder.max_length(args.model.limits.max_length)?;
    let warnings = tuning.check(&folder.config)?;
    let mut problems = Problems(Vec::new());
    let mut ready = Vec::with_capacity(files.len());
    for task in &files {
        ready.extend(problems.keep(read(task, &args.reading, &tuning, &folder, max_length, device)));
    }
    let plan = setup::plan_options(&args.plan)
        .plan(&tuning, ready.iter().map(|task| task.words.of_classes().len()).max().unwrap_or(2));
    problems.keep(plan.check());
    problems.none()?;
    let stored = files.iter().map(stored).collect::<Result<Vec<StoredTask>, Error>>()?;
    let manifest = Manifest {
        version: VERSION,
        experiment: EXPERIMENT.to_owned(),
        cloze: env!("CARGO_PKG_VERSION").to_owned(),
        command: setup::command(),
        tasks: stored,
        model: ModelFiles {
            path: std::path::absolute(folder.path()).unwrap_or_else(|_| folder.path().to_owned()),
            sha256: hash_of_weights(folder.path())?,
        },
        engine: args.model.engine.name().to_owned(),
        max_length,
        tuning,
        plan,
        seeds: args.seeds.clone(),
    };
    let base = setup::load_base(folder, ready[0].words.clone(), &args.model, device)?;
    let bases: Vec<Base> = ready.iter().map(|task| base.with_words(task.words.clone())).collect();
    let joint = Joint { manifest: &manifest, bases, tasks: ready };
    joint.check()?;
    if !args.quiet {
        render::warnings(
            &[warnings, joint.tasks.iter().filter_map(|task| task.words.left_out()).collect()].concat(),
        )?;
    }
    let run = RunFolder::create(&args.out, &manifest)?;
    let shows = !args.quiet && std::io::stderr().is_terminal();
    let steps = manifest.plan.steps;
    let metrics = joint.run(&run, &mut |seed, task, event| {
        if let (true, Event::Step { step, loss, .. }) = (shows, event) {
            // Only for people who watch: that it cannot be shown stops nothing.
            let _ = write!(
                anstream::stderr(),
                "\r\x1b[Kseed {seed}, step {step} of {steps}, {task}: loss {loss:.3}"
            );
        }
    })?;
    if shows {
        let _ = write!(anstream::stderr(), "\r\x1b[K");
    }
    if !args.quiet {
        anstream::stderr().write_all(table(&metrics).as_bytes())?;
    }
    Ok(())
}

fn stored(task: &TaskFiles) -> Result<StoredTask, Error> {
    Ok(StoredTask {
        name: task.name.clone(),
        templates: task.templates.iter().map(|path| StoredFile::of(path)).collect::<Result<_, Error>>()?,
        verbalizer: StoredFile::of(&task.verbalizer)?,
        train: task.train.as_deref().map(DataFile::of).transpose()?,
        test: task.test.as_deref().map(DataFile::of).transpose()?,
        shots: task.shots,
        share: task.share,
    })
}

/// Reads and checks what a task names.
fn read(
    task: &TaskFiles,
    reading: &Reading,
    tuning: &Tuning,
    folder: &ModelFolder,
    max_length: usize,
    device: Device,
) -> Result<JointTask, Problems> {
    let mut problems = Problems(Vec::new());
    let templates = setup::read_templates(&task.templates, &mut problems);
    for template in &templates {
        let shows = template
            .demonstrations()
            .map(|_| template.error(Kind::PatternWithDemonstrations { command: "--tasks" }));
        let soft = template.soft().next().map(|soft| template.soft_error(soft, Kind::JointSoft));
        problems.0.extend(shows.or(soft));
    }
    let verbalizer = problems.keep(Verbalizer::read(&task.verbalizer));
    let (Some(verbalizer), true) = (verbalizer, problems.0.is_empty()) else { return Err(problems) };
    if matches!(verbalizer.kind(), VerbalizerKind::Soft | VerbalizerKind::Prototype) {
        return Err(Error::from(Kind::JointClassVectors { verbalizer: verbalizer.file().to_owned() }).into());
    }
    let words = LabelWords::check(&verbalizer, &folder.tokenizer, device)?;
    let (train, test) = (task.train.as_deref(), task.test.as_deref());
    let Some(first) = train.or(test) else { unreachable!("a task has rows: that was checked") };
    let columns = setup::open_rows(first, reading)?.columns().clone();
    let read = read_columns(&templates, &columns);
    let rows =
        |path: &std::path::Path, labels| read_rows(path, reading, &read, &verbalizer, Some(&columns), labels);
    let train = train.map(|path| rows(path, Labels::Needed)).transpose()?;
    let test = test.map(|path| rows(path, Labels::Known)).transpose()?;
    let patterns = setup::with_front(&templates, tuning, &words, folder)?;
    let left = tuning.length_left(max_length, &folder.config);
    let patterns = setup::checked(patterns, folder, left, &columns)?;
    let written = SoftTokens::check(words.room_in(templates), Vec::new(), &folder.tokenizer)?;
    let written = setup::checked(written, folder, max_length, &columns)?;
    Ok(JointTask {
        name: task.name.clone(),
        patterns,
        written,
        words,
        train,
        test,
        shots: task.shots,
        share: task.share,
    })
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
