//! Tensors in safetensors files.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{BufWriter, IntoInnerError, Read as _, Write as _};
use std::marker::PhantomData;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tch::{Device, Kind as Type, Tensor};

use crate::error::{Error, ModelError, Result};
use crate::model::values::values;
use crate::text::same_file::Version;
use crate::text::whole_file::WholeFile;

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// In single precision, as they are
    #[default]
    F32,
    /// In half precision: half the size, about three digits
    F16,
}

impl Precision {
    fn kind(self) -> Type {
        match self {
            Precision::F32 => Type::Float,
            Precision::F16 => Type::Half,
        }
    }

    fn dtype(self) -> Dtype {
        match self {
            Precision::F32 => Dtype::F32,
            Precision::F16 => Dtype::F16,
        }
    }
}

/// Writes fp32 tensors with their names, and texts beside them, whole or not at all.
pub fn write(path: &Path, tensors: &BTreeMap<String, Tensor>, texts: HashMap<String, String>) -> Result<()> {
    write_in(path, tensors, texts, Precision::F32)
}

/// The same in another precision.
pub fn write_in(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    texts: HashMap<String, String>,
    precision: Precision,
) -> Result<()> {
    // safetensors' own writing goes through a file of a name that it makes up, which a kill leaves behind, and
    // the file that is synced is then another.
    let views: Vec<(&String, Contiguous)> =
        tensors.iter().map(|(name, tensor)| (name, Contiguous::of(tensor, precision))).collect();
    let mut file = BufWriter::with_capacity(BUFFER, WholeFile::create(path)?);
    let written = header(&views, texts, precision).and_then(|header| {
        file.write_all(&header)?;
        views.iter().try_for_each(|(_, tensor)| file.write_all(&tensor.data()))
    });
    let file = written.and_then(|()| file.into_inner().map_err(IntoInnerError::into_error));
    file.map_err(|error| Error::writing(path, &error))?.commit()
}

/// What stands before the numbers: its length, the tensors' types, shapes and places, and the texts; with blanks
/// behind, so that the numbers begin at a multiple of 8 bytes.
fn header(
    views: &[(&String, Contiguous)],
    texts: HashMap<String, String>,
    precision: Precision,
) -> std::io::Result<Vec<u8>> {
    let mut end = 0;
    let info = |(name, tensor): &(&String, Contiguous)| {
        let start = end;
        end += tensor.bytes();
        let (dtype, shape) = (precision.dtype(), tensor.shape.clone());
        ((*name).clone(), TensorInfo { dtype, shape, data_offsets: (start, end) })
    };
    let infos = views.iter().map(info).collect();
    let metadata = Metadata::new(Some(texts), infos).map_err(std::io::Error::other)?;
    let mut text = serde_json::to_vec(&metadata)?;
    text.resize(text.len().next_multiple_of(8), b' ');
    if text.len() > MOST_HEADER {
        return Err(std::io::Error::other(format!("its header would be longer than {MOST_HEADER} bytes")));
    }
    Ok([&(text.len() as u64).to_le_bytes()[..], &text].concat())
}

/// Reads all tensors of a file, fp32, and the texts beside them.
pub fn read(path: &Path) -> Result<(BTreeMap<String, Tensor>, HashMap<String, String>)> {
    let file = MappedFile::open(path)?;
    let (header, texts) = file.header()?;
    let tensor = |(name, info): (&String, &TensorInfo)| Ok((name.clone(), file.read(name, info)?));
    let tensors = header.iter().map(tensor).collect::<Result<_>>()?;
    Ok((tensors, texts))
}

/// Reads the texts beside the tensors of a file, and not the tensors.
pub fn read_texts(path: &Path) -> Result<HashMap<String, String>> {
    Ok(MappedFile::open(path)?.header()?.1)
}

/// The SHA-256 of tensors' names and numbers, hexadecimal.
pub fn hash(tensors: &BTreeMap<String, Tensor>) -> String {
    let mut hash = Sha256::new();
    for (name, tensor) in tensors {
        hash.update(name);
        hash.update(Contiguous::of(tensor, Precision::F32).data());
    }
    format!("{:x}", hash.finalize())
}

/// A tensor as the bytes of a file.
struct Contiguous {
    tensor: Tensor,
    shape: Vec<usize>,
}

impl Contiguous {
    fn of(tensor: &Tensor, precision: Precision) -> Contiguous {
        let tensor = tensor.detach().to_device(Device::Cpu).to_kind(precision.kind()).contiguous();
        let shape = tensor.size().iter().map(|size| usize::try_from(*size).unwrap_or(0)).collect();
        Contiguous { tensor, shape }
    }

    /// In one copy: little-endian in the file, and on every machine that libtorch runs on.
    fn data(&self) -> Vec<u8> {
        values(&self.tensor.flatten(0, -1).view_dtype(Type::Uint8))
    }

    fn bytes(&self) -> usize {
        self.tensor.numel() * self.tensor.kind().elt_size_in_bytes()
    }
}

/// So much is collected before it is written.
const BUFFER: usize = 1 << 20;

/// The longest header that safetensors itself reads: a longer one is damage, or wants to fill memory.
const MOST_HEADER: usize = 100_000_000;

/// A safetensors file as one tensor of bytes that libtorch maps into memory.
pub(crate) struct MappedFile<'a> {
    path: &'a Path,
    bytes: Tensor,
    /// Where the header ends and the data begin.
    data: usize,
    size: usize,
    version: Version,
}

impl MappedFile<'_> {
    /// Maps a file whose first 8 bytes, the length of its header, are plausible.
    pub(crate) fn open(path: &Path) -> Result<MappedFile<'_>> {
        let reading = |error: std::io::Error| Error::reading(path, &error);
        let mut start = Vec::new();
        let file = std::fs::File::open(path).map_err(reading)?;
        let metadata = file.metadata().map_err(reading)?;
        let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        (&file).take(64).read_to_end(&mut start).map_err(reading)?;
        if start.starts_with(b"version https://git-lfs") {
            return Err(unreadable(
                path,
                "it is a pointer of Git LFS, not the file itself (git lfs pull fetches that)".to_owned(),
            ));
        }
        let header = start.first_chunk().and_then(|length| usize::try_from(u64::from_le_bytes(*length)).ok());
        let data = header
            .and_then(|length| length.checked_add(8))
            .filter(|data| *data <= size)
            .ok_or_else(|| cut_short(path))?;
        if data - 8 > MOST_HEADER {
            return Err(unreadable(path, format!("its header is longer than {MOST_HEADER} bytes")));
        }
        // libtorch takes the name as UTF-8 text.
        let name = path.to_str().ok_or_else(|| unreadable(path, "its name is not UTF-8".to_owned()))?;
        let length = i64::try_from(size).map_err(|_| cut_short(path))?;
        let bytes = Tensor::f_from_file(name, false, length, (Type::Uint8, Device::Cpu))
            .map_err(|error| unreadable(path, first_line(&error.to_string())))?;
        // It is mapped by its name, which may be another file's by then.
        let version = Version::of(&metadata);
        match std::fs::metadata(path).map_err(reading)? {
            mapped if Version::of(&mapped) == version => Ok(MappedFile { path, bytes, data, size, version }),
            _ => Err(replaced(path)),
        }
    }

    /// The tensors' names, types, shapes and places, and the texts beside them. As the format says, every
    /// byte behind the header is one tensor's: where tensors overlap, or bytes are left over, the file is
    /// damaged, and numbers read from it would be wrong without a word.
    pub(crate) fn header(&self) -> Result<(BTreeMap<String, TensorInfo>, HashMap<String, String>)> {
        let text: Vec<u8> = values(&self.bytes.narrow(0, 8, self.data as i64 - 8));
        // The format does not allow a space, or anything else, before it.
        if text.first() != Some(&b'{') {
            return Err(unreadable(self.path, "its header is not what safetensors writes".to_owned()));
        }
        let not_json = |error: serde_json::Error| {
            unreadable(self.path, format!("its header is not what safetensors writes ({error})"))
        };
        let mut header = serde_json::from_slice::<Unique<&RawValue>>(&text).map_err(not_json)?.0;
        let texts = match header.remove("__metadata__") {
            None => HashMap::new(),
            Some(texts) => {
                serde_json::from_str::<Unique<String>>(texts.get()).map_err(not_json)?.0.into_iter().collect()
            }
        };
        let infos = header
            .into_iter()
            .map(|(name, info)| Ok((name, serde_json::from_str(info.get()).map_err(not_json)?)))
            .collect::<Result<_>>()?;
        self.check_places(&infos)?;
        Ok((infos, texts))
    }

    /// Refuses places that are not the tensors' shapes, or that are not side by side from the header to the
    /// file's end.
    fn check_places(&self, infos: &BTreeMap<String, TensorInfo>) -> Result<()> {
        for (name, info) in infos {
            let (start, end) = info.data_offsets;
            if bytes_of(info).is_none_or(|bytes| start.checked_add(bytes) != Some(end)) {
                let reason = format!("the place of {name:?} in it is not as long as its shape says");
                return Err(unreadable(self.path, reason));
            }
        }
        let mut in_order: Vec<(&String, (usize, usize))> =
            infos.iter().map(|(name, info)| (name, info.data_offsets)).collect();
        in_order.sort_by_key(|(_, place)| *place);
        let mut filled = 0;
        for (index, (name, (start, end))) in in_order.iter().enumerate() {
            if *start < filled {
                let reason = format!("{:?} and {name:?} overlap in it", in_order[index - 1].0);
                return Err(unreadable(self.path, reason));
            }
            if *start > filled {
                return Err(unreadable(self.path, unclaimed(start - filled)));
            }
            filled = *end;
        }
        match (self.size - self.data).checked_sub(filled) {
            None => Err(cut_short(self.path)),
            Some(0) => Ok(()),
            Some(left) => Err(unreadable(self.path, unclaimed(left))),
        }
    }

    /// A tensor, fp32, in memory of its own: the file may be replaced while it is in use, and what is done
    /// with is given back. It is read through a mapping of its own, so that no more of the file lies in
    /// memory beside it than itself.
    pub(crate) fn read(&self, name: &str, info: &TensorInfo) -> Result<Tensor> {
        let again = MappedFile::open(self.path)?;
        if again.version != self.version {
            return Err(replaced(self.path));
        }
        let mapped = again.tensor(name, info)?;
        let mut own = Tensor::empty(mapped.size(), (Type::Float, Device::Cpu));
        own.copy_(&mapped);
        Ok(own)
    }

    /// What a tensor's numbers are in libtorch: floating-point ones only.
    pub(crate) fn kind(&self, name: &str, info: &TensorInfo) -> Result<Type> {
        match info.dtype {
            Dtype::F32 => Ok(Type::Float),
            Dtype::F16 => Ok(Type::Half),
            Dtype::BF16 => Ok(Type::BFloat16),
            Dtype::F64 => Ok(Type::Double),
            other => Err(not_floating(self.path, name, &other)),
        }
    }

    /// A tensor as it stands in the file, mapped: not read before it is used.
    fn tensor(&self, name: &str, info: &TensorInfo) -> Result<Tensor> {
        let kind = self.kind(name, info)?;
        let (start, end) = info.data_offsets;
        // The header was checked; but the file may have been cut short since.
        if self.data.checked_add(end).is_none_or(|end| end > self.size) {
            return Err(cut_short(self.path));
        }
        let first = self.data + start;
        let bytes = self.bytes.narrow(0, first as i64, (end - start) as i64);
        // A view as numbers must begin at a multiple of their size; the format does not promise that.
        let aligned = if first.is_multiple_of(info.dtype.bitsize() / 8) { bytes } else { bytes.copy() };
        let shape: Vec<i64> = info.shape.iter().map(|size| *size as i64).collect();
        Ok(aligned.view_dtype(kind).view(shape.as_slice()))
    }
}

/// How long the numbers of a tensor are; `None` for sizes that no tensor in memory has. Sizes of 0 count as
/// 1 there: libtorch multiplies the others for its strides.
fn bytes_of(info: &TensorInfo) -> Option<usize> {
    let sizes = || info.shape.iter().map(|size| i64::try_from(*size).ok());
    sizes().try_fold(1_i64, |product, size| product.checked_mul(size?.max(1)))?;
    let elements: i64 = sizes().flatten().product();
    let bits = usize::try_from(elements).ok()?.checked_mul(info.dtype.bitsize())?;
    // Numbers of four or six bits may not fill their last byte, which the format does not allow.
    bits.is_multiple_of(8).then_some(bits / 8)
}

/// Keys and values of an object in JSON, no key twice: maps of serde keep the last.
struct Unique<V>(BTreeMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Unique<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unique<V>, D::Error> {
        deserializer.deserialize_map(UniqueVisitor(PhantomData))
    }
}

struct UniqueVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for UniqueVisitor<V> {
    type Value = Unique<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Unique<V>, A::Error> {
        let mut values = BTreeMap::new();
        while let Some((key, value)) = entries.next_entry::<String, V>()? {
            if values.contains_key(&key) {
                return Err(serde::de::Error::custom(format_args!("{key:?} stands in it twice")));
            }
            values.insert(key, value);
        }
        Ok(Unique(values))
    }
}

fn unclaimed(bytes: usize) -> String {
    let belong = if bytes == 1 { "byte of it belongs" } else { "bytes of it belong" };
    format!("{bytes} {belong} to no tensor")
}

fn replaced(path: &Path) -> Error {
    unreadable(path, "another file took its name while it was read".to_owned())
}

fn cut_short(path: &Path) -> Error {
    unreadable(path, "its length is not what its first bytes say; it may have been cut short".to_owned())
}

/// The error of a file of weights that is not what it should be.
pub(crate) fn unreadable(path: &Path, reason: String) -> Error {
    ModelError::WeightsUnreadable { path: path.to_owned(), reason }.into()
}

/// The error of a tensor of integers, or of a type of other programs.
pub(crate) fn not_floating(path: &Path, name: &str, dtype: &impl fmt::Debug) -> Error {
    unreadable(path, format!("{name} holds {dtype:?}, not floating-point numbers"))
}

/// libtorch's messages end in a stack trace.
fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}
