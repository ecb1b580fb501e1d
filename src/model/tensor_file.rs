//! Tensors in safetensors files.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::path::Path;

use safetensors::tensor::TensorInfo;
use safetensors::{Dtype, View};
use sha2::{Digest as _, Sha256};
use tch::{Device, Kind as Type, Tensor};

use crate::error::{Error, Kind, Result};
use crate::text::whole_file::WholeFile;

/// Writes fp32 tensors with their names, and texts beside them, whole or not at all.
pub fn write(path: &Path, tensors: &BTreeMap<String, Tensor>, texts: HashMap<String, String>) -> Result<()> {
    let file = WholeFile::create(path)?;
    let views = tensors.iter().map(|(name, tensor)| (name, Contiguous::of(tensor)));
    let written = safetensors::serialize_to_file(views, &Some(texts), file.temporary());
    written.map_err(|error| match error {
        safetensors::SafeTensorError::IoError(error) => Error::writing(path, &error),
        other => Error::writing(path, &std::io::Error::other(other.to_string())),
    })?;
    file.commit()
}

/// Reads all tensors of a file, fp32, and the texts beside them.
pub fn read(path: &Path) -> Result<(BTreeMap<String, Tensor>, HashMap<String, String>)> {
    let file = MappedFile::open(path)?;
    let (header, texts) = file.header()?;
    let tensor = |(name, info): (&String, &TensorInfo)| Ok((name.clone(), file.read(name, info)?));
    let tensors = header.iter().map(tensor).collect::<Result<_>>()?;
    Ok((tensors, texts))
}

/// The SHA-256 of tensors' names and numbers, hexadecimal.
pub fn hash(tensors: &BTreeMap<String, Tensor>) -> String {
    let mut hash = Sha256::new();
    for (name, tensor) in tensors {
        hash.update(name);
        hash.update(Contiguous::of(tensor).data());
    }
    format!("{:x}", hash.finalize())
}

/// A tensor as the bytes of a file.
struct Contiguous {
    tensor: Tensor,
    shape: Vec<usize>,
}

impl Contiguous {
    fn of(tensor: &Tensor) -> Contiguous {
        let tensor = tensor.detach().to_device(Device::Cpu).to_kind(Type::Float).contiguous();
        let shape = tensor.size().iter().map(|size| usize::try_from(*size).unwrap_or(0)).collect();
        Contiguous { tensor, shape }
    }
}

impl View for Contiguous {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        // As bytes in one copy: little-endian in the file, and on every machine that libtorch runs on.
        let bytes = Vec::<u8>::try_from(self.tensor.flatten(0, -1).view_dtype(Type::Uint8));
        Cow::Owned(bytes.unwrap_or_default())
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * 4
    }
}

/// A safetensors file as one tensor of bytes that libtorch maps into memory.
pub(crate) struct MappedFile<'a> {
    path: &'a Path,
    bytes: Tensor,
    /// Where the header ends and the data begin.
    data: usize,
    size: usize,
}

impl MappedFile<'_> {
    /// Maps a file whose first 8 bytes, the length of its header, are plausible.
    pub(crate) fn open(path: &Path) -> Result<MappedFile<'_>> {
        let reading = |error: std::io::Error| Error::reading(path, &error);
        let mut start = Vec::new();
        let mut file = std::fs::File::open(path).map_err(reading)?;
        let size = usize::try_from(file.metadata().map_err(reading)?.len()).unwrap_or(usize::MAX);
        file.by_ref().take(64).read_to_end(&mut start).map_err(reading)?;
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
        // libtorch takes the name as UTF-8 text.
        let name = path.to_str().ok_or_else(|| unreadable(path, "its name is not UTF-8".to_owned()))?;
        let length = i64::try_from(size).map_err(|_| cut_short(path))?;
        let bytes = Tensor::f_from_file(name, false, length, (Type::Uint8, Device::Cpu))
            .map_err(|error| unreadable(path, first_line(&error.to_string())))?;
        Ok(MappedFile { path, bytes, data, size })
    }

    /// The tensors' names, types, shapes and places, and the texts beside them.
    pub(crate) fn header(&self) -> Result<(BTreeMap<String, TensorInfo>, HashMap<String, String>)> {
        let text = Vec::<u8>::try_from(self.bytes.narrow(0, 8, self.data as i64 - 8)).unwrap_or_default();
        let not_json = |error: serde_json::Error| {
            unreadable(self.path, format!("its header is not what safetensors writes ({error})"))
        };
        let mut header: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&text).map_err(not_json)?;
        let texts = header
            .remove("__metadata__")
            .map_or(Ok(HashMap::new()), |texts| serde_json::from_value(texts).map_err(not_json))?;
        let infos = header
            .into_iter()
            .map(|(name, info)| Ok((name, serde_json::from_value(info).map_err(not_json)?)));
        Ok((infos.collect::<Result<_>>()?, texts))
    }

    /// A tensor, fp32, in memory of its own: the file may be replaced while it is in use, and what is done
    /// with is given back. It is read through a mapping of its own, so that no more of the file lies in
    /// memory beside it than itself.
    pub(crate) fn read(&self, name: &str, info: &TensorInfo) -> Result<Tensor> {
        let mapped = MappedFile::open(self.path)?.tensor(name, info)?;
        let mut own = Tensor::empty(mapped.size(), (Type::Float, Device::Cpu));
        own.copy_(&mapped);
        Ok(own)
    }

    /// A tensor as it stands in the file, mapped: not read before it is used.
    pub(crate) fn tensor(&self, name: &str, info: &TensorInfo) -> Result<Tensor> {
        let kind = match info.dtype {
            Dtype::F32 => Type::Float,
            Dtype::F16 => Type::Half,
            Dtype::BF16 => Type::BFloat16,
            Dtype::F64 => Type::Double,
            other => {
                return Err(unreadable(
                    self.path,
                    format!("{name} holds {other:?}, not floating-point numbers"),
                ));
            }
        };
        let (start, end) = info.data_offsets;
        let elements = info.shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        let fits = start <= end
            && elements.and_then(|elements| elements.checked_mul(info.dtype.size())) == Some(end - start);
        if !fits || self.data.checked_add(end).is_none_or(|end| end > self.size) {
            return Err(cut_short(self.path));
        }
        let first = self.data + start;
        let bytes = self.bytes.narrow(0, first as i64, (end - start) as i64);
        // A view as numbers must begin at a multiple of their size; the format does not promise that.
        let aligned = if first.is_multiple_of(info.dtype.size()) { bytes } else { bytes.copy() };
        let shape: Vec<i64> = info.shape.iter().map(|size| *size as i64).collect();
        Ok(aligned.view_dtype(kind).view(shape.as_slice()))
    }
}

fn cut_short(path: &Path) -> Error {
    unreadable(path, "its length is not what its first bytes say; it may have been cut short".to_owned())
}

/// The error of a file of weights that is not what it should be.
pub(crate) fn unreadable(path: &Path, reason: String) -> Error {
    Kind::WeightsUnreadable { path: path.to_owned(), reason }.into()
}

/// libtorch's messages end in a stack trace.
pub(crate) fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}
