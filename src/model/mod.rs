//! A masked language model: its files, its tokens, its forward pass.

// the processor's instructions
pub mod processor;

// tensors of several threads, types of numbers
pub mod dtype;
pub mod shared;
pub mod threads;
pub mod values;

// tokens, tensors in files, what tensors are for
pub mod names;
pub mod pickle;
pub mod tensor_file;
pub mod tensor_map;
pub mod tokenizer;

// what goes in, tensors from files
pub mod features;
pub mod parameters;

// padded tensors, pieces of forward passes
pub mod batch;
pub mod hash;
pub mod layers;

// families
pub mod arch;

// whole folders, also by their names on the hub; forward passes
pub mod encoder;
pub mod folder;
pub mod hub;

// whole models, in memory
pub mod masked_lm;

// from states to words
pub mod head;
pub mod reference;

// whether a model works, and how fast
pub mod pulse;
