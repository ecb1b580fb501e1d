//! PET: a member for each pattern labels rows that have no labels, and a student learns from them.
//!
//! `cargo run --release --example ensemble -- runs/example-ensemble`

#![allow(clippy::print_stdout)] // It shows what it finds.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use cloze::learn::plan::PlanOptions;
use cloze::model::folder::ModelFolder;
use cloze::study::ensemble::{Ensemble, EnsembleFolder, Manifest, ResolveWith, Student};
use cloze::tune::Tuning;
use cloze::{Result, Run};

fn main() -> Result<()> {
    let out = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "runs/example-ensemble".to_owned()));
    let experiment = Manifest {
        // Two of five patterns and few steps: minutes, not an hour.
        templates: vec!["templates/tickets/about.json".to_owned(), "templates/tickets/topic.json".to_owned()],
        verbalizers: vec!["verbalizers/tickets.json".to_owned()],
        train: Some("data/tickets/train.csv".into()),
        unlabeled: Some("data/tickets/unlabeled.csv".into()),
        unlabeled_rows: Some(200),
        student: Some(Student {
            plan: PlanOptions { steps: Some(60), ..PlanOptions::default() },
            ..Student::default()
        }),
        plan: PlanOptions { steps: Some(80), ..PlanOptions::default() },
        test: Some("data/tickets/test.csv".into()),
        shots: Some(8),
        seeds: vec![13],
        tuning: Tuning::parse("the method", "\"lora\"")?,
        ..Manifest::default()
    };
    let manifest = experiment.resolve(ResolveWith {
        model: None,
        threads: None,
        command: Vec::new(),
        open: &|_| ModelFolder::open(Path::new("models/cloze-minilm-l6")),
    })?;
    let Some(run) = manifest.run.clone() else { unreachable!("it was resolved") };
    let folder = EnsembleFolder::create(&out, &manifest)?;
    let (ensemble, mut warnings) = Ensemble::prepare(manifest, run, 100)?;
    warnings.extend(ensemble.check()?);
    let warnings = warnings.iter().map(ToString::to_string).collect();
    ensemble.run(&folder, warnings, &mut |_| ControlFlow::Continue(()))?;
    let student = Run::open(&out)?.classifier()?;
    let answers =
        student.classify_fields(&["subject", "message"], &[["Charged twice", "Please pay it back."]])?;
    println!("{}", student.label(&answers[0]));
    Ok(())
}
