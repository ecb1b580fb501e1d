//! Words as a shell takes them: for lines that are to be typed as they stand.

use std::path::Path;

/// What messages call the row on the command line.
pub const COMMAND_LINE: &str = "the command line";

/// A text as one word.
pub fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_./,:=@%+".contains(letter);
    match text {
        _ if !text.is_empty() && text.chars().all(plain) => text.to_owned(),
        _ if !text.contains(['"', '$', '`', '\\', '!']) => format!("\"{text}\""),
        _ => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// A path as one word, which is not taken for a flag; `-` is standard input.
pub fn path(path: &Path) -> String {
    let text = path.display().to_string();
    if text.starts_with('-') && text != "-" { quoted(&format!("./{text}")) } else { quoted(&text) }
}

/// A flag with its value, if it has one, behind what stands before it.
pub fn flag(name: &str, value: Option<&str>) -> String {
    value.map_or_else(String::new, |value| format!(" --{name} {}", quoted(value)))
}
