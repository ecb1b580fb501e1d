//! The training loop, for every objective and every way of tuning.

mod event;
mod state;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use rand::Rng as _;

use crate::error::Result;
use crate::learn::adamw::clip_gradients;
use crate::learn::dataset::LabelledDataset;
use crate::learn::encoded::EncodedRows;
use crate::learn::objective::{
    Auxiliary, Classification, CombinedLoss, LabelConditioned, LanguageModelling, Lesson, Mixture, Objective,
    Pairs, Step, Term,
};
use crate::learn::target::Target;
use crate::model::dtype::Dtype;
use crate::model::threads::Threads;
use crate::numbers::correlation;
use crate::numbers::softmax::log;
use crate::predict::classifier::{Classifier, VerbalizedLm};
use crate::predict::multi_label::scoring::against_last;
use crate::predict::score::{Scored, Scorer};
use crate::predict::task::Task;
use crate::seed;
use crate::text::data::{Columns, Example};
use crate::tune::soft::SoftTokens;
use crate::tune::{Beginning, Learned, OwnBeginning, SOFT_TOKENS, Trainable, Tuning, decays, is_verbalizer};

pub use crate::learn::plan::{ClassLoss, Plan};
pub use event::{Event, Look};
pub use state::{HeldOutEvaluation, State};

/// Everything about a training but its rows.
pub struct Trainer<'a> {
    /// The base model.
    pub base: &'a VerbalizedLm,
    /// What moves.
    pub tuning: &'a Tuning,
    /// How long and how fast.
    pub plan: &'a Plan,
    /// The patterns; every row is learned in each.
    pub tasks: &'a [Task],
    /// Their soft tokens.
    pub soft: &'a SoftTokens,
    /// All tasks, where several are learned together: then they share the soft tokens in front, and nothing
    /// else of the patterns and the label words.
    pub together: &'a [Together<'a>],
    /// The longest input, in tokens.
    pub max_length: usize,
    /// The number of classes.
    pub classes: usize,
    /// The seed of every random choice.
    pub seed: u64,
}

/// One of several tasks that are learned together.
#[derive(Clone, Copy)]
pub struct Together<'a> {
    /// Its name.
    pub name: &'a str,
    /// The base model with its label words.
    pub base: &'a VerbalizedLm,
    /// The soft tokens of its patterns.
    pub soft: &'a SoftTokens,
}

/// What is held out, and looked at on the way.
#[derive(Clone, Copy)]
pub enum HeldOut<'a> {
    /// Rows by which the step that is kept is chosen.
    Rows(&'a LabelledDataset),
    /// Tasks or texts by which nothing is chosen; each look is told what was learned so far.
    Looks(&'a dyn Fn(&Learned) -> Result<Vec<Look>>),
}

impl Trainer<'_> {
    /// The state before the first step. What the engine cannot train is refused: it would be left out without
    /// a word.
    pub fn begin(&self) -> Result<State> {
        self.base.check_engine(self.tuning, self.plan.bf16)?;
        let tokenizer = self.base.tokenizer();
        let common = tokenizer.common_words();
        let label_words = self.base.words.distinct_ids();
        let prefix = match self.tuning {
            Tuning::Prefix(options) | Tuning::PTuningV2(options) => {
                let (_, starts) = SoftTokens::place(
                    &[],
                    options.init.starts(options.length, &label_words, tokenizer)?,
                    tokenizer,
                )?;
                starts.ids(&common, self.seed)
            }
            _ => Vec::new(),
        };
        let mut soft = self.soft.ids(&common, self.seed);
        let own_of = |task: &Together<'_>| OwnBeginning {
            task: task.name.to_owned(),
            soft: task.soft.ids(&common, self.seed).split_off(task.soft.front()),
            class_start: task.base.class_start(),
        };
        let own: Vec<OwnBeginning> = self.together.iter().map(own_of).collect();
        if !own.is_empty() {
            soft.truncate(self.soft.front());
        }
        Ok(State::new(Trainable::new(
            self.tuning,
            &Beginning {
                config: &self.base.model.folder.config,
                base: &self.base.model.parameters,
                soft,
                prefix,
                classes: self.classes,
                class_start: if own.is_empty() { self.base.class_start() } else { None },
                own: &own,
                seed: self.seed,
            },
        )))
    }

    /// Rows in every pattern, as ids. One that is too long for a pattern is refused.
    pub fn encode(&self, columns: &Arc<Columns>, examples: &[Example]) -> Result<EncodedRows> {
        let model = self.base.model.folder.clone();
        EncodedRows::new(model, self.tasks, self.max_length, columns, examples)
    }

    /// Refuses rows that are too long for a pattern.
    pub fn check_rows(&self, columns: &Arc<Columns>, examples: &[Example]) -> Result<()> {
        self.encode(columns, examples).map(drop)
    }

    /// The loss of classes on rows with targets.
    pub fn classification(&self, rows: &LabelledDataset) -> Result<Objective> {
        self.lessons(rows, Lesson::default())
    }

    /// The same, with what a step takes of the rows, patterns and words.
    pub fn lessons(&self, rows: &LabelledDataset, lesson: Lesson) -> Result<Objective> {
        let encoded = self.encode(&rows.columns, &rows.examples)?;
        let (targets, words) = (rows.targets.clone(), self.base.words.clone());
        let how = (lesson, self.plan.loss);
        Ok(Objective::Classification(Classification::new(encoded, targets, words, how, self.seed)))
    }

    /// The whole loss of rows with targets, as the plan says it.
    pub fn loss(&self, rows: &LabelledDataset) -> Result<CombinedLoss> {
        let mut loss = CombinedLoss::from(self.classification(rows)?);
        if self.plan.loss == ClassLoss::Adapet {
            let encoded = self.encode(&rows.columns, &rows.examples)?;
            let (targets, words) = (rows.targets.clone(), &self.base.words);
            let objective =
                Objective::LabelConditioned(LabelConditioned::new(encoded, targets, words, self.seed));
            loss.beside.push(Term { weight: 1.0, objective });
        }
        Ok(loss)
    }

    /// The loss of pairs of rows, which stand in the first pattern.
    pub fn pairs(&self, rows: &LabelledDataset) -> Result<Objective> {
        let encoded = self.encode(&rows.columns, &rows.examples)?;
        Ok(Objective::Pairs(Pairs::new(encoded, rows.classes(), self.seed)))
    }

    /// PET's mixture: the loss of classes, and language modelling beside it. Where that weighs nothing it
    /// takes no part.
    pub fn with_auxiliary(&self, rows: &LabelledDataset, auxiliary: &Auxiliary<'_>) -> Result<CombinedLoss> {
        auxiliary.check(self.tuning, self.plan)?;
        let mut loss = CombinedLoss::from(self.classification(rows)?);
        loss.first.weight = 1.0 - auxiliary.weight;
        if auxiliary.weight > 0.0 {
            let encoded = self.encode(auxiliary.columns, auxiliary.examples)?;
            let objective = LanguageModelling::new(encoded, auxiliary.batch_size, self.seed);
            let objective = Objective::LanguageModelling(objective);
            loss.beside.push(Term { weight: auxiliary.weight, objective });
        }
        Ok(loss)
    }

    /// Trains from a state to the plan's last step, or until `watch` or the evaluations on held-out rows say
    /// stop.
    pub fn train(
        &self,
        state: &mut State,
        mixture: &mut Mixture,
        held_out: Option<HeldOut<'_>>,
        watch: &mut dyn FnMut(&Event, &State) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let Trainer { base, tuning, plan, seed, .. } = *self;
        let mut classifier = base.learned(tuning, &state.trainable.finished())?;
        while state.step < plan.steps && !state.stalled(plan.patience) {
            let started = Instant::now();
            let (number, trainable) = (state.step, &state.trainable);
            let (loss, turn) = mixture.drawn(number);
            tch::manual_seed(seed::generator(seed, &format!("dropout of step {number}")).r#gen());
            let (task, classifier) = (loss.task.clone(), &mut classifier);
            let step = &mut Step {
                number,
                turn,
                seed,
                task: task.as_deref(),
                base,
                tuning,
                plan,
                trainable,
                classifier,
            };
            let found = loss.add_gradients(step)?;
            let gradient_norm = clip_gradients(trainable.leaves(), plan.clip_norm);
            if !gradient_norm.is_finite() {
                return Err(loss.not_finite(number, &found));
            }
            let share = plan.rate(number);
            state.optimizer.step(trainable.leaves(), |name| {
                (
                    self.highest_rate(name) * share,
                    if decays(base.model.parameters.map(), name) { plan.weight_decay } else { 0.0 },
                )
            });
            state.trainable.forget_gradients();
            state.step += 1;
            let event = Event::Step {
                step: state.step,
                task,
                losses: found.losses,
                learning_rate: plan.learning_rate * share,
                gradient_norm,
                rows: found.rows.len(),
                seconds: started.elapsed().as_secs_f64(),
            };
            let mut stop = watch(&event, state)?.is_break();
            if let Some(held_out) = held_out.filter(|_| self.evaluates_after(state.step)) {
                stop |= watch(&self.look(state, held_out)?, state)?.is_break();
            }
            if stop {
                break;
            }
        }
        Ok(())
    }

    /// Whether held-out rows are evaluated on after so many steps.
    pub fn evaluates_after(&self, step: usize) -> bool {
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
            threads: Threads::usual(),
            long: Default::default(),
            pool: Default::default(),
            neighbours: None,
        }
    }

    fn look(&self, state: &mut State, held_out: HeldOut<'_>) -> Result<Event> {
        Ok(match held_out {
            HeldOut::Rows(rows) => {
                let evaluation = self.evaluate(state, rows)?;
                state.evaluated(evaluation);
                let HeldOutEvaluation { step, accuracy, loss } = evaluation;
                Event::Evaluated { step, accuracy, loss }
            }
            HeldOut::Looks(look) => {
                Event::Looked { step: state.step, looks: look(&state.trainable.finished())? }
            }
        })
    }

    /// Accuracy and mean loss on rows that are not trained on.
    fn evaluate(&self, state: &State, held_out: &LabelledDataset) -> Result<HeldOutEvaluation> {
        let classifiers =
            [self.base.learned(self.tuning, &state.trainable.finished())?.prepared(Dtype::F32)?];
        let scored = self.scorer(&classifiers).score(&held_out.columns, &held_out.examples, &mut |_| {})?;
        if let Some(evaluation) = of_several(state.step, &scored, held_out) {
            return Ok(evaluation);
        }
        if let Some(evaluation) = of_numbers(state.step, &scored, held_out) {
            return Ok(evaluation);
        }
        let pairs = || scored.iter().zip(held_out.classes());
        let right = pairs().filter(|(scored, truth)| scored.average.class() == *truth).count();
        let loss: f64 = pairs().map(|(scored, truth)| -log(scored.average.probabilities[truth])).sum();
        let rows = held_out.targets.len() as f64;
        Ok(HeldOutEvaluation { step: state.step, accuracy: right as f64 / rows, loss: loss / rows })
    }

    /// A tensor's learning rate at its highest: a pattern's soft tokens and a verbalizer's vectors that are
    /// learned beside another method have one of their own.
    fn highest_rate(&self, name: &str) -> f64 {
        let learns_vectors = matches!(self.tuning, Tuning::PromptTuning(_) | Tuning::PTuning(_));
        let beside = is_verbalizer(name) || (name == SOFT_TOKENS && !learns_vectors);
        if beside { self.plan.soft_learning_rate } else { self.plan.learning_rate }
    }
}

/// Pearson's correlation, and the mean loss, of rows with a number each, which are shares of two classes; none
/// where rows have one class. Where one side is the same in all rows, it is 0.
fn of_numbers(step: usize, scored: &[Scored], held_out: &LabelledDataset) -> Option<HeldOutEvaluation> {
    let share = |target: &Target| match target {
        Target::Soft { probabilities, .. } => Some(probabilities[1]),
        Target::Class(_) | Target::Labels(_) => None,
    };
    let truths: Vec<f64> = held_out.targets.iter().map(share).collect::<Option<_>>()?;
    let said: Vec<f64> = scored.iter().map(|scored| scored.average.probabilities[1]).collect();
    let divergence = |(truth, said): (&f64, &f64)| {
        let of = |truth: f64, said: f64| if truth > 0.0 { truth * (log(truth) - log(said)) } else { 0.0 };
        of(*truth, *said) + of(1.0 - truth, 1.0 - said)
    };
    let rows = truths.len();
    let loss = truths.iter().zip(&said).map(divergence).sum::<f64>() / rows as f64;
    let pearson = correlation::Pairs::new(truths, said).pearson(&vec![1.0; rows]);
    (rows > 0).then(|| HeldOutEvaluation { step, accuracy: pearson.unwrap_or(0.0), loss })
}

/// Micro-F1 at a half, and the mean loss, of rows with several labels each; none where rows have one class.
fn of_several(step: usize, scored: &[Scored], held_out: &LabelledDataset) -> Option<HeldOutEvaluation> {
    let (mut both, mut said_or_true, mut loss) = (0_u64, 0_u64, 0.0);
    for (scored, target) in scored.iter().zip(&held_out.targets) {
        let Target::Labels(labels) = target else { return None };
        let scores = against_last(&scored.average);
        for (&has, score) in labels.iter().zip(scores) {
            let given = score >= 0.0;
            both += u64::from(has && given);
            said_or_true += u64::from(has) + u64::from(given);
            // ln(1 + exp(-|z|)), and |z| more where the label is on the other side.
            let wrong = if has == given { 0.0 } else { score.abs() };
            loss += ((-score.abs()).exp().ln_1p() + wrong) / labels.len() as f64;
        }
    }
    let accuracy = if said_or_true == 0 { 0.0 } else { 2.0 * both as f64 / said_or_true as f64 };
    (!scored.is_empty()).then(|| HeldOutEvaluation { step, accuracy, loss: loss / scored.len() as f64 })
}
