//! A masked language model: its files, its tokens, its forward pass.

// tensors of several threads, types of numbers, sizes
pub mod config;
pub mod dtype;
pub mod hub;
pub mod shared;

// tokens, tensors in files
pub mod tensor_file;
pub mod tokenizer;

// what goes in, tensors from files
pub mod features;
pub mod parameters;

// padded tensors, whole folders
pub mod batch;
pub mod folder;

// forward passes
pub mod encoder;

// from states to words
pub mod head;
pub mod reference;
