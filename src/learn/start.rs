//! What a training starts from where it does not start anew: what an earlier run learned on another task, or on
//! several (SPoT: Vu et al. 2022; PPT: Gu et al. 2022).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use tch::Tensor;

use crate::error::source::Source;
use crate::error::{Difference, Result, RunError};
use crate::learn::run::{
    self, Form, InitFrom, LearnedFile, MANIFEST, Manifest, ModelFiles, RunFolder, RunKind, kind_of,
};
use crate::model::hash::hash_of;
use crate::predict::classifier::VerbalizedLm;
use crate::text::json::{self, Node};
use crate::text::template::Template;
use crate::tune::soft::{SoftTokens, Start as SoftStart};
use crate::tune::{CLASSIFIER, Learned, SOFT_TOKENS, Tuning, is_verbalizer};

/// A training that is to start from an earlier run.
#[derive(Clone, Copy)]
pub struct Beginner<'a> {
    /// The base model.
    pub base: &'a VerbalizedLm,
    /// What moves.
    pub tuning: &'a Tuning,
    /// The soft tokens of its patterns.
    pub soft: &'a SoftTokens,
    /// The labels, in class order.
    pub classes: &'a [String],
}

/// An earlier run, and what of it is taken.
pub struct Start {
    folder: RunFolder,
    from: InitFrom,
    /// What the training learns: names and shapes.
    wanted: BTreeMap<String, Vec<i64>>,
    /// So many of the earlier soft tokens are taken: all, those before the input, or none.
    soft: usize,
    /// Whether the classes are the same, so that what belongs to one is taken.
    same_classes: bool,
}

/// What the manifest of an earlier run says of what it learned.
struct Earlier {
    folder: RunFolder,
    model: ModelFiles,
    seeds: Vec<u64>,
    tuning: Tuning,
    /// Of several tasks none has soft tokens or vectors of its own.
    templates: Vec<Template>,
    classes: Vec<String>,
}

impl InitFrom {
    /// A run as it is now, for a training with these seeds on a base model. One on another base model is refused,
    /// and one that is none of `cloze train`.
    pub fn of(path: &Path, seeds: &[u64], model: &ModelFiles) -> Result<InitFrom> {
        let earlier = Earlier::open(path)?;
        if earlier.model.sha256 != model.sha256 {
            let (path, model) = (path.to_owned(), model.path.clone());
            return Err(RunError::StartOnOtherBase { path, model }.into());
        }
        let first = earlier.seeds.first().copied();
        let starts = |seed: &u64| Some(*seed).filter(|seed| earlier.seeds.contains(seed)).or(first);
        let used: Vec<u64> = seeds.iter().filter_map(starts).collect();
        let file = |&seed: &u64| {
            let file = earlier.folder.learned(seed);
            if !file.exists() {
                let wanted = format!("learned/seed-{seed}.safetensors");
                return Err(RunError::FileMissing { path: path.to_owned(), wanted }.into());
            }
            Ok(LearnedFile { seed, sha256: hash_of(&file)? })
        };
        let learned = earlier.seeds.iter().filter(|seed| used.contains(seed)).map(file);
        Ok(InitFrom { path: path.to_owned(), learned: learned.collect::<Result<_>>()? })
    }
}

impl Start {
    /// Opens a run and refuses it where it learned by another method, with other sizes, or what has no place
    /// here; tells what of it is not taken, and seeds that start from another one.
    pub fn open(from: &InitFrom, seeds: &[u64], beginner: Beginner<'_>) -> Result<(Start, Vec<String>)> {
        let Beginner { base, tuning, soft, classes } = beginner;
        let earlier = Earlier::open(&from.path)?;
        let misfit = |differences| RunError::StartMisfit { path: from.path.clone(), differences };
        let differences = tuning.differences(&earlier.tuning);
        if !differences.is_empty() {
            return Err(misfit(differences).into());
        }
        let there = earlier.soft(base)?;
        let start = Start {
            soft: soft_taken(tuning, &there, soft).map_err(|difference| misfit(vec![difference]))?,
            wanted: base.shapes_of_learned(tuning, soft.len(), classes.len()),
            same_classes: earlier.classes == classes,
            folder: earlier.folder,
            from: from.clone(),
        };
        let mut told: Vec<String> = from.told(seeds).into_iter().collect();
        // All of them, before anything is trained.
        for (number, file) in from.learned.iter().enumerate() {
            let learned = start.folder.load_learned(file.seed)?.0;
            let taken = start.taken(&learned)?;
            if number == 0 {
                told.extend(start.told(&learned, &taken));
            }
        }
        Ok((start, told))
    }

    /// What a seed starts from.
    pub fn learned(&self, seed: u64) -> Result<Learned> {
        let Some(seed) = self.from.seed_for(seed) else { return Ok(Learned::new()) };
        self.taken(&self.folder.load_learned(seed)?.0)
    }

    /// What is taken of what was learned.
    fn taken(&self, learned: &Learned) -> Result<Learned> {
        let (mut taken, mut differences) = (Learned::new(), Vec::new());
        for (name, tensor) in learned {
            let (found, wanted) = (tensor.size(), self.wanted.get(name));
            let most = found.first().copied().unwrap_or_default();
            let soft_fit = most >= self.soft as i64 && wanted.map(|wanted| &wanted[1..]) == found.get(1..);
            if name == SOFT_TOKENS && self.soft == 0 {
                continue;
            }
            if name == SOFT_TOKENS && soft_fit {
                taken.insert(name.clone(), tensor.narrow(0, 0, self.soft as i64));
            } else if wanted == Some(&found) && (self.same_classes || !is_of_classes(name)) {
                taken.insert(name.clone(), tensor.shallow_clone());
            } else if !is_of_classes(name) {
                let here = wanted.map_or_else(|| "not learned".to_owned(), |wanted| format!("{wanted:?}"));
                differences.push(Difference::of(name, format!("{found:?}"), here));
            }
        }
        match differences.is_empty() {
            true => Ok(taken),
            false => Err(RunError::StartMisfit { path: self.from.path.clone(), differences }.into()),
        }
    }

    /// What starts as usual, and what is not taken because it has no place.
    fn told(&self, learned: &Learned, taken: &Learned) -> Vec<String> {
        let rows = |tensor: Option<&Tensor>| tensor.map_or(0, |tensor| tensor.size()[0]);
        let soft_here = self.wanted.get(SOFT_TOKENS).map_or(0, |shape| shape[0]);
        let (mut usual, mut left) = (Vec::new(), Vec::new());
        if soft_here > rows(taken.get(SOFT_TOKENS)) {
            usual.push("the soft tokens of the patterns".to_owned());
        } else if rows(learned.get(SOFT_TOKENS)) > rows(taken.get(SOFT_TOKENS)) {
            left.push("the soft tokens of its patterns".to_owned());
        }
        if !any_of_classes(taken.keys()) {
            if any_of_classes(self.wanted.keys()) {
                usual.push("the vectors of the classes".to_owned());
            } else if any_of_classes(learned.keys()) {
                left.push("the vectors of its classes".to_owned());
            }
        }
        let others = self
            .wanted
            .keys()
            .filter(|name| *name != SOFT_TOKENS && !is_of_classes(name) && !taken.contains_key(*name));
        match others.count() {
            0 => {}
            count => usual.push(format!("{count} more tensors")),
        }
        let path = self.from.path.display();
        let told = |parts: &[String], what: &str| {
            (!parts.is_empty()).then(|| format!("{} {what}", parts.join(" and ")))
        };
        let usual = told(&usual, &format!("start as usual, not from {path}"));
        let left = told(&left, &format!("are not taken from {path}: they have no place here"));
        usual.into_iter().chain(left).collect()
    }
}

impl InitFrom {
    /// Seeds that start from another one.
    fn told(&self, seeds: &[u64]) -> Option<String> {
        let others: Vec<u64> =
            seeds.iter().copied().filter(|&seed| self.seed_for(seed) != Some(seed)).collect();
        let (first, path) = (self.seed_for(*others.first()?)?, self.path.display());
        let they = if others.len() == 1 { "it starts" } else { "they start" };
        let others = others.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        Some(format!("{path} has no seed {others}: {they} from its seed {first}"))
    }
}

/// Whether a tensor has a part for each class, and means nothing without them.
fn is_of_classes(name: &str) -> bool {
    is_verbalizer(name) || name.strip_prefix(CLASSIFIER).is_some_and(|rest| rest.starts_with('.'))
}

fn any_of_classes<'a>(mut names: impl Iterator<Item = &'a String>) -> bool {
    names.any(|name| is_of_classes(name))
}

/// How many of the earlier soft tokens are taken: all where as many stand in the same places, else those
/// before the input. A method that learns nothing else needs some.
fn soft_taken(tuning: &Tuning, there: &SoftTokens, here: &SoftTokens) -> Result<usize, Difference> {
    let listed = |own: &[usize]| match own.is_empty() {
        true => "none".to_owned(),
        false => own.iter().map(usize::to_string).collect::<Vec<_>>().join(" + "),
    };
    if there.front() != here.front() {
        return Err(Difference::of(
            "the number of soft tokens before the input",
            there.front(),
            here.front(),
        ));
    }
    if there.own() == here.own() {
        return Ok(here.len());
    }
    if matches!(tuning, Tuning::PTuning(_)) && here.front() == 0 {
        let what = "the number of soft tokens in the patterns";
        return Err(Difference::of(what, listed(there.own()), listed(here.own())));
    }
    Ok(here.front())
}

impl Earlier {
    fn open(path: &Path) -> Result<Earlier> {
        let folder = RunFolder::existing(path)?;
        let file = path.join(MANIFEST);
        match kind_of(&file)? {
            Some(RunKind::Ensemble) => Err(RunError::StartOfEnsemble { path: path.to_owned() }.into()),
            Some(RunKind::Pretrain) => Err(RunError::WithoutClassifier { path: path.to_owned() }.into()),
            Some(RunKind::Tasks) => Earlier::of_tasks(folder, &file),
            Some(RunKind::Train) | None => {
                let manifest = Manifest::read(&file)?;
                Ok(Earlier {
                    folder,
                    templates: manifest.templates()?,
                    model: manifest.header.model,
                    seeds: manifest.header.seeds,
                    tuning: manifest.tuning,
                    classes: manifest.classes,
                })
            }
        }
    }

    /// Of a run of several tasks, whose manifest says much more.
    fn of_tasks(folder: RunFolder, file: &Path) -> Result<Earlier> {
        #[derive(Deserialize)]
        struct Body {
            tuning: Tuning,
        }
        #[derive(Deserialize)]
        struct First {
            model: ModelFiles,
            seeds: Vec<u64>,
            tuning: Tuning,
        }
        let source = Source::new(file.display().to_string(), json::read_text(file)?);
        let root = Node::root(&source);
        let First { model, seeds, tuning } = match run::form(file, &root, RunKind::Tasks)? {
            Form::First => root.read_object()?,
            Form::Now => {
                let parts = run::read(&root, RunKind::Tasks)?;
                let Body { tuning } = parts.body.read_object()?;
                First { model: parts.header.model, seeds: parts.header.seeds, tuning }
            }
        };
        let (templates, classes) = (Vec::new(), Vec::new());
        Ok(Earlier { folder, model, seeds, tuning, templates, classes })
    }

    /// Its soft tokens, as its patterns place them.
    fn soft(&self, base: &VerbalizedLm) -> Result<SoftTokens> {
        let front = vec![SoftStart::Sampled; self.tuning.front_length(&self.templates)];
        let templates = match self.tuning {
            Tuning::Cls(_) => &[],
            _ => &self.templates[..],
        };
        let (_, soft) = SoftTokens::place(templates, front, base.tokenizer())?;
        Ok(soft)
    }
}
