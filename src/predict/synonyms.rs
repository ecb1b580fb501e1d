//! Words that are near to others in a model's own input embeddings.

use std::collections::BTreeSet;

use tch::{Kind as Type, Tensor, no_grad};

use crate::model::parameters::WORD_EMBEDDINGS;
use crate::model::tokenizer::Tokenizer;
use crate::predict::classifier::Base;
use crate::text::verbalizer::Verbalizer;

/// For each class its words with the nearest other whole word in the place of each, of the same weight; a
/// neighbour serves once, and no label word is one. None where a class's words have none.
pub fn nearest(verbalizer: &Verbalizer, base: &Base) -> Option<Vec<Vec<(String, f64)>>> {
    let tokenizer = base.tokenizer();
    let mut taken: BTreeSet<i64> = base.words.distinct_ids().into_iter().collect();
    let mut other = |word: &str| {
        let id = tokenizer.tokenize(word).first()?.id;
        let (near, _) = neighbours(base, id).into_iter().find(|(near, _)| !taken.contains(near))?;
        taken.insert(near);
        Some(tokenizer.token(near).to_owned())
    };
    let of_class = |class: &crate::text::verbalizer::Class| {
        let words: Vec<(String, f64)> =
            class.words.iter().filter_map(|word| Some((other(word.word())?, word.weight()))).collect();
        (!words.is_empty()).then_some(words)
    };
    verbalizer.classes().iter().map(of_class).collect()
}

/// So many of the nearest are looked at.
const NEAREST: i64 = 200;

/// The whole words nearest to a token by the cosine of their input embeddings, the nearest first, with the
/// cosine; the token itself is none of them.
pub fn neighbours(base: &Base, id: i64) -> Vec<(i64, f64)> {
    let (cosines, ids) = no_grad(|| {
        let embeddings = base.parameters.get(WORD_EMBEDDINGS);
        let own = embeddings.get(id);
        let length = |of: &Tensor| {
            of.square().sum_dim_intlist([-1].as_slice(), false, Type::Float).sqrt().clamp_min(1e-12)
        };
        let cosines = embeddings.mv(&own) / (length(embeddings) * length(&own));
        cosines.topk(NEAREST.min(cosines.size()[0]), -1, true, true)
    });
    // Of numbers by construction.
    let cosines: Vec<f64> = Vec::try_from(cosines.to_kind(Type::Double)).unwrap_or_default();
    let ids: Vec<i64> = Vec::try_from(ids).unwrap_or_default();
    let words =
        ids.into_iter().zip(cosines).filter(|(near, _)| *near != id && is_word(*near, base.tokenizer()));
    words.collect()
}

/// Whether a token is a whole word, of letters alone: a piece of a word has marks before it. A single letter
/// is a word only where letters are words, as in Chinese.
pub fn is_word(id: i64, tokenizer: &Tokenizer) -> bool {
    let token = tokenizer.token(id);
    token.chars().all(char::is_alphabetic) && (token.chars().count() > 1 || !token.is_ascii())
}
