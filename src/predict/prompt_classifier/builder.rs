//! What a classifier is made of, and the making.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Compute, PromptClassifier};
use crate::error::{Error, Result, TemplateError, VerbalizerError};
use crate::model::masked_lm::MaskedLm;
use crate::model::threads::Threads;
use crate::predict::blueprint::{Loaded, identity, members};
use crate::predict::calibration::Fitted;
use crate::predict::calibrator::nothing_fitted;
use crate::predict::classifier::VerbalizedLm;
use crate::predict::explain::Explainer;
use crate::predict::label_words::LabelWords;
use crate::predict::pvp::{Patterns, SoftVectors};
use crate::predict::showing::Showing;
use crate::text::data::Columns;
use crate::text::dataset::Dataset;
use crate::text::demonstrations::Drawing;
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;

/// What a [`PromptClassifier`] is made of.
pub struct Builder {
    pub(super) model: MaskedLm,
    pub(super) templates: Vec<Template>,
    pub(super) verbalizer: Option<Verbalizer>,
    pub(super) max_length: Option<usize>,
    pub(super) compute: Compute,
    pub(super) demonstrations: Option<(Dataset, Drawing)>,
    pub(super) calibration: Option<PathBuf>,
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
        let loaded = loaded(model, verbalizer, words, patterns)?;
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
        let loaded = loaded(model, verbalizer, words, patterns)?;
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

/// The model as it is, with these words and patterns.
fn loaded(model: MaskedLm, verbalizer: Verbalizer, words: LabelWords, patterns: Patterns) -> Result<Loaded> {
    let base = VerbalizedLm::new(model, words);
    let members = members(&base, &patterns, &[], None)?;
    Ok(Loaded { verbalizer, base, patterns, learned: Vec::new(), members })
}
