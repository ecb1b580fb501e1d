//! PyTorch checkpoints: sound ones give torch's numbers, all others an error that says why.
//!
//! The files are by `fixtures/pickle/make.py` (by hand) and `make_torch.py` (by PyTorch 1.11; `torch-2-…` by
//! PyTorch 2).

use std::fs;
use std::io::{Cursor, Read as _, Write as _};
use std::path::{Path, PathBuf};

use cloze::Result;
use cloze::error::{Kind, ModelError};
use cloze::model::arch::Config;
use cloze::model::parameters::Parameters;
use cloze::model::pickle::{Checkpoint, Dtype, PickleError, TensorInfo, Unsupported};
use tch::{Device, Kind as Type, Tensor};

use crate::support::{Parts, TINY};

const TINY_BIN: &str = "tests/fixtures/tiny-bin";

fn fixture(name: &str) -> PathBuf {
    Path::new("tests/fixtures/pickle").join(name)
}

fn open(name: &str) -> Result<Checkpoint, PickleError> {
    Checkpoint::open(&fixture(name))
}

/// A tensor of small whole numbers: its shape and the numbers.
fn floats(checkpoint: &Checkpoint, name: &str) -> (Vec<i64>, Vec<f32>) {
    let (_, info) = checkpoint.tensors().find(|(other, _)| *other == name).unwrap();
    assert_eq!(info.dtype, Dtype::F32);
    let bytes = checkpoint.read(name).unwrap();
    let numbers = bytes.as_chunks().0.iter().map(|number| f32::from_le_bytes(*number)).collect();
    (info.shape.clone(), numbers)
}

/// A checkpoint as `make_torch.py` tells it.
fn told(checkpoint: &Checkpoint) -> String {
    let line = |(name, info): (&str, &TensorInfo)| {
        let crc32 = crc32fast::hash(&checkpoint.read(name).unwrap());
        format!("{name} {:?} {:?} {crc32:08x}\n", info.dtype, info.shape)
    };
    checkpoint.tensors().map(line).collect()
}

#[test]
fn what_torch_saves_is_read_as_torch_reads_it() {
    for name in ["views", "state-dict", "parameters", "training", "protocol-4", "2-state-dict"] {
        let wanted = fs::read_to_string(fixture(&format!("torch-{name}.txt"))).unwrap();
        assert_eq!(told(&open(&format!("torch-{name}.bin")).unwrap()), wanted, "{name}");
    }
}

#[test]
fn every_form_of_a_state_dict_gives_its_tensors() {
    let forms = ["plain", "ordered", "parameter", "nested", "nested-model", "protocol-4", "circle", "zip64"];
    // Neither harms: a field of encryption without encryption, a list that holds the one before twice, 200
    // times, a value kept at place 2^32 - 1, and 50,000 tuples, one in another.
    let odd = ["zip-aes-field", "doubling", "memo-far", "deep-tuple"];
    for name in forms.iter().chain(&odd) {
        let checkpoint = open(&format!("{name}.bin")).unwrap_or_else(|error| panic!("{name}: {error}"));
        let names: Vec<&str> =
            checkpoint.tensors().map(|(name, _)| name).filter(|name| name.len() == 1).collect();
        assert_eq!(names, ["w"], "{name}");
        assert_eq!(floats(&checkpoint, "w"), (vec![2, 3], vec![0., 1., 2., 3., 4., 5.]), "{name}");
    }
}

#[test]
fn views_are_gathered() {
    let read = |name: &str| floats(&open(name).unwrap(), "w");
    assert_eq!(read("transposed.bin"), (vec![3, 2], vec![0., 3., 1., 4., 2., 5.]));
    assert_eq!(read("expanded.bin"), (vec![2, 3], vec![4.; 6]));
    assert_eq!(read("every-other.bin"), (vec![3], vec![1., 3., 5.]));
    assert_eq!(read("empty-tensor.bin"), (vec![0, 1 << 40], vec![]));
}

#[test]
fn tensors_that_share_a_storage_are_read_in_any_order() {
    let checkpoint = open("shared.bin").unwrap();
    for _ in 0..2 {
        assert_eq!(floats(&checkpoint, "b"), (vec![3], vec![3., 4., 5.]));
        assert_eq!(floats(&checkpoint, "c"), (vec![], vec![5.]));
        assert_eq!(floats(&checkpoint, "a").1, [0., 1., 2., 3., 4., 5.]);
    }
}

#[test]
fn each_type_takes_its_number_of_bytes() {
    let checkpoint = open("types.bin").unwrap();
    let types: Vec<(&str, Dtype)> = checkpoint.tensors().map(|(name, info)| (name, info.dtype)).collect();
    let wanted = [
        ("BFloat16Storage", Dtype::BF16),
        ("BoolStorage", Dtype::Bool),
        ("ByteStorage", Dtype::U8),
        ("CharStorage", Dtype::I8),
        ("DoubleStorage", Dtype::F64),
        ("FloatStorage", Dtype::F32),
        ("HalfStorage", Dtype::F16),
        ("IntStorage", Dtype::I32),
        ("LongStorage", Dtype::I64),
        ("ShortStorage", Dtype::I16),
        ("untyped", Dtype::U8),
    ];
    assert_eq!(types, wanted);
    for (name, dtype) in types {
        let bytes: Vec<u8> = (0..3 * dtype.size() as u8).collect();
        assert_eq!(checkpoint.read(name).unwrap(), bytes, "{name}");
    }
}

#[test]
fn what_is_no_checkpoint_is_told_so() {
    let reasons = [
        ("empty-file.bin", "it is empty"),
        ("text.bin", "it does not begin as a zip archive does"),
        ("lfs.bin", "it is a pointer of Git LFS, not the file itself (git lfs pull fetches that)"),
        ("other-zip.bin", "it is a zip archive without a data.pkl"),
        ("a-tensor.bin", "it holds no dictionary of tensors by name"),
        ("deep.bin", "it holds no dictionary of tensors by name"),
        ("no-tensors.bin", "its dictionary holds no tensors by name"),
        ("number-name.bin", "a tensor's name in it is not a text"),
    ];
    for (name, wanted) in reasons {
        match open(name).unwrap_err() {
            PickleError::NotACheckpoint { reason } => assert_eq!(reason, wanted, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn what_is_not_supported_is_named() {
    let entry = || "a/data.pkl".to_owned();
    let found = [
        ("os-system.bin", Unsupported::Global { name: "os.system".to_owned() }),
        ("torch-whole-model.bin", Unsupported::Global { name: "__main__.Model".to_owned() }),
        ("torch-legacy.bin", Unsupported::LegacyFormat),
        ("torchscript.bin", Unsupported::TorchScript),
        ("big-endian.bin", Unsupported::BigEndian),
        ("compressed.bin", Unsupported::Compressed { entry: entry() }),
        ("encrypted.bin", Unsupported::Encrypted { entry: entry() }),
        ("instruction.bin", Unsupported::Instruction { code: b'2' }),
        (
            "two-state-dicts.bin",
            Unsupported::SeveralStateDicts { keys: vec!["model".to_owned(), "state_dict".to_owned()] },
        ),
        ("many-dimensions.bin", Unsupported::TooLarge { of: "dimensions in a tensor", most: 8 }),
        ("expanded-huge.bin", Unsupported::TooLarge { of: "bytes in an expanded tensor", most: 64 << 20 }),
    ];
    for (name, wanted) in found {
        match open(name).unwrap_err() {
            PickleError::Unsupported { what } => assert_eq!(what, wanted, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn what_contradicts_itself_is_damaged() {
    let reasons = [
        ("offset-outside.bin", "w: it reaches beyond its storage of 6 numbers"),
        ("offset-huge.bin", "w: it reaches beyond its storage of 6 numbers"),
        ("offset-negative.bin", "a tensor's offset is -1"),
        ("size-huge.bin", "w: it reaches beyond its storage of 6 numbers"),
        ("size-product.bin", "w: it reaches beyond its storage of 6 numbers"),
        ("size-65-bits.bin", "a tensor's size is not a 64-bit integer"),
        ("size-negative.bin", "a tensor's size is -2"),
        ("size-text.bin", "a tensor's size is not a 64-bit integer"),
        ("stride-huge.bin", "w: it reaches beyond its storage of 6 numbers"),
        ("stride-overflow.bin", "w: it reaches beyond its storage of 6 numbers"),
        ("stride-negative.bin", "a tensor's stride is -1"),
        ("stride-missing.bin", "w: it has 2 sizes and 1 strides"),
        ("storage-short.bin", "w: its storage should have 1000 numbers, but has 24 bytes"),
        (
            "storage-count-huge.bin",
            "w: its storage should have 2305843009213693952 numbers, but has 24 bytes",
        ),
        ("storage-missing.bin", "w: it has no entry a/data/0"),
        ("name-twice.bin", "it has two items of the name w"),
        ("cut-short.bin", "it does not end as a zip archive does; it may have been cut short"),
        ("cut-by-one.bin", "it does not end as a zip archive does; it may have been cut short"),
        ("memo-missing.bin", "the pickle fetches a value that it has not kept"),
        ("text-huge.bin", "the pickle ends too early"),
        ("text-8-huge.bin", "the pickle ends too early"),
        ("stack-empty.bin", "the pickle takes a value that is not there"),
        ("stack-below-mark.bin", "the pickle takes a value that is not there"),
        ("two-values.bin", "the pickle does not end with one value"),
        ("zip-one-place.bin", "the zip directory and the entry a/version differ"),
        ("zip-overlap.bin", "its zip entries overlap"),
        ("zip-beyond.bin", "a/data/0 reaches beyond the entries' part of the file"),
        ("zip-other-length.bin", "the entry a/data/0 is stored with another length than its own"),
        ("zip-more-entries.bin", "the zip directory ends too early"),
        ("zip-fewer-entries.bin", "its zip directory is longer than its entries"),
        ("zip-elsewhere.bin", "its zip directory is not where its end says"),
        ("zip-comment.bin", "it does not end as a zip archive does; it may have been cut short"),
        ("zip-name-twice.bin", "two of its zip entries are named a/data/0"),
        ("zip64-many.bin", "the zip directory ends too early"),
        ("zip64-far.bin", "its zip directory is not where its end says"),
    ];
    for (name, wanted) in reasons {
        match open(name).unwrap_err() {
            PickleError::Damaged { reason } => assert_eq!(reason, wanted, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_flipped_bit_among_the_numbers_is_found_when_they_are_read() {
    let checkpoint = open("bit-flipped.bin").unwrap();
    let error = checkpoint.read("w").unwrap_err().to_string();
    assert_eq!(error, "damaged: w: the bytes of a/data/0 are not those of its CRC-32");
}

#[test]
fn other_errors_are_not_taken_for_damage() {
    let kind = |name| match open(name).unwrap_err() {
        PickleError::Io(error) => error.kind(),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(kind("no-such-file.bin"), std::io::ErrorKind::NotFound);
    assert_eq!(kind("."), std::io::ErrorKind::IsADirectory);
    assert!(
        matches!(open("plain.bin").unwrap().read("v"), Err(PickleError::NoSuchTensor { name }) if name == "v")
    );
}

#[test]
fn a_checkpoint_is_read_from_several_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    let checkpoint = open("torch-views.bin").unwrap();
    shared(&checkpoint);
    let wanted = fs::read_to_string(fixture("torch-views.txt")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..20).for_each(|_| assert_eq!(told(&checkpoint), wanted)));
        }
    });
}

/// Numbers that look random, the same in each run (xorshift).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    /// Changes one or two bytes, and cuts a piece off in one case of eight.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(2) {
            let place = self.below(bytes.len());
            match self.below(3) {
                0 => bytes[place] ^= 1 << self.below(8),
                1 => bytes[place] = self.below(256) as u8,
                // One of the extremes that lengths and counts break at.
                _ => bytes[place] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
            }
        }
        if self.below(8) == 0 {
            bytes.truncate(self.below(bytes.len()));
        }
    }
}

/// Opens a file of these bytes and reads all its tensors: how many were read, and whether all bytes are
/// `inside`.
fn read_all(path: &Path, bytes: &[u8], inside: impl Fn(u8) -> bool) -> usize {
    fs::write(path, bytes).unwrap();
    let Ok(checkpoint) = Checkpoint::open(path) else { return 0 };
    let mut read = 0;
    for (name, info) in checkpoint.tensors() {
        let Ok(bytes) = checkpoint.read(name) else { continue };
        let elements: i64 = info.shape.iter().product();
        assert_eq!(bytes.len(), elements as usize * info.dtype.size());
        assert!(bytes.into_iter().all(&inside), "bytes from outside the storages");
        read += 1;
    }
    read
}

/// The entries of a checkpoint's archive, with their bytes.
fn entries(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let count = archive.len();
    let entry = |index| {
        let mut entry = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.name().to_owned(), bytes)
    };
    (0..count).map(entry).collect()
}

/// An archive of these entries, with checksums that are right.
fn archive<'a>(entries: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> Vec<u8> {
    let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::FileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in entries {
        out.start_file(name, stored).unwrap();
        out.write_all(&bytes).unwrap();
    }
    out.finish().unwrap().into_inner()
}

#[test]
fn two_thousand_mutated_files_neither_panic_nor_hang() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["shared.bin", "zip64.bin", "torch-state-dict.bin", "torch-views.bin"] {
        let sound = fs::read(fixture(name)).unwrap();
        let mut seeded = Seeded(7);
        for _ in 0..500 {
            let mut bytes = sound.clone();
            seeded.mutate(&mut bytes);
            read_all(&folder.path().join(name), &bytes, |_| true);
        }
    }
}

/// The pickle alone is mutated and the archive made anew round it, so that no checksum stands before the
/// machine. Storages consist of one byte that the file has nowhere else in its storages' place.
#[test]
fn two_thousand_mutated_pickles_give_no_bytes_from_outside_a_storage() {
    const INSIDE: u8 = 0xa5;
    let folder = tempfile::tempdir().unwrap();
    let (mut opened, mut read) = (0, 0);
    for name in ["shared.bin", "transposed.bin", "torch-state-dict.bin", "torch-views.bin"] {
        let mut entries = entries(&fixture(name));
        for (name, bytes) in &mut entries {
            if name.contains("/data/") {
                bytes.fill(INSIDE);
            }
        }
        let mut seeded = Seeded(11);
        for _ in 0..500 {
            let mutated = entries.iter().map(|(name, bytes)| {
                let mut bytes = bytes.clone();
                if name.ends_with("data.pkl") {
                    seeded.mutate(&mut bytes);
                }
                (name.as_str(), bytes)
            });
            let bytes = archive(mutated);
            let tensors = read_all(&folder.path().join(name), &bytes, |byte| byte == INSIDE);
            opened += usize::from(tensors > 0);
            read += tensors;
        }
    }
    // So that the test does not only see files that fail at once.
    assert!(opened > 100 && read > 1000, "{opened} opened, {read} tensors");
}

/// A model folder with no weights yet.
fn model_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(Path::new(TINY).join("config.json"), folder.path().join("config.json")).unwrap();
    folder
}

fn load(folder: &Path) -> Result<Parameters> {
    Parameters::load(folder, &Config::load(folder)?.tensors, Device::Cpu)
}

fn check(folder: &Path) -> Result<()> {
    Parameters::check(folder, &Config::load(folder)?.tensors).map(drop)
}

/// What is said of a file of weights.
fn said(result: Result<()>) -> String {
    match result.unwrap_err().kind() {
        Kind::Model(ModelError::WeightsUnreadable { reason, .. }) => reason.clone(),
        other => panic!("{other:?}"),
    }
}

/// Every number, by the bits.
fn assert_same(found: &Parameters, wanted: &Parameters) {
    let bits = |parameters: &Parameters| -> Vec<(String, Vec<i32>)> {
        let bits = |tensor: &Tensor| Vec::try_from(tensor.view_dtype(Type::Int).flatten(0, -1)).unwrap();
        parameters.iter().map(|(name, tensor)| (name.to_owned(), bits(tensor))).collect()
    };
    assert_eq!(bits(found), bits(wanted));
}

/// `bytes` with another text of any length in the place of each `from`.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|part| part == from.as_bytes()) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to.as_bytes());
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// The checkpoint of `tiny-bin` with its float storages of another type; `change` makes the bytes.
fn retyped(storage: &str, change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let entries = entries(&Path::new(TINY_BIN).join("pytorch_model.bin"));
    let typed = entries.iter().map(|(name, bytes)| {
        let bytes = match name.strip_prefix("pytorch_model/data") {
            Some(".pkl") => replaced(bytes, "torch\nFloatStorage\n", &format!("torch\n{storage}\n")),
            // The first is that of the positions, which are integers.
            Some(key) if key != "/0" => change(bytes),
            _ => bytes.clone(),
        };
        (name.as_str(), bytes)
    });
    archive(typed)
}

#[test]
fn a_model_has_the_numbers_of_its_safetensors() {
    assert_same(&Parts::load(TINY_BIN).parameters, &Parts::load(TINY).parameters);
}

#[test]
fn a_model_in_shards_has_the_numbers_of_the_whole() {
    let folder = model_folder();
    let whole = entries(&Path::new(TINY_BIN).join("pytorch_model.bin"));
    let shard = |file: &str, hidden: &[&str]| {
        let parts = whole.iter().map(|(name, bytes)| {
            // A tensor of another name is none that the model wants.
            let hide = |bytes: Vec<u8>, part: &&str| replaced(&bytes, part, &"x".repeat(part.len()));
            let is_pickle = name.ends_with("data.pkl");
            let hidden = if is_pickle { hidden } else { &[] };
            (name.as_str(), hidden.iter().fold(bytes.clone(), hide))
        });
        fs::write(folder.path().join(file), archive(parts)).unwrap();
    };
    shard("one.bin", &["encoder.layer.1."]);
    shard("two.bin", &["encoder.layer.0.", "embeddings.", "cls."]);
    let index = r#"{"weight_map": {"a": "one.bin", "b": "two.bin"}}"#;
    fs::write(folder.path().join("pytorch_model.bin.index.json"), index).unwrap();
    check(folder.path()).unwrap();
    assert_same(&load(folder.path()).unwrap(), &Parts::load(TINY).parameters);
    // A shard that lacks a layer is told by the tensors.
    shard("two.bin", &["encoder.layer."]);
    let missing = check(folder.path()).unwrap_err();
    match missing.kind() {
        Kind::Model(ModelError::WeightsMisfit { tensors, .. }) => {
            assert!(tensors.len() == 16 && tensors.iter().all(|tensor| tensor.found.is_none()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn other_precisions_are_widened_or_narrowed() {
    let original = Parts::load(TINY).parameters;
    let types =
        [("HalfStorage", Type::Half), ("BFloat16Storage", Type::BFloat16), ("DoubleStorage", Type::Double)];
    for (storage, kind) in types {
        let folder = model_folder();
        let change = |bytes: &[u8]| {
            let typed = Tensor::from_slice(bytes).view_dtype(Type::Float).to_kind(kind);
            Vec::try_from(typed.view_dtype(Type::Uint8)).unwrap()
        };
        fs::write(folder.path().join("pytorch_model.bin"), retyped(storage, change)).unwrap();
        let found = load(folder.path()).unwrap();
        let wanted = original.with(
            original
                .iter()
                .map(|(name, tensor)| (name.to_owned(), tensor.to_kind(kind).to_kind(Type::Float))),
        );
        assert_same(&found, &wanted);
    }
}

#[test]
fn integers_are_no_weights() {
    let folder = model_folder();
    fs::write(folder.path().join("pytorch_model.bin"), retyped("IntStorage", <[u8]>::to_vec)).unwrap();
    let wanted = "cls.predictions.bias holds I32, not floating-point numbers";
    assert_eq!(said(check(folder.path())), wanted);
    assert_eq!(said(load(folder.path()).map(drop)), wanted);
}

#[test]
fn a_flipped_bit_of_a_weight_is_found_when_the_weights_are_read() {
    let folder = model_folder();
    let mut bytes = fs::read(Path::new(TINY_BIN).join("pytorch_model.bin")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(folder.path().join("pytorch_model.bin"), bytes).unwrap();
    check(folder.path()).unwrap();
    let reason = said(load(folder.path()).map(drop));
    assert!(reason.contains("are not those of its CRC-32"), "{reason}");
}
