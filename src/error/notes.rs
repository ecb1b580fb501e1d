//! What stands under an error's message: what was allowed, and a way out.

/// A line under the message: its label, as `columns` or `help`, and its text.
pub type Note = (&'static str, String);

/// A way out alone.
pub fn help(text: &str) -> Vec<Note> {
    vec![("help", text.to_owned())]
}

/// What was allowed, and the nearest of it to what was written, if one is near.
pub fn allowed_and_nearest<S: AsRef<str>>(what: &'static str, written: &str, allowed: &[S]) -> Vec<Note> {
    let mut notes = vec![(what, if allowed.is_empty() { "none".to_owned() } else { listed(allowed) })];
    if let Some(near) = nearest(written, allowed) {
        notes.push(("help", format!("did you mean {near}?")));
    }
    notes
}

/// Of a list in a message, so many are shown.
pub(super) const MOST_LISTED: usize = 20;

/// Names in a row; of many only the first.
pub fn listed<S: AsRef<str>>(names: &[S]) -> String {
    let mut shown: Vec<&str> = names.iter().map(AsRef::as_ref).take(MOST_LISTED).collect();
    if names.len() > MOST_LISTED {
        shown.push("…");
    }
    shown.join(", ")
}

/// The allowed word that a typing mistake most likely meant. 0.7 of Jaro-Winkler similarity lets "titel" find
/// "title" and keeps "body" from finding "label".
pub fn nearest<'a, S: AsRef<str>>(written: &str, allowed: &'a [S]) -> Option<&'a str> {
    let similarity = |word: &str| strsim::jaro_winkler(&written.to_lowercase(), &word.to_lowercase());
    allowed
        .iter()
        .map(AsRef::as_ref)
        .map(|word| (similarity(word), word))
        .filter(|(score, _)| *score > 0.7)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, word)| word)
}

/// What is to be said of names of columns that look like a row: people forget that a file begins with names.
pub fn without_header(columns: &[String]) -> Option<Note> {
    const MOST_WORDS: usize = 7;
    let is_row = |name: &String| {
        name.split_whitespace().count() > MOST_WORDS
            || name.trim().parse::<f64>().is_ok() && columns.len() > 1
    };
    let help =
        "the first line of a file names its columns, and this one looks like a row: put names above it";
    columns.iter().any(is_row).then(|| ("help", help.to_owned()))
}
