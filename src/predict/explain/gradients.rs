//! Integrated gradients (Sundararajan et al. 2017).

use std::collections::HashMap;

use tch::{Kind as Type, Tensor, no_grad};

use super::{Explainer, MOST_STEPS, Place};
use crate::error::{EncodeError, Result};
use crate::model::encoder::Mode;
use crate::model::features::{Features, SoftSlot};
use crate::model::values::values;
use crate::numbers::quadrature::gauss_legendre;
use crate::predict::classifier::Classifier;
use crate::predict::encode::{FieldWord, encode_with_words};
use crate::predict::label_words::LabelWords;
use crate::predict::prompt_model::PromptModel;
use crate::predict::task::Task;
use crate::text::data::Example;

/// The most tokens that go through a model at once: their states are kept for the way back.
const TOKENS: usize = 2048;

/// What was found along the way.
pub(super) struct Found {
    /// What each word adds.
    pub(super) effects: Vec<f64>,
    /// The score of the row.
    pub(super) score: f64,
    /// The score where each of its words is a mask.
    pub(super) baseline: f64,
}

/// The tokens of a row's words in a pattern: their positions, and which of the words each is of.
struct Input {
    features: Features,
    tokens: Vec<(usize, usize)>,
}

impl Explainer {
    /// What each word adds to a class's score, the mean over patterns and models.
    pub(super) fn gradients(
        &self,
        example: &Example,
        read: &[Place],
        class: usize,
        steps: usize,
    ) -> Result<Found> {
        if !(1..=MOST_STEPS).contains(&steps) {
            return Err(EncodeError::GradientSteps { steps, most: MOST_STEPS }.into());
        }
        let rule = gauss_legendre(steps);
        let number: HashMap<Place, usize> =
            read.iter().enumerate().map(|(index, place)| (*place, index)).collect();
        let mut found = Found { effects: vec![0.0; read.len()], score: 0.0, baseline: 0.0 };
        for task in &self.tasks {
            let inputs = self.inputs(task, example, &number)?;
            let share = 1.0 / (self.tasks.len() * inputs.len() * self.classifiers.len()) as f64;
            for input in &inputs {
                for classifier in &self.classifiers {
                    let Classifier::Prompt(model, words) = classifier else {
                        let reason = "the head on [CLS] reads no pattern";
                        return Err(EncodeError::NoGradients { reason }.into());
                    };
                    let path = Path::new(model, words, input, class)?;
                    let [baseline, score] =
                        [0.0, 1.0].map(|at| no_grad(|| values::<f64>(&path.scores(&[at]).1)[0]));
                    found.score += share * score;
                    found.baseline += share * baseline;
                    for (&(_, word), effect) in input.tokens.iter().zip(path.integral(&rule)) {
                        found.effects[word] += share * effect;
                    }
                }
            }
        }
        Ok(found)
    }

    /// The row in a pattern, once for each draw of its demonstrations.
    fn inputs(&self, task: &Task, example: &Example, number: &HashMap<Place, usize>) -> Result<Vec<Input>> {
        let reason = if !task.template().steps().is_empty() {
            Some("a pattern with steps asks one question after another")
        } else if task.template().compares() {
            Some("a pattern without a mask compares texts")
        } else {
            None
        };
        if let Some(reason) = reason {
            return Err(EncodeError::NoGradients { reason }.into());
        }
        let prompts = task.prompts(std::slice::from_ref(example))?.into_iter().flatten();
        let input = |prompt| {
            let (features, words) = encode_with_words(&prompt, self.base.tokenizer(), self.max_length)?;
            let token = |(at, word): (usize, Option<FieldWord>)| {
                let word = word?;
                let place = Place { field: task.place_of(word.field)?, word: word.word };
                Some((at, *number.get(&place)?))
            };
            Ok(Input { tokens: words.into_iter().enumerate().filter_map(token).collect(), features })
        };
        prompts.map(input).collect()
    }
}

/// The way from a row of masks to a row, for one model.
///
/// Letters: N tokens of the row's words, E embedding size, M places on the way.
struct Path<'a> {
    model: &'a PromptModel,
    words: &'a LabelWords,
    input: &'a Input,
    class: i64,
    /// Where it begins, `[1,E]`.
    begin: Tensor,
    /// From there to the row, `[N,E]`.
    way: Tensor,
}

impl<'a> Path<'a> {
    fn new(
        model: &'a PromptModel,
        words: &'a LabelWords,
        input: &'a Input,
        class: usize,
    ) -> Result<Path<'a>> {
        let ids: Vec<i64> = input.tokens.iter().map(|&(at, _)| input.features.ids[at]).collect();
        let vectors = model.word_vectors(&ids).zip(model.word_vectors(&[model.tokenizer().special().mask]));
        let Some((row, begin)) = vectors else {
            let reason = "rust-bert's model gives no vectors of words";
            return Err(EncodeError::NoGradients { reason }.into());
        };
        Ok(Path { model, words, input, class: class as i64, way: row - &begin, begin })
    }

    /// The vectors at some places between 0 and 1, `[M·N,E]`, and the class's scores there, `[M]`, as a
    /// function of them.
    fn scores(&self, places: &[f64]) -> (Tensor, Tensor) {
        let at =
            Tensor::from_slice(places).to_kind(Type::Float).to_device(self.way.device()).view([-1, 1, 1]);
        let vectors = (&self.begin + at * &self.way).flatten(0, 1).detach().set_requires_grad(true);
        let Some((model, own)) = self.model.with_soft(&vectors) else {
            unreachable!("a model that gives vectors takes them too")
        };
        let slots = |place: usize| {
            let first = own + place * self.input.tokens.len();
            self.input
                .tokens
                .iter()
                .enumerate()
                .map(move |(index, &(at, _))| SoftSlot { at, vector: first + index })
        };
        let with_slots = |place: usize| {
            let mut features = self.input.features.clone();
            features.soft.extend(slots(place));
            features
        };
        let inputs: Vec<Features> = (0..places.len()).map(with_slots).collect();
        let scores = model.class_scores(&inputs.iter().collect::<Vec<_>>(), self.words, Mode::Score);
        let scores = scores.log_softmax(-1, Type::Double);
        let of_class = scores.select(1, self.class);
        // ln(1 - p) by the other classes, which loses no digits where p is near 1.
        let mask = scores.zeros_like().select_copy(0, 0);
        let _ = mask.get(self.class).fill_(f64::NEG_INFINITY);
        let others = (&scores + mask).logsumexp([1], false);
        (vectors, of_class - others)
    }

    /// Token by token, the way times the mean gradient along it.
    fn integral(&self, rule: &[(f64, f64)]) -> Vec<f64> {
        let tokens = self.input.tokens.len();
        if tokens == 0 {
            return Vec::new();
        }
        let together = (TOKENS / self.input.features.ids.len()).max(1);
        let mut effects = vec![0.0; tokens];
        for part in rule.chunks(together) {
            let places: Vec<f64> = part.iter().map(|(place, _)| *place).collect();
            let (vectors, scores) = self.scores(&places);
            let gradient = Tensor::run_backward(&[scores.sum(Type::Double)], &[&vectors], false, false);
            let gradient = gradient[0].view([part.len() as i64, tokens as i64, -1]).to_kind(Type::Double);
            let sums = (gradient * &self.way).sum_dim_intlist([2].as_slice(), false, Type::Double);
            for (sums, (_, weight)) in values::<f64>(&sums).chunks(tokens).zip(part) {
                effects.iter_mut().zip(sums).for_each(|(effect, sum)| *effect += weight * sum);
            }
        }
        effects
    }
}
