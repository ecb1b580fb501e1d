//! Trainings beside the labelling: each a `cloze train` of its own, so that labelling goes on whatever becomes
//! of it.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use cloze::error::{Kind, RunError};
use cloze::label::{Lecture, Project, Taught};
use cloze::learn::run::{MANIFEST, METRICS, RunFolder};
use cloze::predict::starter::{Starter, TEMPLATES, VERBALIZER};
use cloze::text::data::LABEL;
use cloze::text::json_files;
use cloze::text::verbalizer::StructureRequest;

use super::{Label, Start};

/// The folder of a project's trainings has this behind the project's name.
const LEARNED: &str = "learned";
/// In it, the files that labels alone have.
const START: &str = "start";
/// What a training says.
const LOG: &str = "log.txt";
/// So often it is asked whether it has ended.
const PATIENCE: Duration = Duration::from_millis(200);

/// The training that is under way, if one is.
#[derive(Default)]
pub struct Training(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    child: Option<Child>,
    ended: bool,
}

impl Training {
    /// Ends it, where one is under way: it goes on when the labelling does.
    pub fn stop(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended = true;
        if let Some(child) = &mut state.child {
            // One that has ended by itself cannot be killed, and need not be.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// What trains on labelled rows: with the first pattern, all weights, one seed.
    pub(super) fn teacher(
        &self,
        args: &Label,
        project: &Project,
        start: Start,
    ) -> Result<impl FnMut(Lecture<'_>) -> Result<Taught, String> + Send + use<>> {
        let program = std::env::current_exe().context("this program's own file cannot be found")?;
        // Patterns of labels alone name their columns themselves.
        let text = match (&start, &args.text_column[..]) {
            (Start::Files(..), [column]) => Some(column),
            _ => None,
        };
        let (template, verbalizer) = files(project, start)?;
        let mut usual: Vec<OsString> = vec!["train".into(), "--template".into(), template.into()];
        usual.extend(["--verbalizer".into(), verbalizer.into()]);
        usual.extend(["--method", "full", "--seeds", "13", "--quiet"].map(OsString::from));
        let about = project.about();
        let label = about.label_column.map_or(LABEL, |at| &about.columns[at]);
        usual.extend(["--label-column".into(), label.into()]);
        usual.extend(text.iter().flat_map(|column| ["--text-column".into(), column.into()]));
        let limits = &args.model.limits;
        usual.extend(limits.model.iter().flat_map(|model| ["--model".into(), model.into()]));
        usual.extend(limits.force_head.then(|| "--force-head".into()));
        let length = limits.max_length.map(|tokens| tokens.to_string());
        usual.extend(length.iter().flat_map(|tokens| ["--max-length".into(), tokens.into()]));
        let state = self.0.clone();
        Ok(move |lecture: Lecture<'_>| {
            // A training outlives a labelling that was killed.
            while is_in_use(lecture.run) {
                if state.lock().unwrap_or_else(PoisonError::into_inner).ended {
                    return Ok(Taught::Stopped);
                }
                thread::sleep(PATIENCE);
            }
            if lecture.run.join(METRICS).exists() {
                return Ok(Taught::Done);
            }
            let mut training = Command::new(&program);
            if lecture.run.join(MANIFEST).exists() {
                training.args(["train", "--resume", "--quiet"]);
            } else {
                // What was stopped before it began leaves nothing to go on with; mostly there is nothing.
                let _ = std::fs::remove_dir_all(lecture.run);
                training.args(&usual).arg("--train").arg(lecture.train);
                training.args(lecture.test.iter().flat_map(|test| [Path::new("--test"), test]));
            }
            training.arg("--out").arg(lecture.run);
            run(&state, training, &lecture.run.with_file_name(LOG))
        })
    }
}

/// Removes the files that labels alone have: they are of other labels.
pub(super) fn forget_start(project: &Project) -> Result<()> {
    let folder = start_folder(project);
    match folder.exists() {
        true => {
            std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
        }
        false => Ok(()),
    }
}

fn start_folder(project: &Project) -> PathBuf {
    PathBuf::from(format!("{}.{LEARNED}", project.path().display())).join(START)
}

/// The template and the verbalizer to learn with.
fn files(project: &Project, start: Start) -> Result<(PathBuf, PathBuf)> {
    let (templates, labels) = match start {
        Start::Files(templates, verbalizer) => return Ok((first(&templates)?, verbalizer)),
        Start::Labels(templates, labels) => (templates, labels),
    };
    let folder = start_folder(project);
    if !folder.exists() {
        let structure = &StructureRequest::default();
        let readme = "The patterns and label words that cloze label learns with.\n";
        Starter { templates: &templates, labels: &labels, structure, calibration: None, readme }
            .write(&folder)?;
    }
    Ok((first(&[folder.join(TEMPLATES)])?, folder.join(VERBALIZER)))
}

/// The first template of files and folders.
fn first(templates: &[PathBuf]) -> Result<PathBuf> {
    let mut errors = cloze::Errors::new();
    let files = json_files::files(templates, &mut errors);
    errors.none()?;
    files.into_iter().next().context("no pattern has a blank")
}

/// Whether a process is at work in a run.
fn is_in_use(run: &Path) -> bool {
    let held = RunFolder::existing(run).and_then(|mut folder| folder.hold());
    held.is_err_and(|error| matches!(error.kind(), Kind::Run(RunError::InUse { .. })))
}

/// Runs a training to its end. What went wrong is the first line of what it said.
fn run(state: &Mutex<State>, mut training: Command, log: &Path) -> Result<Taught, String> {
    let said = File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
    training.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
    // Ctrl-C is for the labelling, which then ends its training.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut training, 0);
    let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
    {
        let mut state = lock();
        if state.ended {
            return Ok(Taught::Stopped);
        }
        state.child = Some(training.spawn().map_err(|error| format!("cloze train did not start: {error}"))?);
    }
    loop {
        let ended = {
            let mut state = lock();
            if state.ended {
                return Ok(Taught::Stopped);
            }
            state.child.as_mut().map(Child::try_wait)
        };
        match ended {
            Some(Ok(None)) => thread::sleep(PATIENCE),
            Some(Ok(Some(status))) if status.success() => return Ok(Taught::Done),
            Some(Ok(Some(_))) => {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                let first = said.lines().find(|line| !line.trim().is_empty());
                return Err(first.unwrap_or("cloze train ended before it was done").to_owned());
            }
            Some(Err(error)) => return Err(format!("cloze train: {error}")),
            None => return Ok(Taught::Stopped),
        }
    }
}
