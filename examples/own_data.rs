//! Rows that are in memory, in a structure of your own: a pattern names the columns that it reads.
//!
//! `cargo run --release --example own_data`

#![allow(clippy::print_stdout)] // It shows what it finds.

use std::path::Path;

use cloze::{MaskedLm, Options, PromptClassifier, Result, Template, Verbalizer};

struct Ticket {
    subject: String,
    message: String,
}

fn main() -> Result<()> {
    let tickets = [
        Ticket { subject: "Cannot log in".to_owned(), message: "My password is refused.".to_owned() },
        Ticket { subject: "Charged twice".to_owned(), message: "The bill has the laser twice.".to_owned() },
    ];
    let model = MaskedLm::load("models/cloze-minilm-l6", Options::default())?;
    let classifier = PromptClassifier::builder(model)
        .template(Template::from_pattern("{subject} {message} This is about {mask}.")?)
        .verbalizer(Verbalizer::read(Path::new("verbalizers/tickets.json"))?)
        .build()?;
    let rows: Vec<[&str; 2]> = tickets.iter().map(|ticket| [&*ticket.subject, &*ticket.message]).collect();
    for (ticket, answer) in tickets.iter().zip(classifier.classify_fields(&["subject", "message"], &rows)?) {
        println!("{}: {}", ticket.subject, classifier.label(&answer));
    }
    Ok(())
}
