//! What tells files apart: the SHA-256 of their bytes.

use std::io::Read as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::model::parameters::weight_files;

/// The SHA-256 of a file, hexadecimal.
pub fn hash_of(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    add(path, &mut hash)?;
    Ok(format!("{:x}", hash.finalize()))
}

/// The SHA-256 of a model folder's weight files, hexadecimal.
pub fn hash_of_weights(folder: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for path in weight_files(folder)? {
        add(&path, &mut hash)?;
    }
    Ok(format!("{:x}", hash.finalize()))
}

fn add(path: &Path, hash: &mut Sha256) -> Result<()> {
    let reading = |error: std::io::Error| Error::reading(path, &error);
    let mut file = std::fs::File::open(path).map_err(reading)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(reading)? {
            0 => return Ok(()),
            length => hash.update(&buffer[..length]),
        }
    }
}
