//! What may move in training, and how what was learned acts on a model.
//!
//! Letters: H hidden, R rank, P prefix length, S soft tokens, D bottleneck, N layers, C classes.
//!
//! | method | learns | acts as | paper |
//! |---|---|---|---|
//! | `full` | every weight, the MLM head's included | itself | PET: Schick & Schütze 2021 |
//! | `head` | the MLM head alone | itself | |
//! | `bias` | all bias terms | itself | BitFit: Ben Zaken et al. 2022 |
//! | `lora` | A `[R,in]`, B `[out,R]` for each chosen linear layer | `W + s·B·A`, s = α/R, or α/√R if `rank_stabilized`; with `dora` lengths m `[out]` besides, `m·V/‖V‖` of that V | LoRA: Hu et al. 2021; rsLoRA: Kalajdzievski 2023; DoRA: Liu et al. 2024 |
//! | `ia3` | l `[out]` for key and value, l `[in]` for the feed-forward | `diag(l)·W`, `W·diag(l)` | IA3: Liu et al. 2022 |
//! | `prompt-tuning` | `[S,H]` vectors in front of the input | soft tokens | Lester et al. 2021 |
//! | `p-tuning` | `[S,H]` vectors where the pattern says `{soft}` | soft tokens | P-tuning: Liu et al. 2021 |
//! | `prefix` | `[P,N·2·H]` keys and values, through a two-layer network while training | attended to in every layer | Li & Liang 2021 |
//! | `p-tuning-v2` | the same, directly | the same | P-tuning v2: Liu et al. 2022 |
//! | `adapter` | W₁ `[D,H]`, W₂ `[H,D]` and biases for each place; Houlsby's: layer norms | `h + W₂·σ(W₁·h)`, see [`crate::model::encoder::Adapter`] | Houlsby et al. 2019; Pfeiffer et al. 2021 |
//! | `cls` | a pooler and a linear layer on `[CLS]`, and all weights unless `frozen_encoder` | class scores | BERT: Devlin et al. 2019 |
//!
//! Soft tokens that a pattern names, and the vectors of a soft or a prototype verbalizer, are learned
//! besides, whatever the method (but `cls`, which has neither). `prompt-tuning` with a soft verbalizer is
//! WARP (Hambardzumyan et al. 2021).
//!
//! Options are JSON, one key for the method: `{"lora": {"rank": 8, "targets": ["query", "value"]}}`; `"full"`
//! for one without options.

// soft tokens
pub mod soft;

// the methods
pub mod options;

// their options, one by one
pub mod method_options;

// what was learned, within weights
mod merge;

// what moves
pub mod trainable;

// the same, between two models
pub mod average;

// what was learned, in a model
pub mod adapt;

// what was learned, in files of other programs
pub mod export;
pub mod peft;

pub use adapt::{Adapted, Form, adapt};
pub use method_options::MethodOptions;
pub use options::{
    Adapter, Cls, Defaults, Init, Lora, Placement, Prefix, PromptEncoder, SOFT_RATE, SoftPrompt, Tuning,
};
pub use trainable::{
    Beginning, CLASS_VECTORS, CLASSIFIER, ClassStart, Learned, OwnBeginning, PREFIX, PROTOTYPES, SOFT_TOKENS,
    Trainable, WORD_WEIGHTS, decays, is_verbalizer, of_task, owner, pooler_name,
};
