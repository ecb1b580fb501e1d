//! Single options of a method, in place of its usual ones.

use super::options::Tuning;
use crate::error::{Result, TuningError};

/// Options of methods that are set one by one; each belongs to the methods that have it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MethodOptions {
    /// LoRA's rank.
    pub rank: Option<i64>,
    /// LoRA's α.
    pub alpha: Option<f64>,
    /// LoRA's linear layers.
    pub targets: Option<Vec<String>>,
    /// How many vectors: of soft tokens, or of a prefix in each layer.
    pub length: Option<usize>,
    /// The size in an adapter's middle.
    pub bottleneck: Option<i64>,
    /// Whether `cls` trains its new head alone.
    pub frozen_encoder: bool,
}

impl Tuning {
    /// The method with these options. One that the method has not is refused.
    pub fn with(mut self, options: MethodOptions) -> Result<Tuning> {
        let method = self.name();
        let mut rest = options;
        match &mut self {
            Tuning::Lora(lora) => {
                set(&mut lora.rank, &mut rest.rank);
                set(&mut lora.alpha, &mut rest.alpha);
                set(&mut lora.targets, &mut rest.targets);
            }
            Tuning::PromptTuning(soft) | Tuning::PTuning(soft) => set(&mut soft.length, &mut rest.length),
            Tuning::Prefix(prefix) | Tuning::PTuningV2(prefix) => set(&mut prefix.length, &mut rest.length),
            Tuning::Adapter(adapter) => set(&mut adapter.bottleneck, &mut rest.bottleneck),
            Tuning::Cls(cls) => cls.frozen_encoder |= std::mem::take(&mut rest.frozen_encoder),
            Tuning::Full | Tuning::Head | Tuning::Bias | Tuning::Ia3 => {}
        }
        match rest.first() {
            Some(option) => Err(TuningError::OptionOfOtherMethod { option, method }.into()),
            None => Ok(self),
        }
    }
}

impl MethodOptions {
    /// The first that is set.
    fn first(&self) -> Option<&'static str> {
        let all = [
            ("rank", self.rank.is_some()),
            ("alpha", self.alpha.is_some()),
            ("targets", self.targets.is_some()),
            ("length", self.length.is_some()),
            ("bottleneck", self.bottleneck.is_some()),
            ("frozen_encoder", self.frozen_encoder),
        ];
        all.into_iter().find_map(|(name, is_set)| is_set.then_some(name))
    }
}

fn set<T>(option: &mut T, asked: &mut Option<T>) {
    if let Some(asked) = asked.take() {
        *option = asked;
    }
}
