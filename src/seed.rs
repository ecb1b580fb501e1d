//! Random numbers by name: every random choice comes from a seed and the name of what is chosen, so that one
//! choice more or less changes no other.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The generator of one named choice.
///
/// ChaCha with 8 rounds, keyed by the seed and the FNV-1a hash of the name: the same on every machine and in
/// every version.
///
/// ```
/// use rand::Rng;
/// let mut bootstrap = cloze::seed::generator(0, "bootstrap");
/// let mut shuffle = cloze::seed::generator(0, "shuffle");
/// assert_ne!(bootstrap.r#gen::<u64>(), shuffle.r#gen::<u64>());
/// assert_eq!(cloze::seed::generator(7, "a").r#gen::<u64>(), cloze::seed::generator(7, "a").r#gen::<u64>());
/// ```
pub fn generator(seed: u64, name: &str) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&fnv1a(name.as_bytes()).to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// Fowler, Noll and Vo's 64-bit hash: fixed by its definition, unlike the standard library's hasher.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
