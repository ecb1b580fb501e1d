//! What moved a row's answer, its words shaded by what they do.

use std::fmt::Write as _;

use anstyle::{Ansi256Color, Style};
use cloze::numbers::{counted, percent};
use cloze::predict::explain::{Explanation, Method, WordEffect};
use unicode_width::UnicodeWidthStr as _;

use super::screen::wrapped_lines;
use super::text::printable;

/// From this share of the strongest effect on a word has two marks, from the other on one.
const STRONG: f64 = 0.5;
const WEAK: f64 = 0.15;

/// So many of the strongest words are listed.
const STRONGEST: usize = 8;

/// Backgrounds from weak to strong, of xterm's 256 colours, each dark enough or light enough for its letters.
const FOR: [u8; 4] = [195, 159, 117, 75];
const AGAINST: [u8; 4] = [230, 223, 216, 209];

/// How words are shaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shade {
    /// By colours.
    Colours,
    /// By marks behind them.
    Marks,
}

/// A row's explanation: how its words are shaded is decided where it is printed.
pub struct Shaded {
    before: String,
    words: Vec<Word>,
    after: String,
}

/// A word, with its column's name before it where that begins.
struct Word {
    column: String,
    text: String,
    /// What it does, as a share of the strongest.
    share: f64,
}

/// A row's explanation; `labels` are the classes'.
pub fn explanation(found: &Explanation, labels: &[String]) -> Shaded {
    let mut before = format!("row {}: {} {} %", found.record, found.label, percent(found.probability));
    // Writing to a String cannot fail.
    if found.label != found.predicted {
        let _ = write!(before, " (the answer is {})", found.predicted);
    }
    let most = found.words.iter().map(|word| word.effect.abs()).fold(f64::MIN_POSITIVE, f64::max);
    let several = found.words.iter().any(|word| word.column != found.words[0].column);
    let mut last = None;
    let word = |word: &WordEffect| {
        let is_new = several && last.replace(word.column.clone()).as_ref() != Some(&word.column);
        let column = if is_new { format!("{}: ", printable(&word.column)) } else { String::new() };
        Word { column, text: printable(&word.word), share: word.effect / most }
    };
    let words = found.words.iter().map(word).collect();
    Shaded { before, words, after: after(found, labels) }
}

fn coloured(word: &str, share: f64) -> String {
    if share.abs() < WEAK {
        return word.to_owned();
    }
    let strength = ((share.abs() - WEAK) / (1.0 - WEAK) * 4.0) as usize;
    let background = if share < 0.0 { AGAINST } else { FOR }[strength.min(3)];
    let style =
        Style::new().bg_color(Some(Ansi256Color(background).into())).fg_color(Some(Ansi256Color(16).into()));
    format!("{style}{word}{style:#}")
}

fn marks(share: f64) -> &'static str {
    match share {
        share if share >= STRONG => "[++]",
        share if share >= WEAK => "[+]",
        share if share <= -STRONG => "[--]",
        share if share <= -WEAK => "[-]",
        _ => "",
    }
}

/// The numbers below the words.
fn after(found: &Explanation, labels: &[String]) -> String {
    let mut text = format!("  score {:+.2}", found.score);
    if let Some(baseline) = found.baseline {
        let sum: f64 = found.words.iter().map(|word| word.effect).sum();
        let _ = write!(text, ", of masks alone {baseline:+.2}, the words' sum {sum:+.2}");
    }
    let _ = match found.method {
        Method::LeaveOneOut => writeln!(text, " (nats); words: what it loses without them"),
        Method::Gradients { steps } => {
            writeln!(text, " (nats); words: integrated gradients in {}", counted(steps as u64, "step"))
        }
    };
    let mut strongest: Vec<&WordEffect> = found.words.iter().collect();
    strongest.sort_by(|one, other| other.effect.abs().total_cmp(&one.effect.abs()));
    let strongest = strongest.iter().take(STRONGEST);
    let strongest = strongest.map(|word| format!("{} {:+.2}", printable(&word.word), word.effect));
    let _ = writeln!(text, "  strongest: {}", strongest.collect::<Vec<_>>().join(", "));
    if !found.at_mask.is_empty() {
        let words = found
            .at_mask
            .iter()
            .map(|word| format!("{} ({}) {} %", word.word, labels[word.class], percent(word.share)));
        let _ = writeln!(text, "  at the mask: {}", words.collect::<Vec<_>>().join(", "));
    }
    if found.unread_words > 0 {
        let words = counted(found.unread_words as u64, "word");
        let _ = writeln!(text, "  note: {words} had no room in the model's input and moved nothing");
    }
    text + "\n"
}

impl Shaded {
    /// The text, its words in lines of a width.
    pub fn text(&self, shade: Shade, width: usize) -> String {
        let mut lines = String::from(" ");
        let mut used = 1;
        for word in &self.words {
            let marks = if shade == Shade::Marks { marks(word.share) } else { "" };
            let columns = word.column.width() + word.text.width() + marks.len();
            if used > 1 && used + 1 + columns > width {
                lines.push_str("\n ");
                used = 1;
            }
            let text = match shade {
                Shade::Colours => coloured(&word.text, word.share),
                Shade::Marks => format!("{}{marks}", word.text),
            };
            let _ = write!(lines, " {}{text}", word.column);
            used += 1 + columns;
        }
        format!("{}\n{lines}\n{}", self.before, wrapped_lines(&self.after))
    }
}
