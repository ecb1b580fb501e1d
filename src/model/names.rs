//! What the names of a checkpoint's tensors say of the family that they are of.

/// Families by what a name of theirs begins with, or by what stands in one: those whose tensors are read here,
/// and others whose files come to hand. The first that fits is meant.
const SIGNS: [(&str, &[&str], &[&str]); 11] = [
    ("DeBERTa", &["deberta.", "lm_predictions."], &[".attention.self.in_proj.", "rel_embeddings."]),
    ("DistilBERT", &["distilbert.", "vocab_transform."], &[".attention.q_lin."]),
    (
        "ELECTRA",
        &["electra.", "generator_predictions.", "generator_lm_head.", "discriminator_predictions."],
        &[],
    ),
    ("ALBERT", &["albert.", "predictions.dense."], &[".albert_layer_groups."]),
    ("ModernBERT", &["head.dense.weight"], &[".attn.Wqkv."]),
    ("MPNet", &["mpnet."], &[]),
    ("RoBERTa", &["roberta.", "lm_head.dense."], &[]),
    ("BERT", &["bert.", "cls.predictions."], &[]),
    ("GPT-2", &["transformer.h.", "h.0."], &[".attn.c_attn."]),
    ("a causal model", &[], &[".self_attn.q_proj.", ".self_attn.qkv_proj."]),
    ("T5", &["shared.weight"], &[".SelfAttention.q."]),
];

/// The family that tensors of these names are of, if they tell; a wrapper's prefix is gone already.
pub fn family(names: &[&str]) -> Option<&'static str> {
    let is_sign = |(_, starts, parts): &&(&str, &[&str], &[&str])| {
        names.iter().any(|name| {
            starts.iter().any(|start| name.starts_with(start)) || parts.iter().any(|part| name.contains(part))
        })
    };
    SIGNS.iter().find(is_sign).map(|(family, ..)| *family)
}

/// The heads of other tasks, by what their tensors' names begin with.
const HEADS: [(&str, &str); 8] = [
    ("discriminator_predictions.", "ELECTRA's discriminator, which tells replaced words from others"),
    ("classifier.", "a classifier"),
    ("pre_classifier.", "a classifier"),
    ("score.", "a classifier"),
    ("qa_outputs.", "a finder of answers in texts"),
    ("sequence_summary.", "a multiple-choice model"),
    ("cls.seq_relationship.", "a model that tells whether one sentence follows another"),
    ("sop_classifier.", "a model that tells which of two sentences comes first"),
];

/// What tensors of these names were trained for, if it is another task than filling masks.
pub fn other_task(names: &[&str]) -> Option<&'static str> {
    let has = |start: &str| names.iter().any(|name| name.starts_with(start));
    HEADS.iter().find(|(start, _)| has(start)).map(|(_, task)| *task)
}
