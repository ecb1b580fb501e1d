//! A masked language model in memory, apart from any task: one serves many patterns, verbalizers and
//! trainings.

use std::path::Path;
use std::sync::Arc;

use tch::Device;

use crate::error::Result;
use crate::model::arch::Config;
use crate::model::folder::{EngineChoice, ModelFolder};
use crate::model::hub;
use crate::model::parameters::Parameters;
use crate::model::tokenizer::Tokenizer;

/// How a model is loaded.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What runs the forward pass.
    pub engine: EngineChoice,
    /// Where.
    pub device: Device,
    /// Whether a model is loaded whose head was not trained to fill masks: to train all of its weights.
    pub force_head: bool,
}

impl Default for Options {
    /// cloze's own encoder on the processor.
    fn default() -> Options {
        Options { engine: EngineChoice::default(), device: Device::Cpu, force_head: false }
    }
}

/// A masked language model: its folder's small files, and its weights. A copy shares the weights.
pub struct MaskedLm {
    /// The folder.
    pub folder: Arc<ModelFolder>,
    /// Its weights.
    pub parameters: Parameters,
    /// What runs the forward pass.
    pub engine: EngineChoice,
    /// Where.
    pub device: Device,
}

impl MaskedLm {
    /// Loads a folder of a masked language model, or one from the hub by `hub:NAME`.
    pub fn load(path: impl AsRef<Path>, options: Options) -> Result<MaskedLm> {
        let path = hub::folder(&path.as_ref().to_string_lossy())?;
        let folder = match options.force_head {
            true => ModelFolder::open_any_head(&path)?,
            false => ModelFolder::open(&path)?,
        };
        MaskedLm::of(folder, options)
    }

    /// Loads the weights of a folder whose small files were read, whatever its head.
    pub fn of(folder: ModelFolder, Options { engine, device, .. }: Options) -> Result<MaskedLm> {
        let parameters = Parameters::load(folder.path(), &folder.config.tensors, device)?;
        Ok(MaskedLm { folder: Arc::new(folder), parameters, engine, device })
    }

    /// The sizes.
    pub fn config(&self) -> &Config {
        &self.folder.config
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.folder.tokenizer
    }
}

impl Clone for MaskedLm {
    fn clone(&self) -> MaskedLm {
        MaskedLm { folder: self.folder.clone(), parameters: self.parameters.with([]), ..*self }
    }
}
