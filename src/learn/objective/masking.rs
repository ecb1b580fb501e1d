//! Which tokens a language model is to predict, and what stands in their place (Devlin et al. 2019, section
//! 3.1; whole words: the BERT repository's release of May 2019).

use rand::Rng;
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};

use crate::error::{Errors, TuningError};
use crate::model::tokenizer::{SpecialIds, Tokenizer};

/// How tokens are chosen and replaced.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Masking {
    /// The share of tokens that is chosen.
    pub rate: f64,
    /// The share of the chosen that becomes the mask.
    pub masked: f64,
    /// The share of the chosen that becomes any entry of the vocabulary; the rest stays.
    pub random: f64,
    /// Whether all pieces of a word are chosen together.
    pub whole_words: bool,
}

impl Default for Masking {
    /// BERT's: 15 %, of which 80 % become the mask and 10 % any entry.
    fn default() -> Masking {
        Masking { rate: 0.15, masked: 0.8, random: 0.1, whole_words: false }
    }
}

impl Masking {
    /// Refuses shares that are none. All problems at once.
    pub fn check(&self) -> Result<(), Errors> {
        let rest = 1.0 - self.masked;
        let checks = [
            ("mask_rate", self.rate, self.rate > 0.0 && self.rate < 1.0, "above 0 and below 1".to_owned()),
            ("masked", self.masked, (0.0..=1.0).contains(&self.masked), "from 0 to 1".to_owned()),
            (
                "random",
                self.random,
                // 0.8 and 0.2 are not quite 1 together.
                (0.0..=rest + 1e-9).contains(&self.random) || !(0.0..=1.0).contains(&self.masked),
                format!("from 0 to {rest:.3}, what is not masked"),
            ),
        ];
        let wrong = checks.into_iter().filter(|(_, _, is, _)| !is).map(|(name, found, _, allowed)| {
            TuningError::OptionOutOfRange { name: name.to_owned(), found, allowed }.into()
        });
        wrong.collect::<Errors>().none()
    }

    /// So many tokens of a sequence of a length are chosen.
    pub fn chosen(&self, length: usize) -> usize {
        ((self.rate * length as f64).round() as usize).max(1)
    }

    /// Chooses `count` tokens of a sequence and replaces them; gives their places, in order, with what stood
    /// there. Never chosen are `[CLS]` and `[SEP]`. Fewer where there are no more, or where no whole word has
    /// room.
    pub fn mask(
        &self,
        ids: &mut [i64],
        count: usize,
        tokenizer: &Tokenizer,
        dice: &mut impl Rng,
    ) -> Vec<(usize, i64)> {
        let (special, vocabulary) = (tokenizer.special(), tokenizer.vocabulary_size());
        let mut words: Vec<Vec<usize>> = Vec::new();
        for (at, &id) in ids.iter().enumerate() {
            if is_border(id, special) {
                continue;
            }
            match words.last_mut() {
                // Behind the piece before it, not behind a border.
                Some(word)
                    if self.whole_words
                        && !tokenizer.begins_word(id)
                        && word.last() == Some(&(at.wrapping_sub(1))) =>
                {
                    word.push(at);
                }
                _ => words.push(vec![at]),
            }
        }
        words.shuffle(dice);
        let mut places: Vec<usize> = Vec::with_capacity(count);
        for word in words {
            if places.len() + word.len() <= count {
                places.extend(word);
            }
            if places.len() == count {
                break;
            }
        }
        places.sort_unstable();
        let replace = |at: usize| {
            let id = ids[at];
            ids[at] = self.replaced(id, special.mask, vocabulary, dice);
            (at, id)
        };
        places.into_iter().map(replace).collect()
    }

    /// What stands in the place of a token that was chosen.
    pub(super) fn replaced(&self, id: i64, mask: i64, vocabulary: usize, dice: &mut impl Rng) -> i64 {
        let share: f64 = dice.r#gen();
        if share < self.masked {
            mask
        } else if share < self.masked + self.random {
            dice.gen_range(0..vocabulary) as i64
        } else {
            id
        }
    }
}

/// Whether a token is `[CLS]` or `[SEP]`.
pub(super) fn is_border(id: i64, special: SpecialIds) -> bool {
    [special.cls, special.sep].contains(&id)
}
