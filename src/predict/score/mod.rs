//! Rows to class probabilities: wrapped, encoded, sorted by length, batched by a budget of tokens, and given
//! back in their order.
//!
//! Batches are scored side by side, each on a thread of its own: small operations gain nothing from several
//! threads, and threads that wait for each other after each of them lose where a processor is busy elsewhere.
//! Meanwhile the next rows are read and encoded.

mod chains;
mod cutting;
mod neighbours;
mod states;

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use serde::{Deserialize, Serialize};
use tch::Device;

use crate::error::{EncodeError, Error, Result};
use crate::model::features::Features;
use crate::model::threads::Threads;
use crate::model::tokenizer::Tokenizer;
use crate::predict::classifier::{Classifier, VerbalizedLm, compute_on_one_thread, on_processor};
use crate::predict::encode::{Long, encode_long};
use crate::predict::report::{
    PatternName, PatternReport, Pooling, Prediction, Report, Run, Spread, Tally, Windows,
};
use crate::predict::task::Task;
use crate::text::data::{Columns, Example};
use crate::text::template::Prompt;
use crate::text::verbalizer::Structure;

pub use chains::Chain;
pub use cutting::cut;
pub use neighbours::{Keys, Nearest, Neighbours};

/// The usual budget of a batch, in tokens: what fits a processor's caches, or keeps an accelerator busy.
pub fn batch_tokens(device: Device) -> usize {
    if device == Device::Cpu { 1024 } else { 16384 }
}

/// Where rows are few, batches are made smaller than the budget, so that every thread has one; but not
/// smaller than this.
const LEAST_BATCH_TOKENS: usize = 128;

/// What a batch costs beside its tokens, as a part of the usual budget: a batch with a quarter of it was as
/// fast for its tokens as a full one.
const EXTRA_SHARE: usize = 32;

/// Chunks whose batches wait for threads or are being scored: one to score, and one that is ready when the
/// first ends.
const CHUNKS_AHEAD: usize = 2;

/// Models and patterns, ready to score rows.
pub struct Scorer<'a> {
    /// The models; with several, their probabilities are averaged.
    pub classifiers: &'a [Classifier],
    /// The tokenizer of all of them.
    pub tokenizer: &'a Tokenizer,
    /// The patterns; with several, their probabilities are averaged.
    pub tasks: &'a [Task],
    /// The longest input, in tokens.
    pub max_length: usize,
    /// The most tokens in a batch, padding counted; one input is always taken.
    pub batch_tokens: usize,
    /// Batches that a processor scores side by side, each on a thread of its own.
    pub threads: usize,
    /// What is read of texts that are too long.
    pub long: Long,
    /// How windows on a text are put together.
    pub pool: Pooling,
    /// Labelled rows of which the nearest count beside the label words.
    pub neighbours: Option<&'a Neighbours>,
}

/// The chunk that comes next.
pub enum Coming<R> {
    /// It is there.
    Chunk(R),
    /// Nothing yet: only where there is other work to do meanwhile.
    Later,
    /// There are no more.
    End,
}

/// What was found for one row.
#[derive(Debug, Clone)]
pub struct Scored {
    /// Each pattern's prediction.
    pub by_pattern: Vec<Prediction>,
    /// The level of each pattern's class scores: the `ln Σ exp(z_c)` that the softmax takes away. Of several
    /// inputs and models it is the mean.
    pub levels: Vec<f64>,
    /// The predictions' average.
    pub average: Prediction,
    /// Which patterns had to cut the row.
    pub truncated: Vec<bool>,
    /// In which patterns some demonstrations had no room beside it.
    pub crowded: Vec<bool>,
    /// So many windows it was read in, in the pattern with most.
    pub windows: usize,
    /// So many tokens it has in all patterns together, with all of its windows and demonstrations.
    pub tokens: usize,
    /// Whether a row before it, in the same chunk, is the same in all patterns, so that nothing was computed
    /// anew.
    pub repeated: bool,
}

/// Inputs for one model, to be scored together.
struct Batch {
    chunk: usize,
    task: usize,
    classifier: usize,
    features: Arc<Vec<Features>>,
    /// Which of the features.
    chosen: Vec<usize>,
}

/// A batch with its predictions, or its inputs whose scores are no numbers.
struct Done {
    batch: Batch,
    outcome: Result<Vec<(Prediction, f64)>, Vec<usize>>,
}

/// A chunk of rows on its way.
struct Chunk<R> {
    number: usize,
    rows: R,
    by_task: Vec<TaskRows>,
    /// Batches that are not done.
    left: usize,
    /// The first row whose scores are no numbers.
    failed: Option<usize>,
}

/// A chunk's rows in one pattern.
struct TaskRows {
    features: Arc<Vec<Features>>,
    /// Which of the features a row has, and what each counts: one for each chain of steps and draw of
    /// demonstrations. Inputs that are the same to the model are scored once.
    of_row: Vec<Vec<(usize, f64)>>,
    truncated: Vec<bool>,
    crowded: Vec<bool>,
    /// Whether all inputs of a row are those of rows before it.
    repeated: Vec<bool>,
    /// So many windows each row is read in.
    windows: Vec<usize>,
    /// Classifier by classifier, the predictions for the features, and the levels of their scores.
    predictions: Vec<Vec<(Prediction, f64)>>,
}

impl<'a> Scorer<'a> {
    /// With the usual batches and threads; `base` is what the models are made of.
    pub fn of(
        base: &'a VerbalizedLm,
        classifiers: &'a [Classifier],
        tasks: &'a [Task],
        max_length: usize,
    ) -> Scorer<'a> {
        Scorer {
            classifiers,
            tokenizer: base.tokenizer(),
            tasks,
            max_length,
            batch_tokens: batch_tokens(base.model.device),
            threads: Threads::usual(),
            long: Long::default(),
            pool: Pooling::default(),
            neighbours: None,
        }
    }
}

impl<'a> Scorer<'a> {
    /// One that makes inputs of rows, and has no model to score them.
    pub fn to_encode(tokenizer: &'a Tokenizer, max_length: usize) -> Scorer<'a> {
        Scorer {
            classifiers: &[],
            tokenizer,
            tasks: &[],
            max_length,
            batch_tokens: 0,
            threads: 1,
            long: Long::default(),
            pool: Pooling::default(),
            neighbours: None,
        }
    }
}

impl Scorer<'_> {
    /// Scores rows; the results come in the rows' order. An error names its row. `progress` is told, after
    /// each batch, which share of the work is done, from 0 to 1.
    pub fn score(
        &self,
        columns: &Columns,
        examples: &[Example],
        progress: &mut dyn FnMut(f64),
    ) -> Result<Vec<Scored>> {
        let mut chunks = [examples].into_iter().map(Coming::Chunk);
        let mut all = Vec::new();
        let mut collect = |_, scored| {
            all = scored;
            Ok(())
        };
        self.score_chunks(
            columns,
            &mut |_| Ok(chunks.next().unwrap_or(Coming::End)),
            &mut collect,
            &mut |rows| progress(rows / examples.len() as f64),
        )?;
        Ok(all)
    }

    /// Each row's prediction, averaged over patterns and models.
    pub fn averages(&self, columns: &Columns, examples: &[Example]) -> Result<Vec<Prediction>> {
        let scored = self.score(columns, examples, &mut |_| {})?;
        Ok(scored.into_iter().map(|scored| scored.average).collect())
    }

    /// Scores chunk after chunk, while the next is made: `next` gives one, and is told whether it may take as
    /// long as it likes; `each` takes it with the rows' results, in the same order. An error names its row,
    /// and all chunks before it have been given to `each`. `progress` is told, after each batch, how many
    /// rows are done. On a processor libtorch's number of threads is 1 meanwhile, for each of the scorer's.
    pub fn score_chunks<R: AsRef<[Example]>>(
        &self,
        columns: &Columns,
        next: &mut dyn FnMut(bool) -> Result<Coming<R>>,
        each: &mut dyn FnMut(R, Vec<Scored>) -> Result<()>,
        progress: &mut dyn FnMut(f64),
    ) -> Result<()> {
        let threads = if on_processor(self.classifiers) { self.threads } else { 1 };
        // What a thread sets for itself, libtorch takes for what later threads should begin with: the number
        // that was there before comes back at the end. A model that one thread must have to itself has all of
        // them.
        let _before = on_processor(self.classifiers).then(|| Threads::on(self.threads));
        let shares =
            (0..threads).map(|_| self.classifiers.iter().map(Classifier::share).collect::<Option<Vec<_>>>());
        // An accelerator computes while the next rows are encoded; a processor with one thread has none for
        // that.
        let shares = if threads > 1 || !on_processor(self.classifiers) {
            shares.collect::<Option<Vec<_>>>()
        } else {
            None
        };
        let Some(shares) = shares else {
            let (classifiers, neighbours) = (self.classifiers, self.neighbours);
            let pool = Pool::Here { classifiers, neighbours, waiting: VecDeque::new() };
            return self.flow(pool, 1, columns, next, each, progress);
        };
        let stopped = AtomicBool::new(false);
        let (batches, to_score) = mpsc::channel();
        let (tell, done) = mpsc::channel();
        let to_score = Mutex::new(to_score);
        thread::scope(|scope| {
            for classifiers in shares {
                let (tell, to_score, stopped) = (tell.clone(), &to_score, &stopped);
                let neighbours = self.neighbours;
                scope.spawn(move || work(&classifiers, neighbours, to_score, &tell, stopped));
            }
            drop(tell);
            let flowed = self.flow(Pool::Threads { batches, done }, threads, columns, next, each, progress);
            // After an error no one wants what is still waiting.
            stopped.store(true, Ordering::Relaxed);
            flowed
        })
    }

    /// Chunks through a pool, which scores so many batches side by side.
    fn flow<R: AsRef<[Example]>>(
        &self,
        mut pool: Pool<'_>,
        threads: usize,
        columns: &Columns,
        next: &mut dyn FnMut(bool) -> Result<Coming<R>>,
        each: &mut dyn FnMut(R, Vec<Scored>) -> Result<()>,
        progress: &mut dyn FnMut(f64),
    ) -> Result<()> {
        let mut chunks: VecDeque<Chunk<R>> = VecDeque::new();
        let (mut begun, mut rows_done) = (0, 0.0);
        // What ends the rows: their end, or an error, which is told when the rows before it have been given
        // away.
        let mut end = None;
        let ahead = if matches!(pool, Pool::Here { .. }) { 1 } else { CHUNKS_AHEAD };
        loop {
            while end.is_none() && chunks.len() < ahead {
                let chunk = next(chunks.is_empty()).and_then(|next| match next {
                    Coming::Chunk(rows) => self.begin(begun, threads, columns, rows).map(Coming::Chunk),
                    Coming::Later => Ok(Coming::Later),
                    Coming::End => Ok(Coming::End),
                });
                match chunk {
                    Ok(Coming::Chunk((chunk, batches))) => {
                        begun += 1;
                        batches.into_iter().for_each(|batch| pool.put(batch));
                        chunks.push_back(chunk);
                    }
                    // What has come is answered meanwhile.
                    Ok(Coming::Later) if !chunks.is_empty() => break,
                    Ok(Coming::Later) => {}
                    Ok(Coming::End) => end = Some(Ok(())),
                    Err(error) => end = Some(Err(error)),
                }
            }
            while chunks.front().is_some_and(|chunk| chunk.left > 0) {
                let done = pool.take();
                let first = chunks[0].number;
                let chunk = &mut chunks[done.batch.chunk - first];
                rows_done += chunk.take(done) / (self.tasks.len() * self.classifiers.len()) as f64;
                progress(rows_done);
            }
            let Some(chunk) = chunks.pop_front() else { return end.unwrap_or(Ok(())) };
            if let Some(row) = chunk.failed {
                return Err(Error::new(EncodeError::ScoreNotFinite)
                    .at(columns.place(&chunk.rows.as_ref()[row], None)));
            }
            let scored = chunk.scored(self.pool);
            each(chunk.rows, scored)?;
        }
    }

    /// A chunk's rows encoded, and the batches to score.
    fn begin<R: AsRef<[Example]>>(
        &self,
        number: usize,
        threads: usize,
        columns: &Columns,
        rows: R,
    ) -> Result<(Chunk<R>, Vec<Batch>)> {
        let by_task: Vec<TaskRows> = self
            .tasks
            .iter()
            .map(|task| Ok(TaskRows::new(self.encode(task, columns, rows.as_ref())?, self.classifiers.len())))
            .collect::<Result<_>>()?;
        let tokens: usize =
            by_task.iter().flat_map(|rows| rows.features.iter()).map(|features| features.ids.len()).sum();
        let share = (tokens * self.classifiers.len()).div_ceil(threads);
        let budget = self.batch_tokens.min(share.max(LEAST_BATCH_TOKENS));
        let mut batches = Vec::new();
        for (task, rows) in by_task.iter().enumerate() {
            let mut order: Vec<usize> = (0..rows.features.len()).collect();
            order.sort_by_key(|&input| rows.features[input].ids.len());
            for chosen in self.batches(&rows.features, &order, budget) {
                batches.extend((0..self.classifiers.len()).map(|classifier| Batch {
                    chunk: number,
                    task,
                    classifier,
                    features: rows.features.clone(),
                    chosen: chosen.to_vec(),
                }));
            }
        }
        Ok((Chunk { number, rows, by_task, left: batches.len(), failed: None }, batches))
    }

    /// Some inputs, the shortest first, in batches within a budget of tokens.
    fn batches<'b>(&self, features: &[Features], order: &'b [usize], budget: usize) -> Vec<&'b [usize]> {
        let lengths: Vec<usize> = order.iter().map(|&input| features[input].ids.len()).collect();
        let device = self.classifiers.first().map_or(Device::Cpu, Classifier::device);
        let extra = batch_tokens(device) / EXTRA_SHARE;
        cut(&lengths, budget, extra).into_iter().map(|batch| &order[batch]).collect()
    }

    /// The rows in a pattern, as ids, with what each input of a row counts: one for each chain of steps, draw
    /// of demonstrations and window on a long text, their weights' sum 1. An error names its row.
    pub fn encode(
        &self,
        task: &Task,
        columns: &Columns,
        examples: &[Example],
    ) -> Result<Vec<Vec<(Features, f64)>>> {
        self.encode_changed(task, columns, examples, |prompt| prompt)
    }

    /// Each row's inputs in a pattern.
    pub fn features(
        &self,
        task: &Task,
        columns: &Columns,
        examples: &[Example],
    ) -> Result<Vec<Vec<Features>>> {
        let encoded = self.encode(task, columns, examples)?.into_iter();
        Ok(encoded.map(|row| row.into_iter().map(|(features, _)| features).collect()).collect())
    }

    /// The same, each prompt changed before.
    pub(crate) fn encode_changed(
        &self,
        task: &Task,
        columns: &Columns,
        examples: &[Example],
        change: impl Fn(Prompt<'_>) -> Prompt<'_>,
    ) -> Result<Vec<Vec<(Features, f64)>>> {
        let of_rows = |examples: &[Example]| -> Result<Vec<Vec<(Features, f64)>>> {
            let encode = |prompts: Vec<Prompt<'_>>| -> Result<Vec<(Features, f64)>> {
                let weight = 1.0 / prompts.len() as f64;
                let mut encoded = Vec::with_capacity(prompts.len());
                for prompt in prompts {
                    let windows = encode_long(&change(prompt), self.tokenizer, self.max_length, self.long)?;
                    let weight = weight / windows.len() as f64;
                    encoded.extend(windows.into_iter().map(|features| (features, weight)));
                }
                Ok(encoded)
            };
            let rows = task.prompts(examples)?.into_iter().zip(examples);
            rows.map(|(prompts, example)| {
                encode(prompts).map_err(|error| error.at(columns.place(example, None)))
            })
            .collect()
        };
        if task.template().steps().is_empty() {
            return of_rows(examples);
        }
        let of_chains = |chains: Vec<Chain>| -> Result<Vec<(Features, f64)>> {
            let (examples, shares): (Vec<Example>, Vec<f64>) = chains.into_iter().unzip();
            let weighted = |(inputs, share): (Vec<(Features, f64)>, f64)| {
                inputs.into_iter().map(move |(features, weight)| (features, weight * share))
            };
            Ok(of_rows(&examples)?.into_iter().zip(shares).flat_map(weighted).collect())
        };
        self.chains(task, columns, examples)?.into_iter().map(of_chains).collect()
    }
}

/// Who scores batches.
enum Pool<'a> {
    /// The thread that asks.
    Here { classifiers: &'a [Classifier], neighbours: Option<&'a Neighbours>, waiting: VecDeque<Batch> },
    /// Threads that take batches as they come.
    Threads { batches: mpsc::Sender<Batch>, done: mpsc::Receiver<thread::Result<Done>> },
}

impl Pool<'_> {
    fn put(&mut self, batch: Batch) {
        match self {
            Pool::Here { waiting, .. } => waiting.push_back(batch),
            // Fails only where the threads have ended, which `take` finds out.
            Pool::Threads { batches, .. } => drop(batches.send(batch)),
        }
    }

    /// One of the batches that were put and not taken.
    fn take(&mut self) -> Done {
        match self {
            Pool::Here { classifiers, neighbours, waiting } => match waiting.pop_front() {
                Some(batch) => predict(&classifiers[batch.classifier], *neighbours, batch),
                None => unreachable!("no batch is waiting"),
            },
            Pool::Threads { done, .. } => match done.recv() {
                Ok(Ok(done)) => done,
                Ok(Err(panic)) => resume_unwind(panic),
                Err(_) => unreachable!("the threads wait for batches as long as there may be some"),
            },
        }
    }
}

/// Scores batches until there are no more, or no one wants them.
fn work(
    classifiers: &[Classifier],
    neighbours: Option<&Neighbours>,
    to_score: &Mutex<mpsc::Receiver<Batch>>,
    tell: &mpsc::Sender<thread::Result<Done>>,
    stopped: &AtomicBool,
) {
    compute_on_one_thread(classifiers);
    loop {
        let batch = to_score.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = batch else { return };
        if stopped.load(Ordering::Relaxed) {
            return;
        }
        // A panic is handed on: whoever waits for the batch would wait for ever.
        let done =
            catch_unwind(AssertUnwindSafe(|| predict(&classifiers[batch.classifier], neighbours, batch)));
        let panicked = done.is_err();
        if tell.send(done).is_err() || panicked {
            return;
        }
    }
}

/// The predictions for a batch's inputs.
fn predict(classifier: &Classifier, neighbours: Option<&Neighbours>, batch: Batch) -> Done {
    let inputs: Vec<&Features> = batch.chosen.iter().map(|&input| &batch.features[input]).collect();
    let (values, levels) = match neighbours {
        None => classifier.probabilities_and_levels(&inputs),
        Some(rows) => rows.probabilities(classifier, (batch.task, batch.classifier), &inputs),
    };
    let of_input = || values.chunks(values.len() / batch.chosen.len());
    let failed: Vec<usize> = batch
        .chosen
        .iter()
        .zip(of_input())
        .filter(|(_, values)| values.iter().any(|value| !value.is_finite()))
        .map(|(&input, _)| input)
        .collect();
    let outcome = match failed.is_empty() {
        true => {
            let predictions = of_input().map(|values| Prediction { probabilities: values.to_vec() });
            Ok(predictions.zip(levels).collect())
        }
        false => Err(failed),
    };
    Done { batch, outcome }
}

impl TaskRows {
    fn new(features: Vec<Vec<(Features, f64)>>, classifiers: usize) -> TaskRows {
        let any = |of: &dyn Fn(&Features) -> bool| {
            features.iter().map(|row| row.iter().any(|(input, _)| of(input))).collect()
        };
        let (truncated, crowded) =
            (any(&|features| features.removed > 0), any(&|features| features.left_out > 0));
        let most = |row: &Vec<(Features, f64)>| row.iter().map(|(input, _)| input.windows).max().unwrap_or(1);
        let windows = features.iter().map(most).collect();
        let mut known: HashMap<Features, usize> = HashMap::with_capacity(features.len());
        let mut distinct = Vec::with_capacity(features.len());
        let mut place = |features: Features| {
            *known.entry(features).or_insert_with_key(|features| {
                distinct.push(features.clone());
                distinct.len() - 1
            })
        };
        let of_row: Vec<Vec<(usize, f64)>> = features
            .into_iter()
            .map(|row| row.into_iter().map(|(input, weight)| (place(input), weight)).collect())
            .collect();
        let mut before = 0;
        let is_known = |row: &Vec<(usize, f64)>| {
            let known = before;
            before = row.iter().map(|(input, _)| input + 1).fold(before, usize::max);
            before == known
        };
        let repeated = of_row.iter().map(is_known).collect();
        let predictions = vec![vec![(Prediction::default(), 0.0); distinct.len()]; classifiers];
        TaskRows { features: Arc::new(distinct), of_row, truncated, crowded, repeated, windows, predictions }
    }

    /// The level of a row's class scores, the mean over its inputs and the models.
    fn level(&self, row: usize) -> f64 {
        let of_member = |member: &Vec<(Prediction, f64)>| {
            self.of_row[row].iter().map(|&(input, weight)| weight * member[input].1).sum::<f64>()
        };
        self.predictions.iter().map(of_member).sum::<f64>() / self.predictions.len() as f64
    }

    /// The tokens of all inputs of a row.
    fn tokens(&self, row: usize) -> usize {
        self.of_row[row].iter().map(|&(input, _)| self.features[input].ids.len()).sum()
    }
}

impl<R: AsRef<[Example]>> Chunk<R> {
    /// Takes a batch's predictions. Returns how many rows they are for.
    fn take(&mut self, done: Done) -> f64 {
        let Done { batch, outcome } = done;
        let rows = &mut self.by_task[batch.task];
        self.left -= 1;
        match outcome {
            Ok(predictions) => {
                for (&input, prediction) in batch.chosen.iter().zip(predictions) {
                    rows.predictions[batch.classifier][input] = prediction;
                }
            }
            Err(inputs) => {
                let first = rows
                    .of_row
                    .iter()
                    .position(|of_row| of_row.iter().any(|(input, _)| inputs.contains(input)));
                self.failed = self.failed.into_iter().chain(first).min();
            }
        }
        // Rows that share an input are taken to be spread evenly.
        (batch.chosen.len() * rows.of_row.len()) as f64 / rows.features.len() as f64
    }

    fn scored(&self, pool: Pooling) -> Vec<Scored> {
        let row = |row: usize| {
            let of_task = |rows: &TaskRows| {
                let of_member = |member: &Vec<(Prediction, f64)>| {
                    let inputs = rows.of_row[row].iter().map(|&(input, weight)| (&member[input].0, weight));
                    match rows.of_row[row][..] {
                        [(input, _)] => member[input].0.clone(),
                        _ if rows.windows[row] > 1 => Prediction::pooled(inputs, pool),
                        _ => Prediction::weighted(inputs),
                    }
                };
                let members: Vec<Prediction> = rows.predictions.iter().map(of_member).collect();
                if members.len() == 1 {
                    members.into_iter().next().unwrap_or_default()
                } else {
                    Prediction::average(&members)
                }
            };
            let by_pattern: Vec<Prediction> = self.by_task.iter().map(of_task).collect();
            Scored {
                average: Prediction::average(&by_pattern),
                by_pattern,
                levels: self.by_task.iter().map(|rows| rows.level(row)).collect(),
                truncated: self.by_task.iter().map(|rows| rows.truncated[row]).collect(),
                crowded: self.by_task.iter().map(|rows| rows.crowded[row]).collect(),
                windows: self.by_task.iter().map(|rows| rows.windows[row]).max().unwrap_or(1),
                tokens: self.by_task.iter().map(|rows| rows.tokens(row)).sum(),
                repeated: self.by_task.iter().all(|rows| rows.repeated[row]),
            }
        };
        (0..self.rows.as_ref().len()).map(row).collect()
    }
}

/// What a report is made of, counted row by row: memory does not grow with the rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Counts {
    average: Tally,
    patterns: Vec<(Tally, u64)>,
    rows: u64,
    truncated: u64,
    crowded: u64,
    repeated: u64,
    windows: Windows,
}

impl Counts {
    /// Nothing counted yet, for classes of these labels and so many patterns.
    pub fn new(labels: &[String], patterns: usize) -> Counts {
        let tally = Tally::new(labels.iter().cloned());
        Counts {
            patterns: vec![(tally.clone(), 0); patterns],
            average: tally,
            rows: 0,
            truncated: 0,
            crowded: 0,
            repeated: 0,
            windows: Windows { rows: 0, windows: 0 },
        }
    }

    /// The same, which measures too what stands between the classes.
    #[must_use]
    pub fn structured(self, structure: &Structure) -> Counts {
        let patterns = self.patterns.into_iter();
        Counts {
            average: self.average.structured(structure),
            patterns: patterns.map(|(tally, cut)| (tally.structured(structure), cut)).collect(),
            ..self
        }
    }

    /// Whether these are of such labels and so many patterns, and whole: what was read may be anything.
    pub(crate) fn is_of(&self, labels: &[String], patterns: usize) -> bool {
        self.patterns.len() == patterns
            && self
                .patterns
                .iter()
                .map(|(tally, _)| tally)
                .chain([&self.average])
                .all(|one| one.is_of(labels))
    }

    /// Counts the rows of others too: as if these had been counted here, to the bit. Both are of the same
    /// labels and patterns.
    pub fn merge(&mut self, other: &Counts) {
        self.average.merge(&other.average);
        for ((own, truncated), (other, more)) in self.patterns.iter_mut().zip(&other.patterns) {
            own.merge(other);
            *truncated += more;
        }
        self.rows += other.rows;
        self.truncated += other.truncated;
        self.crowded += other.crowded;
        self.repeated += other.repeated;
        self.windows.rows += other.windows.rows;
        self.windows.windows += other.windows.windows;
    }

    /// Rows counted.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Counts a row; `truth` is its true class, if known.
    pub fn add(&mut self, scored: &Scored, truth: Option<usize>) {
        self.rows += 1;
        self.truncated += u64::from(scored.truncated.contains(&true));
        self.crowded += u64::from(scored.crowded.contains(&true));
        self.repeated += u64::from(scored.repeated);
        if scored.windows > 1 {
            self.windows.rows += 1;
            self.windows.windows += scored.windows as u64;
        }
        self.average.add(&scored.average, truth);
        for ((tally, truncated), (prediction, cut)) in
            self.patterns.iter_mut().zip(scored.by_pattern.iter().zip(&scored.truncated))
        {
            tally.add(prediction, truth);
            *truncated += u64::from(*cut);
        }
    }

    /// Counts a row's number too, by where it lies between the ends of a range.
    pub fn add_number(&mut self, scored: &Scored, share: f64) {
        self.average.add_number(&scored.average, share);
        let by_pattern = self.patterns.iter_mut().zip(&scored.by_pattern);
        by_pattern.for_each(|((tally, _), prediction)| tally.add_number(prediction, share));
    }

    /// The report.
    pub fn report(self, run: Run, patterns: &[PatternName], seconds: f64) -> Report {
        let patterns: Vec<PatternReport> = patterns
            .iter()
            .zip(&self.patterns)
            .map(|(name, (tally, truncated_rows))| PatternReport {
                template: name.template.clone(),
                pattern: name.pattern.clone(),
                truncated_rows: *truncated_rows,
                evaluation: tally.evaluate(),
            })
            .collect();
        let accuracies: Vec<f64> =
            patterns.iter().filter_map(|pattern| Some(pattern.evaluation.as_ref()?.accuracy)).collect();
        Report {
            version: 1,
            run,
            rows: self.rows,
            labelled: self.average.labelled(),
            left_out_rows: 0,
            near_labels: 0,
            truncated_rows: self.truncated,
            crowded_rows: self.crowded,
            repeated_rows: self.repeated,
            trained_on: None,
            calibrated_on: None,
            neighbours: None,
            windows: (self.windows.rows > 0).then_some(self.windows),
            seconds,
            rows_per_second: self.rows as f64 / seconds.max(1e-9),
            predicted: self.average.predicted(),
            mean: self.average.mean(),
            range: self.average.range(),
            majority: self.average.majority(),
            evaluation: self.average.evaluate(),
            patterns,
            spread: Spread::of(&accuracies),
            calibration: None,
            abstention: None,
            sets: None,
        }
    }
}
