//! What people see on the terminal. Colours appear only where a terminal shows them and `NO_COLOR` is not set.

mod diagnostic;
mod ensemble;
mod ensemble_progress;
mod progress;
mod report;
mod table;
mod text;
mod training;

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use cloze::Error;

pub use diagnostic::error;
pub use ensemble::{between_runs, ensemble};
pub use ensemble_progress::EnsembleProgress;
pub use progress::Progress;
pub use report::report;
pub use table::{Align, table};
pub use text::{printable, start_of, without_middle};
pub use training::{TrainProgress, metrics};

/// Prints to standard output.
pub fn print(text: &str) -> Result<(), Error> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| Error::writing(Path::new("standard output"), &error))
}

/// Tells what may be a mistake.
pub fn warnings(warnings: &[String]) -> std::io::Result<()> {
    warnings.iter().try_for_each(|warning| writeln!(anstream::stderr(), "warning: {warning}"))
}

/// "1 row", "1,234 rows".
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A count with thin groups: 1234567 as 1,234,567.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// "7 s", "3 min 20 s", "2 h 5 min".
pub fn brief(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}
