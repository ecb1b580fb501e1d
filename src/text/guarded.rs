//! Panics of other crates, as errors.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What another's code gives; its panics, which damaged files and regular expressions without end bring
/// about, as errors, and without a word of their own.
pub(crate) fn guarded<T>(run: impl FnOnce() -> T) -> std::result::Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_GUARDED.get() {
                usual(info);
            }
        }));
    });
    IS_GUARDED.set(true);
    let found = panic::catch_unwind(AssertUnwindSafe(run));
    IS_GUARDED.set(false);
    found.map_err(|told| {
        let text = told.downcast_ref::<String>().cloned();
        text.or_else(|| told.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}
