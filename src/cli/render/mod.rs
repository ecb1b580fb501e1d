//! What people see on the terminal. Colours appear only where a terminal shows them and `NO_COLOR` is not set.

mod diagnostic;
mod progress;
mod report;
mod table;

pub use diagnostic::error;
pub use progress::Progress;
pub use report::report;
pub use table::{Align, table};

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
