//! The zip archive of a checkpoint: its entries, and the bytes of one.
//!
//! What `torch.save` writes is a narrow kind of zip: one disk, no comment, nothing before the first entry or
//! between the directory and the file's end. So this reads that kind alone, and takes nothing on trust. The
//! crate `zip` 0.6 does not suit files by strangers: it takes memory for as many entries as the file says it
//! has, panics in `by_index` at an entry with an extra field of AES encryption, and may look for its
//! directory byte by byte through the whole file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::bytes::Bytes;
use super::{PickleError, Unsupported, damaged, not_a_checkpoint, shown, unsupported};

/// The most bytes that the directory may have; an entry takes about 100.
const MAX_DIRECTORY: u64 = 16 << 20;
/// How many bytes are read at once where all of an entry is needed only for its CRC-32.
const CHUNK: usize = 256 << 10;

const LOCAL_HEADER: u32 = 0x0403_4b50;
const DIRECTORY_HEADER: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const END_64_LOCATOR: u32 = 0x0706_4b50;
const END_LENGTH: usize = 22;
const LOCATOR_LENGTH: usize = 20;
const END_64_LENGTH: usize = 56;
const LOCAL_HEADER_LENGTH: u64 = 30;

/// The number that begins each file of PyTorch before 1.6, as a pickle writes it.
const LEGACY_MAGIC: &[u8] = &[0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// An open archive.
#[derive(Debug)]
pub(super) struct Archive {
    file: Mutex<File>,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Where its bytes begin in the file.
    start: u64,
    size: u64,
    crc32: u32,
    /// Why its bytes are not the file's own.
    obstacle: Option<Unsupported>,
    /// Whether its bytes have been compared with its CRC-32.
    compared: AtomicBool,
}

/// The directory, as the file's end describes it.
struct Directory {
    start: u64,
    size: u64,
    entries: u64,
}

impl Archive {
    /// Opens an archive and reads its directory.
    pub(super) fn open(path: &Path) -> Result<Archive, PickleError> {
        let kind = std::fs::metadata(path)?;
        if kind.is_dir() {
            return Err(std::io::Error::from(ErrorKind::IsADirectory).into());
        }
        if !kind.is_file() {
            return Err(not_a_checkpoint("it is not a regular file"));
        }
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        check_start(&read_at(&mut file, 0, length.min(64))?)?;
        let directory = find_directory(&mut file, length)?;
        let entries = read_directory(&mut file, &directory)?;
        Ok(Archive { file: Mutex::new(file), entries })
    }

    /// The entries' names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// How many bytes an entry has.
    pub(super) fn size(&self, name: &str) -> Result<u64, PickleError> {
        Ok(self.entry(name)?.size)
    }

    /// Some of an entry's bytes. The range must lie within its size.
    pub(super) fn read(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>, PickleError> {
        let entry = self.entry(name)?;
        // The file is only moved in and read, so that a panic in another thread has left nothing half done.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if entry.compared.load(Ordering::Relaxed) {
            return read_at(&mut file, entry.start + range.start, range.end - range.start);
        }
        let mut wanted = with_capacity(range.end - range.start)?;
        let mut crc32 = crc32fast::Hasher::new();
        let mut chunk = vec![0; entry.size.min(CHUNK as u64) as usize];
        let mut position = 0;
        file.seek(SeekFrom::Start(entry.start))?;
        while position < entry.size {
            let length = (entry.size - position).min(CHUNK as u64);
            let bytes = &mut chunk[..length as usize];
            file.read_exact(bytes).map_err(cut_short)?;
            crc32.update(bytes);
            let within = |place: u64| (place.clamp(position, position + length) - position) as usize;
            wanted.extend_from_slice(&bytes[within(range.start)..within(range.end)]);
            position += length;
        }
        if crc32.finalize() != entry.crc32 {
            return Err(damaged(format!("the bytes of {} are not those of its CRC-32", shown(name))));
        }
        entry.compared.store(true, Ordering::Relaxed);
        Ok(wanted)
    }

    fn entry(&self, name: &str) -> Result<&Entry, PickleError> {
        let entry =
            self.entries.get(name).ok_or_else(|| damaged(format!("it has no entry {}", shown(name))))?;
        match &entry.obstacle {
            None => Ok(entry),
            Some(obstacle) => Err(unsupported(obstacle.clone())),
        }
    }
}

/// Tells what does not begin as a zip archive does.
fn check_start(start: &[u8]) -> Result<(), PickleError> {
    if start.is_empty() {
        return Err(not_a_checkpoint("it is empty"));
    }
    if start.starts_with(b"version https://git-lfs") {
        return Err(not_a_checkpoint(
            "it is a pointer of Git LFS, not the file itself (git lfs pull fetches that)",
        ));
    }
    if start.starts_with(&LOCAL_HEADER.to_le_bytes()) {
        return Ok(());
    }
    // 0x80 is the first byte of every pickle since protocol 2.
    if start[0] == 0x80 && start.windows(LEGACY_MAGIC.len()).any(|bytes| bytes == LEGACY_MAGIC) {
        return Err(unsupported(Unsupported::LegacyFormat));
    }
    Err(not_a_checkpoint("it does not begin as a zip archive does"))
}

/// Finds the directory from the file's last bytes.
fn find_directory(file: &mut File, length: u64) -> Result<Directory, PickleError> {
    let most = (END_64_LENGTH + LOCATOR_LENGTH + END_LENGTH) as u64;
    let tail_start = length.saturating_sub(most);
    let tail = read_at(file, tail_start, length - tail_start)?;
    let no_end = || damaged("it does not end as a zip archive does; it may have been cut short");
    let (before, end) = tail.split_last_chunk::<END_LENGTH>().ok_or_else(no_end)?;
    let mut end = Bytes::new(end, "the end of the zip directory");
    if end.u32()? != END {
        return Err(no_end());
    }
    let (disk, directory_disk) = (end.u16()?, end.u16()?);
    let (entries_here, entries) = (end.u16()?, end.u16()?);
    let (size, start, comment) = (end.u32()?, end.u32()?, end.u16()?);
    if (disk, directory_disk, comment) != (0, 0, 0) || entries_here != entries {
        return Err(no_end());
    }
    let (directory, end_start) = match find_end_64(before, tail_start)? {
        Some(directory) => {
            // The short record repeats the long one, with the largest number where one does not fit.
            let agrees = u64::from(entries) == directory.entries.min(u16::MAX.into())
                && u64::from(size) == directory.size.min(u32::MAX.into())
                && u64::from(start) == directory.start.min(u32::MAX.into());
            if !agrees {
                return Err(damaged("its two descriptions of the zip directory differ"));
            }
            (directory, length - most)
        }
        None => {
            let directory = Directory { start: start.into(), size: size.into(), entries: entries.into() };
            (directory, length - END_LENGTH as u64)
        }
    };
    if directory.start.checked_add(directory.size) != Some(end_start) {
        return Err(damaged("its zip directory is not where its end says"));
    }
    if directory.size > MAX_DIRECTORY {
        let of = "bytes of zip directory";
        return Err(unsupported(Unsupported::TooLarge { of, most: MAX_DIRECTORY }));
    }
    Ok(directory)
}

/// The directory by the long record that `torch.save` writes before the short one, if there is such a record.
fn find_end_64(before: &[u8], tail_start: u64) -> Result<Option<Directory>, PickleError> {
    let Some((before, locator)) = before.split_last_chunk::<LOCATOR_LENGTH>() else {
        return Ok(None);
    };
    let mut locator = Bytes::new(locator, "the locator of the zip directory's end");
    if locator.u32()? != END_64_LOCATOR {
        return Ok(None);
    }
    let (_disk, place) = (locator.u32()?, locator.u64()?);
    let mut end = Bytes::new(before, "the long end of the zip directory");
    let (signature, length) = (end.u32()?, end.u64()?);
    // The record's length leaves out the 12 bytes read so far.
    if place != tail_start || signature != END_64 || length != (END_64_LENGTH - 12) as u64 {
        return Err(damaged("the end of its zip directory is not where its locator says"));
    }
    let _versions_and_disks = end.take(12)?;
    let (entries_here, entries, size, start) = (end.u64()?, end.u64()?, end.u64()?, end.u64()?);
    if entries_here != entries {
        return Err(damaged("its zip archive is of more than one part"));
    }
    Ok(Some(Directory { start, size, entries }))
}

/// Reads the directory and proves that the entries lie before it, one after another.
fn read_directory(file: &mut File, directory: &Directory) -> Result<BTreeMap<String, Entry>, PickleError> {
    let bytes = read_at(file, directory.start, directory.size)?;
    let mut headers = Bytes::new(&bytes, "the zip directory");
    let mut entries = BTreeMap::new();
    let mut places = Vec::new();
    for _ in 0..directory.entries {
        let header = Header::read(&mut headers)?;
        let (name, place, entry) = header.locate(file)?;
        if place.end > directory.start {
            return Err(damaged(format!("{} reaches beyond the entries' part of the file", shown(&name))));
        }
        places.push(place);
        if entries.contains_key(&name) {
            return Err(damaged(format!("two of its zip entries are named {}", shown(&name))));
        }
        entries.insert(name, entry);
    }
    if !headers.is_empty() {
        return Err(damaged("its zip directory is longer than its entries"));
    }
    places.sort_by_key(|place| place.start);
    if places.windows(2).any(|pair| pair[0].end > pair[1].start) {
        return Err(damaged("its zip entries overlap"));
    }
    Ok(entries)
}

/// What the directory says of an entry.
struct Header {
    name: String,
    flags: u16,
    method: u16,
    crc32: u32,
    /// How many bytes it takes in the file.
    packed: u64,
    size: u64,
    /// Where its local header begins.
    place: u64,
}

impl Header {
    fn read(bytes: &mut Bytes<'_>) -> Result<Header, PickleError> {
        if bytes.u32()? != DIRECTORY_HEADER {
            return Err(damaged("its zip directory has something else than entries"));
        }
        let _versions = bytes.u32()?;
        let (flags, method) = (bytes.u16()?, bytes.u16()?);
        let _time = bytes.u32()?;
        let (crc32, packed, size) = (bytes.u32()?, bytes.u32()?, bytes.u32()?);
        let (name, extra, comment) = (bytes.u16()?, bytes.u16()?, bytes.u16()?);
        let _disk_and_attributes = bytes.take(8)?;
        let place = bytes.u32()?;
        let name = std::str::from_utf8(bytes.take(name.into())?)
            .map_err(|_| damaged("the name of a zip entry is not UTF-8"))?;
        let mut header = Header {
            name: name.to_owned(),
            flags,
            method,
            crc32,
            packed: packed.into(),
            size: size.into(),
            place: place.into(),
        };
        header.widen(bytes.take(extra.into())?)?;
        bytes.take(comment.into())?;
        Ok(header)
    }

    /// Takes the numbers that did not fit from the extra field of long archives.
    fn widen(&mut self, extra: &[u8]) -> Result<(), PickleError> {
        let mut extra = Bytes::new(extra, "an extra field of the zip directory");
        while !extra.is_empty() {
            let (kind, length) = (extra.u16()?, extra.u16()?);
            let mut field = Bytes::new(extra.take(length.into())?, "an extra field of the zip directory");
            if kind != 1 {
                continue;
            }
            for number in [&mut self.size, &mut self.packed, &mut self.place] {
                if *number == u64::from(u32::MAX) {
                    *number = field.u64()?;
                }
            }
        }
        Ok(())
    }

    /// Finds the entry's bytes behind its local header: its name, the part of the file that it takes, and the
    /// entry.
    fn locate(self, file: &mut File) -> Result<(String, Range<u64>, Entry), PickleError> {
        let Header { name, flags, method, crc32, packed, size, place } = self;
        let local = read_at(file, place, LOCAL_HEADER_LENGTH + name.len() as u64)?;
        let mut local = Bytes::new(&local, "a local header");
        let (signature, _version, _flags, local_method) =
            (local.u32()?, local.u16()?, local.u16()?, local.u16()?);
        let _time_checksum_and_sizes = local.take(16)?;
        let (name_length, extra_length) = (local.u16()?, local.u16()?);
        let agrees = signature == LOCAL_HEADER
            && local_method == method
            && usize::from(name_length) == name.len()
            && local.take(name.len())? == name.as_bytes();
        if !agrees {
            return Err(damaged(format!("the zip directory and the entry {} differ", shown(&name))));
        }
        // No overflow: the header has been read there, so that its place is less than the largest i64.
        let start = place + LOCAL_HEADER_LENGTH + u64::from(name_length) + u64::from(extra_length);
        let end = start
            .checked_add(packed)
            .ok_or_else(|| damaged(format!("the length of {} is beyond all files", shown(&name))))?;
        let obstacle = match (flags & 1, method) {
            (0, 0) => None,
            (0, _) => Some(Unsupported::Compressed { entry: shown(&name) }),
            _ => Some(Unsupported::Encrypted { entry: shown(&name) }),
        };
        if obstacle.is_none() && packed != size {
            return Err(damaged(format!(
                "the entry {} is stored with another length than its own",
                shown(&name)
            )));
        }
        Ok((name, place..end, Entry { start, size, crc32, obstacle, compared: AtomicBool::new(false) }))
    }
}

/// Bytes of the file, which must have them.
fn read_at(file: &mut File, start: u64, length: u64) -> Result<Vec<u8>, PickleError> {
    let mut bytes = with_capacity(length)?;
    // A place beyond the largest i64 is one that no file has; the system would call it an invalid argument.
    if i64::try_from(start).is_err() {
        return Err(cut_short(ErrorKind::UnexpectedEof.into()));
    }
    file.seek(SeekFrom::Start(start))?;
    file.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(cut_short(ErrorKind::UnexpectedEof.into())) }
}

/// An empty vector with room for so many bytes, or the error that there is none.
fn with_capacity(length: u64) -> Result<Vec<u8>, PickleError> {
    let mut bytes = Vec::new();
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    bytes.try_reserve_exact(length).map_err(|_| std::io::Error::from(ErrorKind::OutOfMemory))?;
    Ok(bytes)
}

fn cut_short(error: std::io::Error) -> PickleError {
    match error.kind() {
        ErrorKind::UnexpectedEof => damaged("it ends before its entries do; it may have been cut short"),
        _ => error.into(),
    }
}
