//! A verbalizer's words with others beside them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::wordnet::WordNet;
use super::{Proposal, Source, from_embeddings, from_model, merge};
use crate::error::{Errors, Result, SearchError};
use crate::model::dtype::Dtype;
use crate::model::folder::ModelFolder;
use crate::model::masked_lm::{MaskedLm, Options};
use crate::model::threads::Threads;
use crate::predict::classifier::VerbalizedLm;
use crate::predict::label_words::LabelWords;
use crate::text::verbalizer::{Class, LabelWord, Verbalizer};
use crate::text::whole_file::write_text;

/// Which words are proposed.
#[derive(Debug, Clone)]
pub struct ExpandOptions {
    /// Who proposes them; all sources if none is named, WordNet only where it is installed.
    pub sources: Vec<Source>,
    /// WordNet's folder, if it is not in a usual place. A folder that is named must be there.
    pub wordnet: Option<PathBuf>,
    /// At most so many words a class.
    pub words: usize,
    /// The longest input, in tokens, if it is not the model's own.
    pub max_length: Option<usize>,
}

/// A verbalizer that is to have more words: everything read and checked, no weights loaded.
pub struct Expand {
    verbalizer: Verbalizer,
    folder: ModelFolder,
    label_words: LabelWords,
    wordnet: Option<WordNet>,
    max_length: usize,
    options: ExpandOptions,
    loading: Options,
    /// The folder of WordNet, if it is installed.
    pub wordnet_folder: Option<PathBuf>,
    /// What a reader of the results should know.
    pub warnings: Vec<String>,
}

/// A verbalizer with the words that are proposed for it.
pub struct Expanded {
    /// As it was.
    pub verbalizer: Verbalizer,
    /// For each class the words that are proposed, the best first.
    pub proposed: Vec<Vec<Proposed>>,
}

/// A word that is proposed.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposed {
    /// The word.
    pub word: String,
    /// Who proposes it.
    pub sources: Vec<Source>,
}

impl ExpandOptions {
    fn asks(&self, source: Source) -> bool {
        self.sources.is_empty() || self.sources.contains(&source)
    }
}

impl Expand {
    /// Reads and checks a verbalizer, a model and WordNet.
    pub fn prepare(
        verbalizer: &Path,
        options: ExpandOptions,
        loading: Options,
        model: impl FnOnce() -> Result<ModelFolder>,
    ) -> Result<Expand, Errors> {
        let mut errors = Errors::new();
        let verbalizer = errors.keep(Verbalizer::read(verbalizer));
        let folder = errors.keep(model());
        let (Some(verbalizer), Some(folder)) = (verbalizer, folder) else { return Err(errors) };
        Expand::of(verbalizer, folder, options, loading)
    }

    /// The same of a verbalizer and a model that were read already.
    pub fn of(
        verbalizer: Verbalizer,
        folder: ModelFolder,
        options: ExpandOptions,
        loading: Options,
    ) -> Result<Expand, Errors> {
        verbalizer.check_classes("cloze verbalizer expand")?;
        let label_words = LabelWords::check(&verbalizer, &folder.tokenizer, loading.device)?;
        let max_length = folder.max_length(options.max_length)?;
        let mut warnings: Vec<String> = label_words.left_out().into_iter().collect();
        let wordnet_folder = WordNet::folder(options.wordnet.as_deref());
        let wordnet = match &wordnet_folder {
            _ if !options.asks(Source::WordNet) => None,
            Some(folder) => Some(WordNet::open(folder)?),
            None if options.sources.contains(&Source::WordNet) || options.wordnet.is_some() => {
                let path = options.wordnet.unwrap_or_default();
                return Err(SearchError::WordNetMissing { path }.into());
            }
            None => {
                warnings.push(
                    "WordNet is not installed: the model and its embeddings propose words alone".to_owned(),
                );
                None
            }
        };
        Ok(Expand {
            verbalizer,
            folder,
            label_words,
            wordnet,
            max_length,
            options,
            loading,
            wordnet_folder,
            warnings,
        })
    }

    /// Loads the weights and asks the sources, on so many threads, libtorch's own number by default.
    pub fn run(self, threads: Option<usize>) -> Result<Expanded> {
        let _threads = Threads::on(threads.unwrap_or_else(Threads::usual));
        let Expand { verbalizer, folder, label_words, wordnet, max_length, options, loading, .. } = self;
        let given = label_words.of_classes();
        let base = VerbalizedLm::new(MaskedLm::of(folder, loading)?, label_words);
        let mut model = base.prompt_model(None)?;
        model.prepare(Dtype::F32)?;
        let of_word = |word: &LabelWord| -> Result<Vec<(Source, Vec<i64>)>> {
            let (word, count) = (word.word(), options.words);
            let Some(id) = base.tokenizer().word_ids(word).first().copied() else {
                return Ok(Vec::new());
            };
            let mut lists = Vec::new();
            if options.asks(Source::Model) {
                lists.push((Source::Model, from_model(&base, &model, word, count, max_length)?));
            }
            if options.asks(Source::Embeddings) {
                lists.push((Source::Embeddings, from_embeddings(&base, id, count)));
            }
            if let Some(wordnet) = &wordnet {
                lists.push((Source::WordNet, from_wordnet(&base, wordnet, word, count)));
            }
            Ok(lists)
        };
        let of_class = |class: &Class| -> Result<Vec<(Source, Vec<i64>)>> {
            Ok(class.words.iter().map(of_word).collect::<Result<Vec<_>>>()?.concat())
        };
        let lists = verbalizer.classes().iter().map(of_class).collect::<Result<Vec<_>>>()?;
        let proposed = |proposal: Proposal| Proposed {
            word: base.tokenizer().written(proposal.id).to_owned(),
            sources: proposal.sources,
        };
        let found = merge(&lists, &given, options.words);
        let proposed = found.into_iter().map(|class| class.into_iter().map(proposed).collect()).collect();
        Ok(Expanded { verbalizer, proposed })
    }
}

/// So many of WordNet's related words that the model has whole.
fn from_wordnet(base: &VerbalizedLm, wordnet: &WordNet, word: &str, count: usize) -> Vec<i64> {
    let token = |word: &String| match base.tokenizer().word_ids(word)[..] {
        [id] if id != base.tokenizer().special().unk => Some(id),
        _ => None,
    };
    wordnet.related(word).iter().filter_map(token).take(count).collect()
}

impl Expanded {
    /// Writes a verbalizer of the kind `knowledge`: the words that were there, with their weights, and those
    /// that are proposed, each with the share of the sources that propose it as its weight.
    pub fn write(&self, path: &Path) -> Result<()> {
        let sources = 1.0 / Source::ALL.len() as f64;
        let class = |(class, proposed): (&Class, &Vec<Proposed>)| {
            let given =
                class.words.iter().map(|word| json!({ "word": word.word(), "weight": word.weight() }));
            let word = |found: &Proposed| {
                let weight = (found.sources.len() as f64 * sources * 1000.0).round() / 1000.0;
                json!({ "word": found.word, "weight": weight })
            };
            let words: Vec<Value> = given.chain(proposed.iter().map(word)).collect();
            json!({ "label": class.label, "words": words })
        };
        let classes: Vec<Value> = self.verbalizer.classes().iter().zip(&self.proposed).map(class).collect();
        let about = format!("expanded by cloze from {}", self.verbalizer.name());
        let verbalizer = json!({ "version": 1, "kind": "knowledge", "about": about, "classes": classes });
        write_text(path, &format!("{verbalizer:#}\n"))
    }
}
