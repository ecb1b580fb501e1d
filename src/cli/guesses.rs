//! What the library guessed of a file's layout: a line for each, once, and the flag that says otherwise.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use clap::ArgMatches;
use log::{LevelFilter, Log, Metadata, Record};

use super::render;

struct Guesses(Mutex<BTreeSet<String>>);

static GUESSES: Guesses = Guesses(Mutex::new(BTreeSet::new()));

/// What is logged under such a target is a guess; the rest of the target is the flag's name.
const TARGET: &str = "cloze::guesses::";

impl Log for Guesses {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().starts_with(TARGET)
    }

    fn log(&self, record: &Record) {
        let Some(flag) = record.target().strip_prefix(TARGET) else { return };
        let line = format!("note: {}; --{flag} says otherwise\n", record.args());
        // A file may be read several times.
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(line.clone()) {
            // Where nobody reads the notes, the work goes on.
            let _ = render::tell(&line);
        }
    }

    fn flush(&self) {}
}

/// Tells guesses from now on, unless the command is to be quiet.
pub fn watch(matches: &ArgMatches) {
    let mut command = matches;
    while let Some((_, inner)) = command.subcommand() {
        command = inner;
    }
    let quiet = command.try_get_one::<bool>("quiet").ok().flatten();
    if quiet != Some(&true) && log::set_logger(&GUESSES).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}
