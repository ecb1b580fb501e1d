//! What a training starts from where it does not start anew: what an earlier run learned on another task, or on
//! several (SPoT: Vu et al. 2022; PPT: Gu et al. 2022).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use crate::error::source::Source;
use crate::error::{Difference, Result, RunError};
use crate::learn::run::{
    self, Form, InitFrom, LearnedFile, MANIFEST, Manifest, ModelFiles, RunFolder, RunKind, StoredFile,
    kind_of,
};
use crate::model::hash::hash_of;
use crate::predict::classifier::VerbalizedLm;
use crate::text::json::{self, Node};
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;
use crate::tune::soft::SoftTokens;
use crate::tune::{CLASSIFIER, Learned, SOFT_TOKENS, Tuning, is_verbalizer, owner};

/// A training that is to start from an earlier run.
pub struct Beginner<'a> {
    /// The base model.
    pub base: &'a VerbalizedLm,
    /// What moves.
    pub tuning: &'a Tuning,
    /// How many soft tokens stand before the input.
    pub front: usize,
    /// Its one task, or several.
    pub tasks: Vec<Own>,
    /// What it learns: names and shapes.
    pub learns: BTreeMap<String, Vec<i64>>,
}

/// What a task has of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// Its name, where there are several.
    pub task: Option<String>,
    /// How many vectors each of its patterns' soft tokens has.
    pub soft: Vec<usize>,
    /// The labels, in class order.
    pub classes: Vec<String>,
}

/// An earlier run, and what of it is taken.
pub struct Start {
    folder: RunFolder,
    from: InitFrom,
    /// What the training learns: names and shapes.
    learns: BTreeMap<String, Vec<i64>>,
    /// So many of the earlier soft tokens that stand first are taken: those of a run of one task, or those
    /// before the input.
    soft: usize,
    /// The tasks whose patterns have as many soft tokens there, in the same order.
    same_soft: Vec<Option<String>>,
    /// The tasks whose classes are the same there, so that what belongs to one is taken.
    same_classes: Vec<Option<String>>,
}

/// What the manifest of an earlier run says of what it learned.
struct Earlier {
    folder: RunFolder,
    model: ModelFiles,
    seeds: Vec<u64>,
    tuning: Tuning,
    tasks: Vec<EarlierTask>,
}

/// One of its tasks; a run of one task names none.
struct EarlierTask {
    name: Option<String>,
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
        let Beginner { base, tuning, front, tasks, learns } = beginner;
        let earlier = Earlier::open(&from.path)?;
        let misfit = |differences| RunError::StartMisfit { path: from.path.clone(), differences };
        let differences = tuning.differences(&earlier.tuning);
        if !differences.is_empty() {
            return Err(misfit(differences).into());
        }
        if earlier.front() != front {
            let what = "the number of soft tokens before the input";
            return Err(misfit(vec![Difference::of(what, earlier.front(), front)]).into());
        }
        let there = earlier.own(base)?;
        let same = |same: fn(&Own, &Own) -> bool| -> Vec<Option<String>> {
            let known = |own: &&Own| there.iter().any(|other| other.task == own.task && same(other, own));
            tasks.iter().filter(known).map(|own| own.task.clone()).collect()
        };
        let (same_soft, same_classes) =
            (same(|there, here| there.soft == here.soft), same(|there, here| there.classes == here.classes));
        let of_patterns = tasks.iter().filter(|own| own.task.is_none() && same_soft.contains(&own.task));
        let soft = front + of_patterns.flat_map(|own| &own.soft).sum::<usize>();
        let start =
            Start { folder: earlier.folder, from: from.clone(), learns, soft, same_soft, same_classes };
        let mut told: Vec<String> = from.told(seeds).into_iter().collect();
        // All of them, before anything is trained.
        for (number, file) in from.learned.iter().enumerate() {
            let learned = start.folder.load_learned(file.seed)?.0;
            let taken = start.taken(&learned)?;
            if matches!(tuning, Tuning::PTuning(_)) && !taken.keys().any(|name| is_soft(name)) {
                let what = "the number of soft tokens in the patterns";
                return Err(misfit(vec![Difference::of(what, listed(&there), listed(&tasks))]).into());
            }
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
            let found = tensor.size();
            let all = found.first().copied().unwrap_or_default();
            let task = owner(name).1.map(str::to_owned);
            let rows = match task {
                None if is_soft(name) => self.soft as i64,
                Some(_) if is_soft(name) && !self.same_soft.contains(&task) => 0,
                _ if is_of_classes(name) && !self.same_classes.contains(&task) => 0,
                _ => all,
            };
            if rows == 0 {
                continue;
            }
            let wanted = self.learns.get(name);
            let fits = |wanted: &Vec<i64>| {
                let of_rows = if is_soft(name) { rows <= wanted[0] } else { rows == wanted[0] };
                of_rows && rows <= all && wanted[1..] == found[1..]
            };
            if wanted.is_some_and(fits) {
                taken.insert(name.clone(), tensor.narrow(0, 0, rows));
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
        let is_short = |name: &str, rows: i64| taken.get(name).is_none_or(|taken| taken.size()[0] < rows);
        let lacking: Vec<&String> = self
            .learns
            .iter()
            .filter(|(name, shape)| is_short(name, shape[0]))
            .map(|(name, _)| name)
            .collect();
        let unused: Vec<&String> = learned
            .iter()
            .filter(|(name, tensor)| is_short(name, tensor.size()[0]) && !lacking.contains(name))
            .map(|(name, _)| name)
            .collect();
        let mut usual = parts(&lacking, "the soft tokens of the patterns", "the vectors of the classes");
        let left = parts(&unused, "the soft tokens of its patterns", "the vectors of its classes");
        match lacking.iter().filter(|name| !is_soft(name) && !is_of_classes(name)).count() {
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

/// What some tensors are, but weights: soft tokens, vectors of classes, and whose.
fn parts(names: &[&String], soft: &str, classes: &str) -> Vec<String> {
    let part = |what: &str, is: fn(&str) -> bool| {
        let mut names = names.iter().filter(|name| is(name)).peekable();
        names.peek()?;
        let tasks: BTreeSet<&str> = names.filter_map(|name| owner(name).1).collect();
        let tasks: Vec<&str> = tasks.into_iter().collect();
        Some(if tasks.is_empty() { what.to_owned() } else { format!("{what} of {}", tasks.join(", ")) })
    };
    part(soft, is_soft).into_iter().chain(part(classes, is_of_classes)).collect()
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

/// Whether a tensor has soft tokens, of whatever task.
fn is_soft(name: &str) -> bool {
    owner(name).0 == SOFT_TOKENS
}

/// Whether a tensor has a part for each class, and means nothing without them.
fn is_of_classes(name: &str) -> bool {
    is_verbalizer(name) || name.strip_prefix(CLASSIFIER).is_some_and(|rest| rest.starts_with('.'))
}

/// How many vectors each soft token of tasks' patterns has.
fn listed(tasks: &[Own]) -> String {
    let of_task = |own: &Own| {
        let counts = own.soft.iter().map(usize::to_string).collect::<Vec<_>>().join(" + ");
        own.task.as_ref().map_or_else(|| counts.clone(), |task| format!("{counts} of {task}"))
    };
    let listed: Vec<String> = tasks.iter().filter(|own| !own.soft.is_empty()).map(of_task).collect();
    if listed.is_empty() { "none".to_owned() } else { listed.join(", ") }
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
                let templates = manifest.templates()?;
                let task = EarlierTask { name: None, templates, classes: manifest.classes };
                Ok(Earlier {
                    folder,
                    model: manifest.header.model,
                    seeds: manifest.header.seeds,
                    tuning: manifest.tuning,
                    tasks: vec![task],
                })
            }
        }
    }

    /// Of a run of several tasks, whose manifest says much more.
    fn of_tasks(folder: RunFolder, file: &Path) -> Result<Earlier> {
        #[derive(Deserialize)]
        struct Body {
            tasks: Vec<Stored>,
            tuning: Tuning,
        }
        #[derive(Deserialize)]
        struct First {
            model: ModelFiles,
            seeds: Vec<u64>,
            tasks: Vec<Stored>,
            tuning: Tuning,
        }
        #[derive(Deserialize)]
        struct Stored {
            name: String,
            templates: Vec<StoredFile>,
            verbalizer: StoredFile,
        }
        let source = Source::new(file.display().to_string(), json::read_text(file)?);
        let root = Node::root(&source);
        let First { model, seeds, tasks, tuning } = match run::form(file, &root, RunKind::Tasks)? {
            Form::First => root.read_object()?,
            Form::Now => {
                let parts = run::read(&root, RunKind::Tasks)?;
                let Body { tasks, tuning } = parts.body.read_object()?;
                First { model: parts.header.model, seeds: parts.header.seeds, tasks, tuning }
            }
        };
        let read = |Stored { name, templates, verbalizer: own }: Stored| -> Result<EarlierTask> {
            let parse = |stored: &StoredFile| Template::parse(&stored.name(), &stored.file, &stored.text);
            let templates = templates.iter().map(parse).collect::<Result<_>>()?;
            let verbalizer = Verbalizer::parse(&own.name(), &own.file, &own.text)?;
            let classes = verbalizer.labels().map(str::to_owned).collect();
            Ok(EarlierTask { name: Some(name), templates, classes })
        };
        let tasks = tasks.into_iter().map(read).collect::<Result<_>>()?;
        Ok(Earlier { folder, model, seeds, tuning, tasks })
    }

    /// How many soft tokens stand before the input.
    fn front(&self) -> usize {
        self.tasks.iter().map(|task| self.tuning.front_length(&task.templates)).max().unwrap_or_default()
    }

    /// What each of its tasks has of its own, as its patterns place it.
    fn own(&self, base: &VerbalizedLm) -> Result<Vec<Own>> {
        let own = |task: &EarlierTask| {
            let templates = match self.tuning {
                Tuning::Cls(_) => &[],
                _ => &task.templates[..],
            };
            let (_, soft) = SoftTokens::place(templates, Vec::new(), base.tokenizer())?;
            let (task, classes) = (task.name.clone(), task.classes.clone());
            Ok(Own { task, soft: soft.own().to_vec(), classes })
        };
        self.tasks.iter().map(own).collect()
    }
}
