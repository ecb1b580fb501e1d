//! The trainable parameters: the tensors that training moves, and what is kept of them.

use std::collections::BTreeMap;

use rand::Rng;
use rand_distr::{Distribution, Normal, Uniform};
use tch::Tensor;

use crate::model::arch::Config;
use crate::model::encoder::Encoder;
use crate::model::parameters::Parameters;
use crate::model::tensor_map::{LinearLayer, Module, Role, TensorMap};
use crate::seed;
use crate::tune::merge;
use crate::tune::options::{Cls, Placement, PromptEncoder, Tuning, lora_layers};

/// What PEFT writes before a module's name.
pub const PEFT: &str = "base_model.model.";
/// The end of A's name.
pub const LORA_A: &str = ".lora_A.weight";
/// The end of B's name.
pub const LORA_B: &str = ".lora_B.weight";
/// The end of the name of a weight's lengths, DoRA's.
pub const MAGNITUDE: &str = ".lora_magnitude_vector";
/// The end of a rescaling vector's name.
pub const IA3: &str = ".ia3_l";

/// What is learned, by name: only what differs from the base model. Weights have the base model's names,
/// updates of them PEFT's.
pub type Learned = BTreeMap<String, Tensor>;

/// The name of the soft tokens, `[S,E]`.
pub const SOFT_TOKENS: &str = "soft_tokens";
/// The names of a soft verbalizer's vectors `[C,E]` and biases `[C]`.
pub const CLASS_VECTORS: [&str; 2] = ["verbalizer.weight", "verbalizer.bias"];
/// The names of a prototype verbalizer's projection `[P,E]` and prototypes `[C,P]`.
pub const PROTOTYPES: [&str; 2] = ["verbalizer.projection", "verbalizer.prototypes"];

/// The name of the numbers `[C,W]` whose softmax are a class's weights of words.
pub const WORD_WEIGHTS: &str = "verbalizer.word_weights";

/// P, of a prototype verbalizer (Cui et al. 2022).
const PROTOTYPE_SIZE: i64 = 128;

/// What a verbalizer's own tensors start from.
pub enum ClassStart {
    /// A vector a class.
    Vectors {
        /// `[C,E]`
        weight: Tensor,
        /// `[C]`
        bias: Tensor,
    },
    /// Prototypes, which are compared with projected states.
    Prototypes {
        /// `[C,E]`
        weight: Tensor,
    },
    /// Weights of words, as numbers whose softmax they are: `[C,W]`.
    WordWeights(Tensor),
}

/// What stands between a tensor's usual name and the task whose alone it is, where several tasks are learned
/// together: `soft_tokens@mood`. No tensor of a model has it in its name.
const OF_TASK: char = '@';

/// A tensor's usual name, and the task whose alone it is.
pub fn owner(name: &str) -> (&str, Option<&str>) {
    name.split_once(OF_TASK).map_or((name, None), |(usual, task)| (usual, Some(task)))
}

/// What of several tasks' learning is for one of them, under the usual names: what all share, and behind it
/// what is the task's own. Where `p-tuning` has soft tokens in a task's patterns, that task has none in
/// front.
///
/// ```
/// use cloze::tune::{Learned, Tuning, of_task};
/// use tch::Tensor;
/// let rows = |numbers: &[f32]| Tensor::from_slice(numbers).view([-1, 1]);
/// let names = ["soft_tokens", "soft_tokens@mood", "verbalizer.bias@topic"].map(str::to_owned);
/// let learned: Learned = names.into_iter().zip([rows(&[1.0, 2.0]), rows(&[3.0]), rows(&[4.0])]).collect();
/// let tuning = Tuning::parse("t.json", r#"{ "prompt-tuning": { "length": 2 } }"#)?;
/// let mood = of_task(&tuning, &learned, "mood");
/// assert_eq!(mood.keys().collect::<Vec<_>>(), ["soft_tokens"]);
/// assert_eq!(mood["soft_tokens"], rows(&[1.0, 2.0, 3.0]));
/// # Ok::<(), cloze::Error>(())
/// ```
pub fn of_task(tuning: &Tuning, learned: &Learned, task: &str) -> Learned {
    let shared = learned.iter().filter(|(name, _)| owner(name).1.is_none());
    let mut found: Learned = shared.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
    for (name, tensor) in learned {
        let (usual, Some(of)) = owner(name) else { continue };
        if of != task {
            continue;
        }
        let before = found.remove(usual).filter(|_| !matches!(tuning, Tuning::PTuning(_)));
        let parts: Vec<&Tensor> = before.iter().chain([tensor]).collect();
        found.insert(usual.to_owned(), Tensor::cat(&parts, 0));
    }
    found
}

/// Whether a tensor is a verbalizer's own.
pub fn is_verbalizer(name: &str) -> bool {
    name.starts_with("verbalizer.")
}

/// The name of the prefixes, `[P,N·2·H]`: for each layer that has one the key and the value.
pub const PREFIX: &str = "prefix";
/// What an adapter may stand behind, and what its tensors are called below that.
pub(super) const ADAPTERS: [(Role, &str); 3] =
    [(Role::AttentionOutput, "adapter"), (Role::Output, "adapter"), (Role::Output, BEHIND_NORM)];
/// What an adapter is called that stands behind the add and norm.
pub(super) const BEHIND_NORM: &str = "adapter_behind_norm";
/// The name of the classifier on `[CLS]`.
pub const CLASSIFIER: &str = "classifier";

/// The name of the pooler before the classifier.
pub fn pooler_name(map: &TensorMap) -> String {
    map.below_base("pooler.dense")
}

/// The beginning of the names of an adapter's tensors.
///
/// # Panics
/// If the model has no such layer.
pub(super) fn adapter_name(map: &TensorMap, layer: usize, (role, name): (Role, &str)) -> String {
    let Some(block) = map.block_of(Module::Linear(layer, role)) else {
        panic!("no layer {layer} with {role:?}")
    };
    format!("{block}.{name}")
}

/// The beginning of the names of what is dropped after training.
const ENCODER: &str = "prompt_encoder";

/// What training starts from.
pub struct Beginning<'a> {
    /// The sizes.
    pub config: &'a Config,
    /// The base model.
    pub base: &'a Parameters,
    /// The token each soft vector starts from, S of them.
    pub soft: Vec<i64>,
    /// The tokens whose keys and values a prefix starts from, P of them.
    pub prefix: Vec<i64>,
    /// C.
    pub classes: usize,
    /// What a soft or a prototype verbalizer starts from.
    pub class_start: Option<ClassStart>,
    /// What is one task's alone, where several are learned together.
    pub own: &'a [OwnBeginning],
    /// The seed of what is started at random.
    pub seed: u64,
}

/// What one of several tasks has alone, as it starts.
pub struct OwnBeginning {
    /// The task.
    pub task: String,
    /// The token each soft vector of its patterns starts from.
    pub soft: Vec<i64>,
    /// What its verbalizer starts from, a soft or a prototype one.
    pub class_start: Option<ClassStart>,
}

/// The tensors that an optimiser moves, and the networks that make what is learned from them.
pub struct Trainable {
    prompt_encoder: PromptEncoder,
    prefix_start: Option<Tensor>,
    /// The names under which soft tokens are kept, and how many there are of each: one tensor moves.
    soft: Vec<(String, i64)>,
    leaves: Learned,
}

impl Trainable {
    /// The tensors of a way of tuning before the first step. Nothing of the base model is shared: it stays as
    /// it is.
    pub fn new(tuning: &Tuning, beginning: &Beginning<'_>) -> Trainable {
        let Beginning { config, base, .. } = beginning;
        let draw = Draw { seed: beginning.seed, device: base.weight(Module::WordEmbeddings).device() };
        let map = &config.tensors;
        let mut leaves = Learned::new();
        let mut prompt_encoder = PromptEncoder::None;
        let mut prefix_start = None;
        let mut copy = |keep: &dyn Fn(&str) -> bool| {
            leaves.extend(
                base.iter()
                    .filter(|(name, _)| keep(name))
                    .map(|(name, tensor)| (name.to_owned(), tensor.copy())),
            );
        };
        match tuning {
            Tuning::Full => copy(&|_| true),
            Tuning::Head => copy(&|name| is_head(map, name)),
            Tuning::Bias => copy(&|name| name.ends_with(".bias")),
            Tuning::Cls(Cls { frozen_encoder }) => {
                if !frozen_encoder {
                    copy(&|name| !is_head(map, name));
                }
                let hidden = config.hidden_size;
                let pooler = pooler_name(map);
                for (name, output) in [(&*pooler, hidden), (CLASSIFIER, beginning.classes as i64)] {
                    leaves.insert(format!("{name}.weight"), draw.normal(name, &[output, hidden], 0.02));
                    leaves.insert(format!("{name}.bias"), draw.zeros(&[output]));
                }
            }
            Tuning::Lora(lora) => {
                for LinearLayer { name, module, size: [output, input] } in lora_layers(lora, config) {
                    if lora.dora {
                        leaves.insert(
                            format!("{PEFT}{name}{MAGNITUDE}"),
                            merge::lengths(base.weight(module)).squeeze_dim(1),
                        );
                    }
                    // Kaiming's uniform with a = √5, as PEFT and PyTorch's linear layers: bound 1/√in.
                    let bound = 1.0 / (input as f64).sqrt();
                    leaves.insert(
                        format!("{PEFT}{name}{LORA_A}"),
                        draw.uniform(name, &[lora.rank, input], bound),
                    );
                    leaves.insert(format!("{PEFT}{name}{LORA_B}"), draw.zeros(&[output, lora.rank]));
                }
            }
            Tuning::Ia3 => {
                for LinearLayer { module, name, size: [output, input] } in map.linear_layers() {
                    let shape = match module {
                        Module::Linear(_, Role::Key | Role::Value | Role::QueryKeyValue) => [output, 1],
                        Module::Linear(_, Role::Output) => [1, input],
                        _ => continue,
                    };
                    leaves.insert(format!("{PEFT}{name}{IA3}"), draw.ones(&shape));
                }
            }
            Tuning::PromptTuning(soft) => prompt_encoder = soft.encoder.unwrap_or(PromptEncoder::None),
            Tuning::PTuning(soft) => prompt_encoder = soft.encoder.unwrap_or(PromptEncoder::Lstm),
            Tuning::Prefix(options) | Tuning::PTuningV2(options) => {
                let start = start_of_prefix(beginning, options.layers);
                if matches!(tuning, Tuning::PTuningV2(_)) {
                    leaves.insert(PREFIX.to_owned(), start);
                } else {
                    // Li & Liang's network, with nothing from its last layer at first: the prefix starts as
                    // the text's.
                    let (length, hidden, width) = (start.size()[0], config.hidden_size, start.size()[1]);
                    leaves.insert(
                        format!("{ENCODER}.embedding"),
                        draw.normal("prefix embedding", &[length, hidden], 1.0),
                    );
                    draw.linear(&mut leaves, "first", hidden, hidden);
                    leaves.insert(format!("{ENCODER}.second.weight"), draw.zeros(&[width, hidden]));
                    leaves.insert(format!("{ENCODER}.second.bias"), draw.zeros(&[width]));
                    prefix_start = Some(start);
                }
            }
            Tuning::Adapter(adapter) => {
                if adapter.trains_norms() {
                    let of_encoder = |module: Module| module.is_norm() && !module.is_head();
                    copy(&|name| map.module_of(name).is_some_and(of_encoder));
                }
                let places = match adapter.placement {
                    Placement::Houlsby => &ADAPTERS[..2],
                    Placement::FeedForward => &ADAPTERS[1..2],
                    Placement::Pfeiffer => &ADAPTERS[2..],
                };
                for layer in 0..map.layers() {
                    for &place in places {
                        let name = adapter_name(map, layer, place);
                        leaves.insert(
                            format!("{name}.down.weight"),
                            draw.normal(&name, &[adapter.bottleneck, config.hidden_size], 0.02),
                        );
                        leaves.insert(format!("{name}.down.bias"), draw.zeros(&[adapter.bottleneck]));
                        // Nothing comes out of it at first.
                        leaves.insert(
                            format!("{name}.up.weight"),
                            draw.zeros(&[config.hidden_size, adapter.bottleneck]),
                        );
                        leaves.insert(format!("{name}.up.bias"), draw.zeros(&[config.hidden_size]));
                    }
                }
            }
        }
        let name_of = |usual: &str, task: Option<&str>| {
            task.map_or_else(|| usual.to_owned(), |task| format!("{usual}{OF_TASK}{task}"))
        };
        let of_tasks = || beginning.own.iter().map(|own| (Some(&*own.task), &own.soft));
        let parts =
            || [(None, &beginning.soft)].into_iter().chain(of_tasks()).filter(|(_, ids)| !ids.is_empty());
        let ids: Vec<i64> = parts().flat_map(|(_, ids)| ids).copied().collect();
        let soft = parts().map(|(task, ids)| (name_of(SOFT_TOKENS, task), ids.len() as i64)).collect();
        if !ids.is_empty() {
            let start = base
                .weight(Module::WordEmbeddings)
                .index_select(0, &Tensor::from_slice(&ids).to_device(draw.device));
            match prompt_encoder {
                PromptEncoder::None => leaves.insert(SOFT_TOKENS.to_owned(), start),
                PromptEncoder::Mlp | PromptEncoder::Lstm => {
                    let hidden = config.embedding_size;
                    if prompt_encoder == PromptEncoder::Lstm {
                        draw.lstm(&mut leaves, hidden);
                    }
                    draw.linear(
                        &mut leaves,
                        "first",
                        hidden,
                        if prompt_encoder == PromptEncoder::Lstm { lstm_width(hidden) } else { hidden },
                    );
                    leaves.insert(format!("{ENCODER}.second.weight"), draw.zeros(&[hidden, hidden]));
                    leaves.insert(format!("{ENCODER}.second.bias"), draw.zeros(&[hidden]));
                    leaves.insert(format!("{ENCODER}.embedding"), start)
                }
            };
        }
        let of_tasks = beginning.own.iter().map(|own| (Some(&*own.task), &own.class_start));
        for (task, start) in [(None, &beginning.class_start)].into_iter().chain(of_tasks) {
            let Some(start) = start.as_ref().filter(|_| !matches!(tuning, Tuning::Cls(_))) else { continue };
            let named = match start {
                ClassStart::Vectors { weight, bias } => {
                    CLASS_VECTORS.into_iter().zip([weight.copy(), bias.copy()]).collect()
                }
                ClassStart::Prototypes { weight } => {
                    let bound = 1.0 / (config.embedding_size as f64).sqrt();
                    let projection =
                        draw.uniform(PROTOTYPES[0], &[PROTOTYPE_SIZE, config.embedding_size], bound);
                    let prototypes = weight.linear(&projection, None::<Tensor>);
                    PROTOTYPES.into_iter().zip([projection, prototypes]).collect()
                }
                ClassStart::WordWeights(weights) => vec![(WORD_WEIGHTS, weights.copy())],
            };
            leaves.extend(named.into_iter().map(|(name, tensor)| (name_of(name, task), tensor)));
        }
        let leaves = leaves
            .into_iter()
            .map(|(name, tensor)| (name, tensor.detach().contiguous().set_requires_grad(true)))
            .collect();
        Trainable { prompt_encoder, prefix_start, soft, leaves }
    }

    /// The tensors that the optimiser moves.
    pub fn leaves(&self) -> &Learned {
        &self.leaves
    }

    /// Leaves of the same numbers without gradients: those of the next step then are what its backward pass
    /// makes, where zeros would be written, read and added to first.
    pub fn forget_gradients(&mut self) {
        for leaf in self.leaves.values_mut() {
            *leaf = leaf.detach().set_requires_grad(true);
        }
    }

    /// Takes the values of other tensors of these names and shapes, those of a checkpoint.
    ///
    /// # Panics
    /// If names or shapes are others.
    pub fn restore(&mut self, leaves: &Learned) {
        tch::no_grad(|| {
            for (name, leaf) in &mut self.leaves {
                leaf.copy_(&leaves[name]);
            }
        });
    }

    /// Starts from what an earlier training learned, tensor by tensor, in place of the usual: the first
    /// forward pass is then that of the earlier training's end (SPoT: Vu et al. 2022). Networks that make
    /// soft tokens or prefixes begin anew round these vectors, of which they change nothing at first. Where
    /// there are fewer soft tokens than move, they are the first.
    ///
    /// # Panics
    /// If a tensor has no place, or another shape.
    pub fn start_from(&mut self, earlier: &Learned) {
        tch::no_grad(|| {
            for (name, tensor) in earlier {
                if let (PREFIX, Some(start)) = (name.as_str(), &mut self.prefix_start) {
                    assert_eq!(start.size(), tensor.size(), "another prefix");
                    *start = tensor.to_device(start.device());
                    continue;
                }
                let (place, start) = match (owner(name).0, self.prompt_encoder) {
                    (SOFT_TOKENS, PromptEncoder::None) => (SOFT_TOKENS.to_owned(), self.start_of(name)),
                    (SOFT_TOKENS, _) => (format!("{ENCODER}.embedding"), self.start_of(name)),
                    _ => (name.clone(), 0),
                };
                let Some(leaf) = self.leaves.get_mut(&place) else { panic!("no place for {name}") };
                leaf.narrow(0, start, tensor.size()[0]).copy_(tensor);
            }
        });
    }

    /// Where soft tokens of a name begin among all of them.
    fn start_of(&self, name: &str) -> i64 {
        let Some(place) = self.soft.iter().position(|(known, _)| known == name) else {
            panic!("no place for {name}")
        };
        self.soft[..place].iter().map(|(_, count)| count).sum()
    }

    /// How many numbers move.
    pub fn size(&self) -> usize {
        self.leaves.values().map(Tensor::numel).sum()
    }

    /// What is kept: the leaves themselves, or what their networks make of them. Gradients reach the leaves.
    pub fn learned(&self) -> Learned {
        let mut learned: Learned = self
            .leaves
            .iter()
            .filter(|(name, _)| !name.starts_with(ENCODER))
            .map(|(name, leaf)| (name.clone(), leaf.shallow_clone()))
            .collect();
        match (self.leaves.get(&format!("{ENCODER}.embedding")), &self.prefix_start) {
            (None, _) => {}
            (Some(embedding), Some(start)) => {
                let made = start + self.linear("second", &self.linear("first", embedding).tanh());
                learned.insert(PREFIX.to_owned(), made);
            }
            (Some(embedding), None) => {
                let inner = match self.prompt_encoder {
                    PromptEncoder::Lstm => self.lstm(embedding),
                    PromptEncoder::None | PromptEncoder::Mlp => embedding.shallow_clone(),
                };
                let made = embedding + self.linear("second", &self.linear("first", &inner).relu());
                learned.insert(SOFT_TOKENS.to_owned(), made);
            }
        }
        if let Some(all) = learned.remove(SOFT_TOKENS) {
            let mut start = 0;
            for (name, count) in &self.soft {
                learned.insert(name.clone(), all.narrow(0, start, *count));
                start += count;
            }
        }
        learned
    }

    /// What is kept, for good: tensors of their own, without gradients.
    pub fn finished(&self) -> Learned {
        tch::no_grad(|| {
            self.learned().into_iter().map(|(name, tensor)| (name, tensor.detach().copy())).collect()
        })
    }

    fn linear(&self, part: &str, input: &Tensor) -> Tensor {
        let leaf = |kind: &str| &self.leaves[&format!("{ENCODER}.{part}.{kind}")];
        input.linear(leaf("weight"), Some(leaf("bias")))
    }

    /// # Shapes
    /// `[S,E] → [S,E]`
    fn lstm(&self, embedding: &Tensor) -> Tensor {
        let weights: Vec<&Tensor> =
            lstm_parts().map(|part| &self.leaves[&format!("{ENCODER}.lstm.{part}")]).collect();
        let width = embedding.size()[1] / 2;
        let state = Tensor::zeros([4, 1, width], (embedding.kind(), embedding.device()));
        let (output, _, _) =
            embedding.unsqueeze(0).lstm(&[&state, &state], &weights, true, 2, 0.0, true, true, true);
        output.squeeze_dim(0)
    }
}

/// Two directions of H/2.
fn lstm_width(hidden: i64) -> i64 {
    hidden / 2 * 2
}

/// The LSTM's weights in libtorch's order.
fn lstm_parts() -> impl Iterator<Item = String> {
    let directions = (0..2).flat_map(|layer| ["", "_reverse"].map(move |direction| (layer, direction)));
    directions.flat_map(|(layer, direction)| {
        ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map(|kind| format!("{kind}_l{layer}{direction}"))
    })
}

/// The keys and values of a text as `[P,N·2·H]`.
fn start_of_prefix(beginning: &Beginning<'_>, layers: Option<[usize; 2]>) -> Tensor {
    let Beginning { config, base, prefix, .. } = beginning;
    tch::no_grad(|| {
        let all =
            Encoder::new(config, base).keys_and_values(prefix, base.weight(Module::WordEmbeddings).device());
        let [first, last] = layers.unwrap_or([0, all.len() - 1]);
        let parts: Vec<&Tensor> =
            all[first..=last].iter().flat_map(|layer| [&*layer.key, &*layer.value]).collect();
        Tensor::cat(&parts, 1)
    })
}

fn is_head(map: &TensorMap, name: &str) -> bool {
    map.module_of(name).is_some_and(Module::is_head)
}

/// Whether the optimiser lets a tensor decay: no bias, no layer norm, no rescaling, no soft vector.
pub fn decays(map: &TensorMap, name: &str) -> bool {
    !(name.ends_with(".bias")
        || map.module_of(name).is_some_and(Module::is_norm)
        || name.ends_with(IA3)
        || name.ends_with(MAGNITUDE)
        || is_soft(name)
        || name.contains(".bias_"))
}

/// Whether a tensor holds soft tokens, prefixes or a soft verbalizer, which need higher rates than weights.
fn is_soft(name: &str) -> bool {
    name == SOFT_TOKENS || is_verbalizer(name) || name == PREFIX || name == "prompt_encoder.embedding"
}

/// Random tensors, each from a generator of its own name.
struct Draw {
    seed: u64,
    device: tch::Device,
}

impl Draw {
    fn sample(&self, name: &str, shape: &[i64], distribution: impl Distribution<f64>) -> Tensor {
        let mut generator = seed::generator(self.seed, &format!("start of {name}"));
        let count = usize::try_from(shape.iter().product::<i64>()).unwrap_or(0);
        #[allow(clippy::cast_possible_truncation)] // To the type of weights.
        let values: Vec<f32> = (0..count).map(|_| generator.sample(&distribution) as f32).collect();
        Tensor::from_slice(&values).view(shape).to_device(self.device)
    }

    fn normal(&self, name: &str, shape: &[i64], deviation: f64) -> Tensor {
        let Ok(normal) = Normal::new(0.0, deviation) else { unreachable!("a deviation above 0") };
        self.sample(name, shape, normal)
    }

    fn uniform(&self, name: &str, shape: &[i64], bound: f64) -> Tensor {
        self.sample(name, shape, Uniform::new_inclusive(-bound, bound))
    }

    fn zeros(&self, shape: &[i64]) -> Tensor {
        Tensor::zeros(shape, (tch::Kind::Float, self.device))
    }

    fn ones(&self, shape: &[i64]) -> Tensor {
        Tensor::ones(shape, (tch::Kind::Float, self.device))
    }

    /// A linear layer of a prompt encoder, started as PyTorch's are.
    fn linear(&self, leaves: &mut Learned, part: &str, output: i64, input: i64) {
        let bound = 1.0 / (input as f64).sqrt();
        for (kind, shape) in [("weight", vec![output, input]), ("bias", vec![output])] {
            let name = format!("{ENCODER}.{part}.{kind}");
            let tensor = self.uniform(&name, &shape, bound);
            leaves.insert(name, tensor);
        }
    }

    /// The LSTM of a prompt encoder, started as PyTorch's are.
    fn lstm(&self, leaves: &mut Learned, hidden: i64) {
        let width = hidden / 2;
        for part in lstm_parts() {
            let input = match (part.contains("_hh"), part.contains("_l0")) {
                (true, _) => width,
                (false, true) => hidden,
                (false, false) => 2 * width,
            };
            let shape = if part.starts_with("weight") { vec![4 * width, input] } else { vec![4 * width] };
            let name = format!("{ENCODER}.lstm.{part}");
            let tensor = self.uniform(&name, &shape, 1.0 / (width as f64).sqrt());
            leaves.insert(name, tensor);
        }
    }
}
