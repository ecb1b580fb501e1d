//! Rows that wait, and the threads that answer them.
//!
//! A thread takes the row whose turn it is and, of the rows that wait for the same classifier, those that are
//! nearest to it in length, up to a budget of tokens: it starts at once, and while it computes, others
//! gather. The rows of a request come in turn with those of other requests, so that a request of a thousand
//! rows does not hold up one of a single row. Each thread computes by itself: nobody waits for a whole batch
//! of others.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use axum::http::StatusCode;
use tokio::sync::oneshot;

use super::metrics::Metrics;
use super::problem::Problem;
use crate::error::{Error, Errors, ServeError};
use crate::model::threads::Threads;
use crate::predict::prompt_classifier::{DetailedAnswer, PromptClassifier};
use crate::text::data::{Columns, Example};

/// Of the rows that wait, so many are looked at for a batch.
const LOOKED_AT: usize = 4096;

/// Where several threads have nothing to do, rows are shared among them, but not to less than this.
const LEAST_TOKENS: usize = 128;

/// Bytes of a text that make a token, about, and tokens of a pattern round it.
const BYTES_A_TOKEN: usize = 4;
const TOKENS_ROUND: usize = 12;

/// What waits, and who computes.
pub(super) struct Engine {
    shared: Arc<Shared>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    _threads: Threads,
}

struct Shared {
    queue: Mutex<Queue>,
    came: Condvar,
    /// So many rows and questions may wait.
    most: usize,
    metrics: Arc<Metrics>,
}

/// A turn: the lower comes first; of equals, whoever came first.
type Turn = (u64, u64);

#[derive(Default)]
struct Queue {
    waiting: BTreeMap<Turn, Waiting>,
    /// The turn that was taken last.
    now: u64,
    /// How many have come.
    came: u64,
    /// Threads with nothing to do.
    idle: usize,
    ended: bool,
}

enum Waiting {
    Row(Row),
    /// A question that is no row, as the making of a classifier.
    Call(Arc<AtomicBool>, Box<dyn FnOnce() + Send>),
}

/// A row that waits.
struct Row {
    classifier: Arc<PromptClassifier>,
    columns: Arc<Columns>,
    example: Example,
    /// Its length, about, in tokens.
    tokens: usize,
    asked: Arc<Asked>,
    /// Which of the request's rows it is.
    index: usize,
    since: Instant,
}

/// A request's rows.
struct Asked {
    found: Mutex<Found>,
    /// Whether nobody waits for them any more.
    gone: Arc<AtomicBool>,
}

struct Found {
    answers: Vec<Option<DetailedAnswer>>,
    errors: Errors,
    panicked: bool,
    left: usize,
    reply: Option<oneshot::Sender<Result<Vec<DetailedAnswer>, Problem>>>,
}

/// The places of a request in the queue: they are free again as soon as nobody waits for the answer.
struct Places<'a> {
    shared: &'a Shared,
    gone: Arc<AtomicBool>,
}

impl Drop for Places<'_> {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
        let mut queue = self.shared.queue();
        queue.waiting.retain(|_, waiting| !Arc::ptr_eq(waiting.gone(), &self.gone));
        self.shared.count(&queue);
    }
}

impl Waiting {
    fn gone(&self) -> &Arc<AtomicBool> {
        match self {
            Waiting::Row(row) => &row.asked.gone,
            Waiting::Call(gone, _) => gone,
        }
    }
}

impl Engine {
    /// Starts so many threads, for whom so many rows may wait.
    pub(super) fn start(threads: usize, most: usize, metrics: Arc<Metrics>) -> Engine {
        let shared = Arc::new(Shared { queue: Mutex::default(), came: Condvar::new(), most, metrics });
        let worker = |_| {
            let shared = shared.clone();
            thread::spawn(move || shared.work())
        };
        let workers = (0..threads.max(1)).map(worker).collect();
        // Each of the threads computes by itself.
        Engine { workers: Mutex::new(workers), shared, _threads: Threads::on(1) }
    }

    /// The most rows of a request.
    pub(super) fn most(&self) -> usize {
        self.shared.most
    }

    /// Answers rows, in their order. If nobody waits for the answer any more, what is left of it is not
    /// computed.
    pub(super) async fn classify(
        &self,
        classifier: &Arc<PromptClassifier>,
        columns: Columns,
        examples: Vec<Example>,
    ) -> Result<Vec<DetailedAnswer>, Problem> {
        let (rows, columns) = (examples.len(), Arc::new(columns));
        if rows == 0 {
            return Ok(Vec::new());
        }
        if rows > self.shared.most {
            let error = Error::from(ServeError::TooManyRows { found: rows, most: self.shared.most });
            return Err(Problem::from(error).with_status(StatusCode::PAYLOAD_TOO_LARGE));
        }
        let (reply, answer) = oneshot::channel();
        let found = Found {
            answers: vec![None; rows],
            errors: Errors::new(),
            panicked: false,
            left: rows,
            reply: Some(reply),
        };
        let gone = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(Asked { found: Mutex::new(found), gone: gone.clone() });
        let since = Instant::now();
        let row = |(index, example): (usize, Example)| {
            let bytes: usize = example.fields.iter().map(String::len).sum();
            let tokens = (bytes / BYTES_A_TOKEN + TOKENS_ROUND).min(classifier.max_length());
            let (classifier, columns, asked) = (classifier.clone(), columns.clone(), asked.clone());
            Waiting::Row(Row { classifier, columns, example, tokens, asked, index, since })
        };
        let _places = self.shared.put(gone, examples.into_iter().enumerate().map(row))?;
        answer.await.unwrap_or_else(|_| Err(Problem::internal()))
    }

    /// Does something on one of the threads.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        let gone = Arc::new(AtomicBool::new(false));
        // That nobody waits for it any more is no failure.
        let call = Box::new(move || drop(reply.send(call())));
        let _places = self.shared.put(gone.clone(), std::iter::once(Waiting::Call(gone, call)))?;
        // After a panic there is none to answer.
        answer.await.map_err(|_| Problem::internal())
    }

    /// Whether more may wait.
    pub(super) fn has_room(&self) -> bool {
        self.shared.queue().waiting.len() < self.shared.most
    }

    /// Ends the threads when nothing waits any more.
    pub(super) fn stop(&self) {
        self.shared.queue().ended = true;
        self.shared.came.notify_all();
        let workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            // What a worker panicked of was told as it happened.
            drop(worker.join());
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, queue: &Queue) {
        self.metrics.queue.set(i64::try_from(queue.waiting.len()).unwrap_or(i64::MAX));
    }

    /// Lets a request's rows wait, all or none.
    fn put(
        &self,
        gone: Arc<AtomicBool>,
        all: impl ExactSizeIterator<Item = Waiting>,
    ) -> Result<Places<'_>, Problem> {
        let mut queue = self.queue();
        if queue.waiting.len() + all.len() > self.most {
            return Err(Problem::overloaded());
        }
        for (turn, waiting) in (queue.now..).zip(all) {
            queue.came += 1;
            let came = queue.came;
            queue.waiting.insert((turn, came), waiting);
        }
        self.count(&queue);
        drop(queue);
        self.came.notify_all();
        Ok(Places { shared: self, gone })
    }

    fn work(&self) {
        while let Some(rows) = self.next() {
            rows.iter().for_each(|row| self.metrics.waited(row.since.elapsed()));
            answer(rows, &self.metrics);
        }
    }

    /// The rows to answer next; calls that come before are done meanwhile. None at the end.
    fn next(&self) -> Option<Vec<Row>> {
        let mut queue = self.queue();
        loop {
            let taken = queue.waiting.pop_first();
            match taken {
                Some((turn, waiting)) => {
                    queue.now = queue.now.max(turn.0);
                    match waiting {
                        Waiting::Row(row) => {
                            let rows = queue.beside(row);
                            self.count(&queue);
                            return Some(rows);
                        }
                        Waiting::Call(_, call) => {
                            self.count(&queue);
                            drop(queue);
                            // Whoever waits finds out by itself.
                            drop(catch_unwind(AssertUnwindSafe(call)));
                            queue = self.queue();
                        }
                    }
                }
                None if queue.ended => return None,
                None => {
                    queue.idle += 1;
                    queue = self.came.wait(queue).unwrap_or_else(PoisonError::into_inner);
                    queue.idle -= 1;
                }
            }
        }
    }
}

impl Queue {
    /// A row with those that are answered with it, taken out of the queue.
    fn beside(&mut self, first: Row) -> Vec<Row> {
        let of_same = |(turn, waiting): (&Turn, &Waiting)| match waiting {
            Waiting::Row(row)
                if Arc::ptr_eq(&row.classifier, &first.classifier) && row.columns == first.columns =>
            {
                Some((row.tokens.abs_diff(first.tokens), row.tokens, *turn))
            }
            _ => None,
        };
        let mut others: Vec<(usize, usize, Turn)> =
            self.waiting.iter().take(LOOKED_AT).filter_map(of_same).collect();
        others.sort_unstable();
        let all: usize = others.iter().map(|other| other.1).sum::<usize>() + first.tokens;
        let share = all.div_ceil(self.idle + 1).max(LEAST_TOKENS);
        let budget = first.classifier.batch_tokens().min(share);
        let (mut longest, mut rows) = (first.tokens, vec![first]);
        for (_, tokens, turn) in others {
            longest = longest.max(tokens);
            if longest * (rows.len() + 1) > budget {
                break;
            }
            if let Some(Waiting::Row(row)) = self.waiting.remove(&turn) {
                rows.push(row);
            }
        }
        rows
    }
}

/// Answers rows of one classifier. Where one cannot be answered, the others are, all the same.
fn answer(mut rows: Vec<Row>, metrics: &Metrics) {
    rows.retain(|row| !row.asked.gone.load(Ordering::Relaxed));
    let Some(first) = rows.first() else { return };
    let (classifier, columns) = (first.classifier.clone(), first.columns.clone());
    let examples: Vec<Example> = rows.iter().map(|row| row.example.clone()).collect();
    let started = Instant::now();
    let compute = || classifier.classify_in_detail(&columns, &examples);
    match (catch_unwind(AssertUnwindSafe(compute)), &rows[..]) {
        (Ok(Ok(answers)), _) => {
            let tokens = answers.iter().map(|answer| answer.tokens).sum();
            // Before anybody is answered, who may ask for the counts next.
            metrics.batch(rows.len(), tokens, started.elapsed());
            rows.iter().zip(answers).for_each(|(row, found)| row.asked.take(row.index, Ok(found)));
        }
        (Ok(Err(error)), [row]) => row.asked.take(row.index, Err(Some(error))),
        (Err(_), [row]) => row.asked.take(row.index, Err(None)),
        _ => {
            let later = rows.split_off(rows.len() / 2);
            answer(rows, metrics);
            answer(later, metrics);
        }
    }
}

impl Asked {
    /// Takes a row's answer, or its error; none after a panic. With the last of them the request is answered.
    fn take(&self, index: usize, answer: Result<DetailedAnswer, Option<Error>>) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(answer) => found.answers[index] = Some(answer),
            Err(Some(error)) => found.errors.push(error),
            Err(None) => found.panicked = true,
        }
        found.left -= 1;
        if found.left > 0 {
            return;
        }
        let (answers, errors) = (std::mem::take(&mut found.answers), std::mem::take(&mut found.errors));
        let answers = match answers.into_iter().collect::<Option<Vec<_>>>() {
            Some(answers) => Ok(answers),
            None if found.panicked => Err(Problem::internal()),
            None => Err(errors.into()),
        };
        if let Some(reply) = found.reply.take() {
            // Whoever asked may have left.
            drop(reply.send(answers));
        }
    }
}
