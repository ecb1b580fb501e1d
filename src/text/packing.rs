//! Files that are packed: gzip and zstd, by what their names end in.

use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use zstd::stream::write::Encoder;

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// By gzip.
    Gzip,
    /// By zstd.
    Zstd,
}

impl Packing {
    /// What a file's name tells.
    ///
    /// ```
    /// use cloze::text::packing::Packing;
    /// assert_eq!(Packing::of("rows.csv.gz".as_ref()), Some(Packing::Gzip));
    /// assert_eq!(Packing::of("rows.csv".as_ref()), None);
    /// ```
    pub fn of(path: &Path) -> Option<Packing> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "gz" => Some(Packing::Gzip),
            "zst" => Some(Packing::Zstd),
            _ => None,
        }
    }
}

/// Packs what is written. The same bytes give the same file: no time and no name stand in it.
pub(super) enum Packer {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(Encoder<'static, Vec<u8>>),
}

impl Packer {
    pub(super) fn new(packing: Packing) -> io::Result<Packer> {
        Ok(match packing {
            Packing::Gzip => Packer::Gzip(GzEncoder::new(Vec::new(), Compression::default())),
            Packing::Zstd => Packer::Zstd(Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL)?),
        })
    }

    /// Packs bytes, and hands on what is ready.
    pub(super) fn write(&mut self, bytes: &[u8], output: &mut impl Write) -> io::Result<()> {
        let ready = match self {
            Packer::Gzip(packer) => packer.write_all(bytes).map(|()| packer.get_mut())?,
            Packer::Zstd(packer) => packer.write_all(bytes).map(|()| packer.get_mut())?,
        };
        output.write_all(ready)?;
        ready.clear();
        Ok(())
    }

    /// Hands on the rest.
    pub(super) fn finish(self, output: &mut impl Write) -> io::Result<()> {
        let rest = match self {
            Packer::Gzip(packer) => packer.finish()?,
            Packer::Zstd(packer) => packer.finish()?,
        };
        output.write_all(&rest)
    }
}
