//! A classifier before its weights: everything that can be read and checked without them, from files or from
//! a run.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tch::Device;

use crate::error::{Errors, ModelError, Result, SearchError};
use crate::model::dtype::Dtype;
use crate::model::folder::{EngineChoice, ModelFolder};
use crate::model::hash::hash_of_weights;
use crate::model::masked_lm::{MaskedLm, Options};
use crate::model::tensor_file;
use crate::predict::classifier::{Classifier, VerbalizedLm};
use crate::predict::label_words::LabelWords;
use crate::predict::prompt_model::PromptModel;
use crate::predict::pvp::{Patterns, SoftVectors};
use crate::predict::task::{TaskSet, check_columns};
use crate::text::data::Rows;
use crate::text::template::Template;
use crate::text::verbalizer::{StructureRequest, Verbalizer};
use crate::tune::{Learned, Tuning, peft};

/// A classifier before its weights.
pub struct Blueprint {
    /// The classes and their words.
    pub verbalizer: Verbalizer,
    /// The base model's small files.
    pub folder: ModelFolder,
    /// The label words as the model has them.
    pub words: LabelWords,
    /// The patterns, bound to the model.
    pub patterns: Patterns,
    /// The longest input, in tokens, what a method adds included.
    pub max_length: usize,
    /// What was learned, for each model to average; none for the base model as it is.
    pub learned: Vec<(Tuning, Learned)>,
    /// Whether it was learned in a run: then its tensors are held against what the method learns. An
    /// adapter's were checked where they were read.
    pub of_run: bool,
    /// How the model is loaded.
    pub options: Options,
}

/// The files that a classifier is made of.
#[derive(Debug, Clone, Copy)]
pub struct ClassifierFiles<'a> {
    /// The templates.
    pub templates: &'a [PathBuf],
    /// The verbalizer.
    pub verbalizer: &'a Path,
    /// A PEFT adapter.
    pub adapter: Option<&'a Path>,
    /// The longest input, in tokens, if it is not the model's own.
    pub max_length: Option<usize>,
}

/// What a classifier learned, where a run keeps it.
pub struct OfRun<'a> {
    /// The classes and their words.
    pub verbalizer: Verbalizer,
    /// The templates as they are written.
    pub templates: Vec<Template>,
    /// The method; none where nothing was trained.
    pub tuning: Option<&'a Tuning>,
    /// The columns that `cls` reads.
    pub columns: &'a [String],
    /// The longest input, in tokens.
    pub max_length: usize,
}

impl Blueprint {
    /// Reads and checks files, a model and the columns of the rows to classify, and tells all problems at
    /// once.
    pub fn of_files(
        files: ClassifierFiles<'_>,
        device: Result<Options>,
        rows: impl FnOnce() -> Result<Rows>,
        model: impl FnOnce() -> Result<ModelFolder>,
    ) -> Result<(Blueprint, TaskSet, Rows), Errors> {
        let mut errors = Errors::new();
        let options = errors.keep(device);
        let templates = Template::read_all(files.templates, &mut errors);
        let verbalizer = errors.keep(Verbalizer::read(files.verbalizer));
        let rows = errors.keep(rows());
        let folder = errors.keep(model());
        let parts = Read { templates, verbalizer, rows, folder, options };
        parts.bind(files.adapter, files.max_length, errors)
    }

    /// What a reader of results should know of a model whose head was not trained to fill masks. A run
    /// trained it, or has warned.
    pub fn head_remark(&self) -> Option<String> {
        self.folder.config.head_remark().filter(|_| !self.of_run)
    }

    /// The same of patterns and label words that no file has.
    pub fn of_parts(
        templates: Vec<Template>,
        verbalizer: Verbalizer,
        rows: Rows,
        folder: ModelFolder,
        options: Options,
        max_length: Option<usize>,
    ) -> Result<(Blueprint, TaskSet, Rows), Errors> {
        let (verbalizer, rows, folder) = (Some(verbalizer), Some(rows), Some(folder));
        let parts = Read { templates, verbalizer, rows, folder, options: Some(options) };
        parts.bind(None, max_length, Errors::new())
    }

    /// Binds what a run keeps to its base model; then `on` binds the patterns to columns, and `learned` reads
    /// what was learned. All problems at once.
    pub fn of_run<T>(
        run: OfRun<'_>,
        folder: ModelFolder,
        options: Options,
        on: impl FnOnce(&Patterns, &mut Errors) -> Result<T>,
        learned: impl FnOnce(&mut Errors) -> Vec<Learned>,
    ) -> Result<(Blueprint, T), Errors> {
        let OfRun { verbalizer, templates, tuning, columns, max_length } = run;
        let mut errors = Errors::new();
        let words = errors.keep(LabelWords::check(&verbalizer, &folder.tokenizer, options.device));
        let vectors = SoftVectors::of_training(tuning, columns);
        let patterns =
            Patterns::bind_fitting(templates, words.as_ref(), &folder, vectors, max_length, &mut errors);
        let bound = on(&patterns, &mut errors);
        let bound = errors.keep(bound);
        let learned = learned(&mut errors);
        let learned = tuning.map_or_else(Vec::new, |tuning| {
            learned.into_iter().map(|learned| (tuning.clone(), learned)).collect()
        });
        let (Some(words), Some(bound), true) = (words, bound, errors.is_empty()) else { return Err(errors) };
        let blueprint =
            Blueprint { verbalizer, folder, words, patterns, max_length, learned, of_run: true, options };
        Ok((blueprint, bound))
    }

    /// The same with the classes in a tree or an order: see [`Verbalizer::structured`].
    pub fn structured(mut self, request: &StructureRequest) -> Result<Blueprint, Errors> {
        self.verbalizer = self.verbalizer.structured(request)?;
        self.words = LabelWords::check(&self.verbalizer, &self.folder.tokenizer, self.options.device)?;
        Ok(self)
    }

    /// The labels in class order.
    pub fn labels(&self) -> Vec<String> {
        self.verbalizer.labels().map(str::to_owned).collect()
    }

    /// Other templates, bound as this classifier's own are: its method may put soft tokens before any. What
    /// is wrong with them is put beside the errors.
    pub fn bind_others(&self, templates: Vec<Template>, errors: &mut Errors) -> Patterns {
        let vectors = match self.learned.first() {
            None => SoftVectors::Words,
            Some((tuning, _)) if self.of_run => SoftVectors::Learned { tuning, columns: &[] },
            Some((tuning, _)) => SoftVectors::Adapter { tuning, front: self.patterns.soft.front() },
        };
        let words = Some(&self.words);
        Patterns::bind_fitting(templates, words, &self.folder, vectors, self.max_length, errors)
    }

    /// A name for the model with what was learned: it changes with any number of them. Reading all weights
    /// costs time.
    pub fn identity(&self) -> Result<String> {
        identity(&self.folder, &self.learned)
    }

    /// Loads the weights: the model with its label words, and the classifiers whose probabilities are
    /// averaged.
    pub fn load(self) -> Result<Loaded> {
        let Blueprint { verbalizer, folder, words, patterns, learned, of_run, options, .. } = self;
        let base = VerbalizedLm::new(MaskedLm::of(folder, options)?, words);
        let members = members(&base, &patterns, &learned, of_run.then_some(verbalizer.classes().len()))?;
        Ok(Loaded { verbalizer, base, patterns, learned, members })
    }
}

/// What was read of a classifier's parts; where one could not be, an error says so.
struct Read {
    templates: Vec<Template>,
    verbalizer: Option<Verbalizer>,
    rows: Option<Rows>,
    folder: Option<ModelFolder>,
    options: Option<Options>,
}

impl Read {
    /// Binds the parts to each other, as far as they are there.
    fn bind(
        self,
        adapter: Option<&Path>,
        max_length: Option<usize>,
        mut errors: Errors,
    ) -> Result<(Blueprint, TaskSet, Rows), Errors> {
        let Read { templates, verbalizer, rows, folder, options } = self;
        let device = options.map_or(Device::Cpu, |options| options.device);
        let words = verbalizer.as_ref().zip(folder.as_ref()).and_then(|(verbalizer, folder)| {
            errors.keep(LabelWords::check(verbalizer, &folder.tokenizer, device))
        });
        let max_length = folder.as_ref().and_then(|folder| errors.keep(folder.max_length(max_length)));
        let adapter = adapter
            .zip(folder.as_ref())
            .and_then(|(path, folder)| errors.keep(peft::read(path, &folder.config)));
        let vectors = match &adapter {
            Some(adapter) => SoftVectors::Adapter { tuning: &adapter.tuning, front: adapter.front },
            None => SoftVectors::Words,
        };
        let patterns = folder.as_ref().zip(max_length).map(|(folder, max_length)| {
            let templates = templates.clone();
            Patterns::bind_fitting(templates, words.as_ref(), folder, vectors, max_length, &mut errors)
        });
        let tasks = rows.as_ref().and_then(|rows| match &patterns {
            Some(patterns) => Some(patterns.on_fitting(rows.columns(), &mut errors)),
            None => {
                // Without a model, columns can be checked all the same.
                for template in &templates {
                    errors.keep(check_columns(template, rows.columns()));
                }
                None
            }
        });
        match (verbalizer, tasks, rows, folder, words, patterns.zip(max_length), options) {
            (
                Some(verbalizer),
                Some(tasks),
                Some(rows),
                Some(folder),
                Some(words),
                Some((patterns, max_length)),
                Some(options),
            ) if errors.is_empty() => {
                let learned = adapter.into_iter().map(|adapter| (adapter.tuning, adapter.learned)).collect();
                let of_run = false;
                let blueprint =
                    Blueprint { verbalizer, folder, words, patterns, max_length, learned, of_run, options };
                Ok((blueprint, tasks, rows))
            }
            _ => Err(errors),
        }
    }
}

/// A classifier's parts in memory.
pub struct Loaded {
    /// The classes and their words.
    pub verbalizer: Verbalizer,
    /// The base model with its label words.
    pub base: VerbalizedLm,
    /// The patterns, bound to the model.
    pub patterns: Patterns,
    /// What was learned; none for the base model as it is.
    pub learned: Vec<(Tuning, Learned)>,
    /// The models whose probabilities are averaged.
    pub members: Vec<Classifier>,
}

impl Loaded {
    /// The models that say words at the mask, ready to be asked. Those with a head of their own say none.
    pub fn models_at_mask(members: Vec<Classifier>) -> Result<Vec<PromptModel>> {
        let prepared = |member| match member {
            Classifier::Prompt(mut model, _) => {
                model.prepare(Dtype::F32)?;
                Ok(model)
            }
            Classifier::Sequence(_) => Err(SearchError::NothingAtMask.into()),
        };
        members.into_iter().map(prepared).collect()
    }
}

/// The base model as it is, or with what was learned; `classes` are those of a run.
pub(crate) fn members(
    base: &VerbalizedLm,
    patterns: &Patterns,
    learned: &[(Tuning, Learned)],
    classes: Option<usize>,
) -> Result<Vec<Classifier>> {
    let compares = patterns.pvps.iter().any(|pvp| pvp.template().compares());
    if compares && base.model.engine == EngineChoice::RustBert {
        let reason = "it gives no states, by which texts are compared with label words".to_owned();
        return Err(ModelError::ReferenceCannot { reason }.into());
    }
    if learned.is_empty() {
        return Ok(vec![base.untrained(&patterns.soft, 0)?]);
    }
    let with = |(tuning, learned): &(Tuning, Learned)| {
        base.check_engine(tuning, false)?;
        if let Some(classes) = classes {
            base.check_learned(tuning, learned, patterns.soft.len(), classes)?;
        }
        base.learned(tuning, learned)
    };
    learned.iter().map(with).collect()
}

/// A name for a model's weights with what was learned beside them.
pub(crate) fn identity(folder: &ModelFolder, learned: &[(Tuning, Learned)]) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(hash_of_weights(folder.path())?);
    for (tuning, tensors) in learned {
        hash.update(tuning.name());
        hash.update(tensor_file::hash(tensors));
    }
    Ok(format!("{:x}", hash.finalize()))
}

/// A device by whether it is an accelerator; refused where there is none.
pub fn device(cuda: bool) -> Result<Device> {
    match cuda {
        false => Ok(Device::Cpu),
        true => Device::cuda_if_available()
            .is_cuda()
            .then_some(Device::Cuda(0))
            .ok_or_else(|| ModelError::NoCuda.into()),
    }
}
