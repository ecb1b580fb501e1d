//! An order of very many things without a list of them.

use rand::Rng as _;

use crate::seed;

/// A shuffled order of 0 to `count`, computed place by place: a Feistel network of four rounds over the next
/// power of four, walked on from whatever is too large (Black & Rogaway 2002, "Ciphers with Arbitrary Finite
/// Domains", section 3). It takes no memory, however many there are.
///
/// ```
/// use cloze::learn::corpus::Shuffled;
/// let order = Shuffled::new(7, "sequences of epoch 0", 1000);
/// let mut places: Vec<usize> = (0..1000).map(|place| order.at(place)).collect();
/// assert_ne!(places[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
/// places.sort_unstable();
/// assert!(places.into_iter().eq(0..1000));
/// ```
pub struct Shuffled {
    count: u64,
    /// The bits of a half.
    half: u32,
    keys: [u64; ROUNDS],
}

const ROUNDS: usize = 4;

impl Shuffled {
    /// The order of so many things, by a seed and a name.
    pub fn new(seed: u64, name: &str, count: usize) -> Shuffled {
        let count = count as u64;
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        let mut dice = seed::generator(seed, name);
        Shuffled { count, half: bits.div_ceil(2).max(1), keys: std::array::from_fn(|_| dice.r#gen()) }
    }

    /// What stands at a place.
    pub fn at(&self, place: usize) -> usize {
        let mut value = place as u64;
        loop {
            value = self.exchanged(value);
            if value < self.count {
                return usize::try_from(value).unwrap_or(usize::MAX);
            }
        }
    }

    /// A permutation of the numbers of twice `half` bits.
    fn exchanged(&self, value: u64) -> u64 {
        let mask = (1 << self.half) - 1;
        let (mut left, mut right) = (value >> self.half, value & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mixed(right ^ key) & mask));
        }
        left << self.half | right
    }
}

/// The finaliser of SplitMix64 (Steele et al. 2014): every bit of a number changes every bit of what comes out.
fn mixed(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
