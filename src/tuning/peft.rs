//! Adapter folders as Python's PEFT writes and reads them.

/// What PEFT writes before a module's name.
pub const PEFT: &str = "base_model.model.";
/// The end of A's name.
pub(super) const LORA_A: &str = ".lora_A.weight";
/// The end of B's name.
pub(super) const LORA_B: &str = ".lora_B.weight";
/// The end of a rescaling vector's name.
pub(super) const IA3: &str = ".ia3_l";
