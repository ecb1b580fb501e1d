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
