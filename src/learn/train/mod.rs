//! The training loop: cross-entropy over class scores, for every way of tuning.

pub mod auxiliary;
mod plan;

use std::time::Instant;

use rand::Rng as _;
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use tch::{Kind as Type, Tensor};

use crate::error::{Error, Kind, Result};
use crate::learn::adamw::{AdamW, clip_gradients};
use crate::model::dtype::Dtype;
use crate::model::encoder::Mode;
use crate::model::features::Features;
use crate::model::head::TEMPERATURE;
use crate::model::tokenizer::common_words;
use crate::predict::classifier::{Base, Classifier};
use crate::predict::score::Scorer;
use crate::predict::task::Task;
use crate::seed;
use crate::text::data::{Columns, Example};
use crate::tune::soft::SoftTokens;
use crate::tune::{Beginning, Form, Learned, Learner, SOFT_TOKENS, Tuning, decays, is_verbalizer};

pub use auxiliary::Auxiliary;
pub use plan::Plan;

/// What a row is to be answered with.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A class: the loss is the cross-entropy of the class scores z, `-ln softmax(z)[class]`.
    Class(usize),
    /// Soft labels q at a temperature T: the loss is `T² · KL(q ‖ softmax(z / T))` (Hinton et al. 2015,
    /// section 2: T² keeps the gradient's size where T changes).
    Soft {
        /// A probability for each class.
        probabilities: Vec<f64>,
        /// What the class scores are divided by.
        temperature: f64,
    },
}

impl Target {
    /// The class, or the likeliest; the first of equals.
    pub fn class(&self) -> usize {
        match self {
            Target::Class(class) => *class,
            Target::Soft { probabilities, .. } => {
                let better = |best: usize, next: usize| {
                    if probabilities[next] > probabilities[best] { next } else { best }
                };
                (0..probabilities.len()).reduce(better).unwrap_or(0)
            }
        }
    }

    /// The probability of each class, and the temperature.
    fn soft(&self, classes: usize) -> (Vec<f64>, f64) {
        match self {
            Target::Class(class) => {
                ((0..classes).map(|other| f64::from(u8::from(other == *class))).collect(), 1.0)
            }
            Target::Soft { probabilities, temperature } => (probabilities.clone(), *temperature),
        }
    }
}

/// Rows with what they are to be answered with.
#[derive(Clone, Copy)]
pub struct Labelled<'a> {
    /// The columns of all rows.
    pub columns: &'a Columns,
    /// The rows.
    pub examples: &'a [Example],
    /// What each is to be answered with.
    pub targets: &'a [Target],
}

/// Everything about a training but its rows.
pub struct Trainer<'a> {
    /// The base model.
    pub base: &'a Base,
    /// What moves.
    pub tuning: &'a Tuning,
    /// How long and how fast.
    pub plan: &'a Plan,
    /// The patterns; every row is learned in each.
    pub tasks: &'a [Task],
    /// Their soft tokens.
    pub soft: &'a SoftTokens,
    /// The longest input, in tokens.
    pub max_length: usize,
    /// The number of classes.
    pub classes: usize,
    /// The seed of every random choice.
    pub seed: u64,
    /// Language modelling on rows without labels beside the loss of those with them.
    pub auxiliary: Option<Auxiliary<'a>>,
}

/// What happens while training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Event {
    /// An optimiser step was taken. `loss` is the mean over its `rows` labelled rows, `mlm_loss` that over
    /// the chosen tokens of its unlabelled ones, each before [`Auxiliary::weight`]; the second is absent
    /// without such rows, or where no token was chosen.
    Step {
        step: usize,
        loss: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mlm_loss: Option<f64>,
        learning_rate: f64,
        gradient_norm: f64,
        rows: usize,
        seconds: f64,
    },
    /// Held-out rows were looked at.
    Evaluated { step: usize, accuracy: f64, loss: f64 },
}

/// What is to be done next, as whoever watches says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The next step.
    On,
    /// Nothing: the state is kept and can be gone on with.
    Stop,
}

/// A training between two steps: all that going on needs.
pub struct State {
    /// What moves.
    pub learner: Learner,
    /// The optimiser's memory.
    pub optimizer: AdamW,
    /// Steps taken.
    pub step: usize,
    /// The looks at held-out rows so far.
    pub looks: Vec<Look>,
    /// What was learned at the best look.
    pub best: Option<Learned>,
}

/// One look at held-out rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Look {
    pub step: usize,
    pub accuracy: f64,
    pub loss: f64,
}

impl Look {
    /// More rows right, or as many with a lower loss: few held-out rows tie often.
    fn beats(&self, other: &Look) -> bool {
        self.accuracy > other.accuracy || (self.accuracy == other.accuracy && self.loss < other.loss)
    }
}

impl State {
    /// The best look so far; the first of equals.
    pub fn best_look(&self) -> Option<&Look> {
        self.looks.iter().reduce(|best, look| if look.beats(best) { look } else { best })
    }

    /// Whether so many looks in a row were no better than the best before them.
    fn stalled(&self, patience: usize) -> bool {
        let best = self.best_look().map_or(0, |best| best.step);
        self.looks.iter().filter(|look| look.step > best).count() >= patience
    }

    /// What a run keeps: what was learned at the best look, or at the end where none was taken.
    pub fn kept(&self) -> Learned {
        match &self.best {
            Some(best) => best.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect(),
            None => self.learner.finished(),
        }
    }
}

/// A row in a pattern.
struct Item {
    features: Features,
    row: usize,
}

impl Trainer<'_> {
    /// The state before the first step. What the engine cannot train is refused: it would be left out without
    /// a word.
    pub fn begin(&self) -> Result<State> {
        self.base.check_engine(self.tuning, self.plan.bf16)?;
        if let Some(auxiliary) = &self.auxiliary {
            auxiliary.check(self.tuning).map_err(|mut wrong| wrong.swap_remove(0))?;
        }
        let tokenizer = self.base.tokenizer();
        let common = common_words(tokenizer);
        let label_words = self.base.words.distinct_ids();
        let prefix = match self.tuning {
            Tuning::Prefix(options) | Tuning::PTuningV2(options) => {
                let (_, starts) = SoftTokens::check(
                    Vec::new(),
                    options.init.starts(options.length, &label_words, tokenizer)?,
                    tokenizer,
                )?;
                starts.ids(&common, self.seed)
            }
            _ => Vec::new(),
        };
        let learner = Learner::new(
            self.tuning,
            &Beginning {
                config: &self.base.folder.config,
                base: &self.base.parameters,
                soft: self.soft.ids(&common, self.seed),
                prefix,
                classes: self.classes,
                class_start: self.base.class_start(),
                seed: self.seed,
            },
        );
        Ok(State { optimizer: AdamW::new(learner.leaves()), learner, step: 0, looks: Vec::new(), best: None })
    }

    /// Refuses rows that are too long for a pattern.
    pub fn check_rows(&self, rows: Labelled<'_>) -> Result<()> {
        let scorer = self.scorer(&[]);
        self.tasks.iter().try_for_each(|task| scorer.encode(task, rows.columns, rows.examples).map(drop))
    }

    /// Trains from a state to the plan's last step, or until `watch` or the looks at `held_out` say stop.
    pub fn train(
        &self,
        state: &mut State,
        rows: Labelled<'_>,
        held_out: Option<Labelled<'_>>,
        watch: &mut dyn FnMut(&Event, &State) -> Result<Flow>,
    ) -> Result<()> {
        let items = self.items(rows.columns, rows.examples)?;
        let unlabelled = self.unlabelled()?;
        let mut classifier = self.base.learned(self.tuning, &state.learner.finished())?;
        while state.step < self.plan.steps && !state.stalled(self.plan.patience) {
            let started = Instant::now();
            let step_items = self.items_of_step(items.len(), self.plan.batch_size, state.step, "order");
            tch::manual_seed(seed::generator(self.seed, &format!("dropout of step {}", state.step)).r#gen());
            let loss = self.gradients(&mut classifier, state, rows, &items, &step_items)?;
            let mlm_loss = match &unlabelled {
                Some((auxiliary, items)) => {
                    self.auxiliary_gradients(&mut classifier, state, auxiliary, items)?
                }
                None => None,
            };
            let gradient_norm = clip_gradients(state.learner.leaves(), self.plan.clip_norm);
            if !gradient_norm.is_finite() {
                let all: Vec<usize> = step_items.iter().map(|&item| items[item].row).collect();
                return Err(self.loss_not_finite(rows, &all, state.step));
            }
            let share = self.plan.rate(state.step);
            state.optimizer.step(state.learner.leaves(), |name| {
                let rate =
                    if self.is_beside(name) { self.plan.soft_learning_rate } else { self.plan.learning_rate };
                (rate * share, if decays(name) { self.plan.weight_decay } else { 0.0 })
            });
            state.step += 1;
            let event = Event::Step {
                step: state.step,
                loss,
                mlm_loss,
                learning_rate: self.plan.learning_rate * share,
                gradient_norm,
                rows: step_items.len(),
                seconds: started.elapsed().as_secs_f64(),
            };
            let mut flow = watch(&event, state)?;
            if let Some(held_out) = held_out.filter(|_| self.looks_after(state.step)) {
                let look = self.look(state, held_out)?;
                let better = state.best_look().is_none_or(|best| look.beats(best));
                state.looks.push(look);
                if better {
                    state.best = Some(state.learner.finished());
                }
                let event = Event::Evaluated { step: look.step, accuracy: look.accuracy, loss: look.loss };
                if watch(&event, state)? == Flow::Stop {
                    flow = Flow::Stop;
                }
            }
            if flow == Flow::Stop {
                break;
            }
        }
        Ok(())
    }

    /// Whether held-out rows are looked at after so many steps.
    pub fn looks_after(&self, step: usize) -> bool {
        step.is_multiple_of(self.plan.evaluate_every) || step == self.plan.steps
    }

    /// Scores rows as `score` does.
    pub fn scorer<'b>(&'b self, classifiers: &'b [Classifier]) -> Scorer<'b> {
        Scorer {
            classifiers,
            tokenizer: self.base.tokenizer(),
            tasks: self.tasks,
            max_length: self.max_length,
            batch_tokens: self.plan.batch_tokens,
        }
    }

    /// Adds the gradients of a step's mean loss, times what [`Auxiliary`] leaves of it, to the leaves; gives
    /// the loss.
    fn gradients(
        &self,
        classifier: &mut Classifier,
        state: &State,
        rows: Labelled<'_>,
        items: &[Item],
        chosen: &[usize],
    ) -> Result<f64> {
        let weight = 1.0 - self.auxiliary.map_or(0.0, |auxiliary| auxiliary.weight);
        let mut total = 0.0;
        for part in self.parts(chosen.to_vec(), |item| items[item].features.ids.len()) {
            self.adapt(classifier, state);
            let inputs: Vec<&Features> = part.iter().map(|&item| &items[item].features).collect();
            let targets: Vec<&Target> = part.iter().map(|&item| &rows.targets[items[item].row]).collect();
            let (scores, vectors) = classifier.scores_and_vectors(&inputs, Mode::Train);
            let losses = losses(&scores, &targets);
            let losses = match vectors {
                None => losses,
                Some(vectors) => losses + contrastive_losses(&vectors, &targets),
            };
            total += backward(&losses, chosen.len(), weight).map_err(|bad| {
                let bad: Vec<usize> = bad.into_iter().map(|index| items[part[index]].row).collect();
                self.loss_not_finite(rows, &bad, state.step)
            })?;
        }
        Ok(total)
    }

    /// Puts what was learned so far into the classifier. Anew for each part of a step: a part's backward pass
    /// uses its graph up.
    fn adapt(&self, classifier: &mut Classifier, state: &State) {
        classifier.adapt(self.base, self.tuning, &state.learner.learned(), Form::Beside);
        if self.plan.bf16 {
            classifier.narrow();
        }
    }

    fn loss_not_finite(&self, rows: Labelled<'_>, bad: &[usize], step: usize) -> Error {
        not_finite(rows.columns, rows.examples, bad, |records| Kind::LossNotFinite {
            step: step + 1,
            records,
        })
    }

    /// A step's inputs in parts that fit the budget of tokens, like lengths together.
    fn parts(&self, mut inputs: Vec<usize>, length: impl Fn(usize) -> usize) -> Vec<Vec<usize>> {
        inputs.sort_by_key(|&input| length(input));
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for input in inputs {
            match parts.last_mut() {
                Some(part) if (part.len() + 1) * length(input) <= self.plan.batch_tokens => part.push(input),
                _ => parts.push(vec![input]),
            }
        }
        parts
    }

    /// The items of a step. Every epoch has its own order, which depends on the seed, the epoch and the
    /// order's name alone.
    fn items_of_step(&self, count: usize, batch_size: usize, step: usize, name: &str) -> Vec<usize> {
        let size = batch_size * self.plan.accumulation;
        let mut order: (usize, Vec<usize>) = (usize::MAX, Vec::new());
        (step * size..(step + 1) * size)
            .map(|place| {
                let epoch = place / count;
                if order.0 != epoch {
                    let mut shuffled: Vec<usize> = (0..count).collect();
                    shuffled.shuffle(&mut seed::generator(self.seed, &format!("{name} of epoch {epoch}")));
                    order = (epoch, shuffled);
                }
                order.1[place % count]
            })
            .collect()
    }

    /// Rows in every pattern.
    fn items(&self, columns: &Columns, examples: &[Example]) -> Result<Vec<Item>> {
        let scorer = self.scorer(&[]);
        let mut items = Vec::with_capacity(examples.len() * self.tasks.len());
        for task in self.tasks {
            let features = scorer.encode(task, columns, examples)?;
            let of_row = |(row, draws): (usize, Vec<(Features, f64)>)| {
                draws.into_iter().map(move |(features, _)| Item { features, row })
            };
            items.extend(features.into_iter().enumerate().flat_map(of_row));
        }
        Ok(items)
    }

    /// Accuracy and mean loss on rows that are not trained on.
    fn look(&self, state: &State, held_out: Labelled<'_>) -> Result<Look> {
        let classifiers =
            [self.base.learned(self.tuning, &state.learner.finished())?.prepared(Dtype::F32)?];
        let scored = self.scorer(&classifiers).score(held_out.columns, held_out.examples, &mut |_| {})?;
        let pairs = || scored.iter().zip(held_out.targets.iter().map(Target::class));
        let right = pairs().filter(|(scored, truth)| scored.average.class() == *truth).count();
        let loss: f64 = pairs()
            .map(|(scored, truth)| -scored.average.probabilities[truth].max(f64::MIN_POSITIVE).ln())
            .sum();
        let rows = held_out.targets.len() as f64;
        Ok(Look { step: state.step, accuracy: right as f64 / rows, loss: loss / rows })
    }

    /// Whether a tensor holds a pattern's soft tokens that are learned beside another method.
    fn is_beside(&self, name: &str) -> bool {
        let learns_vectors = matches!(self.tuning, Tuning::PromptTuning(_) | Tuning::PTuning(_));
        is_verbalizer(name) || (name == SOFT_TOKENS && !learns_vectors)
    }
}

/// Adds the gradients of `weight` times the sum of losses over `count` to the leaves; gives that sum over
/// `count`, or which losses are not finite.
///
/// # Shapes
/// losses `[B]`
fn backward(losses: &Tensor, count: usize, weight: f64) -> Result<f64, Vec<usize>> {
    let loss = losses.sum(Type::Float) / count as f64;
    let value = loss.double_value(&[]);
    if !value.is_finite() {
        let bad = |index: &usize| !losses.double_value(&[*index as i64]).is_finite();
        return Err((0..losses.numel()).filter(bad).collect());
    }
    // Where soft tokens alone are learned, rows in a pattern without any teach nothing.
    if loss.requires_grad() {
        (loss * weight).backward();
    }
    Ok(value)
}

/// The error of rows whose losses are not finite.
fn not_finite(
    columns: &Columns,
    examples: &[Example],
    bad: &[usize],
    kind: impl FnOnce(Vec<u64>) -> Kind,
) -> Error {
    let mut records: Vec<u64> = bad.iter().map(|&row| examples[row].record).collect();
    records.sort_unstable();
    records.dedup();
    // Where many rows are concerned, it is none of them that is at fault.
    let place = (records.len() == 1).then(|| columns.place(&examples[bad[0]], None));
    let error = Error::new(kind(records));
    match place {
        Some(place) => error.at(place),
        None => error,
    }
}

/// What a prototype verbalizer's rows lose beside the cross-entropy of their scores, which is the loss of
/// rows and prototypes: that of rows and rows. For a row i it is the mean over the other rows j of its class
/// of `-ln(exp(s_ij) / Σ_k exp(s_ik))`, s the cosines over [`TEMPERATURE`] and k all rows but i; 0 for a row
/// without another of its class (Cui et al. 2022, who count the row itself).
///
/// # Shapes
/// vectors `[B,P]` of length 1 → `[B]`
pub fn contrastive_losses(vectors: &Tensor, targets: &[&Target]) -> Tensor {
    let rows = targets.len() as i64;
    let device = vectors.device();
    let classes: Vec<i64> = targets.iter().map(|target| target.class() as i64).collect();
    let classes = Tensor::from_slice(&classes).to_device(device);
    let itself = Tensor::eye(rows, (Type::Bool, device));
    let alike = classes
        .unsqueeze(0)
        .eq_tensor(&classes.unsqueeze(1))
        .logical_and(&itself.logical_not())
        .to_kind(Type::Float);
    // Of a row alone nothing is left to compare with.
    let cosines =
        (vectors.matmul(&vectors.transpose(0, 1)) / TEMPERATURE).masked_fill(&itself, f64::from(f32::MIN));
    let logs = cosines.log_softmax(-1, Type::Float).masked_fill(&itself, 0.0);
    let count = alike.sum_dim_intlist([-1].as_slice(), false, Type::Float).clamp_min(1.0);
    -(logs * alike).sum_dim_intlist([-1].as_slice(), false, Type::Float) / count
}

/// Each row's loss: see [`Target`].
///
/// # Shapes
/// scores `[B,C]` → `[B]`
pub fn losses(scores: &Tensor, targets: &[&Target]) -> Tensor {
    let (rows, classes) = scores.size2().unwrap_or_default();
    let (probabilities, temperatures): (Vec<Vec<f64>>, Vec<f64>) =
        targets.iter().map(|target| target.soft(usize::try_from(classes).unwrap_or_default())).unzip();
    let to_tensor =
        |values: &[f64]| Tensor::from_slice(values).to_kind(Type::Float).to_device(scores.device());
    let probabilities = to_tensor(&probabilities.concat()).view([rows, classes]);
    let temperatures = to_tensor(&temperatures).unsqueeze(1);
    let found = (scores / &temperatures).log_softmax(-1, Type::Float);
    let divergence = (probabilities.xlogy(&probabilities) - &probabilities * found).sum_dim_intlist(
        -1,
        false,
        Type::Float,
    );
    divergence * temperatures.squeeze_dim(1).square()
}
