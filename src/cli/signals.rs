//! Ctrl-C and `kill`: what is half-written goes, what is kept is said, and the program ends. A training that
//! can be gone on with stops by itself at its next step.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// A run that can be gone on with.
struct Stopping {
    wanted: AtomicBool,
    run: PathBuf,
    cell: Option<usize>,
}

static STOPPING: OnceLock<Stopping> = OnceLock::new();

/// What is said of the work where a command says it itself.
static KEPT: OnceLock<String> = OnceLock::new();

/// What a service does at the first signal, and whether it came.
static FINISHING: OnceLock<(Box<dyn Fn() + Send + Sync>, AtomicBool)> = OnceLock::new();

/// The signal that came last.
static SIGNAL: AtomicI32 = AtomicI32::new(2);

/// Asks for a stop at the next step in place of an end at once; a second signal ends the program. Gives
/// whether a stop is wanted.
pub fn stop_at_step(run: PathBuf, cell: Option<usize>) -> impl Fn() -> bool {
    let stopping = STOPPING.get_or_init(|| Stopping { wanted: AtomicBool::new(false), run, cell });
    || stopping.wanted.load(Ordering::Relaxed)
}

/// Does this at the first signal, in place of an end at once; a second signal ends the program.
pub fn finish(first: impl Fn() + Send + Sync + 'static) {
    // It is said once, by the command at hand.
    let _ = FINISHING.set((Box::new(first), AtomicBool::new(false)));
}

/// Says what is kept, or what becomes of it, where the program is ended.
pub fn kept(what: String) {
    // It is said once, by the command at hand.
    let _ = KEPT.set(what);
}

/// The exit code of a program that a signal stopped, as shells have it: 130 after Ctrl-C, 143 after `kill`.
pub fn exit_code() -> u8 {
    u8::try_from(128 + SIGNAL.load(Ordering::Relaxed)).unwrap_or(130)
}

#[cfg(unix)]
mod unix {
    use std::io::{self, IsTerminal as _, Write as _};
    use std::sync::atomic::Ordering;
    use std::thread;

    use cloze::error::{Error, RunError};
    use cloze::text::whole_file::give_up;
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level;

    use super::super::render;
    use super::{FINISHING, KEPT, SIGNAL, STOPPING, exit_code};

    /// Watches for signals from now on.
    pub fn watch() -> io::Result<()> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        thread::spawn(move || {
            for signal in signals.forever() {
                SIGNAL.store(signal, Ordering::Relaxed);
                if let Some((finish, came)) = FINISHING.get()
                    && !came.swap(true, Ordering::Relaxed)
                {
                    tell("finishing what is under way; once more stops at once", false);
                    finish();
                    continue;
                }
                match STOPPING.get() {
                    Some(stopping) if !stopping.wanted.swap(true, Ordering::Relaxed) => {
                        tell("stopping at the next step; once more stops at once", true);
                    }
                    _ => end(),
                }
            }
        });
        Ok(())
    }

    /// Ends the program, whatever it is doing.
    fn end() -> ! {
        let unwritten = give_up();
        let named: Vec<String> = unwritten.iter().map(|path| path.display().to_string()).collect();
        match (STOPPING.get(), KEPT.get(), &named[..]) {
            (Some(stopping), ..) => {
                tell("", true);
                render::error(
                    &Error::from(RunError::Interrupted { path: stopping.run.clone(), cell: stopping.cell })
                        .into(),
                );
            }
            (None, Some(kept), _) => tell(&format!("stopped: {kept}"), false),
            (None, None, []) => tell("stopped: nothing is kept but what was printed", false),
            (None, None, files) => {
                tell(&format!("stopped: nothing is written to {}", files.join(" and ")), false);
            }
        }
        // Other threads compute on: nothing of theirs may be taken apart, as `process::exit` does.
        low_level::exit(exit_code().into())
    }

    /// A line in place of a bar that may stand there.
    fn tell(line: &str, to_terminal_alone: bool) {
        let mut stderr = io::stderr();
        let clear = if stderr.is_terminal() { "\r\x1b[K" } else { "" };
        let end = if line.is_empty() { "" } else { "\n" };
        if stderr.is_terminal() || !to_terminal_alone {
            // Nothing is left to be done where stderr itself fails.
            let _ = write!(stderr, "{clear}{line}{end}");
        }
    }
}

#[cfg(unix)]
pub use unix::watch;

/// Elsewhere the system ends the program.
#[cfg(not(unix))]
pub fn watch() -> std::io::Result<()> {
    Ok(())
}
