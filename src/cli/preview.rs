//! `cloze preview`: how rows look to the model.

use std::path::PathBuf;

use anyhow::Result;
use cloze::predict::preview::Previewer;

use super::args::{Data, Demonstrations, Model};
use super::render;
use super::setup;
use super::shipped;
use super::source::Source;

/// Show how rows look to the model: text, tokens, what was cut, and the likeliest words at the mask
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  cloze preview --template templates/topic/news.json \\
      --verbalizer verbalizers/topic.json --data mine.csv -n 3")]
pub struct Preview {
    /// Template files (JSON), or folders of them
    #[arg(long, short, required = true, num_args = 1.., value_name = "FILE", value_parser = shipped::path())]
    template: Vec<PathBuf>,
    /// Verbalizer file (JSON)
    #[arg(long, short, value_name = "FILE", value_parser = shipped::path())]
    verbalizer: PathBuf,
    #[command(flatten)]
    data: Data,
    /// How many rows to show
    #[arg(short, long, default_value_t = 3, value_name = "N")]
    n: usize,
    #[command(flatten)]
    demonstrations: Demonstrations,
    #[command(flatten)]
    model: Model,
}

/// Runs the command.
pub fn run(args: &Preview) -> Result<()> {
    let source = Source::of(&args.data)?;
    let (blueprint, tasks, rows) =
        setup::blueprint(&args.template, &args.verbalizer, None, &source, &args.model)?;
    let columns = rows.columns().clone();
    let (verbalizer, reading) = (&blueprint.verbalizer, &source.reading);
    let showing = setup::showing(&args.demonstrations, reading, verbalizer, &tasks.tasks, &columns)?;
    let threads = args.model.threads.map(usize::from);
    let previewer = Previewer::load(blueprint, tasks, columns, showing.as_ref(), threads)?;
    for row in rows.take(args.n) {
        let example = row?;
        for preview in previewer.previews(&example) {
            render::print(&render::preview(&example, &preview?))?;
        }
    }
    Ok(())
}
