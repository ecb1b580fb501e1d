//! Related words from WordNet's database files (wndb(5WN)), where they are installed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, SearchError};

/// The parts of speech that have files.
const PARTS: [&str; 4] = ["noun", "verb", "adj", "adv"];

/// The pointers whose words are taken along: kinds of it (hyponyms), and similar adjectives.
const RELATED: [&str; 2] = ["~", "&"];

/// WordNet's files in memory.
pub struct WordNet {
    /// For each part of speech its index and its data.
    parts: Vec<(String, String)>,
}

impl WordNet {
    /// The folders in which it may be, `asked` for or usual.
    pub fn folder(asked: Option<&Path>) -> Option<PathBuf> {
        let home = std::env::var_os("WNHOME").map(|home| PathBuf::from(home).join("dict"));
        let usual = ["/usr/share/wordnet", "/usr/share/wordnet/dict", "/usr/local/WordNet-3.0/dict"]
            .map(PathBuf::from);
        let mut folders = asked.map(Path::to_owned).into_iter().chain(home).chain(usual);
        folders.find(|folder| folder.join("index.noun").is_file())
    }

    /// Reads a folder's `index.*` and `data.*`.
    pub fn open(folder: &Path) -> Result<WordNet> {
        let read = |name: String| {
            let path = folder.join(name);
            fs::read(&path)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .map_err(|error| Error::reading(&path, &error))
        };
        let parts = PARTS.iter().filter(|part| folder.join(format!("index.{part}")).is_file());
        let parts: Vec<(String, String)> = parts
            .map(|part| Ok((read(format!("index.{part}"))?, read(format!("data.{part}"))?)))
            .collect::<Result<_>>()?;
        if parts.is_empty() {
            return Err(SearchError::WordNetMissing { path: folder.to_owned() }.into());
        }
        Ok(WordNet { parts })
    }

    /// The words of all senses of a word, those of its kinds and of similar adjectives behind them; each
    /// once, itself none of them. Only single words.
    pub fn related(&self, word: &str) -> Vec<String> {
        let lemma = word.to_lowercase();
        let (mut found, mut near) = (Vec::new(), Vec::new());
        for (index, data) in &self.parts {
            for offset in offsets(index, &lemma) {
                let Some(synset) = Synset::at(data, offset) else { continue };
                found.extend(synset.words);
                near.extend(
                    synset
                        .related
                        .into_iter()
                        .filter_map(|offset| Synset::at(data, offset))
                        .flat_map(|synset| synset.words),
                );
            }
        }
        let mut known = BTreeSet::from([lemma]);
        found
            .into_iter()
            .chain(near)
            .filter(|word| !word.contains(['_', '-']) && known.insert(word.clone()))
            .collect()
    }
}

/// A word's synsets: `lemma pos senses pointers [pointer…] senses tagged offset…`. The lines are sorted, the
/// licence's begin with spaces.
fn offsets(index: &str, lemma: &str) -> Vec<usize> {
    let line = index.lines().find(|line| line.strip_prefix(lemma).is_some_and(|rest| rest.starts_with(' ')));
    let fields: Vec<&str> = line.map(|line| line.split_whitespace().collect()).unwrap_or_default();
    let senses: usize = fields.get(2).and_then(|senses| senses.parse().ok()).unwrap_or(0);
    let offsets = fields.iter().skip(fields.len().saturating_sub(senses));
    offsets.filter_map(|offset| offset.parse().ok()).collect()
}

/// Words of one meaning:
/// `offset file type words(hex) (word id)… pointers (symbol offset pos source)… | gloss`.
struct Synset {
    words: Vec<String>,
    related: Vec<usize>,
}

impl Synset {
    fn at(data: &str, offset: usize) -> Option<Synset> {
        let line = data.get(offset..)?.lines().next()?;
        let fields: Vec<&str> = line.split(" | ").next()?.split_whitespace().collect();
        let count = usize::from_str_radix(fields.get(3)?, 16).ok()?;
        let words = fields.get(4..4 + 2 * count)?.iter().step_by(2).map(|word| plain(word)).collect();
        let pointers: usize = fields.get(4 + 2 * count)?.parse().ok()?;
        let start = 5 + 2 * count;
        let pointers = fields.get(start..start + 4 * pointers)?.chunks_exact(4);
        // Only pointers within the same file can be followed by their offset alone.
        let own = *fields.get(2)?;
        let is_related = |pointer: &&[&str]| {
            RELATED.contains(&pointer[0]) && (pointer[2] == own || (own == "s" && pointer[2] == "a"))
        };
        let related = pointers.filter(is_related).filter_map(|pointer| pointer[1].parse().ok()).collect();
        Some(Synset { words, related })
    }
}

/// In small letters, without an adjective's place in brackets.
fn plain(word: &str) -> String {
    word.split('(').next().unwrap_or(word).to_lowercase()
}
