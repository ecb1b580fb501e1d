//! Cross-entropy of class scores: of label words at the mask, of a verbalizer's own vectors, or of a
//! classifier on `[CLS]`; with soft labels distillation.

use std::ops::Range;

use rand::Rng as _;
use serde::{Deserialize, Serialize};
use tch::{Kind as Type, Tensor};

use super::adapet::{class_log_probabilities, decoupled_losses};
use super::prototype_contrast::{Contrasted, PartContrast, WholeContrast, contrastive_losses};
use super::step::{Input, Step, backward};
use crate::error::{Error, Kind, Result, TrainingError};
use crate::learn::encoded::{EncodedRows, EpochOrder, Item};
use crate::learn::plan::ClassLoss;
use crate::learn::target::{Target, several};
use crate::model::encoder::Mode;
use crate::model::features::Features;
use crate::predict::classifier::Classifier;
use crate::predict::label_words::LabelWords;
use crate::predict::prompt_model::PromptModel;
use crate::seed;

/// The mean loss over rows with targets: see [`Target`], and with prototypes [`contrastive_losses`].
pub struct Classification {
    rows: EncodedRows,
    targets: Vec<Target>,
    words: LabelWords,
    lesson: Lesson,
    loss: ClassLoss,
    order: Order,
}

/// What a step takes of a task, and what it is asked besides.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lesson {
    /// Which patterns its rows stand in.
    #[serde(rename = "templates_each_step")]
    pub templates: Each,
    /// Which label words of a class count.
    #[serde(rename = "words_each_step")]
    pub words: Each,
    /// Whether a batch has as many rows of each class.
    pub balance: bool,
    /// The weight of a second loss beside that of classes: the cross-entropy of the whole vocabulary, of
    /// which any of the class's words is right. It keeps label words likely as words, not only beside each
    /// other.
    pub vocabulary_weight: f64,
}

/// What of several things a step takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Each {
    /// All of them.
    #[default]
    All,
    /// One that is drawn.
    One,
}

/// In which order rows come.
enum Order {
    /// As epochs shuffle them.
    Shuffled(EpochOrder),
    /// Class by class in turn, each class's rows as its own epochs shuffle them.
    Balanced(Vec<(Vec<usize>, EpochOrder)>),
}

impl Order {
    /// Of things of which these are the classes.
    fn new(classes: &[usize], balance: bool, seed: u64) -> Order {
        if !balance {
            return Order::Shuffled(EpochOrder::new(seed, "order", classes.len()));
        }
        let count = classes.iter().max().map_or(0, |last| last + 1);
        let of_class = |class: usize| {
            let of_it: Vec<usize> = (0..classes.len()).filter(|&item| classes[item] == class).collect();
            let order = EpochOrder::new(seed, &format!("order of class {class}"), of_it.len());
            (!of_it.is_empty()).then_some((of_it, order))
        };
        Order::Balanced((0..count).filter_map(of_class).collect())
    }

    /// The items at some places, each with the epoch, its own order's.
    fn items(&mut self, places: Range<usize>) -> Vec<(usize, usize)> {
        match self {
            Order::Shuffled(order) => {
                let epochs: Vec<usize> = places.clone().map(|place| order.epoch_of(place)).collect();
                order.items(places).into_iter().zip(epochs).collect()
            }
            Order::Balanced(classes) => {
                let count = classes.len();
                let item = |place: usize| {
                    let (items, order) = &mut classes[place % count];
                    let (within, epoch) = (place / count, order.epoch_of(place / count));
                    order.items(within..within + 1).into_iter().map(|of_it| (items[of_it], epoch)).next()
                };
                places.filter_map(item).collect()
            }
        }
    }
}

impl Classification {
    /// Of rows with what each is to be answered with, by these label words, in the order of a seed.
    pub(crate) fn new(
        rows: EncodedRows,
        targets: Vec<Target>,
        words: LabelWords,
        (lesson, loss): (Lesson, ClassLoss),
        seed: u64,
    ) -> Classification {
        // With one pattern in a step a row is one thing to learn; with all of them each input is.
        let things = match lesson.templates {
            Each::One if rows.patterns() > 0 => rows.of_pattern(0),
            Each::One | Each::All => 0..rows.len(),
        };
        let classes: Vec<usize> = things.map(|item| targets[rows.row_of(item)].class()).collect();
        let order = Order::new(&classes, lesson.balance, seed);
        Classification { rows, targets, words, lesson, loss, order }
    }

    pub(super) fn add_gradients(
        &mut self,
        step: &mut Step<'_>,
        weight: f64,
    ) -> Result<(Option<f64>, Vec<usize>)> {
        let first = match self.lesson.templates {
            Each::All => 0,
            Each::One => {
                let pattern = seed::generator(step.seed, &format!("pattern of step {}", step.number))
                    .gen_range(0..self.rows.patterns());
                self.rows.of_pattern(pattern).start
            }
        };
        let drawn = self.order.items(step.places(step.plan.batch_size));
        let anew = |(item, epoch): &(usize, usize)| self.rows.anew(first + item, *epoch);
        let anew: Vec<Option<Item>> = drawn.iter().map(anew).collect::<Result<_>>()?;
        let mut inputs: Vec<Input<Contrasted<'_>>> = Vec::with_capacity(drawn.len());
        for ((item, _), anew) in drawn.iter().zip(&anew) {
            let item = match anew {
                Some(item) => item,
                None => self.rows.item(first + item)?,
            };
            let (features, target) = (&item.features, &self.targets[item.row]);
            let content = Contrasted { place: inputs.len(), features, target };
            inputs.push(Input { row: item.row, length: item.features.ids.len(), losses: 1, content });
        }
        let words = match self.lesson.words {
            Each::All => self.words.clone(),
            Each::One => self
                .words
                .one_of_each(&mut seed::generator(step.seed, &format!("words of step {}", step.number))),
        };
        let (number, r_drop) = (step.number, step.plan.r_drop);
        let whole = WholeContrast::of(step, &inputs, &words);
        let mean = self.mean_scores(step, &inputs, &words);
        let found = step.add_gradients(&inputs, weight, |classifier, part, scale| {
            let inputs: Vec<&Features> = part.iter().map(|asked| asked.features).collect();
            let targets: Vec<&Target> = part.iter().map(|asked| asked.target).collect();
            let contrast = whole.as_ref().map(|whole| whole.of_part(part));
            let once = || match self.loss {
                ClassLoss::Even => {
                    let scores = classifier.class_scores(&inputs, Mode::Train);
                    let losses = even_losses(&scores, mean.as_ref());
                    (scores, losses)
                }
                _ => self.losses(classifier, &words, &inputs, &targets, contrast.as_ref()),
            };
            let (scores, losses) = once();
            if r_drop == 0.0 {
                return backward(&losses, scale);
            }
            let (again, others) = once();
            backward(&((losses + others) / 2.0 + divergences(&scores, &again) * r_drop), scale)
        });
        let mean = found.map_err(|rows| self.not_finite(number, &rows))?;
        Ok((mean, inputs.into_iter().map(|input| input.row).collect()))
    }

    /// Where classes are to be even, the mean scores of a step's inputs that go through the model in parts.
    ///
    /// # Shapes
    /// `[C]`
    fn mean_scores(
        &self,
        step: &mut Step<'_>,
        inputs: &[Input<Contrasted<'_>>],
        words: &LabelWords,
    ) -> Option<Tensor> {
        if self.loss != ClassLoss::Even {
            return None;
        }
        let sums = step.of_parts(inputs, |classifier, part| {
            let inputs: Vec<&Features> = part.iter().map(|row| row.features).collect();
            let scores = match classifier {
                Classifier::Prompt(model, _) => model.class_scores(&inputs, words, Mode::Train),
                Classifier::Sequence(model) => model.class_scores(&inputs, Mode::Train),
            };
            scores.sum_dim_intlist(0, false, Type::Float)
        })?;
        Some(sums.into_iter().reduce(|sum, next| sum + next).unwrap_or_default() / inputs.len() as f64)
    }

    /// Scores and losses. A prototype verbalizer's contrast is one of the part's rows, or where a step goes
    /// through in parts that of them all.
    ///
    /// # Shapes
    /// B inputs → `[B,C]`, `[B]`
    fn losses(
        &self,
        classifier: &Classifier,
        words: &LabelWords,
        inputs: &[&Features],
        targets: &[&Target],
        contrast: Option<&PartContrast>,
    ) -> (Tensor, Tensor) {
        let (scores, vectors) = match classifier {
            Classifier::Prompt(model, _) if self.loss == ClassLoss::Adapet => {
                let logits = model.logits_at_masks(inputs, Mode::Train).squeeze_dim(1);
                let found = class_log_probabilities(&logits, inputs, words);
                let losses = decoupled_losses(&found, targets);
                return (found, losses);
            }
            Classifier::Prompt(model, _) if self.lesson.vocabulary_weight > 0.0 => {
                return self.losses_with_vocabulary(model, words, inputs, targets);
            }
            Classifier::Prompt(model, _) => model.scores_and_vectors(inputs, words, Mode::Train),
            Classifier::Sequence(model) => (model.class_scores(inputs, Mode::Train), None),
        };
        let losses = losses(&scores, targets);
        let losses = match (vectors, contrast) {
            (None, _) => losses,
            (Some(vectors), None) => losses + contrastive_losses(&vectors, targets),
            (Some(vectors), Some(contrast)) => losses + contrast.losses(&vectors),
        };
        (scores, losses)
    }

    fn losses_with_vocabulary(
        &self,
        model: &PromptModel,
        words: &LabelWords,
        inputs: &[&Features],
        targets: &[&Target],
    ) -> (Tensor, Tensor) {
        let logits = model.logits_at_masks(inputs, Mode::Train).squeeze_dim(1);
        let own = |row: usize| {
            let words = words.behind(inputs[row].is_bare);
            logits.get(row as i64).index_select(0, words.ids())
        };
        let own = match words.has_bare() {
            true => Tensor::stack(&(0..inputs.len()).map(own).collect::<Vec<_>>(), 0),
            false => logits.index_select(1, words.ids()),
        };
        let scores = model.scores_of_logits(&own, inputs, words);
        let of_classes = losses(&scores, targets);
        let all = [false, true].map(|is_bare| self.words.behind(is_bare).of_classes());
        let of_vocabulary: Vec<Tensor> = targets
            .iter()
            .enumerate()
            .map(|(row, target)| {
                let words = &all[usize::from(inputs[row].is_bare)][target.class()];
                let own = Tensor::from_slice(words).to_device(logits.device());
                logits.get(row as i64).index_select(0, &own).logsumexp([0], false)
            })
            .collect();
        let of_vocabulary = logits.logsumexp([1], false) - Tensor::stack(&of_vocabulary, 0);
        (scores, of_classes + of_vocabulary * self.lesson.vocabulary_weight)
    }

    pub(super) fn not_finite(&self, step: usize, rows: &[usize]) -> Error {
        self.rows.not_finite(rows, |records| {
            Kind::Training(TrainingError::LossNotFinite { step: step + 1, records })
        })
    }
}

/// How far the answers of two passes differ, row by row: `½ (KL(p‖q) + KL(q‖p))` (R-Drop: Liang et al. 2021).
///
/// ```
/// use cloze::learn::objective::divergences;
/// use tch::Tensor;
/// // By hand, of ½ : ½ and ¼ : ¾: ½ · ((½ - ¼) · ln 2 + (½ - ¾) · ln ⅔) = ½ · ¼ · ln 3.
/// let scores = |of: [f64; 2]| Tensor::from_slice(&of).view([1, 2]).log();
/// let found = divergences(&scores([0.5, 0.5]), &scores([0.25, 0.75])).double_value(&[0]);
/// assert!((found - 3.0_f64.ln() / 8.0).abs() < 1e-6);
/// ```
///
/// # Shapes
/// scores `[B,C]`, others `[B,C]` → `[B]`
pub fn divergences(scores: &Tensor, others: &Tensor) -> Tensor {
    let [one, other] = [scores, others].map(|scores| scores.log_softmax(-1, Type::Float));
    ((one.exp() - other.exp()) * (one - other)).sum_dim_intlist(-1, false, Type::Float) / 2.0
}

/// What null inputs lose (He, Long & Roy 2024): half of how far each one's classes are from even, and half of
/// how far those of their mean scores are, `½ (KL(U ‖ softmax(z)) + KL(U ‖ softmax(mean z)))`. The authors'
/// program has 1/C of that, which AdamW does not see. `mean` are the mean scores of a step that goes through the
/// model in parts; the losses' sum then has the gradients that the whole step's has.
///
/// ```
/// use cloze::learn::objective::even_losses;
/// use tch::Tensor;
/// // By hand, of ¼ : ¾ and ¾ : ¼: each is ½ · ln(½ / ¼) + ½ · ln(½ / ¾) = ½ · ln 4/3 from even, and their mean is even.
/// let scores = Tensor::from_slice(&[0.25, 0.75, 0.75, 0.25]).view([2, 2]).log();
/// let found = even_losses(&scores, None).double_value(&[0]);
/// assert!((found - (4.0_f64 / 3.0).ln() / 4.0).abs() < 1e-6);
/// ```
///
/// # Shapes
/// scores `[B,C]`, mean `[C]` → `[B]`
pub fn even_losses(scores: &Tensor, mean: Option<&Tensor>) -> Tensor {
    let classes = scores.size()[1] as f64;
    let from_even = |scores: &Tensor| {
        scores.logsumexp([-1], false) - scores.mean_dim([-1].as_slice(), false, Type::Float) - classes.ln()
    };
    let of_mean = match mean {
        None => from_even(&scores.mean_dim([0].as_slice(), false, Type::Float)),
        Some(mean) => {
            let excess = mean.softmax(-1, Type::Float) - 1.0 / classes;
            let towards = scores.matmul(&excess);
            from_even(mean) + &towards - towards.detach()
        }
    };
    (from_even(scores) + of_mean) / 2.0
}

/// Each row's loss: see [`Target`].
///
/// # Shapes
/// scores `[B,C]` → `[B]`
pub fn losses(scores: &Tensor, targets: &[&Target]) -> Tensor {
    let size = scores.size();
    if let Some(labels) = several(targets) {
        let count = size[1] - 1;
        let held = scores.narrow(1, 0, count) - scores.narrow(1, count, 1);
        let labels = Tensor::from_slice(&labels).to_kind(Type::Float).to_device(scores.device());
        let labels = labels.view([-1, count]);
        // -y ln σ(z) - (1 - y) ln(1 - σ(z)) = ln(1 + exp(z)) - y z
        let losses = held.softplus() - labels * &held;
        return losses.mean_dim([1].as_slice(), false, Type::Float);
    }
    // Of two axes by construction.
    let classes = scores.numel() / targets.len().max(1);
    let (probabilities, temperatures): (Vec<Vec<f64>>, Vec<f64>) =
        targets.iter().map(|target| target.soft(classes)).unzip();
    let to_tensor =
        |values: &[f64]| Tensor::from_slice(values).to_kind(Type::Float).to_device(scores.device());
    let probabilities = to_tensor(&probabilities.concat()).view(&size[..]);
    let temperatures = to_tensor(&temperatures).unsqueeze(1);
    let found = (scores / &temperatures).log_softmax(-1, Type::Float);
    let divergence = (probabilities.xlogy(&probabilities) - &probabilities * found).sum_dim_intlist(
        -1,
        false,
        Type::Float,
    );
    divergence * temperatures.squeeze_dim(1).square()
}
