//! Damaged inputs for every door that reads what users bring: `make fuzz`, and docs/reliability.md.
//!
//! Inputs that stand in the repository are changed at random, by a seed, and given to one door after the
//! other. A finding is a panic, an answer that breaks a property of the door, a run of more than a second, or
//! one whose memory is no small multiple of its input. Its input is kept, and the program fails.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod doors;
mod mutate;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use doors::Door;

/// A run of more than this is a finding: inputs have at most 64 KiB.
const SLOW: Duration = Duration::from_secs(1);

/// So much may the peak of memory grow in one run, and so many times the input.
const MEMORY: (u64, u64) = (64 << 20, 256);

/// What the command line asks.
struct Asked {
    seconds: f64,
    runs: u64,
    seed: u64,
    door: Option<String>,
    replay: Option<PathBuf>,
}

fn asked() -> Result<Asked, String> {
    let mut asked = Asked { seconds: 60.0, runs: u64::MAX, seed: 1, door: None, replay: None };
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: String| text.parse().map_err(|_| format!("{text:?} is no whole number"));
        match word.as_str() {
            "--seconds" => asked.seconds = number(value()?)? as f64,
            "--runs" => asked.runs = number(value()?)?,
            "--seed" => asked.seed = number(value()?)?,
            "--door" => asked.door = Some(value()?),
            "--replay" => asked.replay = Some(value()?.into()),
            _ => return Err(format!("{word} is not --seconds, --runs, --seed, --door or --replay")),
        }
    }
    Ok(asked)
}

fn main() -> ExitCode {
    let asked = match asked() {
        Ok(asked) => asked,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    let scratch = tempfile::tempdir().expect("a folder for temporary files");
    let doors = doors::all(scratch.path());
    let chosen = |door: &&Door| asked.door.as_ref().is_none_or(|name| *name == door.name);
    if !doors.iter().any(|door| chosen(&door)) {
        let names: Vec<_> = doors.iter().map(|door| door.name).collect();
        eprintln!("error: the doors are {}", names.join(", "));
        return ExitCode::from(2);
    }
    let mut findings = 0;
    for door in doors.iter().filter(chosen) {
        findings += match &asked.replay {
            Some(path) => {
                let input = std::fs::read(path).expect("the input to replay can be read");
                u64::from(
                    problem(door, &input).inspect(|problem| println!("{}: {problem}", door.name)).is_some(),
                )
            }
            None => round(door, &asked),
        };
    }
    if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One door for the time or the runs asked; gives the number of findings that differ.
fn round(door: &Door, asked: &Asked) -> u64 {
    let corpus = (door.corpus)();
    let mut mutator = mutate::Mutator::new(asked.seed, door.name, corpus);
    let (start, mut runs, mut found) = (Instant::now(), 0, Vec::<String>::new());
    while runs < asked.runs && start.elapsed().as_secs_f64() < asked.seconds {
        let input = mutator.next_input();
        runs += 1;
        let Some(problem) = problem(door, &input) else { continue };
        // One of each kind: what stands behind the first colon is different for every input.
        let kind = problem.split(": ").next().unwrap_or_default();
        if found.iter().any(|other| other.split(": ").next() == Some(kind)) {
            continue;
        }
        let path = keep(door, found.len(), &input);
        println!("{}: {problem}\n  input: {}", door.name, path.display());
        found.push(problem);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{}: {runs} runs, {seconds:.0} s, {} findings, seed {}", door.name, found.len(), asked.seed);
    found.len() as u64
}

/// Writes the input of a finding.
fn keep(door: &Door, number: usize, input: &[u8]) -> PathBuf {
    let folder = Path::new("target/fuzz");
    std::fs::create_dir_all(folder).expect("target/fuzz can be made");
    let path = folder.join(format!("{}-{number}", door.name));
    std::fs::write(&path, input).expect("an input can be written");
    path
}

/// What is wrong with a door's answer to an input.
fn problem(door: &Door, input: &[u8]) -> Option<String> {
    let (start, before) = (Instant::now(), peak_memory());
    let answer = catch_unwind(AssertUnwindSafe(|| (door.run)(input)));
    let (mut time, grown) = (start.elapsed(), peak_memory().saturating_sub(before));
    if time > SLOW && answer.is_ok() {
        // Other programs may have had the cores: what is slow is slow each time.
        let start = Instant::now();
        let _ = (door.run)(input);
        time = time.min(start.elapsed());
    }
    match answer {
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Some(format!("panic, {}", text.or(panic.downcast_ref().copied()).unwrap_or("no text")))
        }
        Ok(Err(broken)) => Some(broken),
        Ok(Ok(())) if time > SLOW => Some("more than a second".to_owned()),
        Ok(Ok(())) if grown > MEMORY.0 + MEMORY.1 * input.len() as u64 => {
            Some("memory is no small multiple of the input".to_owned())
        }
        Ok(Ok(())) => None,
    }
}

/// The most bytes of memory that this process ever had, as Linux counts them; 0 elsewhere.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) << 10
}
