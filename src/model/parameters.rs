//! A checkpoint as named tensors: read from whatever file a folder has, names made uniform, shapes checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::tensor::TensorInfo;
use serde::Deserialize;
use tch::{Device, Kind as Type, Tensor};

use crate::error::{Error, ModelError, Result, TensorProblem};
use crate::model::names;
use crate::model::pickle::{self, Checkpoint, PickleError};
use crate::model::tensor_file::{MappedFile, not_floating, unreadable};
use crate::model::tensor_map::{Module, TensorMap};
use crate::model::values::is_finite;
use crate::text::json;

/// Tensors by the names that their family's checkpoints give them, fp32.
///
/// The decoder's weight is in it only where it is another than the word embeddings.
pub struct Parameters {
    map: Arc<TensorMap>,
    tensors: BTreeMap<String, Tensor>,
}

impl Parameters {
    /// The weights of a model folder: `model.safetensors`, a sharded one with its index, or
    /// `pytorch_model.bin`. Half precisions are widened; what the masked language model does not need is left
    /// out; what it needs and the files lack is one error.
    pub fn load(folder: &Path, map: &Arc<TensorMap>, device: Device) -> Result<Parameters> {
        let paths = weight_files(folder)?;
        let mut tensors = BTreeMap::new();
        for file in open_files(folder, map, &paths)? {
            file.read(|name| map.module_of(name).is_some(), map, &mut tensors)?;
        }
        if let Some(decoder) = map.tied_decoder()
            && !is_own_decoder(map, &tensors)
        {
            tensors.remove(decoder);
        }
        let not_finite: Vec<String> =
            tensors.iter().filter(|(_, tensor)| !is_finite(tensor)).map(|(name, _)| name.clone()).collect();
        if !not_finite.is_empty() {
            return Err(ModelError::WeightsNotFinite { path: folder.to_owned(), tensors: not_finite }.into());
        }
        Ok(Parameters {
            map: map.clone(),
            tensors: tensors.into_iter().map(|(name, tensor)| (name, tensor.to_device(device))).collect(),
        })
    }

    /// Looks at the weight files without reading more of the weights than a decoder that may be another than
    /// `config.json` says: names, shapes and types.
    pub fn check(folder: &Path, map: &TensorMap) -> Result<Found> {
        let paths = weight_files(folder)?;
        let files = open_files(folder, map, &paths)?;
        let names: BTreeSet<String> =
            files.iter().flat_map(WeightFile::shapes).map(|(name, _)| map.uniform(name)).collect();
        let mut ends = BTreeMap::new();
        if let Some(decoder) = map.tied_decoder().filter(|decoder| names.contains(*decoder)) {
            let is_end = |name: &str| {
                name == decoder || map.weight_name(Module::WordEmbeddings).is_some_and(|words| name == words)
            };
            files.into_iter().try_for_each(|file| file.read(is_end, map, &mut ends))?;
        }
        let is_left_over = |name: &String| map.module_of(name).is_none() && !map.is_besides(name);
        Ok(Found {
            own_decoder: is_own_decoder(map, &ends),
            left_over: names.into_iter().filter(is_left_over).collect(),
        })
    }

    /// What each tensor is for.
    pub fn map(&self) -> &Arc<TensorMap> {
        &self.map
    }

    /// A module's weight.
    ///
    /// # Panics
    /// If there is none: loading has checked that all that the family's map lists are there.
    pub fn weight(&self, module: Module) -> &Tensor {
        let name = self.map.weight_name(module);
        name.and_then(|name| self.named(name)).unwrap_or_else(|| panic!("no weight of {module:?}"))
    }

    /// A module's bias, if it has one.
    pub fn bias(&self, module: Module) -> Option<&Tensor> {
        self.named(self.map.bias_name(module)?)
    }

    /// The MLM head's decoder `[V,H]`: its own, or the word embeddings that it is tied to.
    pub fn decoder(&self) -> &Tensor {
        let own = self.map.weight_name(Module::Decoder).and_then(|name| self.named(name));
        own.unwrap_or_else(|| self.weight(Module::WordEmbeddings))
    }

    /// The MLM head's bias `[V]`.
    ///
    /// # Panics
    /// If there is none.
    pub fn decoder_bias(&self) -> &Tensor {
        self.bias(Module::Decoder).unwrap_or_else(|| panic!("no bias of the decoder"))
    }

    /// What a reader of results should know: that the decoder is another than `config.json` says.
    pub fn remark(&self) -> Option<String> {
        let own = self.map.tied_decoder().and_then(|decoder| self.named(decoder));
        own.map(|_| OWN_DECODER.to_owned())
    }

    /// A tensor by its name.
    pub fn named(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// The same tensors but for these.
    #[must_use]
    pub fn with(&self, others: impl IntoIterator<Item = (String, Tensor)>) -> Parameters {
        let mut tensors: BTreeMap<String, Tensor> =
            self.iter().map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone())).collect();
        tensors.extend(others);
        Parameters { map: self.map.clone(), tensors }
    }

    /// All tensors with their names, in the names' order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Lets gradients reach all tensors, or none.
    pub fn set_requires_grad(&mut self, requires_grad: bool) {
        for tensor in self.tensors.values_mut() {
            *tensor = tensor.set_requires_grad(requires_grad);
        }
    }
}

const OWN_DECODER: &str =
    "config.json ties the decoder to the word embeddings, and the weights have another, which is used";

/// What weight files have that `config.json` does not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The names of what is left out, but for what checkpoints of the family usually have besides.
    pub left_over: Vec<String>,
    /// Whether they have a decoder other than the word embeddings that it is tied to by `config.json`. It is
    /// what is used.
    pub own_decoder: bool,
}

impl Found {
    /// The same remark as [`Parameters::remark`].
    pub fn remark(&self) -> Option<&'static str> {
        self.own_decoder.then_some(OWN_DECODER)
    }
}

/// Whether there is a decoder other than the word embeddings where `config.json` ties them.
fn is_own_decoder(map: &TensorMap, tensors: &BTreeMap<String, Tensor>) -> bool {
    let words = map.weight_name(Module::WordEmbeddings).and_then(|name| tensors.get(name));
    let decoder = map.tied_decoder().and_then(|name| tensors.get(name));
    words.zip(decoder).is_some_and(|(words, decoder)| words != decoder)
}

/// The files that weights may lie in, or the index of several files; the safer format first.
pub(super) const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// The weight files of a folder, the safer format first.
pub fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let Some(path) = WEIGHTS.iter().map(|name| folder.join(name)).find(|path| path.exists()) else {
        let wanted = "model.safetensors or pytorch_model.bin";
        return Err(ModelError::FileMissing { path: folder.to_owned(), wanted }.into());
    };
    if !path.to_string_lossy().ends_with(".index.json") {
        return Ok(vec![path]);
    }
    let shards = shards(&path)?;
    if let Some(missing) = shards.iter().find(|shard| !folder.join(shard).exists()) {
        return Err(unreadable(&path, format!("it names {missing}, which is not in the folder")));
    }
    Ok(shards.into_iter().map(|shard| folder.join(shard)).collect())
}

/// The names of the files that an index names.
pub(super) fn shards(index: &Path) -> Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let parsed: Index = serde_json::from_str(&json::read_text(index)?)
        .map_err(|error| unreadable(index, error.to_string()))?;
    Ok(parsed.weight_map.into_values().collect())
}

/// All files of a model, once their names, shapes and types are found good: of files that do not fit, no
/// number is read.
fn open_files<'a>(folder: &Path, map: &TensorMap, paths: &'a [PathBuf]) -> Result<Vec<WeightFile<'a>>> {
    let files = paths.iter().map(|path| WeightFile::open(path)).collect::<Result<Vec<_>>>()?;
    let found = files.iter().flat_map(WeightFile::shapes);
    check_fit(folder, map, &found.map(|(name, shape)| (map.uniform(name), shape)).collect())?;
    files.iter().try_for_each(|file| file.check_types(map))?;
    Ok(files)
}

/// A weight file whose names, types and shapes are known. Its numbers are not read yet.
enum WeightFile<'a> {
    /// PyTorch's own format.
    Pickle(&'a Path, Checkpoint),
    Safetensors(MappedFile<'a>, BTreeMap<String, TensorInfo>),
}

impl WeightFile<'_> {
    fn open(path: &Path) -> Result<WeightFile<'_>> {
        if path.extension().is_some_and(|extension| extension == "bin") {
            let checkpoint = Checkpoint::open(path).map_err(|error| pickle_error(path, error))?;
            return Ok(WeightFile::Pickle(path, checkpoint));
        }
        let file = MappedFile::open(path)?;
        let (header, _) = file.header()?;
        Ok(WeightFile::Safetensors(file, header))
    }

    /// The tensors' names in the file, and their shapes.
    fn shapes(&self) -> Vec<(&str, Vec<i64>)> {
        match self {
            WeightFile::Pickle(_, checkpoint) => {
                checkpoint.tensors().map(|(name, info)| (name, info.shape.clone())).collect()
            }
            WeightFile::Safetensors(_, header) => {
                let shape = |info: &TensorInfo| info.shape.iter().map(|size| *size as i64).collect();
                header.iter().map(|(name, info)| (name.as_str(), shape(info))).collect()
            }
        }
    }

    /// Refuses tensors of other than floating-point numbers among those that the map lists.
    fn check_types(&self, map: &TensorMap) -> Result<()> {
        match self {
            WeightFile::Pickle(path, checkpoint) => checkpoint
                .tensors()
                .filter(|(name, _)| is_listed(map, name))
                .try_for_each(|(name, info)| pickled_kind(path, name, info).map(drop)),
            WeightFile::Safetensors(file, header) => header
                .iter()
                .filter(|(name, _)| is_listed(map, name))
                .try_for_each(|(name, info)| file.kind(name, info).map(drop)),
        }
    }

    /// Adds the tensors whose names in the map are wanted, fp32, by these names.
    fn read(
        self,
        is_wanted: impl Fn(&str) -> bool,
        map: &TensorMap,
        tensors: &mut BTreeMap<String, Tensor>,
    ) -> Result<()> {
        let wanted = |name: &str| Some(map.uniform(name)).filter(|name| is_wanted(name));
        // Where a file has a tensor by two names, the map's own is meant.
        let mut insert = |name: &str, uniform: String, tensor: Tensor| match map.is_other_name(name) {
            true => drop(tensors.entry(uniform).or_insert(tensor)),
            false => drop(tensors.insert(uniform, tensor)),
        };
        match self {
            WeightFile::Pickle(path, checkpoint) => {
                for (name, info) in checkpoint.tensors() {
                    if let Some(uniform) = wanted(name) {
                        insert(name, uniform, read_pickled(path, &checkpoint, name, info)?);
                    }
                }
            }
            WeightFile::Safetensors(file, header) => {
                for (name, info) in header {
                    if let Some(uniform) = wanted(&name) {
                        insert(&name, uniform, file.read(&name, &info)?);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether the map lists a file's tensor.
fn is_listed(map: &TensorMap, name: &str) -> bool {
    map.module_of(&map.uniform(name)).is_some()
}

/// A tensor of a file in PyTorch's own format, fp32.
fn read_pickled(path: &Path, file: &Checkpoint, name: &str, info: &pickle::TensorInfo) -> Result<Tensor> {
    let kind = pickled_kind(path, name, info)?;
    let bytes = file.read(name).map_err(|error| pickle_error(path, error))?;
    // As bytes first: libtorch then compares their number with the shape.
    let tensor = Tensor::from_slice(&bytes).view_dtype(kind).view(info.shape.as_slice());
    Ok(tensor.to_kind(Type::Float))
}

fn pickled_kind(path: &Path, name: &str, info: &pickle::TensorInfo) -> Result<Type> {
    match info.dtype {
        pickle::Dtype::F32 => Ok(Type::Float),
        pickle::Dtype::F16 => Ok(Type::Half),
        pickle::Dtype::BF16 => Ok(Type::BFloat16),
        pickle::Dtype::F64 => Ok(Type::Double),
        other => Err(not_floating(path, name, &other)),
    }
}

/// The error of a file in PyTorch's own format.
fn pickle_error(path: &Path, error: PickleError) -> Error {
    match &error {
        PickleError::Io(error) => return Error::reading(path, error),
        PickleError::NotACheckpoint { reason } | PickleError::Damaged { reason } => {
            unreadable(path, reason.clone())
        }
        PickleError::Unsupported { what } => ModelError::WeightsUnsupported {
            path: path.to_owned(),
            what: what.to_string(),
            remedy: what.remedy(),
        }
        .into(),
        PickleError::NoSuchTensor { .. } => unreadable(path, error.to_string()),
    }
    .because(error)
}

/// Refuses weights of another number of layers or of other shapes than config.json says, and weights with
/// something in their layers that would be left out without a word. What stands elsewhere and is not needed,
/// as a pooler, may be there.
fn check_fit(folder: &Path, map: &TensorMap, found: &BTreeMap<String, Vec<i64>>) -> Result<()> {
    let wrong = |path: PathBuf, message: String| Err(ModelError::Config { path, message }.into());
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    let listed: Vec<&str> = map.shapes().into_keys().collect();
    let [wanted_family, family] = [names::family(&listed), names::family(&names)];
    if let (Some(wanted), Some(found)) = (wanted_family, family)
        && wanted != found
    {
        return Err(ModelError::OtherFamily { path: folder.to_owned(), found, wanted }.into());
    }
    let blocks =
        names.iter().filter_map(|name| map.layer_of(name)).max().map_or(0, |last| last.saturating_add(1));
    let (said, [key, what]) = map.blocks();
    if blocks > said {
        let message = format!("{key} is {said}, the weights have {blocks} {what}");
        return wrong(folder.join("config.json"), message);
    }
    let problem = |(name, shape): (&str, &[i64])| TensorProblem {
        name: name.to_owned(),
        wanted: shape.to_owned(),
        found: found.get(name).cloned(),
    };
    let problems: Vec<TensorProblem> = map
        .shapes()
        .into_iter()
        .map(problem)
        .filter(|problem| problem.found.as_ref() != Some(&problem.wanted))
        .filter(|problem| problem.found.is_some() || map.tied_decoder() != Some(&problem.name))
        .collect();
    let is_of_head = |name: &str| map.module_of(name).is_some_and(Module::is_head);
    if !problems.is_empty()
        && problems.iter().all(|problem| problem.found.is_none() && is_of_head(&problem.name))
        && !names.iter().any(|name| is_of_head(name))
    {
        let task = names::other_task(&names);
        return Err(ModelError::NoHead { path: folder.to_owned(), task }.into());
    }
    if !problems.is_empty() {
        return Err(ModelError::WeightsMisfit { path: folder.to_owned(), tensors: problems }.into());
    }
    let left_over = found.keys().filter(|name| map.layer_of(name).is_some() && map.module_of(name).is_none());
    let left_over: Vec<&str> = left_over.map(String::as_str).collect();
    if let Some((first, others)) = left_over.split_first() {
        let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        let message =
            format!("the weights' layers have tensors that such a model has no place for: {first}{more}");
        return wrong(folder.to_owned(), message);
    }
    Ok(())
}
