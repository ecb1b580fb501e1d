//! Words that are near to others in a model's own input embeddings.

use std::collections::BTreeSet;

use tch::{Kind as Type, Tensor, no_grad};

use crate::model::tensor_map::Module;
use crate::model::values::values;
use crate::predict::classifier::VerbalizedLm;
use crate::text::verbalizer::Verbalizer;

/// For each class its words with the nearest other whole word in the place of each, of the same weight; a
/// neighbour serves once, and no label word is one. None where a class's words have none.
pub fn nearest(verbalizer: &Verbalizer, base: &VerbalizedLm) -> Option<Vec<Vec<(String, f64)>>> {
    let tokenizer = base.tokenizer();
    let mut taken: BTreeSet<i64> = base.words.distinct_ids().into_iter().collect();
    let mut other = |word: &str| {
        let id = *tokenizer.word_ids(word).first()?;
        let (near, _) = neighbours(base, id).into_iter().find(|(near, _)| !taken.contains(near))?;
        taken.insert(near);
        Some(tokenizer.letters(near).to_owned())
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
pub fn neighbours(base: &VerbalizedLm, id: i64) -> Vec<(i64, f64)> {
    let (cosines, ids) = no_grad(|| {
        let embeddings = base.model.parameters.weight(Module::WordEmbeddings);
        let own = embeddings.get(id);
        let length = |of: &Tensor| {
            of.square().sum_dim_intlist([-1].as_slice(), false, Type::Float).sqrt().clamp_min(1e-12)
        };
        let cosines = embeddings.mv(&own) / (length(embeddings) * length(&own));
        cosines.topk(NEAREST.min(cosines.size()[0]), -1, true, true)
    });
    let words = values::<i64>(&ids)
        .into_iter()
        .zip(values::<f64>(&cosines))
        .filter(|(near, _)| *near != id && base.tokenizer().is_word(*near));
    words.collect()
}
