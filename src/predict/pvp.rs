//! Pattern-verbalizer pairs (PET's word): templates and label words bound to a model, with everything checked
//! that can be wrong between them.

use crate::error::{EncodeError, Error, Errors, Kind, Result, TemplateError, TuningError};
use crate::model::folder::ModelFolder;
use crate::model::tokenizer::Tokenizer;
use crate::predict::encode::encode;
use crate::predict::label_words::LabelWords;
use crate::text::template::{Fill, Placement, Prompt, Soft, SoftStart, Template};
use crate::tune::options::Tuning;
use crate::tune::soft::{SoftTokens, Start};

/// A pattern that a model can take, with room for a row and for the longest label word, and with vectors for
/// all of its soft tokens. Only [`Patterns::bind`] makes one of a pattern with soft tokens, so encoding has
/// nothing left to check.
///
/// ```
/// use cloze::predict::pvp::Pvp;
/// use cloze::text::template::Template;
/// let pvp = Pvp::plain(Template::from_pattern("{text} It was {mask}.")?)?;
/// assert_eq!(pvp.wrap(|_| "Lovely.").segments[0].len(), 4);
/// assert!(Pvp::plain(Template::from_pattern("{text} {soft} {mask}")?).is_err());
/// # Ok::<(), cloze::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pvp {
    template: Template,
    placement: Placement,
}

/// Where the vectors of soft tokens come from.
#[derive(Debug, Clone, Copy)]
pub enum SoftVectors<'a> {
    /// From the words that they start from, as a model without training has them; others are refused.
    Words,
    /// From those words, or from sampled ones.
    Sampled,
    /// From a training of this kind, which may put some before `[CLS]`. A method that reads no pattern reads
    /// these columns.
    Learned {
        /// The method.
        tuning: &'a Tuning,
        /// The columns that `cls` reads.
        columns: &'a [String],
    },
    /// From an adapter, which has so many before `[CLS]` and none elsewhere.
    Adapter {
        /// What it adapts.
        tuning: &'a Tuning,
        /// How many.
        front: usize,
    },
}

impl<'a> SoftVectors<'a> {
    /// Those of a training, or of patterns as they are written where nothing was trained.
    pub fn of_training(tuning: Option<&'a Tuning>, columns: &'a [String]) -> SoftVectors<'a> {
        tuning.map_or(SoftVectors::Sampled, |tuning| SoftVectors::Learned { tuning, columns })
    }
}

impl SoftVectors<'_> {
    /// The longest input that is left beside what the method adds.
    fn length_left(self, max_length: usize, folder: &ModelFolder) -> usize {
        match self {
            SoftVectors::Words | SoftVectors::Sampled => max_length,
            SoftVectors::Learned { tuning, .. } | SoftVectors::Adapter { tuning, .. } => {
                tuning.length_left(max_length, &folder.config)
            }
        }
    }
}

/// The patterns of one classifier, bound to its model, and the soft tokens that they share.
#[derive(Debug, Clone)]
pub struct Patterns {
    /// The patterns.
    pub pvps: Vec<Pvp>,
    /// Their soft tokens.
    pub soft: SoftTokens,
    /// The longest input, in tokens.
    pub max_length: usize,
}

impl Pvp {
    /// A pattern without soft tokens, for label words of one token: it needs nothing of a model.
    pub fn plain(template: Template) -> Result<Pvp> {
        if let Some(soft) = template.soft().next() {
            return Err(template.soft_error(soft, TemplateError::SoftUntrained));
        }
        Ok(Pvp { template, placement: Placement::default() })
    }

    /// The same with room for its blank to grow by so many tokens.
    #[must_use]
    pub fn with_room(self, kept_free: usize) -> Pvp {
        Pvp { placement: Placement { kept_free, ..self.placement }, ..self }
    }

    /// The template.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// The same with the pattern's own words changed: see [`Template::with_words`].
    #[must_use]
    pub fn with_words(&self, change: impl Fn(&str, bool) -> String) -> Pvp {
        Pvp { template: self.template.with_words(change), placement: self.placement.clone() }
    }

    /// A row in the pattern; `value_of` gives the text of the n-th field, filters are applied here.
    pub fn wrap<'a>(&'a self, value_of: impl Fn(usize) -> &'a str) -> Prompt<'a> {
        self.template.wrap(&self.placement, value_of)
    }

    /// A row in the pattern of a step; `value_of` as in [`Pvp::wrap`].
    pub(crate) fn wrap_step<'a>(&'a self, step: usize, value_of: impl Fn(usize) -> &'a str) -> Prompt<'a> {
        // Steps have no soft tokens, and their words are of one token.
        self.template.steps()[step].template().wrap(&Placement::default(), value_of)
    }

    /// Refuses a pattern that leaves no room whatever a row has, and steps whose words are no tokens of the
    /// model.
    fn check_length(&self, tokenizer: &Tokenizer, max_length: usize) -> Result<()> {
        for (index, step) in self.template.steps().iter().enumerate() {
            let prompt = self.wrap_step(index, |_| "");
            encode(&prompt, tokenizer, max_length)
                .map_err(|error| as_the_patterns_own(error, step.template()))?;
            let Fill::OneOf(words) = step.fill() else { continue };
            for word in words {
                match tokenizer.word_ids(&word.value)[..] {
                    [id] if id != tokenizer.special().unk => {}
                    _ => return Err(word.whole_error(TemplateError::StepWord { word: word.value.clone() })),
                }
            }
        }
        let prompt = self.wrap(|_| "");
        encode(&prompt, tokenizer, max_length)
            .map(drop)
            .map_err(|error| as_the_patterns_own(error, &self.template))
    }
}

/// An error about the length of a prompt without a row is one about its pattern.
fn as_the_patterns_own(error: Error, template: &Template) -> Error {
    match error.kind() {
        &Kind::Encode(EncodeError::PromptTooLong { fixed, limit, .. }) => {
            template.error(EncodeError::PatternTooLong { fixed, limit })
        }
        _ => error,
    }
}

impl Patterns {
    /// The columns that the patterns read, each once.
    pub fn columns(&self) -> Vec<String> {
        Template::columns_of_all(self.pvps.iter().map(Pvp::template))
    }

    /// Binds templates and label words to a model whose inputs have `max_length` tokens at most, what a
    /// method adds included: segments, soft tokens, masks and room are checked. All problems at once.
    pub fn bind(
        templates: Vec<Template>,
        words: &LabelWords,
        folder: &ModelFolder,
        vectors: SoftVectors<'_>,
        max_length: usize,
    ) -> Result<Patterns, Errors> {
        let mut errors = Errors::new();
        let patterns =
            Patterns::bind_fitting(templates, Some(words), folder, vectors, max_length, &mut errors);
        errors.none().map(|()| patterns)
    }

    /// Those of the templates that can be bound; what is wrong with the others is put beside the errors.
    /// Without label words no room is kept for them.
    pub fn bind_fitting(
        templates: Vec<Template>,
        words: Option<&LabelWords>,
        folder: &ModelFolder,
        vectors: SoftVectors<'_>,
        max_length: usize,
        errors: &mut Errors,
    ) -> Patterns {
        let left = vectors.length_left(max_length, folder);
        let none = || Patterns { pvps: Vec::new(), soft: SoftTokens::default(), max_length: left };
        let Some((templates, front)) = errors.keep(with_front(templates, words, folder, vectors)) else {
            return none();
        };
        let Some((placements, soft)) = errors.keep(SoftTokens::place(&templates, front, &folder.tokenizer))
        else {
            return none();
        };
        let kept_free = words.map_or(0, |words| words.most_masks() - 1);
        let bind = |(template, placement): (Template, Placement)| {
            let priors = words.map_or(Ok(0), |words| words.priors_in(&template));
            let priors = errors.keep(priors)?;
            Some(Pvp { template, placement: Placement { kept_free, priors, ..placement } })
        };
        let bound: Vec<Pvp> = templates.into_iter().zip(placements).filter_map(bind).collect();
        let fits = |pvp: &Pvp| {
            folder
                .check_segments(&pvp.template)
                .and_then(|()| pvp.check_length(&folder.tokenizer, left))
                .map_err(|error| as_the_methods_own(error, vectors, soft.front(), left < max_length))
        };
        let pvps: Vec<Pvp> = bound.into_iter().filter(|pvp| errors.keep(fits(pvp)).is_some()).collect();
        errors.extend(pvps.iter().filter_map(|pvp| without_vectors(&pvp.template, vectors)));
        errors.extend(pvps.iter().filter_map(|pvp| without_blank(&pvp.template, vectors)));
        Patterns { pvps, soft, max_length: left }
    }
}

/// The templates that are read, and what the soft tokens before `[CLS]` start from.
fn with_front(
    templates: Vec<Template>,
    words: Option<&LabelWords>,
    folder: &ModelFolder,
    vectors: SoftVectors<'_>,
) -> Result<(Vec<Template>, Vec<Start>)> {
    match vectors {
        SoftVectors::Words | SoftVectors::Sampled => Ok((templates, Vec::new())),
        SoftVectors::Adapter { front, .. } => Ok((templates, vec![Start::Sampled; front])),
        SoftVectors::Learned { tuning: Tuning::Cls(_), columns } => {
            let soft = templates.iter().find_map(|template| Some((template, template.soft().next()?)));
            match soft {
                Some((template, soft)) => Err(template.soft_error(soft, TuningError::ClsWithSoftTokens)),
                None => Ok((vec![Template::of_columns(columns)], Vec::new())),
            }
        }
        SoftVectors::Learned { tuning, .. } => {
            let ids = words.map(LabelWords::distinct_ids).unwrap_or_default();
            let front = tuning.front(&templates, &ids, &folder.tokenizer)?;
            Ok((templates, front))
        }
    }
}

/// Where the method takes a part of the room, by soft tokens before `[CLS]` or by positions, the error says
/// so.
fn as_the_methods_own(error: Error, vectors: SoftVectors<'_>, front: usize, takes_positions: bool) -> Error {
    match (error.kind(), vectors) {
        (
            &Kind::Encode(EncodeError::PatternTooLong { fixed, limit }),
            SoftVectors::Learned { tuning, .. },
        ) if front > 0 || takes_positions => {
            let (fixed, left) = (fixed - front, limit.saturating_sub(front));
            let length = tuning.length().unwrap_or_default();
            let method = tuning.name();
            Error::new(EncodeError::LengthLeavesNoRoom { method, length, fixed, left })
                .at(error.place().clone())
        }
        _ => error,
    }
}

/// The error of a text that is compared where a method learns at the blank.
fn without_blank(template: &Template, vectors: SoftVectors<'_>) -> Option<Error> {
    let SoftVectors::Learned { tuning, .. } = vectors else { return None };
    template.compares().then(|| template.error(TemplateError::ComparesInTraining { method: tuning.name() }))
}

/// The error of a pattern whose soft tokens nothing gives vectors.
fn without_vectors(template: &Template, vectors: SoftVectors<'_>) -> Option<Error> {
    let known = |soft: &Soft| match vectors {
        SoftVectors::Words => matches!(soft.start, Some(SoftStart::Words(_)) | None),
        // An adapter's vectors are for the tokens in front alone.
        SoftVectors::Adapter { .. } => false,
        SoftVectors::Sampled | SoftVectors::Learned { .. } => true,
    };
    let soft = template.soft().find(|soft| !known(soft))?;
    Some(template.soft_error(soft, TemplateError::SoftUntrained))
}
