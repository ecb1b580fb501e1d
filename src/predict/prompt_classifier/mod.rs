//! The front door: a model with patterns and label words, which classifies texts and rows.

// how it is made, how rows go through it
mod builder;
mod scoring;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tch::Device;

use crate::error::{DataError, Errors, Result, TemplateError};
use crate::model::dtype::{Dtype, Trial};
use crate::model::encoder::load_kernels;
use crate::model::folder::{EngineChoice, ModelFolder};
use crate::model::masked_lm::MaskedLm;
use crate::model::threads::Threads;
use crate::predict::auto;
use crate::predict::blueprint::{Blueprint, Loaded};
use crate::predict::calibration::Fitted;
use crate::predict::calibrator::{CalibrationRequest, Calibrator, nothing_fitted};
use crate::predict::classifier::Classifier;
use crate::predict::encode::Long;
use crate::predict::fill::{Filled, fill};
use crate::predict::label_words::LabelWords;
use crate::predict::output::Answer;
use crate::predict::preview::{RowPreview, View};
use crate::predict::pvp::{Patterns, Pvp, SoftVectors};
use crate::predict::report::{Pooling, Prediction};
use crate::predict::score::{Scored, batch_tokens};
use crate::predict::showing::Showing;
use crate::predict::zero_shot::Question;
use crate::text::data::{Columns, Example, Rows, TEXT};
use crate::text::labels::{NamedLabel, verbalizer};
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;

pub use builder::Builder;
pub use scoring::{Each, Scoring, ScoringProgress};
pub(crate) use scoring::{Together, read_chunk};

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

    /// The number that an answer says, where the verbalizer has a range of numbers.
    ///
    /// ```
    /// use cloze::{MaskedLm, Options, PromptClassifier, Template, Verbalizer};
    /// let stars = r#"{ "version": 1, "range": [1, 5], "classes": [
    ///     { "label": "low", "words": ["terrible"] }, { "label": "high", "words": ["great"] } ] }"#;
    /// let classifier = PromptClassifier::builder(MaskedLm::load("models/cloze-minilm-l6", Options::default())?)
    ///     .template(Template::from_pattern("{text} It was {mask}.")?)
    ///     .verbalizer(Verbalizer::parse("stars", "stars.json", stars)?)
    ///     .build()?;
    /// let answer = &classifier.classify(&["A wonderful film."])?[0];
    /// assert!(classifier.number(answer).is_some_and(|stars| stars > 3.0 && stars < 5.0));
    /// # Ok::<(), cloze::Error>(())
    /// ```
    pub fn number(&self, answer: &Answer) -> Option<f64> {
        let range = self.verbalizer.structure().range?;
        Some(range.expected(&answer.prediction.probabilities))
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
        let mut answer = |chunk: Together, scored: Vec<Scored>| {
            chunk.rows.iter().zip(scored).try_for_each(|(example, scored)| each(example, self.answer(scored)))
        };
        scoring.scorer().score_chunks(&columns, &mut next, &mut answer, &mut |_| {})
    }

    fn answer(&self, mut scored: Scored) -> Answer {
        self.answer_to(&mut scored)
    }

    /// The answer; the patterns' predictions are corrected too.
    fn answer_to(&self, scored: &mut Scored) -> Answer {
        let Some(fitted) = &self.calibration else { return std::mem::take(&mut scored.average).into() };
        let prediction = fitted.apply(&mut scored.by_pattern, &scored.levels);
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
    /// let row = Example { record: 1, line: 1, fields: vec!["Lovely.".to_owned()], label: None, values: None };
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

    /// N rows → N · `[H]`: the means of the first model's last states over the columns that the first pattern
    /// reads, as vectors of length 1.
    ///
    /// # Errors
    /// A classifier on \[CLS\] and rust-bert's engine give no states.
    pub fn states(&self, columns: &Columns, examples: &[Example]) -> Result<Vec<Vec<f32>>> {
        let tasks = self.patterns.on(columns)?.tasks;
        let scoring = self.on(tasks, Arc::new(columns.clone()))?;
        let scorer = scoring.scorer();
        let _threads = Threads::on(scorer.threads);
        scorer.states(columns, examples, &mut |_| {})
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
        let refused = |why| Errors::from(TemplateError::AsksNothingElse { why });
        if self.verbalizer.learns_of_classes() {
            return Err(refused("it has learned vectors of classes, or weights of words"));
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
}
