//! Learning beside the labelling: each time so many labels more are there, a classifier is trained on all of
//! them; its answers to the rows that are kept to test on say how good it is, and what it is least sure of is
//! shown next.
//!
//! It has a thread of its own. The training itself is whoever's who starts the labelling: the command starts a
//! process for it, which the labelling outlives.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::doubt::{InDoubt, in_doubt, out_of_fold};
use super::export::export;
use super::lessons::{Doubt, Learned, Lesson};
use super::opinion::{Opinion, example};
use super::project::{Project, ShownRow};
use crate::error::{Error, Result};
use crate::predict::prompt_classifier::{Compute, PromptClassifier};
use crate::predict::report::Prediction;
use crate::study::run::{Run, Wanted};
use crate::text::data::Example;

/// The files of a lesson in its folder.
const TRAIN: &str = "train.csv";
const TEST: &str = "test.csv";
const RUN: &str = "run";

/// What is to be learned.
#[derive(Debug, Clone, Copy)]
pub struct Lecture<'a> {
    /// The labelled rows.
    pub train: &'a Path,
    /// Those that are kept to test on, if there are any.
    pub test: Option<&'a Path>,
    /// Where the run goes; a training that was stopped has left something there.
    pub run: &'a Path,
}

/// How a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taught {
    /// The run is there.
    Done,
    /// It was stopped, and is to go on when the labelling does.
    Stopped,
}

/// Trains a run on the rows of a lecture; what went wrong is said in a line.
pub type Teach = Box<dyn FnMut(Lecture<'_>) -> std::result::Result<Taught, String> + Send>;

/// How something is learned beside the labelling.
pub struct Learning {
    /// After so many labels more it is learned again.
    pub every: u64,
    /// So many rows that nobody has answered are looked at to choose the next.
    pub looked_at: usize,
    /// Trains.
    pub teach: Teach,
}

/// What the thread that learns and the page share.
pub(super) struct Shared {
    /// After so many labels more it is learned again.
    pub(super) every: u64,
    state: Mutex<State>,
    came: Condvar,
    /// The model that is asked: of the last lesson, or before it that which the labelling began with.
    opinion: Mutex<Arc<Opinion>>,
}

#[derive(Default)]
struct State {
    /// Whether a label came that was not counted yet.
    came: bool,
    ended: bool,
}

impl Shared {
    pub(super) fn new(every: u64, opinion: Opinion) -> Shared {
        let (state, came) = (Mutex::new(State { came: true, ended: false }), Condvar::new());
        Shared { every, state, came, opinion: Mutex::new(Arc::new(opinion)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A label came.
    pub(super) fn tell(&self) {
        self.state().came = true;
        self.came.notify_all();
    }

    /// There will be no more.
    pub(super) fn end(&self) {
        self.state().ended = true;
        self.came.notify_all();
    }

    /// Waits for a label; whether there is one.
    fn wait(&self) -> bool {
        let mut state = self.state();
        while !state.came && !state.ended {
            state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.came = false;
        !state.ended
    }

    /// The model that is asked.
    pub(super) fn opinion(&self) -> Arc<Opinion> {
        self.opinion.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take(&self, opinion: Opinion) {
        *self.opinion.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(opinion);
    }
}

/// Learns on a thread of its own until the labelling ends. A training that is under way then is left to
/// whoever teaches.
pub(super) fn start(path: PathBuf, learning: Learning, shared: Arc<Shared>) {
    let first = shared.opinion();
    thread::spawn(move || {
        let mut pupil = Pupil { path, learning, first, shared };
        pupil.wake();
        while pupil.shared.wait() {
            // What goes wrong is told with the lesson; of a project that cannot be read, labellers hear first.
            if catch_unwind(AssertUnwindSafe(|| drop(pupil.learn()))).is_err() {
                drop(pupil.give_up());
            }
        }
    });
}

struct Pupil {
    path: PathBuf,
    learning: Learning,
    /// The model before anything was learned.
    first: Arc<Opinion>,
    shared: Arc<Shared>,
}

impl Pupil {
    /// Takes up what was learned last, when the labelling goes on.
    fn wake(&self) {
        let last = || -> Result<Option<Opinion>> {
            let lessons = Project::open(&self.path)?.lessons()?;
            let went_well = |lesson: &&Lesson| lesson.seconds.is_some() && lesson.trouble.is_none();
            let last = lessons.iter().rev().find(went_well);
            let found =
                last.map(|lesson| self.learned(&self.folder(&lesson.folder).join(RUN))).transpose()?;
            // Labels may have changed since.
            let labels = self.first.classifier.labels();
            Ok(found.filter(|opinion| opinion.classifier.labels() == labels))
        };
        if let Ok(Some(opinion)) = last() {
            self.shared.take(opinion);
        }
    }

    /// The folder of a lesson, beside the project.
    fn folder(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }

    /// What a run learned, on the rows' columns.
    fn learned(&self, run: &Path) -> Result<Opinion> {
        let columns = self.first.columns.clone();
        let (blueprint, _) = Run::open(run)?.on(&Wanted::default(), &columns)?;
        Ok(Opinion { classifier: PromptClassifier::load(blueprint, Compute::default(), None)?, columns })
    }

    /// Learns, if there are enough labels, or if a lesson was stopped.
    fn learn(&mut self) -> Result<()> {
        let mut project = Project::open(&self.path)?;
        let lessons = project.lessons()?;
        let stopped = lessons.last().filter(|lesson| lesson.seconds.is_none());
        let (id, name) = match stopped {
            Some(lesson) => (lesson.id, lesson.folder.clone()),
            None => {
                let labels = project.to_learn_from()?;
                let before = lessons.last().map_or(0, |lesson| lesson.labels);
                if labels < before + self.learning.every || !self.has_two_labels(&project)? {
                    return Ok(());
                }
                let base = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                // What another project of this name has learned stays where it is.
                let free = |number: &usize| !self.folder(&format!("{base}.learned/{number}")).exists();
                let number = (lessons.len() + 1..).find(free).unwrap_or_default();
                let name = format!("{base}.learned/{number}");
                (project.begin_lesson(labels, &name)?, name)
            }
        };
        match self.lesson(&project, &self.folder(&name)) {
            Ok(Some(learned)) => project.end_lesson(id, Ok(&learned)),
            Ok(None) => Ok(()),
            Err(trouble) => project.end_lesson(id, Err(&trouble)),
        }
    }

    /// Ends a lesson that cannot be ended otherwise.
    fn give_up(&self) -> Result<()> {
        let mut project = Project::open(&self.path)?;
        let open = project.lessons()?.into_iter().find(|lesson| lesson.seconds.is_none());
        open.map_or(Ok(()), |lesson| {
            project.end_lesson(lesson.id, Err("the program failed: please report this"))
        })
    }

    fn has_two_labels(&self, project: &Project) -> Result<bool> {
        let settled = project.settled(false)?;
        let mut labels = settled.values();
        let first = labels.next();
        Ok(labels.any(|label| Some(label) != first))
    }

    /// What a lesson brings; nothing where its training was stopped.
    fn lesson(&mut self, project: &Project, folder: &Path) -> std::result::Result<Option<Learned>, String> {
        let told = |error: Error| error.to_string();
        let (train, test, run) = (folder.join(TRAIN), folder.join(TEST), folder.join(RUN));
        if !train.exists() {
            std::fs::create_dir_all(folder).map_err(|error| told(Error::writing(folder, &error)))?;
            // Written last, the rows to learn from say that all are there.
            export(project, &train, Some(&test), false).map_err(told)?;
        }
        let has_tests = !project.settled(true).map_err(told)?.is_empty();
        let lecture = Lecture { train: &train, test: has_tests.then_some(&*test), run: &run };
        if (self.learning.teach)(lecture)? == Taught::Stopped {
            return Ok(None);
        }
        let opinion = self.learned(&run).map_err(told)?;
        if opinion.classifier.labels() != self.first.classifier.labels() {
            return Err("it was trained on other labels than the project has now".to_owned());
        }
        let learned = self.look(project, &opinion).map_err(told)?;
        self.shared.take(opinion);
        Ok(Some(learned))
    }

    /// What the learned model says of rows.
    fn look(&self, project: &Project, opinion: &Opinion) -> Result<Learned> {
        let labels = opinion.classifier.labels();
        let tests = rows_of(project, project.settled(true)?.keys())?;
        let said = opinion.of_rows(&tests)?;
        let tested =
            tests.iter().zip(&said).map(|(row, said)| (row.place, labels[said.class()].clone())).collect();
        let waiting = project.unanswered(self.learning.looked_at)?;
        let said = opinion.of_rows(&waiting)?;
        // Those of which two labels are nearly as probable come first (margin: Scheffer et al. 2001).
        let mut order: Vec<(f64, u32)> =
            waiting.iter().zip(&said).map(|(row, said)| (margin(said), row.place)).collect();
        order.sort_by(|one, other| one.0.total_cmp(&other.0));
        let next = order.into_iter().map(|(_, place)| place).collect();
        let doubts = self.doubts(project, labels)?;
        Ok(Learned { tested, doubts, next })
    }

    /// Labels of the rows that were learned from that may be wrong.
    fn doubts(&self, project: &Project, labels: &[String]) -> Result<Vec<Doubt>> {
        let place_of: HashMap<&str, usize> =
            labels.iter().enumerate().map(|(class, label)| (label.as_str(), class)).collect();
        let mut settled = project.settled(false)?;
        settled.retain(|_, label| place_of.contains_key(label.as_str()));
        let rows = rows_of(project, settled.keys())?;
        let classes: Vec<usize> = settled.values().map(|label| place_of[label.as_str()]).collect();
        // A model that gives no states has no doubts.
        let Ok(vectors) = self.first.classifier.states(&self.first.columns, &examples(&rows)) else {
            return Ok(Vec::new());
        };
        let found = in_doubt(&out_of_fold(&vectors, &classes, labels.len(), 0), &classes);
        let doubt = |found: InDoubt| Doubt {
            place: rows[found.row].place,
            label: labels[classes[found.row]].clone(),
            likelier: labels[found.likelier].clone(),
            share: found.share,
        };
        Ok(found.into_iter().map(doubt).collect())
    }
}

fn rows_of<'a>(project: &Project, places: impl Iterator<Item = &'a u32>) -> Result<Vec<ShownRow>> {
    places.map(|&place| project.row(place)).collect()
}

fn examples(rows: &[ShownRow]) -> Vec<Example> {
    rows.iter().map(|row| example(row.record, row.fields.clone())).collect()
}

/// How much more probable the likeliest class is than the next.
fn margin(said: &Prediction) -> f64 {
    let mut shares = said.probabilities.clone();
    shares.sort_by(|one, other| other.total_cmp(one));
    shares.first().copied().unwrap_or(1.0) - shares.get(1).copied().unwrap_or(0.0)
}
