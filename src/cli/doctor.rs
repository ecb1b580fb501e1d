//! `cloze doctor`: what cloze finds on this machine, whether it works, and what to do where it does not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use cloze::error::Error;
use cloze::model::folder::ModelFolder;
use cloze::model::hash::hash_of_weights;
use cloze::model::masked_lm::{MaskedLm, Options};
use cloze::model::pulse::Pulse;
use cloze::model::threads::Threads;
use serde::Serialize;

use super::machine;
use super::render;
use super::setup;
use super::shipped;

/// For so long the model is measured.
const MEASURED: Duration = Duration::from_secs(1);
/// With less space than this on a disk, a training may find no room.
const LITTLE_SPACE: u64 = 1_000_000_000;

/// Tell what cloze finds on this machine, whether it works, and what to do where it does not
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze doctor
  cloze doctor --model models/mine

Exit 1 if something is broken.")]
pub struct Doctor {
    /// The model to look at [default: the one that the other commands would take]
    #[arg(long, short, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    model: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What was found of one thing.
#[derive(Serialize)]
struct Finding {
    thing: &'static str,
    found: Vec<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong: Option<Wrong>,
}

#[derive(Serialize)]
struct Wrong {
    what: String,
    help: String,
    /// Whether cloze cannot do its work so.
    broken: bool,
}

impl Finding {
    fn of(thing: &'static str, found: impl IntoIterator<Item = String>) -> Finding {
        Finding { thing, found: found.into_iter().collect(), wrong: None }
    }

    fn but(mut self, what: impl Into<String>, help: impl Into<String>, broken: bool) -> Finding {
        self.wrong = Some(Wrong { what: what.into(), help: help.into(), broken });
        self
    }
}

/// Runs the command.
pub fn run(args: &Doctor) -> Result<()> {
    let mut findings = vec![program(), libtorch(), processor(), gpu(), home()];
    findings.push(model(args));
    findings.extend(shipped::FOLDERS.iter().filter(|folder| **folder != "models").map(|name| folder(name)));
    findings.extend([cache(), disk()]);
    let broken =
        findings.iter().filter_map(|found| found.wrong.as_ref()).filter(|wrong| wrong.broken).count();
    if args.json {
        render::print(&format!("{}\n", serde_json::to_string_pretty(&findings)?))?;
    } else {
        render::print(&text(&findings))?;
    }
    match broken {
        0 => Ok(()),
        1 => anyhow::bail!("1 thing is broken"),
        count => anyhow::bail!("{count} things are broken"),
    }
}

/// A line or more for each thing, and what is wrong below it.
fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { thing, found, wrong } in findings {
        let mut lines = found.clone();
        if let Some(Wrong { what, help, .. }) = wrong {
            lines.extend(wrapped("! ", what));
            lines.extend(wrapped("  help: ", help));
        }
        for (index, line) in lines.iter().enumerate() {
            text += &format!("{:<13}{line}\n", if index == 0 { thing } else { "" });
        }
    }
    if findings.iter().all(|found| found.wrong.is_none()) {
        text += "\nnothing is wrong\n";
    }
    text
}

/// A text in lines that fit beside the names of things in 80 columns, the first behind its start.
fn wrapped(start: &str, text: &str) -> Vec<String> {
    const WIDTH: usize = 80 - 13;
    let mut lines = vec![start.to_owned()];
    for word in text.split(' ') {
        let last = lines.last_mut().filter(|line| line.len() + word.len() <= WIDTH || line.ends_with(": "));
        match last {
            Some(line) if line.ends_with(' ') => line.push_str(word),
            Some(line) => *line += &format!(" {word}"),
            None => lines.push(format!("{}{word}", " ".repeat(start.len()))),
        }
    }
    lines
}

fn program() -> Finding {
    let path = std::env::current_exe().map(|path| path.display().to_string());
    Finding::of("cloze", std::iter::once(env!("CARGO_PKG_VERSION").to_owned()).chain(path))
}

fn libtorch() -> Finding {
    let threads = Threads::usual();
    let threads = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    let folder = machine::libtorch_folder().map(|folder| folder.display().to_string());
    Finding::of(
        "libtorch",
        std::iter::once(format!("{}, {threads}", machine::libtorch_version())).chain(folder),
    )
}

fn processor() -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let name = machine::processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let found =
        Finding::of("processor", [format!("{name}, {cores} logical cores"), machine::features_in_words()]);
    match cfg!(target_arch = "x86_64") && !machine::features().contains(&"AVX2") {
        true => {
            found.but("it has no AVX2: libtorch is slow here", "use a newer processor for much data", false)
        }
        false => found,
    }
}

fn gpu() -> Finding {
    let found = |text: &str| Finding::of("GPU", [text.to_owned()]);
    if tch::Cuda::is_available() {
        let count = tch::Cuda::device_count();
        return found(&format!("{count} seen: --device cuda"));
    }
    let driver = Path::new("/proc/driver/nvidia/version").exists();
    let with_cuda = machine::libtorch_folder().is_some_and(|lib| lib.join("libtorch_cuda.so").exists());
    match (driver, with_cuda) {
        (true, true) => found("none that libtorch can use").but(
            "this machine has NVIDIA's driver, and libtorch sees no GPU",
            "look at what nvidia-smi says, and whether CUDA_VISIBLE_DEVICES hides it",
            false,
        ),
        (true, false) => found("none that libtorch can use").but(
            "this machine has NVIDIA's driver, and libtorch was built without CUDA",
            "build with a libtorch for GPUs: docs/install.md",
            false,
        ),
        (false, _) => found("none"),
    }
}

/// The variables that say where things are.
fn home() -> Finding {
    let said = |name: &str| match std::env::var_os(name).filter(|value| !value.is_empty()) {
        Some(value) => format!("{name}={}", value.to_string_lossy()),
        None => format!("{name} is not set"),
    };
    let found = Finding::of("settings", [said(shipped::HOME), said("CLOZE_MODEL")]);
    let is_home = |home: &PathBuf| shipped::FOLDERS.iter().any(|folder| home.join(folder).is_dir());
    match shipped::home() {
        Some(home) if !is_home(&home) => found.but(
            format!("{} has none of the folders {}", home.display(), shipped::FOLDERS.join(", ")),
            format!("let {} name the folder with them, or unset it", shipped::HOME),
            true,
        ),
        _ => found,
    }
}

fn model(args: &Doctor) -> Finding {
    let mut found = Finding::of("model", []);
    match look_at_model(args, &mut found.found) {
        Ok(Looked { finite: true, remark: None }) => found,
        Ok(Looked { finite: true, remark: Some(remark) }) => found.but(
            remark,
            "take it with --force-head, and train all of its weights before anything else (--method full)",
            false,
        ),
        Ok(Looked { finite: false, .. }) => found.but(
            "it gives numbers that are not finite",
            "fetch its weights again: the file may be damaged",
            true,
        ),
        Err(error) => {
            let help = render::way_out(&error)
                .unwrap_or_else(|| "name another with --model or $CLOZE_MODEL".to_owned());
            if found.found.is_empty() {
                found.found.push("none".to_owned());
            }
            found.but(error.to_string(), help, true)
        }
    }
}

/// What was seen of a model.
struct Looked {
    /// Whether all that it gives are numbers.
    finite: bool,
    /// What is special in it.
    remark: Option<String>,
}

/// Loads the model and lets it read; tells what is known so far.
fn look_at_model(args: &Doctor, found: &mut Vec<String>) -> Result<Looked, Error> {
    let path = setup::model_named(args.model.as_ref())?;
    let folder = ModelFolder::open_any_head(&path)?;
    let remark = folder.config.head_remark();
    found.push(path.display().to_string());
    folder.check_weights()?;
    let hash = hash_of_weights(&path)?;
    found.push(format!("sha256 of the weights {}…", &hash[..12]));
    let pulse = Pulse::of(&MaskedLm::of(folder, Options::default())?, MEASURED);
    if pulse.finite {
        let tokens = pulse.tokens_per_second / 100.0;
        found.push(format!("works: {} tokens a second on one thread", tokens.round() * 100.0));
    }
    Ok(Looked { finite: pulse.finite, remark })
}

/// A folder that ships.
fn folder(name: &'static str) -> Finding {
    match shipped::first(Path::new(name)) {
        Some(path) => {
            let shown = std::path::absolute(&path).unwrap_or(path);
            Finding::of(name, [shown.display().to_string()])
        }
        None => Finding::of(name, ["none".to_owned()]).but(
            format!("there is no folder {name} in {}", shipped::places_by_name().join("; ")),
            format!("run make install, or let {} name the folder with it", shipped::HOME),
            false,
        ),
    }
}

fn cache() -> Finding {
    match cache_folder() {
        Some(folder) if folder.is_dir() => {
            let size = bytes_in(&folder) as f64 / 1e9;
            Finding::of("cache", [format!("{}, {size:.1} GB", folder.display())])
        }
        Some(folder) => Finding::of("cache", [format!("{}, which is not there yet", folder.display())]),
        None => Finding::of("cache", ["none".to_owned()]),
    }
}

fn cache_folder() -> Option<PathBuf> {
    dirs::cache_dir().map(|folder| folder.join("cloze"))
}

/// The bytes of all files below a folder; what cannot be read counts nothing.
fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => bytes_in(&entry.path()),
        Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |data| data.len()),
        _ => 0,
    };
    entries.map(size).sum()
}

fn disk() -> Finding {
    let here = std::env::current_dir().unwrap_or_default();
    match machine::free_bytes(&here) {
        None => Finding::of("disk", ["the space that is left is not known".to_owned()]),
        Some(free) => {
            let found = Finding::of("disk", [format!("{:.1} GB left in this folder", free as f64 / 1e9)]);
            match free < LITTLE_SPACE {
                true => found.but("that is little for a training", "make room before one", false),
                false => found,
            }
        }
    }
}
