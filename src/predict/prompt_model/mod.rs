//! A masked language model with its tokenizer: prompts in, logits at the mask out.

mod comparison;
mod multi_token;

use std::sync::{Arc, Mutex};

use tch::{Device, Tensor};

use crate::error::{ModelError, Result};
use crate::model::batch::Batch;
use crate::model::dtype::Dtype;
use crate::model::encoder::{Additions, Encoder, Mode};
use crate::model::features::Features;
use crate::model::folder::{EngineChoice, ModelFolder};
use crate::model::head::MlmHead;
use crate::model::parameters::Parameters;
use crate::model::reference::Reference;
use crate::model::shared::Shared;
use crate::model::tokenizer::Tokenizer;
use crate::model::values::rows;
use crate::predict::label_words::LabelWords;
use crate::tune::Adapted;

/// A masked language model that reads label words at the mask.
pub struct PromptModel {
    folder: Arc<ModelFolder>,
    engine: Engine,
    /// Whether the engine has other weights than those it was made with.
    changed: bool,
    additions: Box<Additions>,
    device: Device,
    /// The label words' vectors, once a text has been compared with them.
    label_vectors: Arc<Mutex<Option<Shared>>>,
}

enum Engine {
    Cloze(Box<Encoder>, Box<MlmHead>),
    RustBert(Box<Reference>),
}

impl PromptModel {
    /// Loads a folder's weights.
    pub fn load(folder: ModelFolder, engine: EngineChoice, device: Device) -> Result<PromptModel> {
        let parameters = Parameters::load(folder.path(), &folder.config.tensors, device)?;
        PromptModel::new(Arc::new(folder), &parameters, engine, device)
    }

    /// The model of a folder over weights that are loaded already.
    pub fn new(
        folder: Arc<ModelFolder>,
        parameters: &Parameters,
        engine: EngineChoice,
        device: Device,
    ) -> Result<PromptModel> {
        let engine = match engine {
            EngineChoice::Cloze => Engine::Cloze(
                Box::new(Encoder::new(&folder.config, parameters)),
                Box::new(MlmHead::new(&folder.config, parameters)),
            ),
            EngineChoice::RustBert => {
                Engine::RustBert(Box::new(Reference::new(&folder.config, parameters, device)?))
            }
        };
        Ok(PromptModel {
            folder,
            engine,
            changed: false,
            additions: Box::default(),
            device,
            label_vectors: Arc::default(),
        })
    }

    /// Takes what was learned, in place of what it had; `base` are the weights that the model was made with.
    pub fn adapt(&mut self, base: &Parameters, adapted: Adapted) {
        // The model's own weights are put back only where others are in their place: that costs a copy of
        // them.
        let back = self.changed.then_some(base);
        if let Some(parameters) = adapted.parameters.as_ref().or(back) {
            match &mut self.engine {
                Engine::Cloze(encoder, head) => {
                    **encoder = Encoder::new(&self.folder.config, parameters);
                    **head = MlmHead::new(&self.folder.config, parameters);
                }
                Engine::RustBert(reference) => reference.take(parameters),
            }
        }
        self.changed = adapted.parameters.is_some();
        self.label_vectors = Arc::default();
        *self.additions = adapted.additions;
    }

    /// Computes in bfloat16, with gradients, until other weights come.
    pub fn narrow(&mut self) {
        match &mut self.engine {
            Engine::Cloze(encoder, head) => {
                encoder.narrow();
                head.narrow();
            }
            Engine::RustBert(_) => unreachable!("bfloat16 is refused where rust-bert's model is asked for"),
        }
    }

    /// Makes ready to score in a type, fast and without gradients, until it is adapted anew. rust-bert's
    /// model has one type.
    ///
    /// # Panics
    /// If it was made ready before, for these weights.
    pub fn prepare(&mut self, dtype: Dtype) -> Result<()> {
        match &mut self.engine {
            Engine::Cloze(encoder, _) => {
                self.changed = true;
                self.label_vectors = Arc::default();
                encoder.prepare(dtype, &self.folder.tokenizer, &self.additions)
            }
            Engine::RustBert(_) if dtype == Dtype::F32 => Ok(()),
            Engine::RustBert(_) => Err(ModelError::ReferenceCannot {
                reason: format!("it computes in f32, not in {}", dtype.name()),
            }
            .into()),
        }
    }

    /// The same model for another thread, over the same numbers; none of rust-bert's, which one thread must
    /// have to itself.
    pub fn share(&self) -> Option<PromptModel> {
        let Engine::Cloze(encoder, head) = &self.engine else { return None };
        Some(PromptModel {
            folder: self.folder.clone(),
            engine: Engine::Cloze(encoder.clone(), head.clone()),
            changed: self.changed,
            additions: self.additions.clone(),
            device: self.device,
            label_vectors: self.label_vectors.clone(),
        })
    }

    /// The vectors of some words of the vocabulary; none of rust-bert's model.
    ///
    /// # Shapes
    /// N ids → `[N,E]`
    pub fn word_vectors(&self, ids: &[i64]) -> Option<Tensor> {
        match &self.engine {
            Engine::Cloze(encoder, _) => Some(encoder.word_vectors(ids)),
            Engine::RustBert(_) => None,
        }
    }

    /// The same model with more vectors for soft tokens behind its own S, `[N,E]`; and S. None of rust-bert's
    /// model.
    pub fn with_soft(&self, vectors: &Tensor) -> Option<(PromptModel, usize)> {
        let mut model = self.share()?;
        let own = self.additions.soft.as_deref();
        let count = own.map_or(0, |own| usize::try_from(own.size()[0]).unwrap_or_default());
        let all = own.map_or_else(|| vectors.shallow_clone(), |own| Tensor::cat(&[own, vectors], 0));
        model.additions.soft = Some(all.into());
        Some((model, count))
    }

    /// The same beside other label words, with which texts may have been compared.
    pub(crate) fn share_for_other_words(&self) -> Option<PromptModel> {
        Some(PromptModel { label_vectors: Arc::default(), ..self.share()? })
    }

    /// The longest input that there are positions for.
    pub fn room(&self) -> i64 {
        self.folder.config.max_position_embeddings - self.additions.first_position
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.folder.tokenizer
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The folder that the model came from.
    pub fn folder(&self) -> &ModelFolder {
        &self.folder
    }

    /// The class scores at the masks.
    ///
    /// # Shapes
    /// B inputs → `[B,C]`
    pub fn class_scores(&self, inputs: &[&Features], words: &LabelWords, mode: Mode) -> Tensor {
        self.scores_and_vectors(inputs, words, mode).0
    }

    /// The same, and with prototypes the vectors of the inputs that are compared with them.
    ///
    /// # Shapes
    /// B inputs → `[B,C]`, `[B,P]`
    pub fn scores_and_vectors(
        &self,
        inputs: &[&Features],
        words: &LabelWords,
        mode: Mode,
    ) -> (Tensor, Option<Tensor>) {
        if inputs.first().is_some_and(|input| input.masks == 0) {
            return (words.scores().in_tree(self.similarities(inputs, words)), None);
        }
        let by_vectors = self.additions.verbalizer.is_some();
        let (bare, other): (Vec<usize>, Vec<usize>) =
            (0..inputs.len()).partition(|&row| inputs[row].is_bare && !by_vectors && words.has_bare());
        if bare.is_empty() {
            return self.scores_of(inputs, words, mode);
        }
        let of_rows = |rows: &[usize], is_bare| {
            let inputs: Vec<&Features> = rows.iter().map(|&row| inputs[row]).collect();
            self.scores_of(&inputs, words.behind(is_bare), mode).0
        };
        if other.is_empty() {
            return (of_rows(&bare, true), None);
        }
        let scores = Tensor::cat(&[of_rows(&bare, true), of_rows(&other, false)], 0);
        let order: Vec<usize> = [bare, other].concat();
        let mut places = vec![0; order.len()];
        order.into_iter().zip(0..).for_each(|(row, place)| places[row] = place);
        (scores.index_select(0, &Tensor::from_slice(&places).to_device(scores.device())), None)
    }

    /// Of inputs whose words all have the same pieces.
    fn scores_of(&self, inputs: &[&Features], words: &LabelWords, mode: Mode) -> (Tensor, Option<Tensor>) {
        if let (Engine::Cloze(encoder, head), Some(classes), None) =
            (&self.engine, &self.additions.verbalizer, words.several())
        {
            let batch = Batch::collate(inputs, self.tokenizer().special().pad, self.device);
            let states = encoder.states_at_masks(&batch, &self.additions, mode).squeeze_dim(1);
            let (scores, vectors) =
                head.class_scores(&states, classes, self.additions.transform.as_ref(), mode);
            return (words.scores().in_tree(scores), vectors);
        }
        (self.scores_of_logits(&self.word_logits(inputs, words, mode), inputs, words), None)
    }

    /// Whether it gives the states of rows: rust-bert's model does not.
    pub fn gives_states(&self) -> bool {
        matches!(self.engine, Engine::Cloze(..))
    }

    /// The class scores, and the last layer's states at the masks, of inputs with a blank and label words of one
    /// token.
    ///
    /// # Panics
    /// If it is rust-bert's model.
    ///
    /// # Shapes
    /// B inputs → `[B,C]`, `[B,H]`
    pub fn scores_and_states(&self, inputs: &[&Features], words: &LabelWords) -> (Tensor, Tensor) {
        let (encoder, head) = self.own_engine();
        let batch = Batch::collate(inputs, self.tokenizer().special().pad, self.device);
        let states = encoder.states_at_masks(&batch, &self.additions, Mode::Score).squeeze_dim(1);
        let added = self.additions.transform.as_ref();
        if let Some(classes) = &self.additions.verbalizer {
            let (scores, _) = head.class_scores(&states, classes, added, Mode::Score);
            return (words.scores().in_tree(scores), states);
        }
        let of = |is_bare: bool| {
            let words = words.behind(is_bare);
            self.scores_of_logits(&head.logits_of(&states, words.ids(), added, Mode::Score), inputs, words)
        };
        let scores = match words.has_bare() {
            false => of(false),
            true => {
                let bare: Vec<bool> = inputs.iter().map(|input| input.is_bare).collect();
                let bare = Tensor::from_slice(&bare).to_device(self.device).unsqueeze(1);
                of(true).where_self(&bare, &of(false))
            }
        };
        (scores, states)
    }

    /// The class scores of label words' logits, by what was learned of the words' weights.
    ///
    /// # Shapes
    /// B inputs, logits `[B,C·W]` → `[B,C]`
    pub fn scores_of_logits(&self, logits: &Tensor, inputs: &[&Features], words: &LabelWords) -> Tensor {
        words.scores().of(logits, inputs, self.additions.word_weights.as_deref())
    }

    /// The logits of label words that all have the same pieces behind what is before the masks.
    ///
    /// # Shapes
    /// B inputs → `[B,C·W]`
    fn word_logits(&self, inputs: &[&Features], words: &LabelWords, mode: Mode) -> Tensor {
        if let Some(several) = words.several() {
            return self.word_scores(inputs, several, mode).index_select(1, words.ids());
        }
        let batch = Batch::collate(inputs, self.tokenizer().special().pad, self.device);
        match &self.engine {
            Engine::Cloze(encoder, head) => {
                let states = encoder.states_at_masks(&batch, &self.additions, mode).squeeze_dim(1);
                head.logits_of(&states, words.ids(), self.additions.transform.as_ref(), mode)
            }
            Engine::RustBert(reference) => batch
                .at_masks(&reference.logits(&batch, self.additions.soft.as_deref(), mode))
                .squeeze_dim(1)
                .index_select(1, words.ids()),
        }
    }

    /// Each label word's share of the probability of all of them at an input's mask; none where no label
    /// words are read there: where classes have vectors of their own, or the text is compared.
    ///
    /// # Shapes
    /// 1 input → `[C·W]`
    pub fn word_shares(&self, input: &Features, words: &LabelWords) -> Option<Tensor> {
        let reads = input.masks > 0 && self.additions.verbalizer.is_none();
        let words = words.behind(input.is_bare);
        reads.then(|| {
            let logits = self.word_logits(&[input], words, Mode::Score);
            words.scores().shares(&logits, &[input]).squeeze_dim(0)
        })
    }

    /// The logits of the whole vocabulary at the mask of inputs with one.
    ///
    /// # Shapes
    /// B inputs → `[B,V]`
    pub fn vocabulary_logits(&self, inputs: &[&Features]) -> Tensor {
        self.logits_at_masks(inputs, Mode::Score).squeeze_dim(1)
    }

    /// The logits of the whole vocabulary at the masks, as many in each input.
    ///
    /// # Shapes
    /// B inputs → `[B,M,V]`
    pub fn logits_at_masks(&self, inputs: &[&Features], mode: Mode) -> Tensor {
        let batch = Batch::collate(inputs, self.tokenizer().special().pad, self.device);
        match &self.engine {
            Engine::Cloze(encoder, head) => {
                let states = encoder.states_at_masks(&batch, &self.additions, mode);
                head.logits(&states, self.additions.transform.as_ref(), mode)
            }
            Engine::RustBert(reference) => {
                batch.at_masks(&reference.logits(&batch, self.additions.soft.as_deref(), mode))
            }
        }
    }

    /// The mean of the last states of each input's tokens, as vectors of length 1.
    ///
    /// # Shapes
    /// B inputs → B · `[H]`
    pub fn mean_states(&self, inputs: &[&Features]) -> Result<Vec<Vec<f32>>> {
        let Engine::Cloze(encoder, _) = &self.engine else {
            return Err(ModelError::ReferenceCannot {
                reason: "it gives no states, by which rows are compared".to_owned(),
            }
            .into());
        };
        Ok(rows(&tch::no_grad(|| self.mean_vectors(encoder, inputs, Mode::Score))))
    }

    /// The same with gradients.
    ///
    /// # Panics
    /// If it is rust-bert's model, which gives no states: it is refused where they are wanted.
    ///
    /// # Shapes
    /// B inputs → `[B,H]`
    pub fn vectors_of(&self, inputs: &[&Features], mode: Mode) -> Tensor {
        self.mean_vectors(self.own_engine().0, inputs, mode)
    }

    /// The logits of the whole vocabulary at M places, each an input and a position in it: the head runs on
    /// those rows alone.
    ///
    /// # Shapes
    /// B inputs → `[M,V]`
    pub fn vocabulary_logits_at(
        &self,
        inputs: &[&Features],
        places: &[(usize, usize)],
        mode: Mode,
    ) -> Tensor {
        let batch = Batch::collate(inputs, self.tokenizer().special().pad, self.device);
        match &self.engine {
            Engine::Cloze(encoder, head) => {
                let states = Batch::at_places(&encoder.forward(&batch, &self.additions, mode), places);
                head.logits(&states, self.additions.transform.as_ref(), mode)
            }
            Engine::RustBert(reference) => {
                Batch::at_places(&reference.logits(&batch, self.additions.soft.as_deref(), mode), places)
            }
        }
    }

    /// The last layer's states at a batch's mask positions, for [`PromptModel::vocabulary_logits_of`].
    ///
    /// # Panics
    /// If it is rust-bert's model, which gives no states: it is refused where they are wanted.
    ///
    /// # Shapes
    /// batch of B inputs, M masks → `[B,M,H]`
    pub fn states_at(&self, batch: &Batch, mode: Mode) -> Tensor {
        self.own_engine().0.states_at_masks(batch, &self.additions, mode)
    }

    /// The logits of the whole vocabulary of states that it gave.
    ///
    /// # Panics
    /// If it is rust-bert's model.
    ///
    /// # Shapes
    /// `[N,H]` → `[N,V]`
    pub fn vocabulary_logits_of(&self, states: &Tensor, mode: Mode) -> Tensor {
        self.own_engine().1.logits(states, self.additions.transform.as_ref(), mode)
    }

    fn own_engine(&self) -> (&Encoder, &MlmHead) {
        match &self.engine {
            Engine::Cloze(encoder, head) => (encoder, head),
            Engine::RustBert(_) => unreachable!("rust-bert's model is refused where states are wanted"),
        }
    }
}
