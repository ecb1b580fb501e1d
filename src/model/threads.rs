//! libtorch's number of threads, which is one number for the whole process.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is asked for now, the latest last, and the number that libtorch has when nothing is.
struct Asked {
    by_nobody: i32,
    /// A name for each, and its number.
    now: Vec<(u64, i32)>,
    names: u64,
}

static ASKED: Mutex<Asked> = Mutex::new(Asked { by_nobody: 1, now: Vec::new(), names: 0 });

/// Computes on so many threads for as long as it lives. Then the number comes back that was asked for before
/// it and still is, in whatever order several of them end.
///
/// ```
/// use cloze::model::threads::Threads;
/// let usual = Threads::usual();
/// let (first, second) = (Threads::on(3), Threads::on(5));
/// drop(first);
/// assert_eq!(Threads::usual(), 5);
/// drop(second);
/// assert_eq!(Threads::usual(), usual);
/// ```
pub struct Threads {
    name: u64,
}

/// The most that may be asked for.
pub const MOST_THREADS: usize = 256;

impl Threads {
    /// Computes on so many threads from now on; at least one.
    #[must_use]
    pub fn on(threads: usize) -> Threads {
        let mut asked = asked();
        if asked.now.is_empty() {
            asked.by_nobody = tch::get_num_threads();
        }
        let threads = i32::try_from(threads).unwrap_or(i32::MAX).max(1);
        asked.names += 1;
        let name = asked.names;
        asked.now.push((name, threads));
        tch::set_num_threads(threads);
        Threads { name }
    }

    /// The number that libtorch has by itself, or was given.
    pub fn usual() -> usize {
        usize::try_from(tch::get_num_threads()).unwrap_or(1)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let mut asked = asked();
        asked.now.retain(|(name, _)| *name != self.name);
        let threads = asked.now.last().map_or(asked.by_nobody, |(_, threads)| *threads);
        tch::set_num_threads(threads);
    }
}

fn asked() -> MutexGuard<'static, Asked> {
    ASKED.lock().unwrap_or_else(PoisonError::into_inner)
}
