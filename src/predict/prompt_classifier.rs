//! The front door: a model with patterns and label words, which classifies texts and rows.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tch::Device;

use crate::error::{DataError, Error, Errors, Result, TemplateError, VerbalizerError};
use crate::model::dtype::{Dtype, Trial};
use crate::model::encoder::load_kernels;
use crate::model::folder::{EngineChoice, ModelFolder};
use crate::model::masked_lm::MaskedLm;
use crate::model::threads::Threads;
use crate::predict::auto;
use crate::predict::blueprint::{Blueprint, Loaded, identity, members};
use crate::predict::calibration::Fitted;
use crate::predict::calibrator::{CalibrationRequest, Calibrator, Counted, nothing_fitted};
use crate::predict::classifier::{Classifier, VerbalizedLm};
use crate::predict::encode::Long;
use crate::predict::explain::Explainer;
use crate::predict::fill::{Filled, fill};
use crate::predict::label_words::LabelWords;
use crate::predict::mask_words::WordShare;
use crate::predict::output::Answer;
use crate::predict::preview::{RowPreview, View};
use crate::predict::pvp::{Patterns, Pvp, SoftVectors};
use crate::predict::report::{Pooling, Prediction, Run};
use crate::predict::score::{Coming, Scored, Scorer, batch_tokens};
use crate::predict::showing::{Showing, forwards};
use crate::predict::task::Task;
use crate::predict::zero_shot::Question;
use crate::text::data::{Columns, Example, Next, Rows, TEXT};
use crate::text::dataset::{Dataset, is_near, truth};
use crate::text::demonstrations::Drawing;
use crate::text::labels::{NamedLabel, verbalizer};
use crate::text::template::Template;
use crate::text::verbalizer::{Verbalizer, VerbalizerKind};

/// Rows are read, sorted and scored in chunks of at most so many rows and so many bytes of text: enough to
/// sort well by length, little enough to hold in memory whatever the rows are.
const CHUNK_ROWS: usize = 2048;
const CHUNK_BYTES: usize = 8 << 20;

/// How a classifier computes.
#[derive(Debug, Clone, Copy)]
pub struct Compute {
    /// The type of numbers; none for the fastest that stays near single precision, which is measured.
    pub dtype: Option<Dtype>,
    /// Tokens to come, where that is known ([`auto::tokens_of`]): with few of them nothing is measured.
    pub tokens: Option<usize>,
    /// Threads of a processor; libtorch's own number by default.
    pub threads: Option<usize>,
    /// The most tokens in a batch; what suits the device by default.
    pub batch_tokens: Option<usize>,
    /// What is read of texts that are too long, and how windows on one are put together.
    pub long: (Long, Pooling),
}

impl Default for Compute {
    /// Single precision, on as many threads as libtorch has.
    fn default() -> Compute {
        let dtype = Some(Dtype::F32);
        Compute { dtype, tokens: None, threads: None, batch_tokens: None, long: Default::default() }
    }
}

/// A masked language model with patterns and label words, ready to classify. It is owned and may be used by
/// several threads at once.
///
/// ```
/// use cloze::{MaskedLm, Options, PromptClassifier, Template, Verbalizer};
/// let model = MaskedLm::load("models/cloze-minilm-l6", Options::default())?;
/// let classifier = PromptClassifier::builder(model)
///     .template(Template::from_pattern("{text} It was {mask}.")?)
///     .verbalizer(Verbalizer::of(&[("negative", &["terrible"]), ("positive", &["great"])])?)
///     .build()?;
/// for answer in classifier.classify(&["What a lovely film!", "I want my money back."])? {
///     println!("{} {:.2}", classifier.label(&answer), answer.prediction.confidence());
/// }
/// # Ok::<(), cloze::Error>(())
/// ```
pub struct PromptClassifier {
    verbalizer: Verbalizer,
    labels: Vec<String>,
    folder: Arc<ModelFolder>,
    engine: EngineChoice,
    device: Device,
    /// Forward passes that one question takes.
    forwards: usize,
    patterns: Patterns,
    members: Mutex<Vec<Classifier>>,
    dtype: Dtype,
    tried: Option<Vec<Trial>>,
    threads: usize,
    batch_tokens: usize,
    long: (Long, Pooling),
    showing: Option<Showing>,
    calibration: Option<Fitted>,
    remark: Option<String>,
}

/// An answer with what it came from.
#[derive(Debug, Clone)]
pub struct DetailedAnswer {
    /// The answer, corrected where there is a calibration.
    pub answer: Answer,
    /// Each pattern's prediction, corrected where there is a calibration.
    pub by_pattern: Vec<Prediction>,
    /// Each pattern's prediction before a correction.
    pub uncorrected: Vec<Prediction>,
    /// Which patterns had to cut the row.
    pub truncated: Vec<bool>,
    /// So many windows it was read in, in the pattern with most.
    pub windows: usize,
    /// So many tokens it has in all patterns together.
    pub tokens: usize,
}

/// What a [`PromptClassifier`] is made of.
pub struct Builder {
    model: MaskedLm,
    templates: Vec<Template>,
    verbalizer: Option<Verbalizer>,
    max_length: Option<usize>,
    compute: Compute,
    demonstrations: Option<(Dataset, Drawing)>,
    calibration: Option<PathBuf>,
}

impl Builder {
    /// One more pattern; probabilities are averaged over the patterns.
    #[must_use]
    pub fn template(mut self, template: Template) -> Builder {
        self.templates.push(template);
        self
    }

    /// The classes and their words.
    #[must_use]
    pub fn verbalizer(mut self, verbalizer: Verbalizer) -> Builder {
        self.verbalizer = Some(verbalizer);
        self
    }

    /// A file of a calibration ([`Fitted`]). One that was fitted for another model, other label words or
    /// other patterns is refused.
    #[must_use]
    pub fn calibration(mut self, file: impl Into<PathBuf>) -> Builder {
        self.calibration = Some(file.into());
        self
    }

    /// Labelled rows for patterns with demonstrations to show.
    #[must_use]
    pub fn demonstrations(mut self, rows: Dataset, drawing: Drawing) -> Builder {
        self.demonstrations = Some((rows, drawing));
        self
    }

    /// The longest input, in tokens; the model's own by default.
    #[must_use]
    pub fn max_length(mut self, tokens: usize) -> Builder {
        self.max_length = Some(tokens);
        self
    }

    /// How it computes.
    #[must_use]
    pub fn compute(mut self, compute: Compute) -> Builder {
        self.compute = compute;
        self
    }

    /// The same parts as a classifier whose answers are explained.
    ///
    /// ```
    /// use cloze::predict::explain::Method;
    /// use cloze::{MaskedLm, Options, PromptClassifier, Template, Verbalizer};
    /// let model = MaskedLm::load("models/cloze-minilm-l6", Options::default())?;
    /// let explainer = PromptClassifier::builder(model)
    ///     .template(Template::from_pattern("{text} It was {mask}.")?)
    ///     .verbalizer(Verbalizer::of(&[("negative", &["terrible"]), ("positive", &["great"])])?)
    ///     .explainer()?;
    /// let found = explainer.explain_text("A lovely film", None, Method::LeaveOneOut)?;
    /// assert_eq!(found.label, "positive");
    /// let strongest = found.words.iter().max_by(|one, other| one.effect.total_cmp(&other.effect)).unwrap();
    /// assert_eq!(strongest.word, "lovely");
    /// // Along gradients, the words' sum is what they do together.
    /// let found = explainer.explain_text("A lovely film", None, Method::Gradients { steps: 32 })?;
    /// let sum: f64 = found.words.iter().map(|word| word.effect).sum();
    /// assert!((sum - (found.score - found.baseline.unwrap())).abs() < 0.01);
    /// # Ok::<(), cloze::Error>(())
    /// ```
    pub fn explainer(self) -> Result<Explainer> {
        let Builder { model, templates, verbalizer, max_length, compute, demonstrations, .. } = self;
        let (verbalizer, words, patterns) = bound(&model, templates, verbalizer, max_length)?;
        let columns = Columns::check("texts", patterns.columns(), None)?;
        let tasks = patterns.on(&columns)?;
        let showing =
            demonstrations.map(|(rows, drawing)| Showing::of(rows, &verbalizer, drawing)).transpose()?;
        Showing::check_wanted(&tasks.tasks, showing.is_some())?;
        let base = VerbalizedLm::new(model, words);
        let members = members(&base, &patterns, &[], None)?;
        let loaded = Loaded { verbalizer, base, patterns, learned: Vec::new(), members };
        Explainer::of(loaded, tasks, Arc::new(columns), showing.as_ref(), compute.threads)
    }

    /// The classifier. All that can be wrong between its parts is told at once.
    pub fn build(self) -> Result<PromptClassifier> {
        let Builder { model, templates, verbalizer, max_length, compute, demonstrations, calibration } = self;
        let _threads = compute.threads.map(Threads::on);
        let (verbalizer, words, patterns) = bound(&model, templates, verbalizer, max_length)?;
        let showing =
            demonstrations.map(|(rows, drawing)| Showing::of(rows, &verbalizer, drawing)).transpose()?;
        let fitted = |file: PathBuf| -> Result<Fitted> {
            let columns = Columns::check("texts", patterns.columns(), None)?;
            let tasks = patterns.on(&columns)?.tasks;
            let tasks = showing.as_ref().map_or(tasks.clone(), |showing| showing.in_tasks(tasks));
            let sha256 = identity(&model.folder, &[])?;
            Fitted::load(&file, &nothing_fitted(&model.folder, sha256, &verbalizer, &tasks))
        };
        let calibration = calibration.map(fitted).transpose()?;
        let base = VerbalizedLm::new(model, words);
        let members = members(&base, &patterns, &[], None)?;
        let loaded = Loaded { verbalizer, base, patterns, learned: Vec::new(), members };
        PromptClassifier::of(loaded, compute, showing, calibration)
    }
}

/// Label words and patterns bound to a model; there must be some of each.
fn bound(
    model: &MaskedLm,
    templates: Vec<Template>,
    verbalizer: Option<Verbalizer>,
    max_length: Option<usize>,
) -> Result<(Verbalizer, LabelWords, Patterns)> {
    let verbalizer = verbalizer.ok_or_else(|| Error::from(VerbalizerError::NoneGiven))?;
    if templates.is_empty() {
        return Err(TemplateError::NoneGiven.into());
    }
    let words = LabelWords::check(&verbalizer, model.tokenizer(), model.device)?;
    let max_length = model.folder.max_length(max_length)?;
    let patterns = Patterns::bind(templates, &words, &model.folder, SoftVectors::Words, max_length)?;
    Ok((verbalizer, words, patterns))
}

impl PromptClassifier {
    /// What a reader of results should know of the model: see
    /// [`crate::model::parameters::Parameters::remark`].
    pub fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// A classifier of a model that is loaded already: one model serves many.
    pub fn builder(model: MaskedLm) -> Builder {
        Builder {
            model,
            templates: Vec::new(),
            verbalizer: None,
            max_length: None,
            compute: Compute::default(),
            demonstrations: None,
            calibration: None,
        }
    }

    /// Loads the weights of a blueprint. `showing` are the rows that its patterns show, if they show any.
    pub fn load(
        blueprint: Blueprint,
        compute: Compute,
        showing: Option<Showing>,
    ) -> Result<PromptClassifier> {
        let _threads = compute.threads.map(Threads::on);
        let engine = blueprint.options.engine;
        let loaded = thread::scope(|scope| {
            // What libtorch needs for a type is read meanwhile.
            if engine == EngineChoice::Cloze {
                scope.spawn(|| load_kernels(compute.dtype.unwrap_or_default()));
            }
            blueprint.load()
        })?;
        PromptClassifier::of(loaded, compute, showing, None)
    }

    /// The same with a file of a calibration ([`Fitted`]), where there is one. One that was fitted for
    /// another model, other label words or other patterns is refused. All problems at once.
    pub fn load_calibrated(
        blueprint: Blueprint,
        compute: Compute,
        calibration: Option<PathBuf>,
    ) -> Result<PromptClassifier, Errors> {
        let Some(file) = calibration else { return Ok(PromptClassifier::load(blueprint, compute, None)?) };
        let columns = Columns::check("texts", blueprint.patterns.columns(), None)?;
        let tasks = blueprint.patterns.on(&columns)?.tasks;
        let asked = CalibrationRequest { fitted: Some(file), ..CalibrationRequest::default() };
        let calibrator = Calibrator::check(&asked, &blueprint, &tasks, &columns)?;
        let fitted = calibrator.fitted().clone();
        Ok(PromptClassifier::load(blueprint, compute, None)?.with_calibration(fitted))
    }

    /// One that sorts texts by labels of which the names say what is asked, corrected by what its patterns
    /// say to inputs without content. All problems at once.
    ///
    /// ```
    /// use cloze::predict::prompt_classifier::{Compute, PromptClassifier};
    /// use cloze::predict::zero_shot::Question;
    /// use cloze::text::labels::of_line;
    /// use cloze::{MaskedLm, Options};
    /// let model = MaskedLm::load("models/cloze-minilm-l6", Options::default())?;
    /// let labels = of_line("negative, positive")?;
    /// let mood = PromptClassifier::of_labels(model, labels, Question::ByLabels, None, Compute::default())?;
    /// assert_eq!(mood.label(&mood.classify(&["I want my money back."])?[0]), "negative");
    /// # Ok::<(), cloze::Error>(())
    /// ```
    pub fn of_labels(
        model: MaskedLm,
        labels: Vec<NamedLabel>,
        question: Question,
        max_length: Option<usize>,
        compute: Compute,
    ) -> Result<PromptClassifier, Errors> {
        let (question, labels, _) = question.of(labels);
        let templates = question.templates(&[TEXT.to_owned()])?;
        let builder = PromptClassifier::builder(model).compute(compute).verbalizer(verbalizer(&labels)?);
        let builder = Builder { templates, max_length, ..builder };
        Ok(builder.build()?.corrected()?)
    }

    fn of(
        loaded: Loaded,
        compute: Compute,
        showing: Option<Showing>,
        calibration: Option<Fitted>,
    ) -> Result<PromptClassifier> {
        let Loaded { verbalizer, base, patterns, learned, members } = loaded;
        let (folder, engine, device) = (base.model.folder.clone(), base.model.engine, base.model.device);
        let forwards = base.words.forwards();
        let remark = base.model.parameters.remark();
        // Of what was learned, and of weights that were widened, nothing stays but what the classifiers hold.
        drop((base, learned));
        let threads = compute.threads.unwrap_or_else(Threads::usual);
        let pays = || compute.tokens.is_none_or(|tokens| auto::pays(tokens, threads));
        let (dtype, tried) = compute.dtype.map_or_else(
            || auto::fastest(&members, auto::memory().as_deref(), pays()),
            |dtype| (dtype, None),
        );
        let members = members.into_iter().map(|member| member.prepared(dtype));
        Ok(PromptClassifier {
            labels: verbalizer.labels().map(str::to_owned).collect(),
            verbalizer,
            folder,
            engine,
            device,
            forwards,
            patterns,
            members: Mutex::new(members.collect::<Result<_>>()?),
            dtype: dtype.on(device),
            tried,
            threads,
            batch_tokens: compute.batch_tokens.unwrap_or_else(|| batch_tokens(device)),
            long: compute.long,
            showing,
            calibration,
            remark,
        })
    }

    /// The labels in class order.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The likeliest label of an answer.
    pub fn label(&self, answer: &Answer) -> &str {
        &self.labels[answer.prediction.class()]
    }

    /// The classes and their words.
    pub fn verbalizer(&self) -> &Verbalizer {
        &self.verbalizer
    }

    /// The base model's small files.
    pub fn folder(&self) -> &ModelFolder {
        &self.folder
    }

    /// Classifies texts, for patterns that read one column, whatever its name. The answers come in the texts'
    /// order.
    pub fn classify(&self, texts: &[impl AsRef<str>]) -> Result<Vec<Answer>> {
        let columns = self.patterns.columns();
        let [column] = &columns[..] else { return Err(DataError::NotOneColumn { columns }.into()) };
        let rows: Vec<[&str; 1]> = texts.iter().map(|text| [text.as_ref()]).collect();
        self.classify_fields(&[column], &rows)
    }

    /// Classifies rows of several columns, named as the patterns name them: a row's fields in the columns'
    /// order. The answers come in the rows' order.
    pub fn classify_fields<R: AsRef<[F]>, F: AsRef<str>>(
        &self,
        columns: &[&str],
        rows: &[R],
    ) -> Result<Vec<Answer>> {
        let columns = Columns::check("texts", columns.iter().map(|&name| name.to_owned()).collect(), None)?;
        let examples = columns.examples(rows)?;
        let tasks = self.patterns.on(&columns)?.tasks;
        let scoring = self.on(tasks, Arc::new(columns))?;
        let scored = scoring.scorer().score(&scoring.columns, &examples, &mut |_| {})?;
        Ok(scored.into_iter().map(|scored| self.answer(scored)).collect())
    }

    /// Classifies rows as they come: `each` is given a row and its answer, in the rows' order. Memory does
    /// not grow with the rows.
    pub fn classify_rows(
        &self,
        rows: Rows,
        mut each: impl FnMut(&Example, Answer) -> Result<()>,
    ) -> Result<()> {
        let columns = rows.columns().clone();
        let tasks = self.patterns.on(&columns)?.tasks;
        let scoring = self.on(tasks, columns.clone())?;
        let mut rows = rows;
        let mut next = |may_wait: bool| read_chunk(&mut rows, may_wait);
        let mut answer = |chunk: Vec<Example>, scored: Vec<Scored>| {
            chunk.iter().zip(scored).try_for_each(|(example, scored)| each(example, self.answer(scored)))
        };
        scoring.scorer().score_chunks(&columns, &mut next, &mut answer, &mut |_| {})
    }

    fn answer(&self, mut scored: Scored) -> Answer {
        self.answer_to(&mut scored)
    }

    /// The answer; the patterns' predictions are corrected too.
    fn answer_to(&self, scored: &mut Scored) -> Answer {
        let Some(fitted) = &self.calibration else { return std::mem::take(&mut scored.average).into() };
        let prediction = fitted.apply(&mut scored.by_pattern);
        let set = fitted.conformal.as_ref().map(|conformal| conformal.set(&prediction));
        Answer { prediction, answered: true, set }
    }

    /// Classifies rows that are read and checked already, in their order, with what each answer came from.
    /// An error names its row.
    ///
    /// ```
    /// use cloze::text::data::{Columns, Example};
    /// use cloze::{MaskedLm, Options, PromptClassifier, Template, Verbalizer};
    /// let classifier = PromptClassifier::builder(MaskedLm::load("models/cloze-minilm-l6", Options::default())?)
    ///     .template(Template::from_pattern("{text} It was {mask}.")?)
    ///     .verbalizer(Verbalizer::of(&[("negative", &["terrible"]), ("positive", &["great"])])?)
    ///     .build()?
    ///     .corrected()?;
    /// let columns = Columns::check("texts", vec!["text".to_owned()], None)?;
    /// let row = Example { record: 1, line: 1, fields: vec!["Lovely.".to_owned()], label: None };
    /// let answer = &classifier.classify_in_detail(&columns, &[row])?[0];
    /// assert_ne!(answer.by_pattern, answer.uncorrected);
    /// assert_eq!(answer.tokens, 8); // [CLS] lovely . it was [MASK] . [SEP]
    /// # Ok::<(), cloze::Error>(())
    /// ```
    pub fn classify_in_detail(&self, columns: &Columns, examples: &[Example]) -> Result<Vec<DetailedAnswer>> {
        let tasks = self.patterns.on(columns)?.tasks;
        let scoring = self.on(tasks, Arc::new(columns.clone()))?;
        let scored = scoring.scorer().score(columns, examples, &mut |_| {})?;
        let detailed = |mut scored: Scored| {
            let uncorrected = scored.by_pattern.clone();
            let answer = self.answer_to(&mut scored);
            let Scored { by_pattern, truncated, windows, tokens, .. } = scored;
            DetailedAnswer { answer, by_pattern, uncorrected, truncated, windows, tokens }
        };
        Ok(scored.into_iter().map(detailed).collect())
    }

    /// Refuses columns that the patterns cannot read. All problems at once.
    pub fn check_columns(&self, columns: &Columns) -> Result<(), Errors> {
        self.patterns.on(columns).map(drop)
    }

    /// A row as the models see it in each pattern, without a correction; nothing of a pattern in which no
    /// step's blank can be filled.
    pub fn previews(&self, columns: &Columns, example: &Example) -> Result<Vec<RowPreview>> {
        let tasks = self.patterns.on(columns)?.tasks;
        let scoring = self.on(tasks, Arc::new(columns.clone()))?;
        let view = View {
            verbalizer: &self.verbalizer,
            tokenizer: &self.folder.tokenizer,
            classifiers: &scoring.members,
            columns,
            max_length: self.patterns.max_length,
        };
        scoring.tasks.iter().filter_map(|task| view.preview(task, example).transpose()).collect()
    }

    /// The likeliest words, so many at most, for each blank of a text: where the model's mask token stands.
    ///
    /// ```
    /// use cloze::{MaskedLm, Options, PromptClassifier, Template, Verbalizer};
    /// let classifier = PromptClassifier::builder(MaskedLm::load("models/cloze-minilm-l6", Options::default())?)
    ///     .template(Template::from_pattern("{text} It was {mask}.")?)
    ///     .verbalizer(Verbalizer::of(&[("negative", &["terrible"]), ("positive", &["great"])])?)
    ///     .build()?;
    /// let words = classifier.fill("Paris is the [MASK] of [MASK].", 3)?;
    /// assert_eq!((words.len(), words[0].len()), (2, 3));
    /// assert!(words[0].iter().any(|filled| filled.word == "capital"));
    /// assert!(classifier.fill("Nothing is missing here.", 3).is_err());
    /// # Ok::<(), cloze::Error>(())
    /// ```
    pub fn fill(&self, text: &str, most: usize) -> Result<Vec<Vec<Filled>>> {
        let scoring = self.on(Vec::new(), Arc::new(Columns::check("texts", Vec::new(), None)?))?;
        fill(&scoring.members, &self.folder.tokenizer, self.patterns.max_length, text, most)
    }

    /// Other patterns and label words, asked of the same models over the same weights: no weight is loaded or
    /// copied. Models that have a head, label-word vectors or soft tokens of their own are refused. All
    /// problems at once.
    ///
    /// ```
    /// use cloze::{MaskedLm, Options, PromptClassifier, Template, Verbalizer};
    /// let model = MaskedLm::load("models/cloze-minilm-l6", Options::default())?;
    /// let mood = PromptClassifier::builder(model)
    ///     .template(Template::from_pattern("{text} It was {mask}.")?)
    ///     .verbalizer(Verbalizer::of(&[("negative", &["terrible"]), ("positive", &["great"])])?)
    ///     .build()?;
    /// let pattern = Template::from_pattern("{text} This is about {mask}.")?;
    /// let topic = mood.asking(vec![pattern], Verbalizer::of(&[("money", &["money"]), ("sport", &["sport"])])?)?;
    /// let answers = topic.classify(&["The bank raised its rates.", "She won the race."])?;
    /// assert_eq!(answers.iter().map(|answer| topic.label(answer)).collect::<Vec<_>>(), ["money", "sport"]);
    /// # Ok::<(), cloze::Error>(())
    /// ```
    pub fn asking(
        &self,
        templates: Vec<Template>,
        verbalizer: Verbalizer,
    ) -> Result<PromptClassifier, Errors> {
        let kind = self.verbalizer.kind();
        let refused = |why| Errors::from(TemplateError::AsksNothingElse { why });
        if matches!(kind, VerbalizerKind::Soft | VerbalizerKind::Prototype) {
            return Err(refused("its classes are vectors that were learned"));
        }
        if !self.patterns.soft.is_empty() {
            return Err(refused("its patterns have soft tokens that were learned"));
        }
        if templates.is_empty() {
            return Err(TemplateError::NoneGiven.into());
        }
        let mut errors = Errors::new();
        let words = errors.keep(LabelWords::check(&verbalizer, &self.folder.tokenizer, self.device));
        let max_length = self.patterns.max_length;
        let vectors = SoftVectors::Words;
        let patterns =
            Patterns::bind_fitting(templates, words.as_ref(), &self.folder, vectors, max_length, &mut errors);
        errors.extend(patterns.pvps.iter().filter_map(|pvp| {
            let soft = pvp.template().soft().next()?;
            Some(pvp.template().soft_error(soft, TemplateError::SoftUntrained))
        }));
        errors.none()?;
        let Some(words) = words else { unreachable!("an error says what is wrong with the words") };
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let with_words = |member: &Classifier| match member {
            Classifier::Sequence(_) => Err(refused("it has a head of its own")),
            Classifier::Prompt(model, _) => model
                .share_for_other_words()
                .map(|model| Classifier::Prompt(model, words.clone()))
                .ok_or_else(|| refused("it runs on rust-bert's engine")),
        };
        let members = members.iter().map(with_words).collect::<Result<Vec<_>, Errors>>()?;
        Ok(PromptClassifier {
            labels: verbalizer.labels().map(str::to_owned).collect(),
            verbalizer,
            folder: self.folder.clone(),
            forwards: words.forwards(),
            patterns,
            members: Mutex::new(members),
            tried: self.tried.clone(),
            showing: None,
            calibration: None,
            remark: self.remark.clone(),
            ..*self
        })
    }

    /// The same with its probabilities corrected by what its patterns say to inputs without content
    /// ([`Method::Contextual`](crate::predict::calibration::Method::Contextual)), in place of any other
    /// correction: it needs no rows, and costs three inputs a pattern.
    pub fn corrected(mut self) -> Result<PromptClassifier> {
        let columns = Columns::check("texts", self.patterns.columns(), None)?;
        let tasks = self.patterns.on(&columns)?.tasks;
        let scoring = self.on(tasks, Arc::new(columns.clone()))?;
        let nothing = nothing_fitted(&self.folder, String::new(), &self.verbalizer, &scoring.tasks);
        let mut calibrator = Calibrator::contextual(nothing, &self.verbalizer);
        calibrator.fit(&scoring.scorer(), &columns, &mut |_| {})?;
        drop(scoring);
        self.calibration = Some(calibrator.fitted().clone());
        Ok(self)
    }

    /// The same on so many threads of a processor.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> PromptClassifier {
        PromptClassifier { threads, ..self }
    }

    /// The same with a calibration that was fitted for it.
    #[must_use]
    pub fn with_calibration(self, fitted: Fitted) -> PromptClassifier {
        PromptClassifier { calibration: Some(fitted), ..self }
    }

    /// The calibration, if there is one.
    pub fn calibration(&self) -> Option<&Fitted> {
        self.calibration.as_ref()
    }

    /// The columns that the patterns read, each once.
    pub fn columns(&self) -> Vec<String> {
        self.patterns.columns()
    }

    /// The patterns.
    pub fn templates(&self) -> impl ExactSizeIterator<Item = &Template> {
        self.patterns.pvps.iter().map(Pvp::template)
    }

    /// The longest input, in tokens.
    pub fn max_length(&self) -> usize {
        self.patterns.max_length
    }

    /// The most tokens in a batch.
    pub fn batch_tokens(&self) -> usize {
        self.batch_tokens
    }

    /// The type of numbers.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The patterns on the columns of rows, with all that has to be asked of the model before the rows. While
    /// it lives, rust-bert's model belongs to it alone: others that classify with it wait.
    pub fn on(&self, tasks: Vec<Task>, columns: Arc<Columns>) -> Result<Scoring<'_>> {
        let _threads = Threads::on(self.threads);
        let guard = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = guard.iter().map(Classifier::share).collect::<Option<Vec<_>>>();
        let members = shared.map_or_else(|| Members::Alone(guard), Members::Shared);
        Showing::check_wanted(&tasks, self.showing.is_some())?;
        let mut scoring = Scoring { classifier: self, members, tasks: Vec::new(), columns };
        let Some(showing) = &self.showing else { return Ok(Scoring { tasks, ..scoring }) };
        scoring.tasks = showing.asked_of(tasks, &scoring.scorer(), &scoring.columns)?;
        Ok(scoring)
    }
}

/// The models of one scoring.
enum Members<'a> {
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
    members: Members<'a>,
    /// The patterns.
    pub tasks: Vec<Task>,
    /// The rows' columns.
    pub columns: Arc<Columns>,
}

/// Rows that are scored together, with their true classes where they are known.
struct Chunk {
    examples: Vec<Example>,
    truths: Vec<Option<usize>>,
}

impl AsRef<[Example]> for Chunk {
    fn as_ref(&self) -> &[Example] {
        &self.examples
    }
}

/// What is done with a chunk of rows and their answers.
pub type Each<'a> = dyn FnMut(&[Example], Vec<Answer>) -> Result<()> + 'a;

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
        }
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
            Ok(Coming::Chunk(Chunk { examples, truths }))
        };
        let mut answer = |calibrator: &Calibrator, chunk: Chunk, scored: Vec<Scored>| {
            let answers = scored.into_iter().zip(chunk.truths);
            let answers = answers.map(|(scored, truth)| counted.answer(calibrator, scored, truth)).collect();
            each(&chunk.examples, answers)
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

/// The next rows, up to a chunk. Where somebody is still writing them, those that come within a second of the
/// first are one; where there is other work to do, hardly any is waited for.
pub(crate) fn read_chunk(rows: &mut Rows, may_wait: bool) -> Result<Coming<Vec<Example>>> {
    // Long enough for a program at the other end of a pipe.
    const HARDLY: Duration = Duration::from_millis(50);
    let mut chunk = Vec::new();
    let (mut bytes, mut until) = (0, (!may_wait).then(|| Instant::now() + HARDLY));
    while chunk.len() < CHUNK_ROWS && bytes < CHUNK_BYTES {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        match rows.next_within(left) {
            Next::Row(example) => {
                let example: Example = example?;
                bytes += example.fields.iter().map(String::len).sum::<usize>();
                chunk.push(example);
                until.get_or_insert_with(|| rows.patience_ends());
            }
            Next::Later => break,
            Next::End if chunk.is_empty() => return Ok(Coming::End),
            Next::End => break,
        }
    }
    Ok(if chunk.is_empty() { Coming::Later } else { Coming::Chunk(chunk) })
}
