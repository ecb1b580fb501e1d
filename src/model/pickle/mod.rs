//! PyTorch checkpoints (`pytorch_model.bin`), read in safe Rust.
//!
//! # The format
//! Since PyTorch 1.6, `torch.save` writes a zip archive with one folder. Its entries are stored, not
//! compressed:
//!
//! | entry | holds |
//! |---|---|
//! | `<folder>/data.pkl` | a pickle of protocol 2: the saved object, with references to storages |
//! | `<folder>/data/<key>` | one storage: the numbers of one or more tensors, one after another |
//! | `<folder>/byteorder` | `little` or `big`; older files lack it and are little-endian |
//! | others | the format's version, an id; not needed here |
//!
//! A pickle is a program for a stack machine. Python's runs it, and libtorch's own. A tensor in it is a call
//! of `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, …)`, so a tensor is a view of a
//! storage: transposed, expanded and shared ones are saved as they are.
//!
//! # Why not libtorch's loader
//! It trusts the file. It does not compare sizes, strides and offsets with the storage, so a damaged or
//! hostile file makes it read memory that is not the file's: the process is killed, or other numbers come out
//! without a word. It also does not know the `OrderedDict` and the `Parameter` that
//! `torch.save(model.state_dict())` writes.
//!
//! # What this reader does
//! 1. `archive` finds the entries. They must lie within the file and may not overlap. Every entry that is
//!    used is compared with its CRC-32.
//! 2. `machine` runs the pickle on values that are data alone. It knows the few instructions that
//!    `torch.save` writes and a closed list of names; nothing is imported or called. Any other name is an
//!    error that says it.
//! 3. `strided` compares each tensor's offset, sizes and strides with its storage, in arithmetic that cannot
//!    overflow.
//!
//! All this is done by [`Checkpoint::open`], before a number is read. [`Checkpoint::read`] then reads one
//! tensor's bytes. What a file can make this reader do is bounded: in steps, in memory (by limits and by the
//! file's own length), and it never recurses.
//!
//! # What is accepted
//! A dictionary or `OrderedDict` of tensors and `Parameter`s by name, or a checkpoint that has such a
//! dictionary under `state_dict`, `model_state_dict` or `model`. What else a dictionary holds is left out, as
//! long as it consists of numbers, texts, lists, tuples and dictionaries.

mod archive;
mod bytes;
mod machine;
mod state_dict;
mod strided;

use std::collections::BTreeMap;
use std::path::Path;

use archive::Archive;
use strided::Strided;

/// The most bytes that a `data.pkl` may have. It takes about 200 bytes a tensor; BERT-large has 400 tensors.
const MAX_PICKLE: u64 = 16 << 20;

/// A checkpoint whose every tensor is known and checked, and whose numbers are read on request.
#[derive(Debug)]
pub struct Checkpoint {
    archive: Archive,
    tensors: BTreeMap<String, Stored>,
}

/// A tensor in a checkpoint: where its numbers are.
#[derive(Debug)]
struct Stored {
    info: TensorInfo,
    /// The name of the storage's entry.
    entry: String,
    view: Strided,
}

/// A tensor's type and shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// The type of its numbers.
    pub dtype: Dtype,
    /// Its sizes, none negative.
    pub shape: Vec<i64>,
}

/// The type of a tensor's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// 64-bit floating point.
    F64,
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point, IEEE 754 binary16.
    F16,
    /// 16-bit floating point, bfloat16.
    BF16,
    /// 64-bit integer.
    I64,
    /// 32-bit integer.
    I32,
    /// 16-bit integer.
    I16,
    /// 8-bit integer.
    I8,
    /// 8-bit integer without sign.
    U8,
    /// Truth value, a byte each.
    Bool,
}

impl Dtype {
    /// How many bytes a number takes.
    pub fn size(self) -> usize {
        match self {
            Dtype::F64 | Dtype::I64 => 8,
            Dtype::F32 | Dtype::I32 => 4,
            Dtype::F16 | Dtype::BF16 | Dtype::I16 => 2,
            Dtype::I8 | Dtype::U8 | Dtype::Bool => 1,
        }
    }
}

/// Why a file is not read as a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// The file is something else.
    #[error("not a PyTorch checkpoint: {reason}")]
    NotACheckpoint {
        /// What it is, or lacks.
        reason: String,
    },
    /// The file is a checkpoint, but parts of it contradict each other or are missing.
    #[error("damaged: {reason}")]
    Damaged {
        /// The contradiction.
        reason: String,
    },
    /// The file may be sound, but it has something that this reader does not know.
    #[error("not supported: {what}")]
    Unsupported {
        /// What it has. [`Unsupported::remedy`] says what can be done.
        what: Unsupported,
    },
    /// There is no tensor of this name; asked for, not read.
    #[error("no tensor is named {name:?}")]
    NoSuchTensor {
        /// The name.
        name: String,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What a checkpoint may have that this reader does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// The format of PyTorch before 1.6, which is no zip archive.
    #[error("the file format of PyTorch before 1.6")]
    LegacyFormat,
    /// A model saved by `torch.jit.save`, with code.
    #[error("a TorchScript model, which holds code")]
    TorchScript,
    /// Numbers of a big-endian machine.
    #[error("big-endian numbers")]
    BigEndian,
    /// An entry is compressed, which `torch.save` does not do.
    #[error("the compressed entry {entry:?}")]
    Compressed {
        /// The entry's name.
        entry: String,
    },
    /// An entry is encrypted.
    #[error("the encrypted entry {entry:?}")]
    Encrypted {
        /// The entry's name.
        entry: String,
    },
    /// The pickle names a class or function that is not needed for tensors. It is never called.
    #[error("the class or function {name}")]
    Global {
        /// Its module and name, as `os.system`.
        name: String,
    },
    /// The pickle has an instruction that `torch.save` does not write for tensors.
    #[error("the pickle instruction 0x{code:02x}")]
    Instruction {
        /// Its code.
        code: u8,
    },
    /// More than one dictionary of tensors: which one is meant is not known.
    #[error("several dictionaries of tensors: {}", keys.join(", "))]
    SeveralStateDicts {
        /// The keys that they stand under.
        keys: Vec<String>,
    },
    /// Something is larger than this reader takes.
    #[error("more than {most} {of}")]
    TooLarge {
        /// What there are too many of.
        of: &'static str,
        /// How many there may be.
        most: u64,
    },
}

impl Unsupported {
    /// What the file's owner can do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Unsupported::LegacyFormat => {
                "load it with torch.load and save it again with PyTorch 1.6 or later, or as safetensors"
            }
            Unsupported::TorchScript => "save the model's state_dict() with torch.save, or as safetensors",
            Unsupported::BigEndian => "save it again on a little-endian machine, or as safetensors",
            Unsupported::Compressed { .. } | Unsupported::Encrypted { .. } => {
                "load it with torch.load and save it again with torch.save, or as safetensors"
            }
            Unsupported::Global { .. }
            | Unsupported::Instruction { .. }
            | Unsupported::SeveralStateDicts { .. } => {
                "save the model's state_dict() alone, or as safetensors"
            }
            Unsupported::TooLarge { .. } => "save it as safetensors",
        }
    }
}

impl Checkpoint {
    /// Opens a checkpoint and checks all its tensors. Their numbers are not read yet.
    ///
    /// # Errors
    /// [`PickleError`] for any file that is not a sound checkpoint of tensors by name.
    pub fn open(path: &Path) -> Result<Checkpoint, PickleError> {
        let archive = Archive::open(path)?;
        let folder = folder(&archive)?;
        check_byte_order(&archive, &folder)?;
        let pickle = read_whole(&archive, &format!("{folder}/data.pkl"), MAX_PICKLE, "bytes of data.pkl")?;
        let (heap, root) = machine::run(&pickle)?;
        let mut tensors = BTreeMap::new();
        for (name, tensor) in state_dict::tensors(&heap, root)? {
            let entry = format!("{folder}/data/{}", tensor.storage.key);
            let stored = Stored::check(&archive, entry, tensor).map_err(|error| of_tensor(name, error))?;
            tensors.insert(name.to_owned(), stored);
        }
        Ok(Checkpoint { archive, tensors })
    }

    /// The tensors by name, in the names' order.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        self.tensors.iter().map(|(name, stored)| (name.as_str(), &stored.info))
    }

    /// A tensor's numbers: contiguous, little-endian.
    ///
    /// The first reading of a storage reads all of it, to compare it with its CRC-32; later ones read what
    /// the tensor spans.
    ///
    /// # Errors
    /// [`PickleError::NoSuchTensor`], or that the storage is damaged or cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, PickleError> {
        let unknown = || PickleError::NoSuchTensor { name: name.to_owned() };
        let stored = self.tensors.get(name).ok_or_else(unknown)?;
        let bytes =
            self.archive.read(&stored.entry, stored.view.span()).map_err(|error| of_tensor(name, error))?;
        stored.view.gather(bytes)
    }
}

impl Stored {
    fn check(archive: &Archive, entry: String, tensor: &machine::Tensor<'_>) -> Result<Stored, PickleError> {
        let size = archive.size(&entry)?;
        let view = Strided::check(tensor, size)?;
        // Each size came as an i64.
        let shape = tensor.size.iter().map(|size| *size as i64).collect();
        Ok(Stored { info: TensorInfo { dtype: tensor.storage.dtype, shape }, entry, view })
    }
}

/// The archive's folder: the one that has a `data.pkl`.
fn folder(archive: &Archive) -> Result<String, PickleError> {
    let folder_of = |name: &str, file: &str| {
        let folder = name.strip_suffix(file)?.strip_suffix('/')?;
        (!folder.contains('/')).then(|| folder.to_owned())
    };
    let mut folders = archive.names().filter_map(|name| folder_of(name, "data.pkl"));
    let Some(folder) = folders.next() else {
        return Err(not_a_checkpoint("it is a zip archive without a data.pkl"));
    };
    if folders.next().is_some() {
        return Err(not_a_checkpoint("it is a zip archive with more than one data.pkl"));
    }
    if archive.names().any(|name| folder_of(name, "constants.pkl").as_ref() == Some(&folder)) {
        return Err(unsupported(Unsupported::TorchScript));
    }
    Ok(folder)
}

fn check_byte_order(archive: &Archive, folder: &str) -> Result<(), PickleError> {
    let entry = format!("{folder}/byteorder");
    if !archive.has(&entry) {
        return Ok(());
    }
    match read_whole(archive, &entry, 16, "bytes of byteorder")?.as_slice() {
        b"little" => Ok(()),
        b"big" => Err(unsupported(Unsupported::BigEndian)),
        _ => Err(damaged("its byte order is neither little nor big")),
    }
}

/// All bytes of a small entry.
fn read_whole(archive: &Archive, entry: &str, most: u64, of: &'static str) -> Result<Vec<u8>, PickleError> {
    let size = archive.size(entry)?;
    if size > most {
        return Err(unsupported(Unsupported::TooLarge { of, most }));
    }
    archive.read(entry, 0..size)
}

fn not_a_checkpoint(reason: impl Into<String>) -> PickleError {
    PickleError::NotACheckpoint { reason: reason.into() }
}

fn damaged(reason: impl Into<String>) -> PickleError {
    PickleError::Damaged { reason: reason.into() }
}

fn unsupported(what: Unsupported) -> PickleError {
    PickleError::Unsupported { what }
}

/// The same error, with the tensor's name where the reason is one about a tensor.
fn of_tensor(name: &str, error: PickleError) -> PickleError {
    match error {
        PickleError::Damaged { reason } => damaged(format!("{}: {reason}", shown(name))),
        other => other,
    }
}

/// A text of the file, fit for a message: not long, and without control characters.
fn shown(text: &str) -> String {
    const MOST: usize = 100;
    let start: String = text.chars().take(MOST).collect();
    let dots = if start.len() < text.len() { "…" } else { "" };
    format!("{}{dots}", start.escape_debug())
}
