//! Safetensors files that are not as the format says, each made here by hand: refused, never read otherwise.

use std::path::Path;

use cloze::error::{Kind, ModelError};
use cloze::model::tensor_file;

/// A file of this header and so many bytes behind it: the bytes 0, 1, 2, ….
fn file(path: &Path, header: &str, data: u8) {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.extend(0..data);
    std::fs::write(path, bytes).unwrap();
}

/// A header of these tensors with their shapes and places, all fp32.
fn header(tensors: &[(&str, &str, [usize; 2])]) -> String {
    let tensor = |(name, shape, [start, end]): &(&str, &str, [usize; 2])| {
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{start},{end}]}}"#)
    };
    format!("{{{}}}", tensors.iter().map(tensor).collect::<Vec<_>>().join(","))
}

#[cfg(unix)]
#[test]
fn tensors_are_written_into_the_file_that_was_opened() {
    let folder = tempfile::tempdir().unwrap();
    let (usual, pipe) = (folder.path().join("usual"), folder.path().join("pipe"));
    let tensors = [("a".to_owned(), tch::Tensor::from_slice(&[1f32, 2.0, 3.0]))].into();
    let texts = || [("format".to_owned(), "pt".to_owned())].into();
    tensor_file::write(&usual, &tensors, texts()).unwrap();
    // A file that is written under another name and moved would take the pipe's place, and what is synced
    // would be another file.
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reading = {
        let pipe = pipe.clone();
        std::thread::spawn(move || std::fs::read(pipe).unwrap())
    };
    tensor_file::write(&pipe, &tensors, texts()).unwrap();
    assert_eq!(reading.join().unwrap(), std::fs::read(&usual).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_file_that_is_replaced_while_it_is_read_is_never_half_of_each() {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicBool, Ordering};
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let all = |number: f32| -> BTreeMap<String, tch::Tensor> {
        (0..100).map(|index| (format!("t{index:03}"), tch::Tensor::from_slice(&[number; 64]))).collect()
    };
    for (name, number) in [("ones", 1.0), ("twos", 2.0)] {
        tensor_file::write(&at(name), &all(number), Default::default()).unwrap();
    }
    std::fs::copy(at("ones"), at("model")).unwrap();
    let done = AtomicBool::new(false);
    let read: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for name in ["twos", "ones"] {
                    std::fs::copy(at(name), at("next")).unwrap();
                    std::fs::rename(at("next"), at("model")).unwrap();
                    // Clocks of files tick every few milliseconds.
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
            }
        });
        let read = (0..100).map(|_| tensor_file::read(&at("model"))).collect();
        done.store(true, Ordering::Relaxed);
        read
    });
    for read in read {
        match read {
            Ok((tensors, _)) => {
                let first = tensors["t000"].double_value(&[0]);
                assert!(tensors.values().all(|tensor| tensor.double_value(&[63]) == first));
            }
            Err(error) => {
                assert!(error.to_string().contains("another file took its name"), "{error}");
            }
        }
    }
}

/// Why a file is not read; `None` where it is.
fn refused(header: &str, data: u8) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    file(&path, header, data);
    let error = tensor_file::read(&path).err()?;
    match error.kind() {
        Kind::Model(ModelError::WeightsUnreadable { reason, .. }) => Some(reason.clone()),
        other => panic!("{other}"),
    }
}

#[test]
fn tensors_that_fill_the_file_are_read_in_any_order_and_with_spaces_behind_the_header() {
    let tensors = header(&[("b", "[2]", [4, 12]), ("none", "[0,7]", [4, 4]), ("a", "[]", [0, 4])]);
    assert_eq!(refused(&tensors, 12), None);
    assert_eq!(refused(&format!("{tensors}   "), 12), None);
    assert_eq!(refused("{}", 0), None);
}

#[test]
fn bytes_that_are_not_one_tensors_are_damage() {
    let overlap = "\"a\" and \"b\" overlap in it";
    let cases = [
        // Two names for the same bytes, a part of the same bytes, and one inside the other.
        (header(&[("a", "[2]", [0, 8]), ("b", "[2]", [0, 8])]), 8, overlap),
        (header(&[("a", "[2]", [0, 8]), ("b", "[2]", [4, 12])]), 12, overlap),
        (header(&[("a", "[4]", [0, 16]), ("b", "[1]", [4, 8])]), 16, overlap),
        (header(&[("a", "[2]", [0, 8]), ("b", "[2]", [12, 20])]), 20, "4 bytes of it belong to no tensor"),
        (header(&[("a", "[2]", [4, 12])]), 12, "4 bytes of it belong to no tensor"),
        (header(&[("a", "[2]", [0, 8])]), 9, "1 byte of it belongs to no tensor"),
        ("{}".to_owned(), 3, "3 bytes of it belong to no tensor"),
    ];
    for (header, data, reason) in cases {
        assert_eq!(refused(&header, data).as_deref(), Some(reason), "{header}");
    }
}

#[test]
fn places_that_are_not_the_shapes_are_damage() {
    let misfit = "the place of \"a\" in it is not as long as its shape says";
    let largest = usize::MAX;
    for tensors in [
        header(&[("a", "[2]", [0, 4])]),
        header(&[("a", "[2]", [8, 0])]),
        header(&[("a", "[2]", [largest - 3, 4])]),
        // Sizes whose product is 0, or wraps round to a small one.
        header(&[("a", "[0,18446744073709551615]", [0, 0])]),
        header(&[("a", "[0,4611686018427387904,4]", [0, 0])]),
        header(&[("a", "[4294967296,4294967296]", [0, 0])]),
    ] {
        assert_eq!(refused(&tensors, 8).as_deref(), Some(misfit), "{tensors}");
    }
    let cut_short = "its length is not what its first bytes say; it may have been cut short";
    assert_eq!(refused(&header(&[("a", "[2]", [0, 8])]), 7).as_deref(), Some(cut_short));
}

#[test]
fn a_name_that_stands_twice_is_damage() {
    let says = |header: &str, data| refused(header, data).unwrap_or_default();
    let twice = header(&[("a", "[1]", [0, 4]), ("a", "[1]", [4, 8])]);
    assert!(says(&twice, 8).contains("\"a\" stands in it twice"), "{}", says(&twice, 8));
    let texts = r#"{"__metadata__":{"history":"one","history":"other"}}"#;
    assert!(says(texts, 0).contains("\"history\" stands in it twice"), "{}", says(texts, 0));
}

#[test]
fn a_header_that_is_none_is_damage() {
    let other = "its header is not what safetensors writes";
    for header in [
        "",
        " {}",
        "[]",
        "{} {}",
        r#"{"__metadata__":{"step":1}}"#,
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}"#,
        r#"{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}"#,
    ] {
        let reason = refused(header, 4).unwrap_or_default();
        assert!(reason.starts_with(other), "{header:?}: {reason:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.safetensors");
    // A file with a hole: it takes no room on the disk, and its header would take much in memory.
    let long = std::fs::File::create(&path).unwrap();
    std::io::Write::write_all(&mut &long, &200_000_000_u64.to_le_bytes()).unwrap();
    long.set_len(200_000_008).unwrap();
    let error = tensor_file::read(&path).unwrap_err();
    assert!(error.to_string().contains("its header is longer than 100000000 bytes"), "{error}");
}
