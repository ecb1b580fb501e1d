//! `cloze preview`: how rows look to the model.

use cloze::numbers::counted;
use std::fmt::Write as _;

use anyhow::Result;
use cloze::model::encoder::Mode;
use cloze::model::features::Features;
use cloze::model::tokenizer::Tokenizer;
use cloze::predict::classifier::Classifier;
use cloze::predict::encode::{Cut, encode_with_cuts};
use cloze::predict::label_words::LabelWords;
use cloze::predict::prompt_model::PromptModel;
use cloze::predict::score::{Chain, Scorer};
use cloze::predict::similarity::with_likeness;
use cloze::predict::task::Task;
use cloze::text::data::Example;
use cloze::text::demonstrations::Shown;
use cloze::text::template::{Part, Step};
use cloze::text::verbalizer::Verbalizer;
use tch::{Kind, no_grad};

use super::args::Preview;
use super::demonstrations::{self, likeliest};
use super::render::{self, Align};
use super::setup::{self, Ready};

/// How many of the likeliest words are shown.
const TOP_WORDS: i64 = 10;
/// So many letters of a field are shown: what the model sees of it are at most its tokens.
const MOST_OF_FIELD: usize = 4000;

/// Runs the command.
pub fn run(args: &Preview) -> Result<()> {
    let Ready { verbalizer, tasks, soft, rows, folder, words, max_length, device, .. } =
        setup::ready(&args.template, &args.verbalizer, None, &args.data, &args.model)?;
    let columns = rows.columns().clone();
    let base = setup::load_base(folder, words, &args.model, device)?;
    let classifier = setup::zero_shot(&base, &soft)?;
    let (tasks, support) =
        demonstrations::with_support(tasks, &args.demonstrations, &args.data.reading, &verbalizer, &columns)?;
    let classifiers = [classifier];
    let scorer = Scorer {
        classifiers: &classifiers,
        tokenizer: &base.folder.tokenizer,
        tasks: &[],
        max_length,
        batch_tokens: 1024,
    };
    let tasks = match &support {
        None => tasks,
        Some(support) => demonstrations::worked(tasks, &scorer, &args.demonstrations, support)?,
    };
    let tasks = with_likeness(tasks, &classifiers[0], &columns, max_length)?;
    let [Classifier::Prompt(model, words)] = &classifiers else {
        unreachable!("zero-shot models read label words")
    };
    for row in rows.take(args.n) {
        let example = row?;
        for task in &tasks {
            let chains = scorer.chains(task, &columns, std::slice::from_ref(&example))?.remove(0);
            let Some((filled, _)) = likeliest(&chains) else { continue };
            let Some(prompt) = task.prompts(std::slice::from_ref(filled))?.remove(0).into_iter().next()
            else {
                continue;
            };
            let (features, cuts) = encode_with_cuts(&prompt, model.tokenizer(), max_length)
                .map_err(|error| error.at(columns.place(&example, None)))?;
            let mut text = heading(&example, task);
            steps(&mut text, task, example.fields.len(), &chains);
            let _ = writeln!(text, "  text    {}", wrapped(&prompt.segments));
            inputs(&mut text, model.tokenizer(), task, &features, &cuts);
            scores(&mut text, model, &verbalizer, words, &features);
            render::print(&text)?;
        }
    }
    Ok(())
}

fn heading(example: &Example, task: &Task) -> String {
    let label = example
        .label
        .as_ref()
        .map(|label| format!(", labelled {}", render::printable(label)))
        .unwrap_or_default();
    format!("row {}{label}, pattern {}\n", example.record, task.template().name())
}

/// The prompt as text, the blank and the segments' border in braces as in the pattern.
fn wrapped(segments: &[Vec<Part<'_>>]) -> String {
    let segment = |parts: &Vec<Part<'_>>| {
        let text = |part: &Part<'_>| match part {
            Part::Text(text) => (*text).to_owned(),
            Part::Field { text, .. } => render::without_middle(&render::printable(text), MOST_OF_FIELD),
            Part::Mask | Part::Masked => "{mask}".to_owned(),
            Part::Demonstrations(all) => all.iter().map(|shown| demonstration(shown)).collect(),
            Part::Soft { vectors } => format!("{{soft:{}}}", vectors.len()),
        };
        parts.iter().map(text).collect::<String>()
    };
    segments.iter().map(segment).collect::<Vec<_>>().join("{sep}")
}

/// The words that fill the steps' blanks, and how probable each chain of them is.
fn steps(text: &mut String, task: &Task, columns: usize, chains: &[Chain]) {
    let names: Vec<&str> = task.template().steps().iter().map(Step::name).collect();
    if !names.is_empty() {
        let shown = chains
            .iter()
            .map(|(example, share)| format!("{} {share:.3}", example.fields[columns..].join(" · ")));
        let _ = writeln!(text, "  {}: {}", names.join(" · "), shown.collect::<Vec<_>>().join(", "));
    }
}

fn demonstration(shown: &[Shown]) -> String {
    let words = |part: &Shown| match part {
        Shown::Text(text) | Shown::Field(text) => {
            render::without_middle(&render::printable(text), MOST_OF_FIELD)
        }
    };
    format!("{} ", shown.iter().map(words).collect::<String>())
}

fn inputs(text: &mut String, tokenizer: &Tokenizer, task: &Task, features: &Features, cuts: &[Cut]) {
    let tokens = |ids: &[i64]| ids.iter().map(|id| tokenizer.token(*id)).collect::<Vec<_>>().join(" ");
    // Behind a soft token's place stands no word, but a vector with a number.
    let mut shown: Vec<String> = features.ids.iter().map(|id| tokenizer.token(*id).to_owned()).collect();
    for slot in &features.soft {
        shown[slot.at] = format!("<soft {}>", slot.vector);
    }
    let _ = writeln!(text, "  tokens  {}", shown.join(" "));
    let _ = writeln!(text, "  {} tokens, the mask at {} (from 0)", features.ids.len(), features.mask);
    for cut in cuts {
        let column = task.template().columns().nth(cut.field).unwrap_or_default();
        let _ = writeln!(
            text,
            "  cut     {} of {column}: {}",
            counted(cut.ids.len() as u64, "token"),
            render::without_middle(&tokens(&cut.ids), MOST_OF_FIELD)
        );
    }
}

fn scores(
    text: &mut String,
    model: &PromptModel,
    verbalizer: &Verbalizer,
    words: &LabelWords,
    features: &Features,
) {
    let (class_scores, vocabulary) = no_grad(|| {
        (
            model.class_scores(&[features], words, Mode::Score),
            model.vocabulary_logits(&[features]).softmax(-1, Kind::Float),
        )
    });
    let probabilities = class_scores.softmax(-1, Kind::Double);
    let mut rows = vec![["class", "score", "p", "words"].map(str::to_owned).to_vec()];
    for (class, index) in verbalizer.classes().iter().zip(0..) {
        let words: Vec<&str> = class.words.iter().map(cloze::text::verbalizer::LabelWord::word).collect();
        rows.push(vec![
            class.label.clone(),
            format!("{:.3}", class_scores.double_value(&[0, index])),
            format!("{:.3}", probabilities.double_value(&[0, index])),
            words.join(", "),
        ]);
    }
    let _ =
        write!(text, "\n{}", render::table(&[Align::Left, Align::Right, Align::Right, Align::Left], &rows));
    let (top, ids) = vocabulary.topk(TOP_WORDS.min(vocabulary.size()[1]), -1, true, true);
    let likeliest = (0..top.size()[1]).map(|rank| {
        format!(
            "{} {:.3}",
            model.tokenizer().token(ids.int64_value(&[0, rank])),
            top.double_value(&[0, rank])
        )
    });
    let _ = writeln!(text, "\n  likeliest at the mask: {}\n", likeliest.collect::<Vec<_>>().join(", "));
}
