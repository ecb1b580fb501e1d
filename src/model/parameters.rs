//! A checkpoint as named tensors: read from whatever file a folder has, names made uniform, shapes checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorInfo;
use serde::Deserialize;
use tch::{Device, Kind as Type, Tensor};

use crate::error::{Error, Kind, Result, TensorProblem};
use crate::model::config::Config;
use crate::model::tensor_file::{MappedFile, first_line, unreadable};
use crate::text::json;

/// Tensors by the names that Hugging Face and rust-bert give them, fp32.
///
/// The decoder's weight is in it only where the checkpoint does not tie it to the word embeddings.
pub struct Parameters {
    tensors: BTreeMap<String, Tensor>,
}

/// The name of the word embeddings, `[V,H]`.
pub const WORD_EMBEDDINGS: &str = "bert.embeddings.word_embeddings.weight";
/// The name of the MLM head's decoder, `[V,H]`.
pub const DECODER: &str = "cls.predictions.decoder.weight";
/// The name of the MLM head's bias, `[V]`.
pub const DECODER_BIAS: &str = "cls.predictions.bias";

impl Parameters {
    /// The weights of a model folder: `model.safetensors`, a sharded one with its index, or
    /// `pytorch_model.bin`. Half precisions are widened; what the masked language model does not need is left
    /// out; what it needs and the files lack is one error.
    pub fn load(folder: &Path, config: &Config, device: Device) -> Result<Parameters> {
        let tensors =
            read_files(folder, config, &weight_files(folder)?, |file, name, info| file.read(name, info))?;
        let not_finite: Vec<String> =
            tensors.iter().filter(|(_, tensor)| !is_finite(tensor)).map(|(name, _)| name.clone()).collect();
        if !not_finite.is_empty() {
            return Err(Kind::WeightsNotFinite { path: folder.to_owned(), tensors: not_finite }.into());
        }
        Ok(Parameters {
            tensors: tensors.into_iter().map(|(name, tensor)| (name, tensor.to_device(device))).collect(),
        })
    }

    /// Looks at the weight files without reading the weights: names and shapes of safetensors, that a `.bin`
    /// is there.
    pub fn check(folder: &Path, config: &Config) -> Result<()> {
        let paths = weight_files(folder)?;
        if paths.iter().any(|path| is_pickle(path)) {
            return Ok(());
        }
        read_files(folder, config, &paths, |file, name, info| file.tensor(name, info)).map(drop)
    }

    /// A tensor by name.
    ///
    /// # Panics
    /// If there is none: loading has checked that all that a BERT needs are there.
    pub fn get(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("no parameter {name}"))
    }

    /// The MLM head's decoder `[V,H]`: its own, or the word embeddings that it is tied to.
    pub fn decoder(&self) -> &Tensor {
        self.tensors.get(DECODER).unwrap_or_else(|| self.get(WORD_EMBEDDINGS))
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The same tensors but for these.
    #[must_use]
    pub fn with(&self, others: impl IntoIterator<Item = (String, Tensor)>) -> Parameters {
        let mut tensors: BTreeMap<String, Tensor> =
            self.iter().map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone())).collect();
        tensors.extend(others);
        Parameters { tensors }
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

/// The linear layers of a BERT masked language model by name, each with its `[out,in]`; the decoder is not
/// among them.
pub fn linear_layers(config: &Config) -> Vec<(String, [i64; 2])> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let of_layer = |layer: i64| {
        [
            ("attention.self.query", [hidden, hidden]),
            ("attention.self.key", [hidden, hidden]),
            ("attention.self.value", [hidden, hidden]),
            ("attention.output.dense", [hidden, hidden]),
            ("intermediate.dense", [inner, hidden]),
            ("output.dense", [hidden, inner]),
        ]
        .map(|(part, size)| (format!("bert.encoder.layer.{layer}.{part}"), size))
    };
    let head = ("cls.predictions.transform.dense".to_owned(), [hidden, hidden]);
    (0..config.num_hidden_layers).flat_map(of_layer).chain([head]).collect()
}

/// Every tensor that a BERT masked language model has, with its shape.
fn shapes(config: &Config) -> BTreeMap<String, Vec<i64>> {
    let (hidden, vocabulary) = (config.hidden_size, config.vocab_size);
    let mut shapes = BTreeMap::new();
    for (name, [output, input]) in linear_layers(config) {
        shapes.insert(format!("{name}.weight"), vec![output, input]);
        shapes.insert(format!("{name}.bias"), vec![output]);
    }
    let layer_names: Vec<String> =
        (0..config.num_hidden_layers).map(|layer| format!("bert.encoder.layer.{layer}")).collect();
    let norms = layer_names.iter().flat_map(|layer| {
        [format!("{layer}.attention.output.LayerNorm"), format!("{layer}.output.LayerNorm")]
    });
    for norm in norms
        .chain(["bert.embeddings.LayerNorm".to_owned(), "cls.predictions.transform.LayerNorm".to_owned()])
    {
        shapes.insert(format!("{norm}.weight"), vec![hidden]);
        shapes.insert(format!("{norm}.bias"), vec![hidden]);
    }
    shapes.insert(WORD_EMBEDDINGS.to_owned(), vec![vocabulary, hidden]);
    shapes.insert(
        "bert.embeddings.position_embeddings.weight".to_owned(),
        vec![config.max_position_embeddings, hidden],
    );
    shapes.insert(
        "bert.embeddings.token_type_embeddings.weight".to_owned(),
        vec![config.type_vocab_size, hidden],
    );
    shapes.insert(DECODER_BIAS.to_owned(), vec![vocabulary]);
    if !config.tie_word_embeddings {
        shapes.insert(DECODER.to_owned(), vec![vocabulary, hidden]);
    }
    shapes
}

/// The name that a tensor of a checkpoint has here: with `bert.` before the encoder's, `weight` and `bias`
/// for the `gamma` and `beta` of the first BERTs, one name for the head's bias.
fn uniform_name(name: &str) -> String {
    let name = name.strip_prefix("module.").unwrap_or(name);
    let prefixed = if name.starts_with("embeddings.") || name.starts_with("encoder.") {
        format!("bert.{name}")
    } else {
        name.to_owned()
    };
    let renamed = match prefixed.strip_suffix(".gamma") {
        Some(stem) => format!("{stem}.weight"),
        None => {
            prefixed.strip_suffix(".beta").map_or_else(|| prefixed.clone(), |stem| format!("{stem}.bias"))
        }
    };
    if renamed == "cls.predictions.decoder.bias" { DECODER_BIAS.to_owned() } else { renamed }
}

/// The weight files of a folder, the safer format first.
pub fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    for name in [
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
    ] {
        let path = folder.join(name);
        if !path.exists() {
            continue;
        }
        if !name.ends_with(".index.json") {
            return Ok(vec![path]);
        }
        let index: Index = serde_json::from_str(&json::read_text(&path)?)
            .map_err(|error| unreadable(&path, error.to_string()))?;
        let shards: BTreeSet<String> = index.weight_map.into_values().collect();
        if let Some(missing) = shards.iter().find(|shard| !folder.join(shard).exists()) {
            return Err(unreadable(&path, format!("it names {missing}, which is not in the folder")));
        }
        return Ok(shards.into_iter().map(|shard| folder.join(shard)).collect());
    }
    Err(Kind::ModelFileMissing { path: folder.to_owned(), wanted: "model.safetensors or pytorch_model.bin" }
        .into())
}

/// How a tensor of a safetensors file comes into memory.
type Reading = fn(&MappedFile<'_>, &str, &TensorInfo) -> Result<Tensor>;

/// The wanted tensors of all files; those of PyTorch's own format are widened.
fn read_files(
    folder: &Path,
    config: &Config,
    paths: &[PathBuf],
    reading: Reading,
) -> Result<BTreeMap<String, Tensor>> {
    let wanted = shapes(config);
    let mut tensors = BTreeMap::new();
    for path in paths {
        read_file(path, &wanted, reading, &mut tensors)?;
    }
    check_shapes(folder, &wanted, &tensors)?;
    Ok(tensors)
}

/// Whether a file is PyTorch's own format.
fn is_pickle(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "bin")
}

fn read_file(
    path: &Path,
    wanted: &BTreeMap<String, Vec<i64>>,
    reading: Reading,
    tensors: &mut BTreeMap<String, Tensor>,
) -> Result<()> {
    if is_pickle(path) {
        // Opened by name first: libtorch's own message for a missing file is a stack trace.
        std::fs::File::open(path).map_err(|error| Error::reading(path, &error))?;
        let named = Tensor::loadz_multi(path).map_err(|error| {
            let reason = first_line(&error.to_string());
            unreadable(
                path,
                format!(
                    "{reason} (files of PyTorch before 1.6 are not read; save them anew, as safetensors)"
                ),
            )
        })?;
        for (name, tensor) in named {
            let name = uniform_name(&name);
            if wanted.contains_key(&name) {
                tensors.insert(name, tensor.to_kind(Type::Float));
            }
        }
        return Ok(());
    }
    let file = MappedFile::open(path)?;
    for (name, info) in file.header()?.0 {
        let uniform = uniform_name(&name);
        if wanted.contains_key(&uniform) {
            tensors.insert(uniform, reading(&file, &name, &info)?);
        }
    }
    Ok(())
}

fn check_shapes(
    folder: &Path,
    wanted: &BTreeMap<String, Vec<i64>>,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<()> {
    let problems: Vec<TensorProblem> = wanted
        .iter()
        .map(|(name, shape)| TensorProblem {
            name: name.clone(),
            wanted: shape.clone(),
            found: tensors.get(name).map(Tensor::size),
        })
        .filter(|problem| problem.found.as_ref() != Some(&problem.wanted))
        .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Kind::WeightsMisfit { path: folder.to_owned(), tensors: problems }.into())
    }
}

/// A sum is not finite if any of its terms is not; the terms are looked at one by one only then.
fn is_finite(tensor: &Tensor) -> bool {
    tensor.sum(Type::Float).double_value(&[]).is_finite() || tensor.isfinite().all().int64_value(&[]) != 0
}
