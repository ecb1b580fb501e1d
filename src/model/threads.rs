//! libtorch's number of threads, which is one number for the whole process.

/// Computes on so many threads for as long as it lives, and puts the number back that was there before.
pub struct Threads {
    before: i32,
}

impl Threads {
    /// Computes on so many threads from now on.
    #[must_use]
    pub fn on(threads: usize) -> Threads {
        let before = tch::get_num_threads();
        tch::set_num_threads(i32::try_from(threads).unwrap_or(1));
        Threads { before }
    }

    /// The number that libtorch has by itself, or was given.
    pub fn usual() -> usize {
        usize::try_from(tch::get_num_threads()).unwrap_or(1)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        tch::set_num_threads(self.before);
    }
}
