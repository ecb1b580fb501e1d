//! What each tensor of a model is for, and what its family's checkpoints call it.
//!
//! A family's own file lists its modules once, as a [`TensorMap`]. Everything else asks for a [`Module`], say
//! the query projection of layer 3, and finds its tensors, their names and their shapes here.

use std::collections::{BTreeMap, BTreeSet};

/// What a linear layer does in its transformer layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The attention's queries, `[H,H]`.
    Query,
    /// The attention's keys, `[H,H]`.
    Key,
    /// The attention's values, `[H,H]`.
    Value,
    /// Queries, keys and values in one layer, under each other, `[3H,H]`.
    QueryKeyValue,
    /// What the attention's heads are put together with, `[H,H]`.
    AttentionOutput,
    /// The feed-forward's first projection, `[F,H]`; `[2F,H]` where one half is a gate for the other.
    Intermediate,
    /// The feed-forward's second projection, `[H,F]`.
    Output,
    /// The keys of distances, where they have a projection of their own, `[H,H]`.
    DistanceKey,
    /// The queries of distances, `[H,H]`.
    DistanceQuery,
}

impl Role {
    /// All of them, in the order of their numbers.
    pub const ALL: [Role; 9] = [
        Role::Query,
        Role::Key,
        Role::Value,
        Role::QueryKeyValue,
        Role::AttentionOutput,
        Role::Intermediate,
        Role::Output,
        Role::DistanceKey,
        Role::DistanceQuery,
    ];

    /// The words that stand for the role as a target of LoRA in every family.
    fn words(self) -> &'static [&'static str] {
        match self {
            Role::Query => &["query"],
            Role::Key => &["key"],
            Role::Value => &["value"],
            Role::QueryKeyValue => &["query", "key", "value"],
            Role::AttentionOutput
            | Role::Intermediate
            | Role::Output
            | Role::DistanceKey
            | Role::DistanceQuery => &[],
        }
    }
}

/// A part of a model that has a weight, and often a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Module {
    /// `[V,E]`; E is H in most families.
    WordEmbeddings,
    /// A row for each position, `[L,E]`.
    PositionEmbeddings,
    /// A row for each segment, `[2,E]` in most families that have them.
    TypeEmbeddings,
    /// The layer norm of the embeddings' sum.
    EmbeddingNorm,
    /// What widens embeddings, `[H,E]`.
    EmbeddingProjection,
    /// A linear layer of a transformer layer, which is counted from 0.
    Linear(usize, Role),
    /// A layer's row for each distance between two tokens, `[2L-1,D]`.
    Distances(usize),
    /// A row for each distance between two tokens, of all layers, `[2S,H]`.
    SharedDistances,
    /// The layer norm of these.
    DistanceNorm,
    /// The layer norm of a layer's attention.
    AttentionNorm(usize),
    /// The layer norm of a layer's feed-forward.
    OutputNorm(usize),
    /// The layer norm behind the last layer.
    FinalNorm,
    /// The dense layer of the MLM head, `[E,H]`.
    Transform,
    /// The layer norm of the MLM head.
    TransformNorm,
    /// The MLM head's decoder, `[V,E]`, and its bias `[V]`. Its weight is absent where it is tied to the word
    /// embeddings.
    Decoder,
}

impl Module {
    /// Whether it belongs to the MLM head.
    pub fn is_head(self) -> bool {
        matches!(self, Module::Transform | Module::TransformNorm | Module::Decoder)
    }

    /// Whether it is a layer norm.
    pub fn is_norm(self) -> bool {
        matches!(
            self,
            Module::EmbeddingNorm
                | Module::DistanceNorm
                | Module::AttentionNorm(_)
                | Module::OutputNorm(_)
                | Module::FinalNorm
                | Module::TransformNorm
        )
    }

    /// The number of the transformer layer that it stands in.
    pub fn layer(self) -> Option<usize> {
        match self {
            Module::Linear(layer, _)
            | Module::Distances(layer)
            | Module::AttentionNorm(layer)
            | Module::OutputNorm(layer) => Some(layer),
            _ => None,
        }
    }
}

/// A tensor's name in checkpoints, and its shape.
#[derive(Debug, Clone)]
struct Named {
    name: String,
    shape: Vec<i64>,
}

/// A module's name, and its tensors.
#[derive(Debug, Clone, Default)]
struct Entry {
    name: String,
    weight: Option<Named>,
    bias: Option<Named>,
}

/// A linear layer other than the decoder: one that may be tuned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinearLayer<'a> {
    /// What it is.
    pub module: Module,
    /// Its name.
    pub name: &'a str,
    /// `[out,in]`
    pub size: [i64; 2],
}

/// The modules of a model by what they are for, with the names that its family's checkpoints give them.
///
/// Several modules may have one name: they share their tensors.
///
/// ```
/// use cloze::model::tensor_map::{Module, Role, TensorMap};
/// let mut map = TensorMap::new("toy.", "toy.blocks.");
/// map.linear(Module::Linear(0, Role::Query), "toy.blocks.0.attn.q", [32, 32], true);
/// assert_eq!(map.weight_name(Module::Linear(0, Role::Query)), Some("toy.blocks.0.attn.q.weight"));
/// // Saved from within a wrapper, and without the head.
/// assert_eq!(map.uniform("module.blocks.0.attn.q.bias"), "toy.blocks.0.attn.q.bias");
/// assert_eq!(map.uniform("model.toy.blocks.0.attn.q.bias"), "toy.blocks.0.attn.q.bias");
/// assert_eq!(map.targeted("q"), map.targeted("query"));
/// ```
#[derive(Debug, Clone)]
pub struct TensorMap {
    base: String,
    layers: String,
    modules: BTreeMap<Module, Entry>,
    by_name: BTreeMap<String, Module>,
    /// The first parts of the names below the base.
    bare: BTreeSet<String>,
    /// What the names of tensors begin with that are known, and not listed.
    besides: Vec<String>,
    /// What other names of tensors begin with, and what stands in its place here.
    others: Vec<[String; 2]>,
    /// What `config.json` calls the number of blocks that names count, and what these are.
    counted: [&'static str; 2],
    /// Whether the decoder's weight is the word embeddings where a checkpoint has no other.
    is_tied: bool,
}

impl TensorMap {
    /// A map without modules. `base` begins the names of everything but the head, with the dot behind it;
    /// checkpoints of a bare encoder leave it out. `layers` begins the names of what stands in layers, up to
    /// the layer's number.
    pub fn new(base: &str, layers: &str) -> TensorMap {
        TensorMap {
            base: base.to_owned(),
            layers: layers.to_owned(),
            modules: BTreeMap::new(),
            by_name: BTreeMap::new(),
            bare: BTreeSet::new(),
            besides: Vec::new(),
            others: Vec::new(),
            counted: ["num_hidden_layers", "layers"],
            is_tied: false,
        }
    }

    /// The same where `config.json` has another name than `num_hidden_layers` for the number of what tensors'
    /// names count, or that is other than layers.
    #[must_use]
    pub fn counted_by(self, key: &'static str, blocks: &'static str) -> TensorMap {
        TensorMap { counted: [key, blocks], ..self }
    }

    /// Adds a table of `[N,H]`.
    pub fn embeddings(&mut self, module: Module, name: &str, size: [i64; 2]) {
        self.add(module, name, &size, None);
    }

    /// Adds a linear layer of `[out,in]`, with a bias or without.
    pub fn linear(&mut self, module: Module, name: &str, size: [i64; 2], has_bias: bool) {
        self.add(module, name, &size, has_bias.then_some(size[0]));
    }

    /// Adds a layer norm over so many, with a bias or without.
    pub fn norm(&mut self, module: Module, name: &str, size: i64, has_bias: bool) {
        self.add(module, name, &[size], has_bias.then_some(size));
    }

    /// Adds the decoder of `[V,E]`. Its bias often has a name apart. Where it is tied to the word embeddings
    /// a checkpoint need not have its weight, and one that has another says so better than `config.json`.
    pub fn decoder(&mut self, name: &str, bias: &str, size: [i64; 2], is_tied: bool) {
        let weight = Some(Named { name: format!("{name}.weight"), shape: size.to_vec() });
        let bias = Named { name: bias.to_owned(), shape: vec![size[0]] };
        self.is_tied = is_tied;
        self.insert(Module::Decoder, Entry { name: name.to_owned(), weight, bias: Some(bias) });
    }

    /// Adds the bias of a decoder whose weight is the word embeddings, whatever else a checkpoint has.
    pub fn decoder_bias(&mut self, name: &str, bias: &str, size: i64) {
        let bias = Named { name: bias.to_owned(), shape: vec![size] };
        self.insert(Module::Decoder, Entry { name: name.to_owned(), weight: None, bias: Some(bias) });
    }

    /// The name of the decoder's weight, if it may be missing: then the word embeddings stand in for it.
    pub fn tied_decoder(&self) -> Option<&str> {
        self.weight_name(Module::Decoder).filter(|_| self.is_tied)
    }

    /// Says that checkpoints may have tensors besides whose names begin so, with the base or without it: it
    /// is known what they are, and they are not needed.
    pub fn besides(&mut self, start: &str) {
        self.besides.push(start.to_owned());
    }

    /// Says that some checkpoints have other names, and how these begin where this map's begin so.
    pub fn also(&mut self, other: &str, own: &str) {
        self.others.push([other.to_owned(), own.to_owned()]);
    }

    fn add(&mut self, module: Module, name: &str, shape: &[i64], bias: Option<i64>) {
        if let Some(first) = name.strip_prefix(&self.base).and_then(|rest| rest.split('.').next()) {
            self.bare.insert(format!("{first}."));
        }
        let entry = Entry {
            name: name.to_owned(),
            weight: Some(Named { name: format!("{name}.weight"), shape: shape.to_vec() }),
            bias: bias.map(|size| Named { name: format!("{name}.bias"), shape: vec![size] }),
        };
        self.insert(module, entry);
    }

    fn insert(&mut self, module: Module, entry: Entry) {
        for tensor in entry.tensors() {
            self.by_name.entry(tensor.name.clone()).or_insert(module);
        }
        self.modules.insert(module, entry);
    }

    /// The name of a module's weight.
    pub fn weight_name(&self, module: Module) -> Option<&str> {
        self.modules.get(&module)?.weight.as_ref().map(|weight| weight.name.as_str())
    }

    /// The name of a module's bias.
    pub fn bias_name(&self, module: Module) -> Option<&str> {
        self.modules.get(&module)?.bias.as_ref().map(|bias| bias.name.as_str())
    }

    /// The module that a tensor of this name belongs to; the first listed of several that share it.
    pub fn module_of(&self, name: &str) -> Option<Module> {
        self.by_name.get(name).copied()
    }

    /// Whether a tensor of this name is one that checkpoints may have besides.
    pub fn is_besides(&self, name: &str) -> bool {
        let bare = self.bare(name).unwrap_or(name);
        self.besides.iter().any(|start| name.starts_with(start) || bare.starts_with(start))
    }

    /// The shapes of all tensors by their names.
    pub fn shapes(&self) -> BTreeMap<&str, &[i64]> {
        let tensors = self.modules.values().flat_map(Entry::tensors);
        tensors.map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice())).collect()
    }

    /// The number of transformer layers.
    pub fn layers(&self) -> usize {
        self.modules.keys().filter_map(|module| module.layer()).max().map_or(0, |last| last + 1)
    }

    /// How many blocks the names of tensors count, what `config.json` calls that number, and what they are:
    /// layers, or what several layers share.
    pub fn blocks(&self) -> (usize, [&'static str; 2]) {
        let last = self.by_name.keys().filter_map(|name| self.layer_of(name)).max();
        (last.map_or(0, |last| last + 1), self.counted)
    }

    /// The number of the layer that a tensor of this name stands in, whether the model has it or not.
    pub fn layer_of(&self, name: &str) -> Option<usize> {
        name.strip_prefix(&self.layers)?.split('.').next()?.parse().ok()
    }

    /// The linear layers that may be tuned, from the first transformer layer to the head.
    pub fn linear_layers(&self) -> impl Iterator<Item = LinearLayer<'_>> {
        self.modules.iter().filter_map(|(module, entry)| {
            let is_linear = matches!(module, Module::Linear(..) | Module::Transform);
            match entry.weight.as_ref().filter(|_| is_linear)?.shape[..] {
                [output, input] => {
                    Some(LinearLayer { module: *module, name: &entry.name, size: [output, input] })
                }
                _ => None,
            }
        })
    }

    /// The linear layers that a target of LoRA means: those whose names end in it, as in PEFT. Where no name
    /// does, `query`, `key` and `value` mean the layers of that role.
    pub fn targeted(&self, target: &str) -> Vec<LinearLayer<'_>> {
        let named: Vec<LinearLayer<'_>> =
            self.linear_layers().filter(|layer| is_target(layer.name, target)).collect();
        if !named.is_empty() {
            return named;
        }
        let has_role = |layer: &LinearLayer<'_>| match layer.module {
            Module::Linear(_, role) => role.words().contains(&target),
            _ => false,
        };
        self.linear_layers().filter(has_role).collect()
    }

    /// What a linear layer's kind is called as a target: the shortest end of its name that means no other
    /// kind. The head's has its whole name.
    fn kind_of<'a>(&'a self, layer: &LinearLayer<'a>) -> &'a str {
        let Some(part) = self.part(layer.name) else { return layer.name };
        let other_kinds: BTreeSet<&str> = self
            .linear_layers()
            .filter(|other| other.module.layer() == layer.module.layer() || other.module.layer().is_none())
            .map(|other| self.part(other.name).unwrap_or(other.name))
            .filter(|other| *other != part)
            .collect();
        let mut ends = part.rmatch_indices('.').map(|(dot, _)| &part[dot + 1..]);
        ends.find(|end| !other_kinds.iter().any(|other| is_target(other, end))).unwrap_or(part)
    }

    /// The kinds of linear layers, each once: what is said of them in messages.
    pub fn kinds_of<'a>(&'a self, layers: impl IntoIterator<Item = LinearLayer<'a>>) -> Vec<String> {
        let mut kinds: Vec<String> = Vec::new();
        for layer in layers {
            let kind = self.kind_of(&layer);
            if !kinds.iter().any(|known| known == kind) {
                kinds.push(kind.to_owned());
            }
        }
        kinds
    }

    /// What stands behind the layer's number.
    fn part<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&self.layers)?.split_once('.').map(|(_, part)| part)
    }

    /// The name of the block that a linear layer is the end of: adapters are named by it.
    pub fn block_of(&self, module: Module) -> Option<&str> {
        let name = &self.modules.get(&module)?.name;
        Some(name.strip_suffix(".dense").unwrap_or(name))
    }

    /// The name of a module of the encoder that this map lists none of, as the pooler.
    pub fn below_base(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }

    /// A name without what begins the names of the encoder's modules; none of the head's.
    pub fn bare<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&self.base)
    }

    /// Whether a name is one of a bare encoder's layers.
    pub fn is_bare_layer(&self, name: &str) -> bool {
        self.bare(&self.layers).is_some_and(|layers| {
            let first = layers.split_inclusive('.').next().unwrap_or(layers);
            name.starts_with(first)
        })
    }

    /// Whether a tensor has one of the other names that are known.
    pub fn is_other_name(&self, name: &str) -> bool {
        self.others.iter().any(|[other, _]| self.unwrapped(name).starts_with(other.as_str()))
    }

    /// The name that a tensor of a checkpoint has here: without `module.`, `_orig_mod.` and `model.`, which a
    /// parallel training, a compiled model and a module of Lightning leave; with the base before a bare
    /// encoder's; `weight` and `bias` for the `gamma` and `beta` of the first checkpoints; one name for the
    /// decoder's bias; this map's own for others that are known.
    pub fn uniform(&self, name: &str) -> String {
        let name = self.unwrapped(name);
        let own =
            self.others.iter().find_map(|[other, own]| Some(format!("{own}{}", name.strip_prefix(other)?)));
        let name = own.as_deref().unwrap_or(name);
        let is_bare = self.bare.iter().any(|first| name.starts_with(first));
        let name = if is_bare { format!("{}{name}", self.base) } else { name.to_owned() };
        let name = match (name.strip_suffix(".gamma"), name.strip_suffix(".beta")) {
            (Some(stem), _) => format!("{stem}.weight"),
            (_, Some(stem)) => format!("{stem}.bias"),
            _ => name,
        };
        match self.modules.get(&Module::Decoder) {
            Some(Entry { name: decoder, bias: Some(bias), .. }) if name == format!("{decoder}.bias") => {
                bias.name.clone()
            }
            _ => name,
        }
    }

    /// A name without what wrappers put before it.
    fn unwrapped<'a>(&self, mut name: &'a str) -> &'a str {
        let inner = |name: &'a str| {
            let plain = WRAPPERS.iter().find_map(|wrapper| name.strip_prefix(wrapper));
            plain.or_else(|| self.within_model(name))
        };
        while let Some(inner) = inner(name) {
            name = inner;
        }
        name
    }

    /// A name without the `model.` of a module that holds the model by that name. Where the family's own
    /// names begin so, what stands behind it must begin so again, or be of the head.
    fn within_model<'a>(&self, name: &'a str) -> Option<&'a str> {
        const HOLDER: &str = "model.";
        let inner = name.strip_prefix(HOLDER)?;
        let is_wrapped = self.base != HOLDER
            || inner.starts_with(HOLDER)
            || WRAPPERS.iter().any(|wrapper| inner.starts_with(wrapper))
            || self.module_of(inner).is_some_and(Module::is_head);
        is_wrapped.then_some(inner)
    }
}

/// What PyTorch's wrappers put before the names of what they hold.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

impl Entry {
    fn tensors(&self) -> impl Iterator<Item = &Named> {
        self.weight.iter().chain(&self.bias)
    }
}

/// Whether a linear layer's name is meant: a target is its last parts, as in PEFT.
pub fn is_target(name: &str, target: &str) -> bool {
    name == target || name.strip_suffix(target).is_some_and(|rest| rest.ends_with('.'))
}
