//! Users' texts on a terminal.

/// A user's text must not steer the terminal, nor turn the direction of what follows: such characters are
/// shown, not sent.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\t' | '\n' | '\r' => ' ',
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
            control if control.is_control() => char::REPLACEMENT_CHARACTER,
            letter => letter,
        })
        .collect()
}

/// At most `most` characters from the start.
pub fn start_of(text: &str, most: usize) -> String {
    let mut kept: String = text.chars().take(most).collect();
    if kept.len() < text.len() {
        kept.push('…');
    }
    kept
}

/// At most `most` characters from the end.
pub fn end_of(text: &str, most: usize) -> String {
    let skipped = text.chars().count().saturating_sub(most);
    let kept: String = text.chars().skip(skipped).collect();
    if skipped > 0 { format!("…{kept}") } else { kept }
}

/// The start and the end, where a text is longer than `most` characters.
pub fn without_middle(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let tail = text.chars().count() - most / 2;
    start_of(text, most / 2) + &text.chars().skip(tail).collect::<String>()
}
