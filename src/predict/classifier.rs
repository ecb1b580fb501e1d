//! A whole model with what was learned: rows' inputs in, class scores out.

use std::collections::BTreeMap;

use tch::{Device, Kind as Type, Tensor, no_grad};

use crate::error::{ModelError, Result, TensorProblem, TuningError};
use crate::model::batch::sample_inputs;
use crate::model::dtype::Dtype;
use crate::model::encoder::{Additions, Mode};
use crate::model::features::Features;
use crate::model::folder::EngineChoice;
use crate::model::masked_lm::MaskedLm;
use crate::model::tensor_map::Module;
use crate::model::tokenizer::Tokenizer;
use crate::model::values::values;
use crate::predict::label_words::LabelWords;
use crate::predict::prompt_model::PromptModel;
use crate::predict::sequence_classifier::SequenceClassifier;
use crate::text::verbalizer::VerbalizerKind;
use crate::tune::soft::SoftTokens;
use crate::tune::{Adapted, Beginning, ClassStart, Form, Learned, Trainable, Tuning, adapt};

/// One of the two kinds of model that rows are classified with.
pub enum Classifier {
    /// Label words at the mask.
    Prompt(PromptModel, LabelWords),
    /// A linear layer at `[CLS]`.
    Sequence(Box<SequenceClassifier>),
}

/// A masked language model with label words: what classifiers are made of, as it is or with what was learned.
#[derive(Clone)]
pub struct VerbalizedLm {
    /// The model.
    pub model: MaskedLm,
    /// The label words.
    pub words: LabelWords,
}

impl VerbalizedLm {
    /// A model with these label words.
    pub fn new(model: MaskedLm, words: LabelWords) -> VerbalizedLm {
        VerbalizedLm { model, words }
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        self.model.tokenizer()
    }

    /// The base model with the vectors of soft tokens before training, those to sample drawn by the seed.
    pub fn untrained(&self, soft: &SoftTokens, seed: u64) -> Result<Classifier> {
        Ok(Classifier::Prompt(self.untrained_prompt_model(soft, seed)?, self.words.clone()))
    }

    /// The same without its label words: a model that says words at the mask.
    pub fn untrained_prompt_model(&self, soft: &SoftTokens, seed: u64) -> Result<PromptModel> {
        let words = self.model.parameters.weight(Module::WordEmbeddings);
        let vectors = (!soft.is_empty()).then(|| soft.vectors(words, &self.tokenizer().common_words(), seed));
        self.prompt_model(vectors)
    }

    /// The base model as it is, with the vectors `[S,H]` of soft tokens where patterns have any.
    pub fn zero_shot(&self, soft: Option<Tensor>) -> Result<Classifier> {
        Ok(Classifier::Prompt(self.prompt_model(soft)?, self.words.clone()))
    }

    /// The same without its label words: a model that says words at the mask.
    pub fn prompt_model(&self, soft: Option<Tensor>) -> Result<PromptModel> {
        let mut model = PromptModel::new(
            self.model.folder.clone(),
            &self.model.parameters,
            self.model.engine,
            self.model.device,
        )?;
        let additions = Additions { soft: soft.map(Into::into), ..Additions::default() };
        model.adapt(&self.model.parameters, Adapted { parameters: None, additions });
        Ok(model)
    }

    /// The base model with what was learned.
    pub fn learned(&self, tuning: &Tuning, learned: &Learned) -> Result<Classifier> {
        let mut classifier = match tuning {
            Tuning::Cls(_) => return Ok(self.sequence(tuning, learned)),
            _ => self.zero_shot(None)?,
        };
        classifier.adapt(self, tuning, learned, Form::Merged);
        Ok(classifier)
    }

    /// What a verbalizer's own tensors start from. The vectors of a soft or a prototype verbalizer: the mean
    /// of its words' rows of the decoder, and of their biases; learned weights: the words' own.
    ///
    /// # Shapes
    /// `[C,H]`, `[C]`; or `[C,W]`
    pub fn class_start(&self) -> Option<ClassStart> {
        let mean_of = |all: Tensor| {
            no_grad(|| self.words.scores().mean_of_words(&all.index_select(0, self.words.ids())))
        };
        let weight = || mean_of(self.model.parameters.decoder().shallow_clone());
        match self.words.kind() {
            VerbalizerKind::Soft => {
                let bias = mean_of(self.model.parameters.decoder_bias().shallow_clone()).flatten(0, -1);
                Some(ClassStart::Vectors { weight: weight(), bias })
            }
            VerbalizerKind::Prototype => Some(ClassStart::Prototypes { weight: weight() }),
            _ if self.words.learns_weights() => {
                Some(ClassStart::WordWeights(no_grad(|| self.words.scores().start_of_weights())))
            }
            _ => None,
        }
    }

    /// The shapes of what such a tuning of this model learns, with so many soft tokens and classes.
    pub fn shapes_of_learned(
        &self,
        tuning: &Tuning,
        soft: usize,
        classes: usize,
    ) -> BTreeMap<String, Vec<i64>> {
        let prefix = match tuning {
            Tuning::Prefix(options) | Tuning::PTuningV2(options) => vec![0; options.length],
            _ => Vec::new(),
        };
        let config = &self.model.folder.config;
        let class_start = self.class_start();
        let beginning = Beginning {
            config,
            base: &self.model.parameters,
            soft: vec![0; soft],
            prefix,
            classes,
            class_start,
            own: &[],
            seed: 0,
        };
        let learned = Trainable::new(tuning, &beginning).finished();
        learned.into_iter().map(|(name, tensor)| (name, tensor.size())).collect()
    }

    /// Refuses tensors that are not what such a tuning of this model learns, with so many soft tokens and
    /// classes.
    pub fn check_learned(
        &self,
        tuning: &Tuning,
        learned: &Learned,
        soft: usize,
        classes: usize,
    ) -> Result<()> {
        let wanted = self.shapes_of_learned(tuning, soft, classes);
        let problem = |(name, wanted): (&String, &Vec<i64>)| TensorProblem {
            name: name.clone(),
            wanted: wanted.clone(),
            found: learned.get(name).map(Tensor::size),
        };
        let problems: Vec<TensorProblem> = wanted
            .iter()
            .map(problem)
            .filter(|problem| problem.found.as_ref() != Some(&problem.wanted))
            .collect();
        let unknown: Vec<String> =
            learned.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        if problems.is_empty() && unknown.is_empty() {
            Ok(())
        } else {
            Err(TuningError::LearnedMisfit { method: tuning.name(), tensors: problems, unknown }.into())
        }
    }

    /// Refuses what rust-bert's model has no place for; `bf16` is whether products are to be in bfloat16.
    pub fn check_engine(&self, tuning: &Tuning, bf16: bool) -> Result<()> {
        let reason = match tuning {
            _ if self.model.engine == EngineChoice::Cloze => return Ok(()),
            _ if bf16 => "it computes in f32, not in bf16",
            _ if matches!(self.words.kind(), VerbalizerKind::Soft | VerbalizerKind::Prototype) => {
                "it has no place for the vectors of a soft or a prototype verbalizer"
            }
            Tuning::Prefix(_) | Tuning::PTuningV2(_) => "it has no place for keys and values of its own",
            Tuning::Adapter(_) => "it has no place for adapters",
            Tuning::Cls(_) => "it has a masked-language-model head only",
            Tuning::Lora(lora) if lora.dropout > 0.0 => {
                "it takes updates within its weights only, where lora.dropout has no place"
            }
            _ => return Ok(()),
        };
        Err(TuningError::EngineCannotTune { method: tuning.name(), reason }.into())
    }

    /// Refuses rust-bert's model where the states of rows are wanted.
    pub fn check_states(&self) -> Result<()> {
        match self.model.engine {
            EngineChoice::Cloze => Ok(()),
            EngineChoice::RustBert => {
                let reason = "it gives no states, by which rows are compared".to_owned();
                Err(ModelError::ReferenceCannot { reason }.into())
            }
        }
    }

    /// Refuses rust-bert's model where a language model is to learn from texts.
    pub fn check_language_modelling(&self) -> Result<()> {
        match self.model.engine {
            EngineChoice::Cloze => Ok(()),
            EngineChoice::RustBert => {
                let reason = "it gives no states at chosen places";
                Err(TuningError::EngineCannotTune { method: "language modelling", reason }.into())
            }
        }
    }

    fn sequence(&self, tuning: &Tuning, learned: &Learned) -> Classifier {
        let adapted = adapt(tuning, &self.model.folder.config, &self.model.parameters, learned, Form::Merged);
        let parameters = adapted.parameters.as_ref().unwrap_or(&self.model.parameters);
        Classifier::Sequence(Box::new(SequenceClassifier::new(
            self.model.folder.clone(),
            parameters,
            learned,
            self.model.device,
        )))
    }
}

impl Classifier {
    /// Takes what was learned, in place of what it had.
    pub fn adapt(&mut self, base: &VerbalizedLm, tuning: &Tuning, learned: &Learned, form: Form) {
        match self {
            Classifier::Prompt(model, _) => {
                // rust-bert's weights have nothing beside them.
                let form = if base.model.engine == EngineChoice::RustBert { Form::Merged } else { form };
                model.adapt(
                    &base.model.parameters,
                    adapt(tuning, &base.model.folder.config, &base.model.parameters, learned, form),
                );
            }
            Classifier::Sequence(_) => *self = base.sequence(tuning, learned),
        }
    }

    /// Computes in bfloat16, with gradients, until other weights come.
    ///
    /// # Panics
    /// If it is rust-bert's model.
    pub fn narrow(&mut self) {
        match self {
            Classifier::Prompt(model, _) => model.narrow(),
            Classifier::Sequence(model) => model.narrow(),
        }
    }

    /// The same, ready to score in a type, fast and without gradients, until it is adapted anew.
    ///
    /// # Panics
    /// If it was made ready before, for these weights.
    pub fn prepared(mut self, dtype: Dtype) -> Result<Classifier> {
        match &mut self {
            Classifier::Prompt(model, _) => model.prepare(dtype)?,
            Classifier::Sequence(model) => model.prepare(dtype)?,
        }
        Ok(self)
    }

    /// Inputs as it reads them, of words drawn from the vocabulary: see [`sample_inputs`].
    pub fn sample_inputs(&self) -> Vec<Features> {
        match self {
            Classifier::Prompt(model, _) => sample_inputs(model.tokenizer(), model.room()),
            Classifier::Sequence(model) => {
                let mut inputs = sample_inputs(model.tokenizer(), model.room());
                inputs.iter_mut().for_each(|input| input.mask = 0);
                inputs
            }
        }
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        match self {
            Classifier::Prompt(model, _) => model.device(),
            Classifier::Sequence(model) => model.device(),
        }
    }

    /// The same classifier for another thread, over the same numbers; none where one thread must have it to
    /// itself.
    pub fn share(&self) -> Option<Classifier> {
        Some(match self {
            Classifier::Prompt(model, words) => Classifier::Prompt(model.share()?, words.clone()),
            Classifier::Sequence(model) => Classifier::Sequence(model.clone()),
        })
    }

    /// # Shapes
    /// B inputs → `[B,C]`
    pub fn class_scores(&self, inputs: &[&Features], mode: Mode) -> Tensor {
        self.scores_and_vectors(inputs, mode).0
    }

    /// The same, and with prototypes the vectors of the inputs that are compared with them.
    ///
    /// # Shapes
    /// B inputs → `[B,C]`, `[B,P]`
    pub fn scores_and_vectors(&self, inputs: &[&Features], mode: Mode) -> (Tensor, Option<Tensor>) {
        match self {
            Classifier::Prompt(model, words) => model.scores_and_vectors(inputs, words, mode),
            Classifier::Sequence(model) => (model.class_scores(inputs, mode), None),
        }
    }

    /// Refuses a classifier that gives no one state at a mask beside its label words' scores.
    pub fn check_states_at_masks(&self) -> Result<()> {
        let reason = match self {
            Classifier::Sequence(_) => "a classifier at [CLS] reads none",
            Classifier::Prompt(model, _) if !model.gives_states() => "rust-bert's model gives none",
            Classifier::Prompt(_, words) if words.several().is_some() => {
                "label words of several tokens have several"
            }
            Classifier::Prompt(..) => return Ok(()),
        };
        Err(ModelError::NeighboursCannot { reason }.into())
    }

    /// The class scores, and the last layer's states at the masks.
    ///
    /// # Panics
    /// If it gives no states: see [`Classifier::check_states_at_masks`].
    ///
    /// # Shapes
    /// B inputs → `[B,C]`, `[B,H]`
    pub fn scores_and_states(&self, inputs: &[&Features]) -> (Tensor, Tensor) {
        match self {
            Classifier::Prompt(model, words) => model.scores_and_states(inputs, words),
            Classifier::Sequence(_) => unreachable!("refused where states are wanted"),
        }
    }

    /// The class probabilities, input after input, without gradients.
    ///
    /// # Shapes
    /// B inputs → B·C numbers
    pub fn probabilities(&self, inputs: &[&Features]) -> Vec<f64> {
        self.probabilities_and_levels(inputs).0
    }

    /// The same, and what the softmax takes away: the level `ln Σ exp(z_c)` of each input's class scores.
    ///
    /// # Shapes
    /// B inputs → B·C numbers, B numbers
    pub fn probabilities_and_levels(&self, inputs: &[&Features]) -> (Vec<f64>, Vec<f64>) {
        no_grad(|| {
            let scores = self.class_scores(inputs, Mode::Score);
            (values(&scores.softmax(-1, Type::Double)), values(&levels(&scores)))
        })
    }
}

/// `ln Σ exp` of class scores.
///
/// # Shapes
/// `[B,C]` → `[B]`
pub(crate) fn levels(scores: &Tensor) -> Tensor {
    scores.to_kind(Type::Double).logsumexp([-1], false)
}

/// Whether all of them compute on a processor.
pub(crate) fn on_processor(classifiers: &[Classifier]) -> bool {
    classifiers.iter().all(|classifier| classifier.device() == Device::Cpu)
}

/// Keeps what a processor computes for these on the calling thread.
pub(crate) fn compute_on_one_thread(classifiers: &[Classifier]) {
    if on_processor(classifiers) {
        // A thread takes libtorch's number of threads when it first asks for it, and would not know of this
        // one.
        let _ = tch::get_num_threads();
        tch::set_num_threads(1);
    }
}
