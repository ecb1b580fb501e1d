//! The soft tokens of a run's patterns: how many vectors there are, where each stands, and what it starts
//! from.

use std::collections::BTreeMap;
use std::ops::Range;

use rand::Rng as _;
use tch::Tensor;

use crate::error::{Result, TemplateError};
use crate::model::tokenizer::Tokenizer;
use crate::seed;
use crate::text::template::{Placement, SoftStart, Template};

/// What one soft vector starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// A token's own vector.
    Token(i64),
    /// The vector of a sampled word.
    Sampled,
}

/// S soft vectors, and the start of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SoftTokens {
    front: usize,
    /// How many vectors each of the patterns' own soft tokens has.
    own: Vec<usize>,
    starts: Vec<Start>,
}

impl SoftTokens {
    /// Looks up the words that soft tokens start from, and gives every soft token of the patterns its
    /// vectors: first those of `front`, which stand before `[CLS]` in all of them, then the patterns' own in
    /// their order. A name stands for the same vectors in all.
    pub fn place(
        templates: &[Template],
        front: Vec<Start>,
        tokenizer: &Tokenizer,
    ) -> Result<(Vec<Placement>, SoftTokens)> {
        let mut soft = SoftTokens { front: front.len(), own: Vec::new(), starts: front };
        let mut named: BTreeMap<String, (SoftStart, Range<usize>)> = BTreeMap::new();
        // What a name stands for may be said after its first use.
        for template in templates {
            for piece in template.soft() {
                let (Some(name), Some(start)) = (&piece.name, &piece.start) else { continue };
                match named.get(name) {
                    Some((known, _)) if known == start => {}
                    Some(_) => {
                        return Err(
                            template.soft_error(piece, TemplateError::SoftTwoStarts { name: name.clone() })
                        );
                    }
                    None => {
                        let range =
                            soft.add(start, tokenizer).map_err(|kind| template.soft_error(piece, kind))?;
                        named.insert(name.clone(), (start.clone(), range));
                    }
                }
            }
        }
        let mut placed = Vec::with_capacity(templates.len());
        for template in templates {
            let mut placement = Placement { front: soft.front, ..Placement::default() };
            for piece in template.soft() {
                let range = match (&piece.name, &piece.start) {
                    (Some(name), _) => named.get(name).map(|(_, range)| range.clone()).ok_or_else(|| {
                        template.soft_error(piece, TemplateError::SoftUnknownName { name: name.clone() })
                    })?,
                    (None, start) => soft
                        .add(start.as_ref().unwrap_or(&SoftStart::Sampled(1)), tokenizer)
                        .map_err(|kind| template.soft_error(piece, kind))?,
                };
                placement.soft.push(range);
            }
            placed.push(placement);
        }
        Ok((placed, soft))
    }

    fn add(&mut self, start: &SoftStart, tokenizer: &Tokenizer) -> Result<Range<usize>, TemplateError> {
        let first = self.starts.len();
        match start {
            SoftStart::Sampled(count) => self.starts.extend(std::iter::repeat_n(Start::Sampled, *count)),
            SoftStart::Words(words) => {
                self.starts.extend(tokens_of(words, tokenizer)?.into_iter().map(Start::Token))
            }
        }
        self.own.push(self.starts.len() - first);
        Ok(first..self.starts.len())
    }

    /// S.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// How many stand before `[CLS]`.
    pub fn front(&self) -> usize {
        self.front
    }

    /// How many vectors each of the patterns' own soft tokens has, in their order.
    pub fn own(&self) -> &[usize] {
        &self.own
    }

    /// A token id for each vector, those to sample drawn from `common` by the seed.
    pub fn ids(&self, common: &[i64], seed: u64) -> Vec<i64> {
        let mut generator = seed::generator(seed, "soft tokens");
        let id = |start: &Start| match start {
            Start::Token(id) => *id,
            Start::Sampled => common[generator.gen_range(0..common.len())],
        };
        self.starts.iter().map(id).collect()
    }

    /// The vectors before training.
    ///
    /// # Shapes
    /// word embeddings `[V,H]` → `[S,H]`
    pub fn vectors(&self, words: &Tensor, common: &[i64], seed: u64) -> Tensor {
        words.index_select(0, &Tensor::from_slice(&self.ids(common, seed)).to_device(words.device()))
    }
}

/// The ids of words' tokens; none of them may be unknown.
pub fn tokens_of(words: &str, tokenizer: &Tokenizer) -> Result<Vec<i64>, TemplateError> {
    let ids = tokenizer.word_ids(words);
    if ids.is_empty() || ids.contains(&tokenizer.special().unk) {
        return Err(TemplateError::SoftWithoutWords { words: words.to_owned() });
    }
    Ok(ids)
}
