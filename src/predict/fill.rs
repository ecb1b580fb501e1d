//! Texts with blanks of their own, and the likeliest words for each: what a masked language model does
//! without label words.

use tch::{Kind as Type, no_grad};

use crate::error::{Error, Result, TemplateError};
use crate::model::features::Features;
use crate::model::tokenizer::Tokenizer;
use crate::model::values::rows;
use crate::predict::classifier::Classifier;
use crate::predict::encode::encode;
use crate::predict::pvp::Pvp;
use crate::text::template::Template;

/// A word for a blank.
#[derive(Debug, Clone, PartialEq)]
pub struct Filled {
    /// The token.
    pub token: i64,
    /// The token as it is written.
    pub word: String,
    /// Its probability among all tokens, from 0 to 1.
    pub probability: f64,
}

/// The likeliest words for each blank of a text, so many at most, the likeliest first; of several models by
/// the mean of their probabilities. A blank is the model's mask token, and the other blanks stay blank
/// meanwhile.
pub(crate) fn fill(
    classifiers: &[Classifier],
    tokenizer: &Tokenizer,
    max_length: usize,
    text: &str,
    most: usize,
) -> Result<Vec<Vec<Filled>>> {
    let mask = tokenizer.token(tokenizer.special().mask);
    let parts: Vec<String> =
        text.split(mask).map(|part| part.replace('{', "{{").replace('}', "}}")).collect();
    if parts.len() < 2 {
        return Err(TemplateError::TextWithoutBlank { mask: mask.to_owned() }.into());
    }
    (0..parts.len() - 1)
        .map(|blank| {
            let pattern = pattern_with(&parts, blank);
            let pvp = Pvp::plain(Template::from_pattern(&pattern)?)?;
            let features = encode(&pvp.wrap(|_| "").masked(), tokenizer, max_length)?;
            likeliest(classifiers, tokenizer, &features, most)
        })
        .collect()
}

/// A text as a pattern in which one of its blanks is asked about; the others are fields, to be masked.
fn pattern_with(parts: &[String], blank: usize) -> String {
    let mut pattern = String::new();
    for (index, part) in parts.iter().enumerate() {
        pattern += part;
        match index {
            _ if index + 1 == parts.len() => {}
            _ if index == blank => pattern += "{mask}",
            _ => pattern += &format!("{{blank{index}}}"),
        }
    }
    pattern
}

fn likeliest(
    classifiers: &[Classifier],
    tokenizer: &Tokenizer,
    features: &Features,
    most: usize,
) -> Result<Vec<Filled>> {
    let said = no_grad(|| {
        let of_model = |classifier: &Classifier| match classifier {
            Classifier::Prompt(model, _) => Ok(model.vocabulary_logits(&[features]).softmax(-1, Type::Float)),
            Classifier::Sequence(_) => Err(Error::from(TemplateError::NothingAtBlank)),
        };
        let said = classifiers.iter().map(of_model).collect::<Result<Vec<_>>>()?;
        let count = said.len() as f64;
        let mean = said.into_iter().reduce(|sum, next| sum + next).unwrap_or_default() / count;
        let most = i64::try_from(most).unwrap_or(i64::MAX).clamp(1, mean.size()[1]);
        Ok::<_, Error>(mean.topk(most, -1, true, true))
    })?;
    let (probabilities, tokens) = (rows::<f64>(&said.0), rows::<i64>(&said.1));
    let word = |(probability, token): (f64, i64)| Filled {
        token,
        word: tokenizer.written(token).trim().to_owned(),
        probability,
    };
    Ok(probabilities.into_iter().flatten().zip(tokens.into_iter().flatten()).map(word).collect())
}
