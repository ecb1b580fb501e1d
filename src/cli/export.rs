//! `cloze export`: what a run learned, for other programs.

use std::path::Path;

use anyhow::Result;
use cloze::error::{Error, Kind};
use cloze::learn::run::RunFolder;
use cloze::model::folder::ModelFolder;
use cloze::model::parameters::Parameters;
use cloze::predict::label_words::LabelWords;
use cloze::tune::export;
use cloze::tune::peft;
use tch::Device;

use super::args::{Export, Limits};
use super::render;
use super::setup;

/// Runs the command.
pub fn run(args: &Export) -> Result<()> {
    let (run, manifest) = RunFolder::open(&args.run)?;
    let seed = match (args.seed, &manifest.seeds[..]) {
        (Some(seed), seeds) if seeds.contains(&seed) => seed,
        (None, [only]) => *only,
        (Some(seed), seeds) => {
            return Err(Error::from(Kind::RunWithoutSeed {
                path: args.run.clone(),
                seed,
                seeds: seeds.to_vec(),
            })
            .into());
        }
        (None, seeds) => {
            return Err(
                Error::from(Kind::SeedNeeded { path: args.run.clone(), seeds: seeds.to_vec() }).into()
            );
        }
    };
    let folder = match &args.model {
        Some(_) => setup::open_model(&Limits { model: args.model.clone(), max_length: None })?,
        None => ModelFolder::open(&manifest.model.path)?,
    };
    setup::check_base(&manifest.model, folder.path(), args.allow_other_base)?;
    let (learned, _) = run.load_learned(seed)?;
    let written: &Path = match (&args.peft, &args.merged) {
        (Some(path), _) => {
            let verbalizer = manifest.verbalizer().map_err(setup::Problems::from)?;
            let words = LabelWords::check(&verbalizer, &folder.tokenizer, Device::Cpu)
                .map_err(setup::Problems::from)?;
            let (_, soft) = manifest.patterns(&words, &folder.tokenizer)?;
            peft::write(
                path,
                &manifest.tuning,
                &folder.config,
                &learned,
                soft.front(),
                &manifest.model.path.display().to_string(),
            )?;
            path
        }
        (None, Some(path)) => {
            let parameters = Parameters::load(folder.path(), &folder.config, Device::Cpu)?;
            export::merged(path, &folder, &parameters, &manifest.tuning, &learned)?;
            path
        }
        (None, None) => unreachable!("clap asks for one of them"),
    };
    render::print(&format!(
        "{}: {}, seed {seed} of {}\n",
        written.display(),
        manifest.tuning.name(),
        args.run.display()
    ))?;
    Ok(())
}
