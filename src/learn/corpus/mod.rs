//! Corpora: texts as token ids that a language model learns from, packed into sequences without padding.
//!
//! A text becomes a file of ids once, each document ended by `[SEP]`; what is such a file already is read as
//! it is. A sequence of L tokens is `[CLS]`, L - 2 ids from wherever it begins, and `[SEP]`: documents stand
//! behind each other in it ("full sentences" of Liu et al. 2019, arXiv 1907.11692, section 4.2). In each epoch
//! of a text the cuts lie elsewhere, and the sequences come in another order. The text is a circle then: every
//! token of it is in one sequence of the epoch, but for fewer than a sequence takes, which are others each time.

mod shuffled;
mod text;
mod token_file;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::Write as _;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use rand::Rng as _;

use crate::error::{CorpusError, Error, Result};
use crate::learn::turns::Turns;
use crate::model::tokenizer::{SpecialIds, Tokenizer};
use crate::seed;
use crate::text::data::Reading;

pub use shuffled::Shuffled;
pub use text::Watch;
pub use token_file::TokenFile;

/// The ending of files that hold ids and nothing else.
const PLAIN: &str = "tokens";

/// Most tokens of a text that held-out losses are measured on.
const MOST_HELD_OUT: usize = 1 << 16;

/// One text of a corpus.
pub struct Source {
    /// Its name in results.
    pub name: String,
    file: TokenFile,
    /// What is learned from, in ids.
    train: Range<usize>,
    /// What is held out.
    held_out: Range<usize>,
    /// How often a sequence is its, beside the others' shares.
    share: f64,
}

/// Texts, and the sequences that are cut from them.
pub struct Corpus {
    sources: Vec<Source>,
    /// L.
    length: usize,
    special: SpecialIds,
    seed: u64,
    turns: Turns,
    /// The epoch of each source that was asked for last: its order, and where its first sequence begins.
    epochs: Vec<Option<(usize, Shuffled, usize)>>,
}

impl Source {
    /// Writes the ids of a text into `folder` under a name with `index` in it, unless they are there already, or
    /// are what its file holds. Unfinished, and nothing there, if `watch` says stop.
    pub fn encode(
        path: &Path,
        reading: &Reading,
        column: Option<&str>,
        tokenizer: &Tokenizer,
        (folder, index): (&Path, usize),
        watch: &mut Watch<'_>,
    ) -> Result<ControlFlow<()>> {
        let encoded = encoded(path, folder, index);
        if is_npy(path) || encoded.exists() {
            return Ok(ControlFlow::Continue(()));
        }
        text::encode(path, reading, column, tokenizer, &encoded, watch)
    }

    /// A text by its file: ids where it ends in `.npy`, else text, whose ids are written first ([`Source::encode`]).
    /// Ids that the vocabulary has not are refused.
    pub fn open(
        path: &Path,
        reading: &Reading,
        column: Option<&str>,
        tokenizer: &Tokenizer,
        (folder, index): (&Path, usize),
    ) -> Result<Source> {
        let name = name_of(path);
        let whole = &mut |_| ControlFlow::Continue(());
        let _ = Source::encode(path, reading, column, tokenizer, (folder, index), whole)?;
        let file = if is_npy(path) {
            TokenFile::npy(path)?
        } else {
            TokenFile::plain(&encoded(path, folder, index))?
        };
        file.check(tokenizer.vocabulary_size())?;
        let count = file.count();
        if count == 0 {
            return Err(CorpusError::WithoutText { name: path.display().to_string() }.into());
        }
        Ok(Source { name, file, train: 0..count, held_out: count..count, share: count as f64 })
    }

    /// The same with its last part held out.
    #[must_use]
    pub fn holding_out(mut self, share: f64) -> Source {
        let count = self.file.count();
        let held_out = ((count as f64 * share) as usize).min(count);
        self.train = 0..count - held_out;
        self.held_out = count - held_out..count;
        self
    }

    /// The same, all of it held out.
    #[must_use]
    pub fn held_out(self) -> Source {
        self.holding_out(1.0)
    }

    /// The same with a share of its own; its tokens by default.
    #[must_use]
    pub fn with_share(self, share: f64) -> Source {
        Source { share, ..self }
    }

    /// How many tokens are learned from, and how many are held out.
    pub fn tokens(&self) -> (usize, usize) {
        (self.train.len(), self.held_out.len())
    }

    /// So many of its documents stand in both parts, or in the other text's learned part; and how many its
    /// held-out part has. They are told by their ids.
    pub fn documents_in(&self, learned: &[&Source], separator: i64) -> Result<(usize, usize)> {
        let mut held_out = Vec::new();
        each_document(&self.file, self.held_out.clone(), separator, &mut |hash| held_out.push(hash))?;
        let wanted: BTreeSet<u64> = held_out.iter().copied().collect();
        let mut found = BTreeSet::new();
        for source in learned {
            each_document(&source.file, source.train.clone(), separator, &mut |hash| {
                if wanted.contains(&hash) {
                    found.insert(hash);
                }
            })?;
        }
        Ok((held_out.iter().filter(|hash| found.contains(hash)).count(), held_out.len()))
    }

    /// Its held-out sequences of L tokens, as many as there are, up to a bound.
    pub fn held_out_sequences(&self, length: usize, special: SpecialIds) -> Result<Vec<Vec<i64>>> {
        let inner = length - 2;
        let count = self.held_out.len().min(MOST_HELD_OUT) / inner;
        (0..count).map(|index| self.sequence(&self.held_out, index * inner, inner, special)).collect()
    }

    /// A sequence from a place of a part, whose end goes on with its beginning.
    fn sequence(
        &self,
        part: &Range<usize>,
        place: usize,
        inner: usize,
        special: SpecialIds,
    ) -> Result<Vec<i64>> {
        let start = part.start + place;
        let end = (start + inner).min(part.end);
        let mut ids = Vec::with_capacity(inner + 2);
        ids.push(special.cls);
        self.file.read(start..end, &mut ids)?;
        self.file.read(part.start..part.start + inner - (end - start), &mut ids)?;
        ids.push(special.sep);
        Ok(ids)
    }
}

impl Corpus {
    /// Texts in sequences of L tokens, in the order of a seed. Too little text for one is refused.
    pub fn new(sources: Vec<Source>, length: usize, special: SpecialIds, seed: u64) -> Result<Corpus> {
        if let Some(source) = sources.iter().find(|source| source.train.len() < length - 2) {
            let (name, found) = (source.name.clone(), source.train.len());
            return Err(CorpusError::TooShort { name, found, wanted: length - 2 }.into());
        }
        if !sources.iter().any(|source| source.share > 0.0) {
            return Err(CorpusError::WithoutShares.into());
        }
        let shares = sources.iter().map(|source| source.share).collect();
        let epochs = sources.iter().map(|_| None).collect();
        let turns = Turns::new(seed, "source of sequence", shares);
        Ok(Corpus { sources, length, special, seed, turns, epochs })
    }

    /// Of words that are drawn from a vocabulary: for seeing how long sequences take.
    pub fn of_drawn_words(tokenizer: &Tokenizer, length: usize) -> Result<Corpus> {
        let known = tokenizer.common_words();
        let mut dice = seed::generator(0, "words of a corpus");
        let drawn: Vec<u8> = (0..64 * length)
            .flat_map(|_| {
                u32::try_from(known[dice.gen_range(0..known.len())]).unwrap_or_default().to_le_bytes()
            })
            .collect();
        let mut file = tempfile::NamedTempFile::new().map_err(|error| temporary(&error))?;
        file.write_all(&drawn).map_err(|error| temporary(&error))?;
        let file = TokenFile::plain(file.path())?;
        let count = file.count();
        let source =
            Source { name: String::new(), file, train: 0..count, held_out: count..count, share: 1.0 };
        Corpus::new(vec![source], length, tokenizer.special(), 0)
    }

    /// L.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The texts.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The sequence of a number, `[L]`: it depends on the texts, the shares, the seed and the number alone.
    pub fn sequence(&mut self, number: usize) -> Result<Vec<i64>> {
        let (which, before) = self.turns.at(number);
        let (source, inner) = (&self.sources[which], self.length - 2);
        let count = source.train.len() / inner;
        let (epoch, place) = (before / count, before % count);
        let current = match self.epochs[which].take() {
            Some(current) if current.0 == epoch => current,
            _ => {
                let name = |what: &str| format!("{what} of epoch {epoch} of text {which}");
                let first = seed::generator(self.seed, &name("cut")).gen_range(0..source.train.len());
                (epoch, Shuffled::new(self.seed, &name("sequences"), count), first)
            }
        };
        let start = (current.2 + current.1.at(place) * inner) % source.train.len();
        self.epochs[which] = Some(current);
        source.sequence(&source.train, start, inner, self.special)
    }
}

/// A text's name in results.
fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether a file holds ids.
fn is_npy(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy"))
}

/// Where the ids of a text are written.
fn encoded(path: &Path, folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("{index}-{}.{PLAIN}", name_of(path)))
}

/// The error of a temporary file.
fn temporary(error: &std::io::Error) -> Error {
    Error::writing(&std::env::temp_dir(), error)
}

/// Gives a hash of each document of some ids, without its separator.
fn each_document(
    file: &TokenFile,
    places: Range<usize>,
    separator: i64,
    take: &mut dyn FnMut(u64),
) -> Result<()> {
    let (mut hasher, mut open) = (DefaultHasher::new(), false);
    file.each_piece(places, &mut |ids| {
        for &id in ids {
            if id != separator {
                hasher.write_i64(id);
                open = true;
            } else if std::mem::take(&mut open) {
                take(std::mem::take(&mut hasher).finish());
            }
        }
    })?;
    if open {
        take(hasher.finish());
    }
    Ok(())
}
