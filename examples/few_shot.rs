//! Few-shot: LoRA on eight tickets of each class, and the run that it leaves as a classifier.
//!
//! `cargo run --release --example few_shot -- runs/example-few-shot`

#![allow(clippy::print_stdout)] // It shows what it finds.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use cloze::learn::run::RunFolder;
use cloze::model::folder::ModelFolder;
use cloze::study::experiment::{Experiment, TrainRequest};
use cloze::tune::Tuning;
use cloze::{Result, Run};

fn main() -> Result<()> {
    let out = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "runs/example-few-shot".to_owned()));
    let request = TrainRequest {
        test: Some("data/tickets/test.csv".into()),
        tuning: Tuning::parse("the method", "\"lora\"")?,
        shots: Some(8),
        ..TrainRequest::new(
            vec!["templates/tickets/about.json".into()],
            "verbalizers/tickets.json",
            "data/tickets/train.csv",
        )
    };
    let manifest = request.manifest(|| ModelFolder::open(Path::new("models/cloze-minilm-l6")))?;
    let written = manifest.written();
    let (experiment, mut warnings) = Experiment::prepare(manifest, 100)?;
    warnings.extend(experiment.check()?);
    let warnings = warnings.iter().map(ToString::to_string).collect();
    // Another answer than Continue stops the training; the folder then holds where it stands.
    let metrics =
        experiment.run(&RunFolder::create(&out, &written)?, warnings, &mut |_| ControlFlow::Continue(()))?;
    for seed in metrics.iter().flat_map(|metrics| &metrics.seeds) {
        if let Some(found) = &seed.evaluation {
            println!("seed {}: accuracy {:.2}", seed.seed, found.accuracy);
        }
    }
    let classifier = Run::open(&out)?.classifier()?;
    let answers =
        classifier.classify_fields(&["subject", "message"], &[["Charged twice", "Please pay it back."]])?;
    println!("{}", classifier.label(&answers[0]));
    Ok(())
}
