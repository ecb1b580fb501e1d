//! Zero-shot: reviews are classified as they are read, by a pattern and two words.
//!
//! `cargo run --release --example zero_shot`

#![allow(clippy::print_stdout)] // It shows what it finds.

use std::path::Path;

use cloze::text::data::Reading;
use cloze::{MaskedLm, Options, PromptClassifier, Result, Template, Verbalizer};

fn main() -> Result<()> {
    let model = MaskedLm::load("models/cloze-minilm-l6", Options::default())?;
    let classifier = PromptClassifier::builder(model)
        .template(Template::from_pattern("{text} It was {mask}.")?)
        .verbalizer(Verbalizer::of(&[("negative", &["terrible"]), ("positive", &["great"])])?)
        .build()?;
    let (mut right, mut all) = (0, 0);
    classifier.classify_rows(
        Reading::default().open(Path::new("data/reviews/test.csv"))?,
        |row, answer| {
            all += 1;
            right += usize::from(row.label.as_deref() == Some(classifier.label(&answer)));
            Ok(())
        },
    )?;
    println!("{right} of {all} reviews are classified as they are labelled");
    Ok(())
}
