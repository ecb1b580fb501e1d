//! `cloze preview`: how rows look to the model.

use anyhow::Result;
use cloze::Error;
use cloze::predict::preview::Previewer;
use cloze::study::run::{Run, Wanted};
use cloze::text::data::Example;

use super::args::{Asked, Data, Demonstrations, Model};
use super::render;
use super::setup;
use super::source::Source;

/// Show how rows look to the model: text, tokens, what was cut, and the likeliest words at the mask
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze preview --template templates/topic/news.json \\
      --verbalizer verbalizers/topic.json --data mine.csv -n 3
  cloze preview --run runs/tickets --data mine.csv

Of several models, as those of a run's seeds, the mean of their probabilities is
shown.")]
pub struct Preview {
    #[command(flatten)]
    asked: Asked,
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
    let run = setup::run(&args.asked.trained)?;
    if let Some(run) = setup::of_members(&args.asked.trained, run.as_ref()) {
        return members(args, run, &source);
    }
    let (blueprint, tasks, rows) = setup::classifier(&args.asked, run.as_ref(), &source, &args.model)?;
    let columns = rows.columns().clone();
    let (verbalizer, reading) = (&blueprint.verbalizer, &source.reading);
    let showing = setup::showing(&args.demonstrations, reading, verbalizer, &tasks.tasks, &columns)?;
    render::warnings(blueprint.head_remark().as_slice())?;
    let threads = args.model.threads.map(usize::from);
    let previewer = Previewer::load(blueprint, tasks, columns, showing.as_ref(), threads)?;
    for row in rows.take(args.n) {
        let example = row?;
        for preview in previewer.previews(&example) {
            render::print(&render::preview(&example, &preview?))?;
        }
    }
    source.finish(false)
}

/// Rows as each member of an ensemble sees them, one after the other.
fn members(args: &Preview, run: &Run, source: &Source) -> Result<()> {
    anyhow::ensure!(
        args.demonstrations.demos.is_none(),
        "members of an ensemble show no demonstrations: leave --demos out"
    );
    let rows = source.open()?;
    let columns = rows.columns().clone();
    let examples = rows.take(args.n).collect::<Result<Vec<Example>, Error>>()?;
    let wanted = setup::wanted(&args.asked.trained, &args.model)?;
    for name in run.members()? {
        let member = Wanted { member: Some(name.clone()), ..wanted.clone() };
        let (blueprint, tasks) = run.on(&member, &columns)?;
        render::print(&format!("member {name}\n\n"))?;
        let threads = args.model.threads.map(usize::from);
        let previewer = Previewer::load(blueprint, tasks, columns.clone(), None, threads)?;
        for example in &examples {
            for preview in previewer.previews(example) {
                render::print(&render::preview(example, &preview?))?;
            }
        }
    }
    source.finish(false)
}
