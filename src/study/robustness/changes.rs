//! Harmless changes: a person would give the same answer.

use crate::predict::pvp::Pvp;

/// A change of a text.
pub type TextChange = fn(&str) -> String;

/// The marks that end a sentence.
const FINAL: [char; 6] = ['.', '!', '?', '。', '！', '？'];

/// Changes of a row's words, by name.
///
/// ```
/// use cloze::study::robustness::changes::ROWS;
/// let changed: Vec<String> = ROWS.iter().map(|(_, change)| change("Good, \"really\" good.")).collect();
/// assert_eq!(changed, [
///     "Good, \"really\" good", "Good, \"really\" good.", "Good \"really\" good.", "Good,  \"really\"  good.", "good, \"really\" good.",
///     "GOOD, \"REALLY\" GOOD.", "Good, “really” good.",
/// ]);
/// ```
pub const ROWS: [(&str, TextChange); 7] = [
    ("no final mark", |text| text.trim_end().trim_end_matches(FINAL).to_owned()),
    ("a final full stop", |text| {
        if text.trim_end().ends_with(FINAL) { text.to_owned() } else { format!("{}.", text.trim_end()) }
    }),
    ("no commas", |text| text.replace([',', '，'], "")),
    ("doubled spaces", |text| text.replace(' ', "  ")),
    ("small letters", str::to_lowercase),
    ("capitals", str::to_uppercase),
    ("typographic quotes", typographic_quotes),
];

/// Straight double quotes as opening and closing ones in turn, straight single ones as apostrophes.
fn typographic_quotes(text: &str) -> String {
    let mut open = false;
    let mut quote = |letter: char| match letter {
        '"' => {
            open = !open;
            if open { '“' } else { '”' }
        }
        '\'' => '’',
        other => other,
    };
    text.chars().map(&mut quote).collect()
}

/// A change of a pattern's own words; the last of its texts is told.
type WordsChange = fn(&str, bool) -> String;

/// Changes of a pattern's own words, by name.
const PATTERNS: [(&str, WordsChange); 5] = [
    ("no mark at the end", |text, last| {
        if last { text.trim_end().trim_end_matches(FINAL).to_owned() } else { text.to_owned() }
    }),
    ("a full stop at the end", |text, last| {
        if last { format!("{}.", text.trim_end().trim_end_matches(FINAL)) } else { text.to_owned() }
    }),
    ("! at the end", |text, last| {
        if last { format!("{}!", text.trim_end().trim_end_matches(FINAL)) } else { text.to_owned() }
    }),
    ("small letters", |text, _| text.to_lowercase()),
    ("no commas and colons", |text, _| text.replace([',', ':', '，', '：'], "")),
];

/// A pattern with its words changed, by the change's name; those that change nothing are left out. A mark at
/// the end is one of the text behind the last column or blank.
///
/// ```
/// use cloze::predict::pvp::Pvp;
/// use cloze::study::robustness::changes::of_pattern;
/// use cloze::text::template::{Piece, Template};
/// let pvp = Pvp::plain(Template::from_pattern("{text} It was {mask}.")?)?;
/// let names: Vec<&str> = of_pattern(&pvp).into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["no mark at the end", "! at the end", "small letters"]);
/// let (_, changed) = &of_pattern(&pvp)[1];
/// assert_eq!(changed.template().pieces().last(), Some(&Piece::Text("!".to_owned())));
/// # Ok::<(), cloze::Error>(())
/// ```
pub fn of_pattern(pvp: &Pvp) -> Vec<(&'static str, Pvp)> {
    let changed = |(name, change): &(&'static str, WordsChange)| {
        let changed = pvp.with_words(change);
        (changed.template().pieces() != pvp.template().pieces()).then_some((*name, changed))
    };
    PATTERNS.iter().filter_map(changed).collect()
}
