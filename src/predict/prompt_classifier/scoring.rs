//! Rows scored as they come, with a calibration that is fitted first or on these rows themselves.

use std::ops::Deref;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tch::Device;

use super::PromptClassifier;
use crate::error::Result;
use crate::model::threads::Threads;
use crate::predict::calibrator::{Calibrator, Counted};
use crate::predict::classifier::Classifier;
use crate::predict::mask_words::WordShare;
use crate::predict::output::Answer;
use crate::predict::report::Run;
use crate::predict::score::{Coming, Nearest, Neighbours, Scored, Scorer};
use crate::predict::showing::{Showing, forwards};
use crate::predict::task::Task;
use crate::text::data::{Columns, Example, Next, Rows};
use crate::text::dataset::{Dataset, is_near, truth};

/// Rows are read, sorted and scored in chunks of at most so many rows and so many bytes of text: enough to
/// sort well by length, little enough to hold in memory whatever the rows are.
const CHUNK_ROWS: usize = 2048;
const CHUNK_BYTES: usize = 8 << 20;

impl PromptClassifier {
    /// The patterns on the columns of rows, with all that has to be asked of the model before the rows. While
    /// it lives, rust-bert's model belongs to it alone: others that classify with it wait.
    pub fn on(&self, tasks: Vec<Task>, columns: Arc<Columns>) -> Result<Scoring<'_>> {
        let _threads = Threads::on(self.threads);
        let guard = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = guard.iter().map(Classifier::share).collect::<Option<Vec<_>>>();
        let members = shared.map_or_else(|| Members::Alone(guard), Members::Shared);
        Showing::check_wanted(&tasks, self.showing.is_some())?;
        let mut scoring = Scoring { classifier: self, members, tasks: Vec::new(), columns, neighbours: None };
        let Some(showing) = &self.showing else { return Ok(Scoring { tasks, ..scoring }) };
        scoring.tasks = showing.asked_of(tasks, &scoring.scorer(), &scoring.columns)?;
        Ok(scoring)
    }
}

/// The models of one scoring.
pub(super) enum Members<'a> {
    /// Copies over the same numbers: other threads may score meanwhile.
    Shared(Vec<Classifier>),
    /// Models that one thread must have to itself: others wait.
    Alone(MutexGuard<'a, Vec<Classifier>>),
}

impl Deref for Members<'_> {
    type Target = [Classifier];

    fn deref(&self) -> &[Classifier] {
        match self {
            Members::Shared(members) => members,
            Members::Alone(members) => members,
        }
    }
}

/// A classifier on the columns of rows.
pub struct Scoring<'a> {
    classifier: &'a PromptClassifier,
    pub(super) members: Members<'a>,
    /// The patterns.
    pub tasks: Vec<Task>,
    /// The rows' columns.
    pub columns: Arc<Columns>,
    /// Labelled rows of which the nearest count beside the label words.
    neighbours: Option<Neighbours>,
}

/// Rows that are scored together, with their true classes where they are known.
struct Chunk {
    examples: Vec<Example>,
    truths: Vec<Option<usize>>,
    ends: bool,
}

impl AsRef<[Example]> for Chunk {
    fn as_ref(&self) -> &[Example] {
        &self.examples
    }
}

/// What is done with a chunk of rows and their answers. The last says whether these may be handed on: inside
/// a batch of a stream the rest is still to come, and a batch may have no rows.
pub type Each<'a> = dyn FnMut(&[Example], Vec<Answer>, bool) -> Result<()> + 'a;

/// Rows that were read together.
pub(crate) struct Together {
    pub(crate) rows: Vec<Example>,
    /// Whether their answers may be handed on.
    pub(crate) ends: bool,
}

impl AsRef<[Example]> for Together {
    fn as_ref(&self) -> &[Example] {
        &self.rows
    }
}

/// How far a scoring is, for whoever watches.
#[derive(Debug, Clone, Copy)]
pub struct ScoringProgress {
    /// The share that is done of fitting a correction on other rows, before any row is answered.
    pub fitting: Option<f64>,
    /// Rows done; parts of them where a row is in several batches.
    pub done: f64,
    /// Rows read.
    pub rows_read: u64,
    /// Bytes read.
    pub bytes_read: u64,
}

impl Scoring<'_> {
    /// The models with the patterns.
    pub fn scorer(&self) -> Scorer<'_> {
        Scorer {
            classifiers: &self.members,
            tokenizer: &self.classifier.folder.tokenizer,
            tasks: &self.tasks,
            max_length: self.classifier.patterns.max_length,
            batch_tokens: self.classifier.batch_tokens,
            threads: self.classifier.threads,
            long: self.classifier.long.0,
            pool: self.classifier.long.1,
            neighbours: self.neighbours.as_ref(),
        }
    }

    /// The same with labelled rows of which the nearest count beside the label words, and how they count.
    pub fn beside(self, rows: &Dataset) -> Result<(Self, Nearest)> {
        let _threads = Threads::on(self.classifier.threads);
        let neighbours = self.scorer().neighbours(rows, &self.classifier.labels)?;
        let nearest = neighbours.nearest();
        Ok((Scoring { neighbours: Some(neighbours), ..self }, nearest))
    }

    /// Scores labelled or unlabelled rows with a calibration, which is fitted first, or on these rows
    /// themselves: then all of them are read before the first is answered. `each` is given the rows of a
    /// chunk with their answers. Gives what was counted.
    pub fn run(
        &self,
        mut rows: Rows,
        calibrator: &mut Calibrator,
        each: &mut Each<'_>,
        progress: &mut dyn FnMut(ScoringProgress),
    ) -> Result<Counted> {
        let _threads = Threads::on(self.classifier.threads);
        let scorer = self.scorer();
        let holding = calibrator.on_own_rows();
        if !holding {
            calibrator.fit(&scorer, &self.columns, &mut |share| {
                progress(ScoringProgress { fitting: Some(share), done: 0.0, rows_read: 0, bytes_read: 0 });
            })?;
        }
        let mut counted = Counted::new(calibrator, self.tasks.len());
        let read = std::cell::Cell::new((0, 0));
        let mut near = 0;
        let mut next = |may_wait: bool| {
            let come = match read_chunk(&mut rows, may_wait)? {
                Coming::Chunk(come) => come,
                Coming::Later => return Ok(Coming::Later),
                Coming::End => return Ok(Coming::End),
            };
            let Together { rows: come, ends } = come;
            let (mut examples, mut truths) = (Vec::with_capacity(come.len()), Vec::with_capacity(come.len()));
            for example in come {
                match truth(&self.classifier.verbalizer, &self.columns, &example) {
                    Ok(class) => {
                        near += u64::from(is_near(&self.classifier.verbalizer, &example, class));
                        truths.push(class);
                        examples.push(example);
                    }
                    Err(_) if rows.labels_guessed() => {
                        truths.push(None);
                        examples.push(example);
                    }
                    Err(error) => rows.leave_out(error, &example)?,
                }
            }
            read.set((read.get().0 + examples.len() as u64, rows.bytes_read()));
            Ok(Coming::Chunk(Chunk { examples, truths, ends }))
        };
        let mut answer = |calibrator: &Calibrator, chunk: Chunk, scored: Vec<Scored>| {
            if let Some(range) = &self.classifier.verbalizer.structure().range {
                let numbers = chunk.examples.iter().map(|row| range.share_of(row.label.as_deref()?));
                let known = scored.iter().zip(numbers).filter_map(|(row, share)| Some((row, share?)));
                known.for_each(|(row, share)| counted.add_number(row, share));
            }
            let answers = scored.into_iter().zip(chunk.truths);
            let answers = answers.map(|(scored, truth)| counted.answer(calibrator, scored, truth)).collect();
            each(&chunk.examples, answers, chunk.ends)
        };
        let mut held = Vec::new();
        let mut take = |chunk: Chunk, scored: Vec<Scored>| match holding {
            true => {
                held.push((chunk, scored));
                Ok(())
            }
            false => answer(calibrator, chunk, scored),
        };
        scorer.score_chunks(&self.columns, &mut next, &mut take, &mut |done| {
            let (rows_read, bytes_read) = read.get();
            progress(ScoringProgress { fitting: None, done, rows_read, bytes_read });
        })?;
        if holding {
            let (chunks, scored): (Vec<Chunk>, Vec<Vec<Scored>>) = held.into_iter().unzip();
            let all: Vec<Scored> = scored.concat();
            let examples = chunks.iter().flat_map(|chunk| &chunk.examples);
            calibrator.fit_corrections(&scorer, &self.columns, examples, &[], &all)?;
            for (chunk, scored) in chunks.into_iter().zip(scored) {
                answer(calibrator, chunk, scored)?;
            }
        }
        (counted.left_out_rows, counted.near_labels) = (rows.left_out(), near);
        Ok(counted)
    }

    /// The likeliest label words of each of a few rows, at most so many, the likeliest first.
    pub fn label_words(&self, examples: &[Example], most: usize) -> Result<Vec<Vec<WordShare>>> {
        let _threads = Threads::on(self.classifier.threads);
        self.scorer().label_words(&self.columns, examples, most)
    }

    /// What was run, for the report.
    pub fn described(&self) -> Run {
        let classifier = self.classifier;
        Run {
            cloze: env!("CARGO_PKG_VERSION").to_owned(),
            data: self.columns.data().to_owned(),
            model: classifier.folder.path().display().to_string(),
            engine: classifier.engine.name().to_owned(),
            device: if classifier.device == Device::Cpu { "cpu" } else { "cuda" }.to_owned(),
            dtype: classifier.dtype,
            dtypes_tried: classifier.tried.clone(),
            threads: classifier.threads,
            verbalizer: classifier.verbalizer.file().to_owned(),
            aggregate: classifier.verbalizer.scoring(),
            forwards_per_row: forwards(&self.tasks, classifier.forwards),
            labels: classifier.labels.clone(),
            max_length: classifier.patterns.max_length,
            batch_tokens: classifier.batch_tokens,
        }
    }
}

/// The next rows, up to a chunk or the end of a batch. Where somebody is still writing them, those that come
/// within a second of the first are one; where there is other work to do, hardly any is waited for.
pub(crate) fn read_chunk(rows: &mut Rows, may_wait: bool) -> Result<Coming<Together>> {
    // Long enough for a program at the other end of a pipe.
    const HARDLY: Duration = Duration::from_millis(50);
    let most = rows.together().map_or(CHUNK_ROWS, |most| most.min(CHUNK_ROWS));
    // Who waits for answers is not kept waiting for rows.
    let hardly = if rows.by_batch() || rows.together().is_some() { Duration::ZERO } else { HARDLY };
    let mut chunk = Vec::new();
    let (mut bytes, mut until) = (0, (!may_wait).then(|| Instant::now() + hardly));
    while chunk.len() < most && bytes < CHUNK_BYTES {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        match rows.next_within(left.filter(|_| !rows.in_batch())) {
            Next::Row(example) => {
                let example: Example = example?;
                bytes += example.fields.iter().map(String::len).sum::<usize>();
                chunk.push(example);
                until.get_or_insert_with(|| rows.patience_ends());
            }
            Next::EndOfBatch => return Ok(Coming::Chunk(Together { rows: chunk, ends: true })),
            Next::Later => break,
            Next::End if chunk.is_empty() => return Ok(Coming::End),
            Next::End => break,
        }
    }
    let ends = !rows.in_batch();
    Ok(if chunk.is_empty() { Coming::Later } else { Coming::Chunk(Together { rows: chunk, ends }) })
}
