//! Reading an adapter, with everything that does not fit refused.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tch::Tensor;

use super::{CONFIG, PROMPT, PeftAdapter, TENSORS, modules_of, targets};
use crate::error::source::Source;
use crate::error::{FileError, JsonError, ModelError, PeftError, Result, TensorProblem, TuningError};
use crate::model::arch::Config;
use crate::model::tensor_file;
use crate::model::tensor_map::{LinearLayer, Module, TensorMap, is_target};
use crate::model::values::is_finite;
use crate::text::json::{self, Node};
use crate::tune::options::{Lora, Prefix, PromptEncoder, SoftPrompt, Tuning};
use crate::tune::trainable::{IA3, LORA_A, LORA_B, Learned, MAGNITUDE, PEFT, PREFIX, SOFT_TOKENS};

/// What older PEFTs write, and others if they are told to.
const PICKLE: &str = "adapter_model.bin";

/// Reads an adapter for a base model of these sizes. Half precisions are widened.
pub fn read(folder: &Path, config: &Config) -> Result<PeftAdapter> {
    if folder.is_file() {
        return Err(FileError::ForFolder { path: folder.to_owned() }.into());
    }
    if !folder.is_dir() {
        return Err(PeftError::Missing { path: folder.to_owned() }.into());
    }
    let [path, tensors] = [CONFIG, TENSORS].map(|name| folder.join(name));
    if !path.exists() {
        return Err(PeftError::FileMissing { path: folder.to_owned(), wanted: CONFIG }.into());
    }
    let source = Source::new(path.display().to_string(), json::read_text(&path)?);
    let node = Node::root(&source);
    let fields = Fields { values: node.read_object()?, node };
    let kind = fields.kind()?;
    fields.check_done()?;
    if !tensors.exists() {
        let pickle = folder.join(PICKLE);
        return Err(if pickle.exists() {
            PeftError::Pickle { path: pickle }.into()
        } else {
            PeftError::FileMissing { path: folder.to_owned(), wanted: TENSORS }.into()
        });
    }
    let (named, _) = tensor_file::read(&tensors)?;
    let not_finite: Vec<String> =
        named.iter().filter(|(_, tensor)| !is_finite(tensor)).map(|(name, _)| name.clone()).collect();
    if !not_finite.is_empty() {
        return Err(ModelError::WeightsNotFinite { path: tensors, tensors: not_finite }.into());
    }
    let found = Found { path: tensors, named, map: &config.tensors };
    let adapter = match kind {
        PeftType::Lora => fields.lora(found)?,
        PeftType::Ia3 => fields.ia3(found)?,
        PeftType::PromptTuning | PeftType::PTuning | PeftType::PrefixTuning => {
            fields.prompt(kind, found, config)?
        }
    };
    adapter.tuning.check(config).map_err(|error| error.at(fields.node.place_of_all()))?;
    Ok(adapter)
}

#[derive(Clone, Copy, PartialEq)]
enum PeftType {
    Lora,
    Ia3,
    PromptTuning,
    PTuning,
    PrefixTuning,
}

const TYPES: [(&str, PeftType); 5] = [
    ("LORA", PeftType::Lora),
    ("IA3", PeftType::Ia3),
    ("PROMPT_TUNING", PeftType::PromptTuning),
    ("P_TUNING", PeftType::PTuning),
    ("PREFIX_TUNING", PeftType::PrefixTuning),
];

/// Fields that change scores where they are anything but null, false, empty or 0. Some are of later PEFTs
/// than 0.13.2.
const NOT_DONE: [&str; 12] = [
    "rank_pattern",
    "alpha_pattern",
    "fan_in_fan_out",
    "modules_to_save",
    "layer_replication",
    "loftq_config",
    "lora_bias",
    "trainable_token_indices",
    "target_parameters",
    "alora_invocation_tokens",
    "arrow_config",
    "use_qalora",
];

/// The file's `adapter_config.json`.
struct Fields<'a> {
    node: Node<'a>,
    values: HashMap<String, &'a RawValue>,
}

/// The file's tensors.
struct Found<'a> {
    path: PathBuf,
    named: Learned,
    map: &'a TensorMap,
}

/// A tensor that the file should have.
struct Wanted {
    /// Its name in the file.
    key: String,
    /// Its name here.
    name: String,
    shape: Vec<i64>,
}

impl<'a> Fields<'a> {
    /// A field that is there and not null.
    fn find(&self, key: &str) -> Option<Node<'a>> {
        let value = self.values.get(key).filter(|value| value.get() != "null")?;
        Some(self.node.key(key, value))
    }

    fn read<T: Deserialize<'a>>(&self, key: &str, default: T) -> Result<T> {
        self.find(key).map_or(Ok(default), |node| node.read())
    }

    fn kind(&self) -> Result<PeftType> {
        let Some(node) = self.find("peft_type") else {
            return Err(self.node.error(JsonError::MissingKey { key: "peft_type".to_owned() }));
        };
        let found: String = node.read()?;
        match TYPES.iter().find(|(name, _)| *name == found) {
            Some((_, kind)) => Ok(*kind),
            None => {
                Err(node
                    .error(PeftError::UnknownType { found, allowed: TYPES.map(|(name, _)| name).to_vec() }))
            }
        }
    }

    /// Refuses what would change scores and is not done here.
    fn check_done(&self) -> Result<()> {
        let nothing = |value: &Value| match value {
            Value::Null => true,
            Value::Bool(is) => !is,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
        };
        let refuse = |key: &str, node: &Node<'_>, value: &Value, allowed: &'static str| {
            node.error(PeftError::NotDone { key: key.to_owned(), found: value.to_string(), allowed })
        };
        for key in NOT_DONE {
            let Some(node) = self.find(key) else { continue };
            let value: Value = node.read()?;
            if !nothing(&value) {
                return Err(refuse(key, &node, &value, "false, null or empty"));
            }
        }
        if let Some(node) = self.find("bias") {
            let value: Value = node.read()?;
            if value != "none" {
                return Err(refuse("bias", &node, &value, "\"none\""));
            }
        }
        // The others start from base weights that they change, and an adapter alone does not bring those
        // back.
        if let Some(node) = self.find("init_lora_weights") {
            let value: Value = node.read()?;
            if !value.is_boolean() && value != "gaussian" {
                return Err(refuse("init_lora_weights", &node, &value, "true, false, \"gaussian\""));
            }
        }
        Ok(())
    }

    fn lora(&self, found: Found<'_>) -> Result<PeftAdapter> {
        let rank = self.read("r", 8)?;
        let (modules, candidates) = self.modules(&found)?;
        let dora = self.read("use_dora", false)?;
        let wanted = modules.iter().flat_map(|LinearLayer { name, size: [output, input], .. }| {
            let lengths = dora.then(|| found.wanted(name, MAGNITUDE, vec![*output]));
            let update = [
                found.wanted(name, LORA_A, vec![rank, *input]),
                found.wanted(name, LORA_B, vec![*output, rank]),
            ];
            update.into_iter().chain(lengths)
        });
        let wanted = wanted.collect();
        let lora = Lora {
            rank,
            alpha: self.read("lora_alpha", 8.0)?,
            dropout: self.read("lora_dropout", 0.0)?,
            targets: targets(&modules, candidates, found.map),
            rank_stabilized: self.read("use_rslora", false)?,
            dora,
        };
        Ok(PeftAdapter { tuning: Tuning::Lora(lora), learned: found.take(wanted)?, front: 0 })
    }

    fn ia3(&self, found: Found<'_>) -> Result<PeftAdapter> {
        let (modules, _) = self.modules(&found)?;
        let feedforward = match self.find("feedforward_modules") {
            Some(node) if node.is_list() => Some(node.read::<Vec<String>>()?),
            _ => None,
        };
        let wanted = modules.iter().map(|LinearLayer { name, size: [output, input], .. }| {
            let of_inputs = match &feedforward {
                // Without a dot before it, as PEFT compares.
                Some(list) => list.iter().any(|target| name.ends_with(target.as_str())),
                // A regular expression: either shape will do, and says itself what it scales.
                None => found
                    .named
                    .get(&found.key(name, IA3))
                    .is_some_and(|tensor| tensor.size().first() == Some(&1)),
            };
            found.wanted(name, IA3, if of_inputs { vec![1, *input] } else { vec![*output, 1] })
        });
        let wanted = wanted.collect();
        Ok(PeftAdapter { tuning: Tuning::Ia3, learned: found.take(wanted)?, front: 0 })
    }

    fn prompt(&self, kind: PeftType, found: Found<'_>, config: &Config) -> Result<PeftAdapter> {
        let width = if kind == PeftType::PrefixTuning { config.hidden_size } else { config.embedding_size };
        let sizes = [
            ("token_dim", width),
            ("num_layers", config.num_hidden_layers),
            ("num_attention_heads", config.num_attention_heads),
            ("num_transformer_submodules", 1),
        ];
        for (key, wanted) in sizes {
            let Some(node) = self.find(key) else { continue };
            let found = node.read()?;
            if found != wanted {
                let base = self.read("base_model_name_or_path", String::new())?;
                return Err(node.error(PeftError::OtherModel { key, found, wanted, base }));
            }
        }
        let Some(length) = self.find("num_virtual_tokens") else {
            return Err(self.node.error(JsonError::MissingKey { key: "num_virtual_tokens".to_owned() }));
        };
        let length: usize = length.read()?;
        let mut soft = SoftPrompt { length, ..SoftPrompt::default() };
        let (tuning, name, width) = match kind {
            PeftType::PrefixTuning => {
                let options = Prefix { length, ..Prefix::default() };
                let projected = self.read("prefix_projection", false)?;
                let tuning = if projected { Tuning::Prefix(options) } else { Tuning::PTuningV2(options) };
                (tuning, PREFIX, config.num_hidden_layers * 2 * config.hidden_size)
            }
            PeftType::PTuning => {
                let network: String = self.read("encoder_reparameterization_type", String::new())?;
                soft.encoder = Some(if network == "LSTM" { PromptEncoder::Lstm } else { PromptEncoder::Mlp });
                (Tuning::PTuning(soft), SOFT_TOKENS, width)
            }
            _ => (Tuning::PromptTuning(soft), SOFT_TOKENS, width),
        };
        let shape = vec![i64::try_from(length).unwrap_or(i64::MAX), width];
        let learned = found.take(vec![Wanted { key: PROMPT.to_owned(), name: name.to_owned(), shape }])?;
        Ok(PeftAdapter { front: if name == SOFT_TOKENS { length } else { 0 }, tuning, learned })
    }

    /// The linear layers that the adapter is on, and how the file names them. Where its names are not a list
    /// (a regular expression, "all-linear", PEFT's own choice), the layers are those that the tensors belong
    /// to.
    fn modules<'m>(&self, found: &Found<'m>) -> Result<(Vec<LinearLayer<'m>>, Vec<String>)> {
        let map = found.map;
        let listed = self
            .find("target_modules")
            .filter(|node| node.is_list() && self.find("exclude_modules").is_none());
        let Some(node) = listed else {
            let modules = modules_of(found.named.keys(), map);
            let names = map.kinds_of(modules.iter().copied());
            return Ok((modules, names));
        };
        let names: Vec<String> = node.read()?;
        let chosen = self.chosen_layers()?;
        let is_chosen = |module: Module| {
            chosen
                .as_ref()
                .is_none_or(|chosen| module.layer().is_some_and(|layer| chosen.contains(&(layer as u64))))
        };
        let is_meant = |layer: &LinearLayer<'_>| names.iter().any(|target| is_target(layer.name, target));
        let mut modules: Vec<LinearLayer<'_>> =
            map.linear_layers().filter(|layer| is_meant(layer) && is_chosen(layer.module)).collect();
        if modules.is_empty() {
            return Err(node.error(TuningError::UnknownLayer {
                target: names.join(", "),
                layers: map.kinds_of(map.linear_layers()),
            }));
        }
        // A bare encoder has no head.
        modules.retain(|layer| !found.is_bare() || !layer.module.is_head());
        Ok((modules, names))
    }

    /// `layers_to_transform`: one layer or a list of them; none or an empty list for all.
    fn chosen_layers(&self) -> Result<Option<Vec<u64>>> {
        Ok(match self.find("layers_to_transform") {
            None => None,
            Some(node) if node.is_list() => {
                Some(node.read::<Vec<u64>>()?).filter(|layers| !layers.is_empty())
            }
            Some(node) => Some(vec![node.read()?]),
        })
    }
}

impl Found<'_> {
    /// Whether the adapter was saved over a bare encoder, whose names do not begin as those of a masked
    /// language model.
    fn is_bare(&self) -> bool {
        self.named.keys().any(|key| key.strip_prefix(PEFT).is_some_and(|name| self.map.is_bare_layer(name)))
    }

    fn key(&self, module: &str, end: &str) -> String {
        let module = if self.is_bare() { self.map.bare(module).unwrap_or(module) } else { module };
        format!("{PEFT}{module}{end}")
    }

    fn wanted(&self, module: &str, end: &str, shape: Vec<i64>) -> Wanted {
        Wanted { key: self.key(module, end), name: format!("{PEFT}{module}{end}"), shape }
    }

    /// The tensors under their names here; refused if any is missing, of another shape or one too many, or if
    /// there are none.
    fn take(mut self, wanted: Vec<Wanted>) -> Result<Learned> {
        let mut learned = Learned::new();
        let mut tensors = Vec::new();
        let mut asked = BTreeSet::new();
        for Wanted { key, name, shape } in wanted {
            // Layers that share a tensor share what is learned of it.
            if !asked.insert(name.clone()) {
                continue;
            }
            match self.named.remove(&key) {
                Some(tensor) if tensor.size() == shape => {
                    learned.insert(name, tensor);
                }
                other => tensors.push(TensorProblem {
                    name: key,
                    wanted: shape,
                    found: other.as_ref().map(Tensor::size),
                }),
            }
        }
        let unknown: Vec<String> = self.named.into_keys().collect();
        if tensors.is_empty() && unknown.is_empty() && !learned.is_empty() {
            return Ok(learned);
        }
        Err(PeftError::Misfit { path: self.path, tensors, unknown }.into())
    }
}
