//! How a row looks to the model.

use std::fmt::Write as _;

use cloze::numbers::counted;
use cloze::predict::preview::{PreviewPart, ReadAt, RowPreview};
use cloze::text::data::Example;

use super::screen::without_middle;
use super::table::{Align, table};
use super::text::printable;

/// So many letters of a field are shown: what the model sees of it are at most its tokens.
const MOST_OF_FIELD: usize = 4000;

/// A row in a pattern.
pub fn preview(example: &Example, row: &RowPreview) -> String {
    let label =
        example.label.as_ref().map(|label| format!(", labelled {}", printable(label))).unwrap_or_default();
    let mut text = format!("row {}{label}, pattern {}\n", example.record, row.pattern);
    // Writing to a String cannot fail.
    if !row.steps.is_empty() {
        let shown = row.chains.iter().map(|(words, share)| format!("{} {share:.3}", words.join(" · ")));
        let _ = writeln!(text, "  {}: {}", row.steps.join(" · "), shown.collect::<Vec<_>>().join(", "));
    }
    let _ = writeln!(text, "  text    {}", wrapped(&row.segments));
    let _ = writeln!(text, "  tokens  {}", row.tokens.join(" "));
    let read = match row.read {
        ReadAt::Mask(mask) => format!("the mask at {mask} (from 0)"),
        ReadAt::Cls => "the classes are read at [CLS], without label words".to_owned(),
        ReadAt::Compared => "compared with the label words".to_owned(),
    };
    let _ = writeln!(text, "  {} tokens, {read}", row.tokens.len());
    for cut in &row.cuts {
        let _ = writeln!(
            text,
            "  cut     {} of {}: {}",
            counted(cut.tokens.len() as u64, "token"),
            cut.column,
            without_middle(&cut.tokens.join(" "), MOST_OF_FIELD)
        );
    }
    text.push_str(&scores(row));
    text
}

/// The prompt as text, the blank and the segments' border in braces as in the pattern.
fn wrapped(segments: &[Vec<PreviewPart>]) -> String {
    let of_user = |text: &String| without_middle(&printable(text), MOST_OF_FIELD);
    let text = |part: &PreviewPart| match part {
        PreviewPart::Text(text) => text.clone(),
        PreviewPart::Field(text) => of_user(text),
        PreviewPart::Mask => "{mask}".to_owned(),
        PreviewPart::Demonstration(shown) => format!("{} ", shown.iter().map(of_user).collect::<String>()),
        PreviewPart::Soft(count) => format!("{{soft:{count}}}"),
    };
    segments.iter().map(|parts| parts.iter().map(text).collect::<String>()).collect::<Vec<_>>().join("{sep}")
}

fn scores(row: &RowPreview) -> String {
    let mut rows = vec![["class", "score", "p", "words"].map(str::to_owned).to_vec()];
    rows.extend(row.classes.iter().map(|class| {
        let [score, probability] = [class.score, class.probability].map(|number| format!("{number:.3}"));
        vec![class.label.clone(), score, probability, class.words.join(", ")]
    }));
    let table = table(&[Align::Left, Align::Right, Align::Right, Align::Words], &rows);
    if !matches!(row.read, ReadAt::Mask(_)) {
        return format!("\n{table}\n");
    }
    let likeliest: Vec<String> =
        row.likeliest.iter().map(|(word, share)| format!("{word} {share:.3}")).collect();
    format!("\n{table}\n  likeliest at the mask: {}\n\n", likeliest.join(", "))
}
