//! The header that the manifest of every run begins with, whatever kind of run it is.
//!
//! ```json
//! { "version": 2, "kind": "train", "cloze": "0.2.0", "command": ["cloze", "train", …],
//!   "model": { "path": …, "sha256": … }, "data": { "train": { "path": …, "sha256": … }, … },
//!   "device": "cpu", "threads": 2, "engine": "cloze", "max_length": 512, "seeds": [13, 21, 42],
//!   "dtype": "f32",
//!   "train": { … } }
//! ```
//!
//! `kind` is one of [`RunKind`], and the last key, of the same name, has the body: what this kind of run is
//! configured by. `dtype` is the type of numbers that the training is to compute in. Header and body together are
//! all that is needed to run it again.
//!
//! 0.1.0 wrote version 1, which has no `kind`: each kind of run had a file of its own form. It is still read.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::MANIFEST;
use super::files::{DataFiles, ModelFiles};
use crate::error::source::Source;
use crate::error::{
    EncodeError, Error, Errors, JsonError, Kind, Result, RunError, TrainingError, TuningError,
};
use crate::learn::train::Plan;
use crate::model::dtype::Dtype;
use crate::model::folder::EngineChoice;
use crate::model::threads::MOST_THREADS;
use crate::text::json::{self, Node};

/// The version of manifests that this cloze writes.
pub const VERSION: u64 = 2;
/// The version that 0.1.0 wrote.
pub const FIRST_VERSION: u64 = 1;

/// What every kind of run has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Header {
    /// The version of cloze that made the run.
    pub cloze: String,
    /// The command line.
    pub command: Vec<String>,
    /// The base model.
    pub model: ModelFiles,
    /// The data files. Those of several tasks stand with the tasks.
    pub data: DataFiles,
    /// Where it ran.
    pub device: Device,
    /// CPU threads: sums are rounded differently on another number.
    pub threads: usize,
    /// What ran the forward pass.
    pub engine: EngineChoice,
    /// The longest input, in tokens.
    pub max_length: usize,
    /// The seeds.
    pub seeds: Vec<u64>,
}

/// The kinds of run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunKind {
    /// One way of tuning over several seeds.
    Train,
    /// One model for several tasks.
    Tasks,
    /// An ensemble of patterns, and its student.
    Ensemble,
    /// A model that goes on reading texts.
    Pretrain,
}

/// Where models run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// On the processor.
    #[default]
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Cpu,
    /// On the first GPU.
    #[cfg_attr(feature = "cli", value(help = None::<&'static str>))]
    Cuda,
}

impl From<tch::Device> for Device {
    fn from(device: tch::Device) -> Device {
        if device == tch::Device::Cpu { Device::Cpu } else { Device::Cuda }
    }
}

/// How a manifest is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// With a header.
    Now,
    /// As 0.1.0 wrote it, or as a user writes an experiment.
    First,
}

/// A manifest as its file has it: the header's keys, then the body under its kind's name.
#[derive(Debug, Serialize)]
pub struct Written<B> {
    version: u64,
    kind: RunKind,
    #[serde(flatten)]
    header: Header,
    dtype: Dtype,
    #[serde(flatten)]
    body: BTreeMap<&'static str, B>,
}

/// A manifest as it is read: the header, and the body still in its file.
pub struct Parts<'a> {
    /// The header.
    pub header: Header,
    /// Whether the training computes in bfloat16.
    pub bf16: bool,
    /// The body.
    pub body: Node<'a>,
}

impl RunKind {
    /// Its name, which is the key of the body too.
    pub fn name(self) -> &'static str {
        match self {
            RunKind::Train => "train",
            RunKind::Tasks => "tasks",
            RunKind::Ensemble => "ensemble",
            RunKind::Pretrain => "pretrain",
        }
    }
}

impl Header {
    /// Refuses what no run can be. All problems at once.
    pub(crate) fn check(&self) -> Result<(), Errors> {
        let mut errors = Errors::new();
        if !(1..=MOST_THREADS).contains(&self.threads) {
            errors.push(TuningError::OptionOutOfRange {
                name: "threads".to_owned(),
                found: self.threads as f64,
                allowed: format!("1 to {MOST_THREADS}"),
            });
        }
        errors.keep(check_seeds(&self.seeds));
        errors.none()
    }
}

/// The place of an error about a value of a manifest, where it is one of the header, of the plan, or one whose
/// key the message quotes. 0.1.0 had no body.
pub(crate) fn place<'a>(error: &Error, root: &Node<'a>, kind: RunKind) -> Option<Node<'a>> {
    let key = match error.kind() {
        Kind::Tuning(TuningError::OptionOutOfRange { name, .. })
            if ["plan.", "threads", "demonstrations."].iter().any(|start| name.starts_with(start)) =>
        {
            name
        }
        Kind::Json(JsonError::Shape { message }) => message.split('"').nth(1).unwrap_or_default(),
        Kind::Training(TrainingError::SameSeed { .. } | TrainingError::WithoutSeeds) => "seeds",
        Kind::Encode(EncodeError::MaxLengthOutOfRange { .. }) => "max_length",
        _ => return None,
    };
    root.at(&format!("{}.{key}", kind.name())).or_else(|| root.at(key))
}

/// A manifest with one plan, of a training or of one of several tasks.
pub(crate) trait Planned: Clone + DeserializeOwned {
    /// The kind of run.
    const KIND: RunKind;

    /// As 0.1.0 wrote it.
    type First: DeserializeOwned + Into<Self>;

    /// What stands in its file before the body, and the plan, of which "dtype" stands there too.
    fn parts(&mut self) -> (&mut Header, &mut Plan);
}

/// Reads a manifest, in whichever form.
pub(crate) fn parse<M: Planned>(path: &Path, root: &Node<'_>) -> Result<M> {
    match form(path, root, M::KIND)? {
        Form::Now => {
            let read = read(root, M::KIND)?;
            let mut manifest: M = read.body.read_object()?;
            let (header, plan) = manifest.parts();
            (*header, plan.bf16) = (read.header, read.bf16);
            Ok(manifest)
        }
        Form::First => {
            root.check_version(FIRST_VERSION)?;
            root.read_object::<M::First>().map(Into::into)
        }
    }
}

/// A manifest as its file has it.
pub(crate) fn written<M: Planned>(manifest: &M) -> Written<M> {
    let mut body = manifest.clone();
    let (header, plan) = body.parts();
    // The header's "dtype" says it.
    let (header, bf16) = (header.clone(), std::mem::take(&mut plan.bf16));
    Written::of(M::KIND, &header, bf16, body)
}

impl<B> Written<B> {
    /// A manifest of its two parts.
    pub fn of(kind: RunKind, header: &Header, bf16: bool, body: B) -> Written<B> {
        Written {
            version: VERSION,
            kind,
            header: header.clone(),
            dtype: if bf16 { Dtype::Bf16 } else { Dtype::F32 },
            body: BTreeMap::from([(kind.name(), body)]),
        }
    }
}

/// Refuses to train without a seed, or with one twice.
pub fn check_seeds(seeds: &[u64]) -> Result<()> {
    if seeds.is_empty() {
        return Err(TrainingError::WithoutSeeds.into());
    }
    let twice = seeds.iter().enumerate().find(|(index, seed)| seeds[..*index].contains(seed));
    twice.map_or(Ok(()), |(_, &seed)| Err(TrainingError::SameSeed { seed }.into()))
}

/// The kind of run whose manifest a file is. None if it is no run's, but a file that a user wrote.
pub fn kind_of(file: &Path) -> Result<Option<RunKind>> {
    let source = Source::new(file.display().to_string(), json::read_text(file)?);
    told_by(&Node::root(&source)).map(|(kind, _)| kind)
}

/// The kind of run whose manifest this is, and how it is written. None if it is no run's: an experiment that
/// a user wrote may have no key that tells.
fn told_by(root: &Node<'_>) -> Result<(Option<RunKind>, Form)> {
    #[derive(Deserialize)]
    struct Telling<'a> {
        #[serde(borrow)]
        kind: Option<&'a RawValue>,
        #[serde(borrow)]
        experiment: Option<&'a RawValue>,
        cloze: Option<IgnoredAny>,
        command: Option<IgnoredAny>,
    }
    let telling: Telling = root.read_object()?;
    if let Some(kind) = telling.kind {
        root.check_version(VERSION)?;
        return Ok((Some(root.key("kind", kind).read()?), Form::Now));
    }
    let kind = match telling.experiment.map(RawValue::get) {
        Some("\"ensemble\"") => Some(RunKind::Ensemble),
        Some("\"tasks\"") => Some(RunKind::Tasks),
        None if telling.cloze.is_some() && telling.command.is_some() => Some(RunKind::Train),
        _ => None,
    };
    Ok((kind, Form::First))
}

/// How a manifest of the wanted kind is written. That of another kind of run is refused.
pub fn form(path: &Path, root: &Node<'_>, wanted: RunKind) -> Result<Form> {
    match told_by(root)? {
        (Some(found), _) if found != wanted => {
            // The run is meant, where it is the file of a run's folder.
            let folder = path.parent().filter(|_| path.ends_with(MANIFEST));
            let path = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(path).to_owned();
            Err(RunError::OfOtherKind { path, found: found.name(), wanted: wanted.name() }.into())
        }
        (_, form) => Ok(form),
    }
}

/// Reads the header of a manifest with one, of a kind that is known.
pub fn read<'a>(root: &Node<'a>, kind: RunKind) -> Result<Parts<'a>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Raw<'a> {
        #[serde(rename = "version")]
        _version: IgnoredAny,
        #[serde(rename = "kind")]
        _kind: IgnoredAny,
        #[serde(borrow)]
        cloze: &'a RawValue,
        #[serde(borrow)]
        command: &'a RawValue,
        #[serde(borrow)]
        model: &'a RawValue,
        #[serde(borrow)]
        data: &'a RawValue,
        #[serde(borrow)]
        device: &'a RawValue,
        #[serde(borrow)]
        threads: &'a RawValue,
        #[serde(borrow)]
        engine: &'a RawValue,
        #[serde(borrow)]
        max_length: &'a RawValue,
        #[serde(borrow)]
        seeds: &'a RawValue,
        #[serde(borrow)]
        dtype: &'a RawValue,
        #[serde(borrow)]
        train: Option<&'a RawValue>,
        #[serde(borrow)]
        tasks: Option<&'a RawValue>,
        #[serde(borrow)]
        ensemble: Option<&'a RawValue>,
        #[serde(borrow)]
        pretrain: Option<&'a RawValue>,
    }
    let raw: Raw = root.read_object()?;
    let bodies = [
        (RunKind::Train, raw.train),
        (RunKind::Tasks, raw.tasks),
        (RunKind::Ensemble, raw.ensemble),
        (RunKind::Pretrain, raw.pretrain),
    ];
    let body = root.key(kind.name(), only_body(root, kind, bodies)?);
    let dtype = root.key("dtype", raw.dtype);
    let bf16 = match dtype.read()? {
        Dtype::F32 => false,
        Dtype::Bf16 => true,
        Dtype::Int8 => {
            let allowed = [Dtype::F32, Dtype::Bf16].map(|dtype| dtype.name().to_owned()).to_vec();
            return Err(
                dtype.error(JsonError::UnknownValue { value: Dtype::Int8.name().to_owned(), allowed })
            );
        }
    };
    let header = Header {
        cloze: root.key("cloze", raw.cloze).read()?,
        command: root.key("command", raw.command).read()?,
        model: root.key("model", raw.model).read_object()?,
        data: root.key("data", raw.data).read_object()?,
        device: root.key("device", raw.device).read()?,
        threads: root.key("threads", raw.threads).read()?,
        engine: root.key("engine", raw.engine).read()?,
        max_length: root.key("max_length", raw.max_length).read()?,
        seeds: root.key("seeds", raw.seeds).read()?,
    };
    Ok(Parts { header, bf16, body })
}

/// The body of a kind of run. One of another kind beside it is refused: it would say nothing, and look as if it
/// did.
fn only_body<'a>(
    root: &Node<'a>,
    kind: RunKind,
    bodies: [(RunKind, Option<&'a RawValue>); 4],
) -> Result<&'a RawValue> {
    let mut found = None;
    for (of, body) in bodies.into_iter().filter_map(|(of, body)| Some((of, body?))) {
        if of != kind {
            let (key, allowed) = (of.name().to_owned(), vec![kind.name().to_owned()]);
            return Err(root.key(of.name(), body).error(JsonError::UnknownKey { key, allowed }));
        }
        found = Some(body);
    }
    found.ok_or_else(|| root.error(JsonError::MissingKey { key: kind.name().to_owned() }))
}

/// The SHA-256, hexadecimal, of what determines the answers of a run: the kind, the base model's weights, the
/// type of numbers, the longest input, the data files, and the whole body. Every tensor that a run learns has
/// it beside it, so what was learned under another manifest is not taken for this one's.
///
/// For a member of an ensemble, by its name `TEMPLATE+VERBALIZER`, other members' files and the student do
/// not count: a member is the same in whatever ensemble it is. Nor does the order of an ensemble's patterns.
///
/// Paths do not count: a folder may move. Nor does where a run ran, or the list of its seeds: each file says
/// of which it is. The order of keys, spaces, and how a number is written do not count either. None for a
/// manifest of version 1.
pub(super) fn fingerprint(manifest: &Value, member: Option<&str>) -> Option<String> {
    let kind = manifest.get("kind")?.as_str()?;
    let mut hash = Sha256::new();
    let model = &manifest["model"]["sha256"];
    for value in [&manifest["kind"], model, &manifest["dtype"], &manifest["max_length"], &manifest["data"]] {
        add(value, &mut hash);
    }
    let mut body = manifest.get(kind)?.clone();
    if let (true, Some(body)) = (kind == RunKind::Ensemble.name(), body.as_object_mut()) {
        narrow(body, member.and_then(|name| name.split_once('+')));
    }
    add(&body, &mut hash);
    Some(format!("{:x}", hash.finalize()))
}

/// Leaves of an ensemble's body what concerns a member, by its template's and its verbalizer's name, or all
/// of it, with the patterns in an order of their own.
fn narrow(body: &mut Map<String, Value>, member: Option<(&str, &str)>) {
    if let Some((template, verbalizer)) = member {
        body.retain(|key, _| key != "student" && key != "student_model");
        for (key, own) in [("templates", template), ("verbalizers", verbalizer)] {
            if let Some(files) = body.get_mut(key).and_then(Value::as_array_mut) {
                files.retain(|file| stem(file) == Some(own));
            }
        }
    }
    if let Some(templates) = body.get_mut("templates").and_then(Value::as_array_mut) {
        templates.sort_by_key(Value::to_string);
    }
}

/// The name of a file that is stored with its text, without folder and ending.
fn stem(stored: &Value) -> Option<&str> {
    Path::new(stored.get("file")?.as_str()?).file_stem()?.to_str()
}

/// Adds a value in a form of its own, which no two values share.
fn add(value: &Value, hash: &mut Sha256) {
    let mut text = |mark: char, text: &str| hash.update(format!("{mark}{}:{text}", text.len()));
    match value {
        Value::Null => text('n', ""),
        Value::Bool(value) => text('b', if *value { "1" } else { "0" }),
        // 2 and 2.0 are one number. Those of a body are counts and rates, which doubles hold exactly.
        Value::Number(number) => text('f', &number.as_f64().unwrap_or(f64::NAN).to_bits().to_string()),
        Value::String(value) => text('s', value),
        Value::Array(values) => {
            text('l', &values.len().to_string());
            values.iter().for_each(|value| add(value, hash));
        }
        Value::Object(values) => {
            // What is null may as well be left out.
            let counts = |(key, value): &(&String, &Value)| *key != "path" && !value.is_null();
            let values: BTreeMap<&String, &Value> = values.iter().filter(counts).collect();
            text('o', &values.len().to_string());
            for (key, value) in values {
                hash.update(format!("k{}:{key}", key.len()));
                add(value, hash);
            }
        }
    }
}
