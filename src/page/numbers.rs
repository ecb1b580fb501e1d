//! Numbers that only pages show.

use crate::numbers::percent;

/// With a sign that is as wide as a digit. What rounds to 0 has none.
pub(crate) fn signed(share: f64) -> String {
    match percent(share.abs()) {
        zero if zero == "0.0" => zero,
        points if share < 0.0 => format!("\u{2212}{points}"),
        points => format!("+{points}"),
    }
}

pub(crate) fn signed_interval([low, high]: [f64; 2]) -> String {
    format!("{} to {}", signed(low), signed(high))
}

/// "0.4 s", "7 s", "3 min 20 s", "2 h 5 min".
pub(crate) fn time(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, _) if seconds < 9.95 => format!("{seconds:.1} s"),
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// A score, or what adds to it, with a sign that is as wide as a digit.
pub(crate) fn nats(score: f64) -> String {
    match format!("{:.2}", score.abs()) {
        zero if zero == "0.00" => zero,
        nats if score < 0.0 => format!("\u{2212}{nats}"),
        nats => format!("+{nats}"),
    }
}
