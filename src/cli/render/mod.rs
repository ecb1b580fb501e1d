//! What people see on the terminal. Colours appear only where a terminal shows them and `NO_COLOR` is not
//! set.

mod advice;
mod alike;
mod answer;
mod census;
mod classify;
mod diagnostic;
mod ensemble;
mod ensemble_progress;
mod explanation;
mod labelling;
mod live;
mod methods;
mod multi_label;
mod numbers;
mod paired;
mod pretrain;
mod preview;
mod progress;
mod report;
mod robustness;
mod screen;
mod search;
mod selection;
mod strict;
mod structure;
mod table;
mod tasks;
mod text;
mod training;

use std::io::{IsTerminal, Write as _, stderr, stdout};
use std::path::Path;

use cloze::Error;
use cloze::study::warning::Warning;

use self::explanation::{Shade, Shaded};
use super::shipped;

pub use answer::answer;
pub use census::{census, cost, perhaps_labels};
pub use classify::{Worth, ask, found, summary};
pub use diagnostic::error;
pub use ensemble::{between_runs, ensemble};
pub use ensemble_progress::EnsembleProgress;
pub use explanation::explanation;
pub use labelling::{LeftOut, changed_labels, exported, labelling};
pub use live::Live;
pub use methods::methods;
pub use multi_label::{found_labels, labels_answer, multi_label};
pub use pretrain::{PretrainProgress, pretraining};
pub use preview::preview;
pub use progress::Progress;
pub use report::{report, trained_on};
pub use robustness::robustness;
pub use search::{found_words, search, search_step, triggers};
pub use selection::selection;
pub use strict::strict;
pub use table::{Align, table};
pub use tasks::{TasksProgress, tasks};
pub use training::{TrainProgress, metrics};

/// Prints to standard output, for people.
pub fn print(text: &str) -> Result<(), Error> {
    // What goes into a pipe or a file has its lines as they are, whatever terminal stands by.
    let piped = !stdout().is_terminal() && stderr().is_terminal();
    print_plain(&if piped { text.to_owned() } else { screen::wrapped_lines(text) })
}

/// Prints an explanation to standard output, by colours where a terminal shows them, else by marks.
pub fn print_shaded(shaded: &Shaded) -> Result<(), Error> {
    let shade = match anstream::AutoStream::choice(&stdout()) {
        anstream::ColorChoice::Never => Shade::Marks,
        _ => Shade::Colours,
    };
    print_plain(&shaded.text(shade, screen::width()))
}

/// Prints to standard output, for programs.
pub fn print_plain(text: &str) -> Result<(), Error> {
    stdout().write_all(text.as_bytes()).map_err(|error| Error::writing(Path::new("standard output"), &error))
}

/// Tells people something beside the output.
pub fn tell(text: &str) -> std::io::Result<()> {
    anstream::stderr().write_all(screen::wrapped_lines(text).as_bytes())
}

/// The library's warnings as the command line words them.
pub fn worded(warnings: &[Warning]) -> Vec<String> {
    warnings.iter().map(advice::warning).collect()
}

/// Where the words of a table are explained: for people alone, so on a terminal.
pub fn terms(out: &impl IsTerminal) -> String {
    match shipped::page("glossary.md").filter(|_| out.is_terminal()) {
        Some(page) => format!("\n  terms: {}\n", page.display()),
        None => String::new(),
    }
}

/// The way out of an error, if there is one to tell.
pub fn way_out(error: &Error) -> Option<String> {
    advice::notes(error.kind()).into_iter().find(|(label, _)| *label == "help").map(|(_, text)| text)
}

/// Tells what may be a mistake.
pub fn warnings(warnings: &[String]) -> std::io::Result<()> {
    warnings.iter().try_for_each(|warning| tell(&format!("warning: {warning}\n")))
}
