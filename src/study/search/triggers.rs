//! Trigger tokens: words of a pattern that gradients find (AutoPrompt: Shin et al. 2020).
//!
//! A pattern's soft tokens say where the words shall stand. Each iteration takes one of the places, in an order
//! drawn by the seed. With the gradient g of the loss by the vector at that place, a word with the embedding e
//! lowers the loss the more, to first order, the larger `-g·e` is. Of the largest the loss itself is computed,
//! and the best word takes the place if the loss falls. Half of the labelled rows are searched on; the words are
//! kept that had the lowest loss on the other half.

use std::path::Path;
use std::sync::Arc;

use rand::seq::SliceRandom as _;
use serde::Serialize;
use serde_json::json;
use tch::{Kind as Type, Tensor, no_grad};

use super::SearchStep;
use super::basis::{LabelledFile, SearchFiles};
use crate::error::{Errors, Result, SearchError};
use crate::learn::objective::losses;
use crate::learn::sample;
use crate::learn::target::Target;
use crate::model::batch::small_batches;
use crate::model::encoder::{Additions, Mode};
use crate::model::features::Features;
use crate::model::folder::ModelFolder;
use crate::model::masked_lm::{MaskedLm, Options};
use crate::model::tensor_map::Module;
use crate::model::threads::Threads;
use crate::model::tokenizer::Tokenizer;
use crate::model::values::values;
use crate::predict::classifier::VerbalizedLm;
use crate::predict::encode::encode;
use crate::predict::label_words::LabelWords;
use crate::predict::prompt_model::PromptModel;
use crate::predict::pvp::{Patterns, SoftVectors};
use crate::predict::task::Task;
use crate::seed;
use crate::study::compare::PairedDifference;
use crate::text::data::{Columns, Example};
use crate::text::dataset::{Dataset, Labels, read_columns};
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;
use crate::text::whole_file::write_text;
use crate::tune::Adapted;
use crate::tune::soft::SoftTokens;

/// How trigger tokens are looked for.
#[derive(Debug, Clone, Copy)]
pub struct TriggerOptions {
    /// So many times a place is taken; each place once at least.
    pub iterations: usize,
    /// So many words are tried at it.
    pub candidates: usize,
    /// The seed of the draw, of the halves and of the places' order.
    pub seed: u64,
}

/// A search for trigger tokens: everything read and checked, no weights loaded.
pub struct TriggerSearch {
    template: Template,
    soft: SoftTokens,
    task: Task,
    folder: ModelFolder,
    words: LabelWords,
    max_length: usize,
    columns: Arc<Columns>,
    rows: Vec<(Example, usize)>,
    options: TriggerOptions,
    loading: Options,
}

/// How a pattern does on rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measure {
    /// The mean cross-entropy of the classes.
    pub loss: f64,
    /// The share that is right.
    pub accuracy: f64,
}

/// Trigger tokens that were found.
#[derive(Debug, Clone, Serialize)]
pub struct FoundTriggers {
    /// The pattern with the words in it.
    pub pattern: String,
    /// The words, in their order.
    pub words: Vec<String>,
    /// Rows that were searched on.
    pub searched_rows: usize,
    /// The loss on these before the first iteration and after each.
    pub losses: Vec<f64>,
    /// Rows by which the words are chosen that are kept.
    pub choosing_rows: usize,
    /// How the pattern without any word there does on the choosing rows.
    pub without: Measure,
    /// How the found one does: better than on others, for it was chosen by them.
    pub found: Measure,
    /// The found one less the one without, on the choosing rows.
    pub difference: Option<PairedDifference>,
}

impl TriggerSearch {
    /// Reads and checks files, a model and rows. There must be one template with soft tokens. All problems at
    /// once.
    pub fn prepare(
        files: SearchFiles<'_>,
        rows: &LabelledFile,
        options: TriggerOptions,
        loading: Options,
        model: impl FnOnce() -> Result<ModelFolder>,
    ) -> Result<TriggerSearch, Errors> {
        let mut errors = Errors::new();
        let mut templates = Template::read_all(files.templates, &mut errors);
        for template in &templates {
            errors.extend(template.check_plain("cloze search triggers").err());
            if template.soft().next().is_none() {
                errors.push(template.error(SearchError::WithoutPlaces));
            }
        }
        if templates.len() > 1 {
            errors.push(SearchError::SeveralToFill { templates: templates.len() });
        }
        let verbalizer = errors.keep(Verbalizer::read(files.verbalizer));
        errors.extend(verbalizer.iter().filter_map(|found| found.check_classes("cloze search").err()));
        let folder = errors.keep(model());
        let max_length = folder.as_ref().and_then(|folder| errors.keep(folder.max_length(files.max_length)));
        let words = verbalizer.as_ref().zip(folder.as_ref()).and_then(|(verbalizer, folder)| {
            errors.keep(LabelWords::check(verbalizer, &folder.tokenizer, loading.device))
        });
        if let Some(verbalizer) = verbalizer.as_ref().filter(|verbalizer| verbalizer.multi_token().is_some())
        {
            errors.push(SearchError::MultiToken { verbalizer: verbalizer.file().to_owned() });
        }
        let (Some(template), Some(verbalizer), Some(mut folder), Some(max_length), Some(words), true) =
            (templates.pop(), verbalizer, folder, max_length, words, errors.is_empty())
        else {
            return Err(errors);
        };
        // The same gradient each time.
        folder.config.set_dropout(0.0);
        let vectors = SoftVectors::Sampled;
        let bound = Patterns::bind(vec![template.clone()], &words, &folder, vectors, max_length)?;
        if options.iterations < bound.soft.len() {
            let places = bound.soft.len();
            return Err(SearchError::TooFewIterations { iterations: options.iterations, places }.into());
        }
        let columns = rows.reading.open(&rows.path)?.columns().clone();
        let read = read_columns([&template], &columns);
        let set = Dataset::read(&rows.path, &rows.reading, &read, &verbalizer, None, Labels::Needed)?;
        let (classes, shots) = (verbalizer.labels().len(), rows.shots.unwrap_or(usize::MAX));
        let drawn = set.pick(&sample::k_shot(&set.candidates(), classes, shots, options.seed).rows);
        let truths = drawn.classes();
        // Each half has one.
        let rows_of = |class: usize| truths.iter().filter(|truth| **truth == class).count();
        if let Some(class) = (0..classes).find(|&class| rows_of(class) < 2) {
            let label = verbalizer.classes()[class].label.clone();
            return Err(SearchError::TooFewRows { label, data: set.columns.data().to_owned() }.into());
        }
        let task = bound.on(&set.columns)?.tasks.swap_remove(0);
        let (soft, columns) = (bound.soft, set.columns);
        let rows = drawn.examples.into_iter().zip(truths).collect();
        Ok(TriggerSearch { template, soft, task, folder, words, max_length, columns, rows, options, loading })
    }

    /// Loads the weights and searches, on so many threads, one by default: batches are small, and threads would
    /// wait for each other. `progress` is told which share is done.
    pub fn run(
        self,
        threads: Option<usize>,
        progress: &mut dyn FnMut(SearchStep, f64),
    ) -> Result<FoundTriggers, Errors> {
        let _threads = Threads::on(threads.unwrap_or(1));
        let TriggerSearch {
            template,
            soft,
            task,
            folder,
            words,
            max_length,
            columns,
            rows,
            options,
            loading,
        } = self;
        let base = VerbalizedLm::new(MaskedLm::of(folder, loading)?, words);
        let truths: Vec<usize> = rows.iter().map(|(_, class)| *class).collect();
        let halves = sample::folds(&truths, 2, options.seed);
        let half = |half: usize| halves[half].iter().map(|&row| rows[row].clone()).collect::<Vec<_>>();
        let [searching, choosing] = [half(0), half(1)];
        let mask = base.tokenizer().special().mask;
        let mut ids = soft.ids(&[mask], options.seed);
        let mut model = base.prompt_model(None)?;
        let read = |task: &Task, rows: &[(Example, usize)]| {
            TriggerRows::of(task, &columns, rows, base.tokenizer(), max_length)
        };
        let (searched, chosen_by) = (read(&task, &searching)?, read(&task, &choosing)?);
        let embeddings = base.model.parameters.weight(Module::WordEmbeddings);
        let allowed = allowed(&base);
        let mut places: Vec<usize> = (0..ids.len()).collect();
        let mut losses = vec![searched.measure(&mut model, &base, &ids).loss];
        let mut best: Option<(f64, Vec<i64>)> = None;
        let mut dice = seed::generator(options.seed, "places of triggers");
        for iteration in 0..options.iterations {
            let within = iteration % places.len();
            if within == 0 {
                places.shuffle(&mut dice);
            }
            let place = places[within];
            let (current, gradient) = searched.loss_and_gradient(&mut model, &base, &ids);
            let gradient = gradient.get(place as i64);
            // A mask is no word: whatever takes its place first is better than none.
            let mut lowest = if ids[place] == mask { f64::INFINITY } else { current };
            let mut next = ids[place];
            for candidate in likeliest(embeddings, &gradient, &allowed, options.candidates) {
                let tried = with(&ids, place, candidate);
                let loss = searched.measure(&mut model, &base, &tried).loss;
                if loss < lowest {
                    (lowest, next) = (loss, candidate);
                }
            }
            ids = with(&ids, place, next);
            losses.push(if lowest.is_finite() { lowest } else { current });
            if !ids.contains(&mask) {
                let loss = chosen_by.measure(&mut model, &base, &ids).loss;
                if best.as_ref().is_none_or(|(least, _)| loss < *least) {
                    best = Some((loss, ids.clone()));
                }
            }
            let share = (iteration + 1) as f64 / options.iterations as f64;
            progress(SearchStep::Triggers { rows: searching.len(), places: ids.len() }, share);
        }
        let (_, ids) = best.unwrap_or((f64::INFINITY, ids));
        let words: Vec<String> = ids.iter().map(|id| base.tokenizer().written(*id).to_owned()).collect();
        let mut left = words.iter().map(String::as_str);
        let by_token: Vec<String> =
            soft.own().iter().map(|count| left.by_ref().take(*count).collect::<Vec<_>>().join(" ")).collect();
        // Measured as they are written.
        let mut written = |words: &[String]| -> Result<(String, Vec<usize>, Measure), Errors> {
            let pattern = template.with_words_for_soft(words);
            let template = Template::from_pattern(&pattern)?;
            let folder = &base.model.folder;
            let bound = Patterns::bind(vec![template], &base.words, folder, SoftVectors::Words, max_length)?;
            let tasks = bound.on(&columns)?;
            let rows = read(&tasks.tasks[0], &choosing)?;
            let (said, measure) = rows.say(&mut model, &base, &[]);
            Ok((pattern, said, measure))
        };
        let none = vec![String::new(); by_token.len()];
        let (pattern, said, found) = written(&by_token)?;
        let (_, plain, without) = written(&none)?;
        let right = |said: &[usize]| -> Vec<bool> {
            said.iter().zip(&choosing).map(|(said, (_, truth))| said == truth).collect()
        };
        let difference = PairedDifference::of(&[right(&said)], &[right(&plain)]);
        let (searched_rows, choosing_rows) = (searching.len(), choosing.len());
        Ok(FoundTriggers { pattern, words, searched_rows, losses, choosing_rows, without, found, difference })
    }
}

impl FoundTriggers {
    /// Writes a template file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let about = format!("words found by cloze search triggers on {} rows", self.searched_rows);
        write_text(path, &format!("{:#}\n", json!({ "version": 1, "pattern": self.pattern, "about": about })))
    }
}

/// The same tokens with another at a place.
fn with(ids: &[i64], place: usize, id: i64) -> Vec<i64> {
    let mut ids = ids.to_vec();
    ids[place] = id;
    ids
}

/// Whole words that a pattern's text can have as they are, but for label words: those would give the answer away.
fn allowed(base: &VerbalizedLm) -> Vec<i64> {
    let tokenizer = base.tokenizer();
    let label_words = base.words.distinct_ids();
    let is_allowed = |id: &i64| {
        tokenizer.is_word(*id)
            && !label_words.contains(id)
            && tokenizer.word_ids(tokenizer.written(*id)) == [*id]
    };
    tokenizer.ids().filter(is_allowed).collect()
}

/// So many of the allowed words whose embeddings e have the largest `-g·e`, the largest first.
///
/// ```
/// use cloze::study::search::likeliest;
/// use tch::Tensor;
/// // By hand: with g = (1, -1) the words are worth -1, 1, 2 and -3; the last is not allowed.
/// let embeddings = Tensor::from_slice(&[1.0_f32, 0.0, 0.0, 1.0, -1.0, 1.0, 2.0, -1.0]).view([4, 2]);
/// assert_eq!(likeliest(&embeddings, &Tensor::from_slice(&[1.0_f32, -1.0]), &[0, 1, 2], 2), [2, 1]);
/// ```
///
/// # Shapes
/// embeddings `[V,E]`, gradient `[E]`
pub fn likeliest(embeddings: &Tensor, gradient: &Tensor, allowed: &[i64], count: usize) -> Vec<i64> {
    let ids = Tensor::from_slice(allowed).to_device(embeddings.device());
    let worth = no_grad(|| -embeddings.matmul(gradient).index_select(0, &ids));
    let (_, places) = worth.topk(count.min(allowed.len()) as i64, 0, true, true);
    values::<i64>(&places).into_iter().map(|place| allowed[place as usize]).collect()
}

/// Rows in a pattern with soft tokens, and their classes.
pub struct TriggerRows {
    /// The rows.
    pub features: Vec<Features>,
    /// Their classes.
    pub targets: Vec<Target>,
}

impl TriggerRows {
    fn of(
        task: &Task,
        columns: &Columns,
        rows: &[(Example, usize)],
        tokenizer: &Tokenizer,
        max_length: usize,
    ) -> Result<TriggerRows> {
        let features = rows.iter().map(|(example, _)| {
            encode(&task.wrap(example), tokenizer, max_length)
                .map_err(|error| error.at(columns.place(example, None)))
        });
        let targets = rows.iter().map(|(_, class)| Target::Class(*class)).collect();
        Ok(TriggerRows { features: features.collect::<Result<_>>()?, targets })
    }

    /// Gives the model the vectors of these tokens, and their gradients a place.
    fn take(model: &mut PromptModel, base: &VerbalizedLm, ids: &[i64]) -> Option<Tensor> {
        let words = base.model.parameters.weight(Module::WordEmbeddings);
        let vectors = (!ids.is_empty()).then(|| {
            let rows = Tensor::from_slice(ids).to_device(words.device());
            no_grad(|| words.index_select(0, &rows)).set_requires_grad(true)
        });
        let soft = vectors.as_ref().map(|vectors| vectors.shallow_clone().into());
        let additions = Additions { soft, ..Additions::default() };
        model.adapt(&base.model.parameters, Adapted { parameters: None, additions });
        vectors
    }

    /// The mean loss, and its gradient by the tokens' vectors.
    ///
    /// # Shapes
    /// S tokens → `[S,E]`
    pub fn loss_and_gradient(
        &self,
        model: &mut PromptModel,
        base: &VerbalizedLm,
        ids: &[i64],
    ) -> (f64, Tensor) {
        let vectors = TriggerRows::take(model, base, ids).unwrap_or_default();
        let mut sum = 0.0;
        let mut targets = self.targets.iter();
        for inputs in small_batches(&self.features) {
            let own: Vec<&Target> = targets.by_ref().take(inputs.len()).collect();
            let scores = model.class_scores(&inputs, &base.words, Mode::Train);
            let loss = losses(&scores, &own).sum(Type::Float) / self.targets.len() as f64;
            sum += loss.double_value(&[]);
            loss.backward();
        }
        (sum, vectors.grad())
    }

    /// The classes that are said with these tokens, and how right they are.
    fn say(&self, model: &mut PromptModel, base: &VerbalizedLm, ids: &[i64]) -> (Vec<usize>, Measure) {
        TriggerRows::take(model, base, ids);
        let (mut said, mut sum) = (Vec::with_capacity(self.targets.len()), 0.0);
        for inputs in small_batches(&self.features) {
            no_grad(|| {
                let own: Vec<&Target> = self.targets[said.len()..].iter().take(inputs.len()).collect();
                let scores = model.class_scores(&inputs, &base.words, Mode::Score);
                sum += losses(&scores, &own).sum(Type::Double).double_value(&[]);
                said.extend(values::<i64>(&scores.argmax(-1, false)).into_iter().map(|class| class as usize));
            });
        }
        let rows = self.targets.len() as f64;
        let right = said.iter().zip(&self.targets).filter(|(said, truth)| **said == truth.class()).count();
        (said, Measure { loss: sum / rows, accuracy: right as f64 / rows })
    }

    /// How right the classes are with these tokens.
    pub fn measure(&self, model: &mut PromptModel, base: &VerbalizedLm, ids: &[i64]) -> Measure {
        self.say(model, base, ids).1
    }
}
