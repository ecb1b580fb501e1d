//! Texts that a language model learns from, as a run's manifest tells of them; and what it loses on those
//! that are held out.

use std::fs;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::error::{CorpusError, Error, Errors, Result, TuningError};
use crate::learn::corpus::{Corpus, Source, Watch};
use crate::learn::objective::{MaskedSequence, Masking, loss_of};
use crate::learn::run::{DataFile, RunFolder};
use crate::learn::train::Look;
use crate::model::arch::Config;
use crate::model::tokenizer::Tokenizer;
use crate::predict::prompt_model::PromptModel;
use crate::text::data::Reading;

/// Texts, and how they are cut and masked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// What is learned from.
    pub text: Vec<TextFile>,
    /// What losses are measured on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_out: Vec<TextFile>,
    /// The last part of each text, which is held out too.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub held_out_share: f64,
    /// L, `[CLS]` and `[SEP]` counted.
    pub sequence_length: usize,
    /// Which tokens are to be predicted.
    #[serde(default)]
    pub masking: Masking,
}

/// A text's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextFile {
    /// The file as it was.
    pub file: DataFile,
    /// The column of the texts, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// How often a sequence is its, beside the others' shares; its tokens by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks so.
fn is_nothing(share: &f64) -> bool {
    *share == 0.0
}

/// The folder of a run with the ids of its texts.
const TOKENS: &str = "tokens";

/// `[CLS]`, a token and `[SEP]`.
const SHORTEST: usize = 3;

/// The masks of held-out texts are the same in every run.
const HELD_OUT_SEED: u64 = 0;

/// Held-out sequences of a text, with their masks.
pub struct HeldOutText {
    /// The text's name.
    pub name: String,
    sequences: Vec<MaskedSequence>,
}

impl Texts {
    /// Refuses what no language model learns from. All problems at once.
    pub fn check(&self, config: &Config) -> Result<(), Errors> {
        let mut errors = Errors::new();
        errors.keep(self.masking.check());
        let most = usize::try_from(config.max_position_embeddings).unwrap_or(usize::MAX);
        let mut range = |name: &str, found: f64, is: bool, allowed: String| {
            if !is {
                errors.push(TuningError::OptionOutOfRange { name: name.to_owned(), found, allowed });
            }
        };
        let length = self.sequence_length;
        let is = (SHORTEST..=most).contains(&length);
        range("sequence_length", length as f64, is, format!("{SHORTEST} to {most}, the model's positions"));
        let held_out = self.held_out_share;
        range("held_out", held_out, (0.0..1.0).contains(&held_out), "from 0 to below 1".to_owned());
        for share in self.text.iter().filter_map(|text| text.share) {
            range("share", share, share >= 0.0 && share.is_finite(), "0 or more".to_owned());
        }
        if !self.text.is_empty() && self.text.iter().all(|text| text.share == Some(0.0)) {
            errors.push(CorpusError::WithoutShares);
        }
        errors.none()
    }

    /// Refuses files that are not what they were.
    pub fn check_files(&self) -> Result<()> {
        self.text.iter().chain(&self.held_out).try_for_each(|text| text.file.check())
    }

    /// Writes the texts as ids, which stay in the run's folder until it is done, unless they are there. Unfinished if
    /// `watch`, which is told how many tokens there are, says stop.
    pub fn encode(
        &self,
        folder: &RunFolder,
        reading: &Reading,
        tokenizer: &Tokenizer,
        watch: &mut Watch<'_>,
    ) -> Result<ControlFlow<()>> {
        let tokens = folder.path().join(TOKENS);
        fs::create_dir_all(&tokens).map_err(|error| Error::writing(&tokens, &error))?;
        let mut before = 0;
        for (index, TextFile { file, column, .. }) in self.text.iter().chain(&self.held_out).enumerate() {
            let mut read = 0;
            let watch = &mut |tokens| {
                read = tokens;
                watch(before + tokens)
            };
            let place = (&*tokens, index);
            if Source::encode(&file.path, reading, column.as_deref(), tokenizer, place, watch)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            before += read;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The texts, whose ids are written if they are not yet ([`Texts::encode`]); gives the held-out ones, and what a
    /// reader of the results should know.
    pub fn open(
        &self,
        folder: &RunFolder,
        reading: &Reading,
        tokenizer: &Tokenizer,
        seed: u64,
    ) -> Result<(Corpus, Vec<HeldOutText>, Vec<String>)> {
        let tokens = folder.path().join(TOKENS);
        fs::create_dir_all(&tokens).map_err(|error| Error::writing(&tokens, &error))?;
        let open = |(index, text): (usize, &TextFile)| {
            Source::open(&text.file.path, reading, text.column.as_deref(), tokenizer, (&tokens, index))
        };
        let learned = self.text.iter().enumerate().map(|(index, text)| {
            let source = open((index, text))?.holding_out(self.held_out_share);
            Ok(match text.share {
                Some(share) => source.with_share(share),
                None => source,
            })
        });
        let learned: Vec<Source> = learned.collect::<Result<_>>()?;
        let behind = self.held_out.iter().enumerate().map(|(index, text)| (self.text.len() + index, text));
        let apart: Vec<Source> = behind.map(|place| Ok(open(place)?.held_out())).collect::<Result<_>>()?;
        let (special, length) = (tokenizer.special(), self.sequence_length);
        let (mut held_out, mut remarks) = (Vec::new(), Vec::new());
        let all: Vec<&Source> = learned.iter().collect();
        for (index, source) in learned.iter().chain(&apart).enumerate() {
            let sequences = source.held_out_sequences(length, special)?;
            let (name, found) = (source.name.clone(), source.tokens().1);
            if sequences.is_empty() && index >= learned.len() {
                return Err(CorpusError::TooShortHeldOut { name, found, wanted: length - 2 }.into());
            }
            if sequences.is_empty() && self.held_out_share > 0.0 {
                remarks.push(format!(
                    "{name} is too short to hold out a part: {found} tokens, and a sequence takes {}",
                    length - 2
                ));
            }
            if sequences.is_empty() {
                continue;
            }
            let (seen, documents) = source.documents_in(&all, special.sep)?;
            if seen > 0 {
                remarks.push(format!(
                    "{seen} of the {documents} held-out documents of {} are in the text that is learned from too: \
                     the held-out loss is too low",
                    source.name
                ));
            }
            held_out.push(HeldOutText::new(source.name.clone(), sequences, &self.masking, tokenizer));
        }
        Ok((Corpus::new(learned, length, special, seed)?, held_out, remarks))
    }

    /// Takes the ids of a run's texts away: it is done.
    pub fn clear(folder: &RunFolder) {
        // What stays does no harm.
        let _ = fs::remove_dir_all(folder.path().join(TOKENS));
    }
}

impl HeldOutText {
    fn new(name: String, sequences: Vec<Vec<i64>>, masking: &Masking, tokenizer: &Tokenizer) -> HeldOutText {
        let masked = |(index, ids)| {
            let dice = format!("masked tokens of held-out sequence {index}");
            MaskedSequence::new(ids, masking, tokenizer, HELD_OUT_SEED, &dice)
        };
        HeldOutText { name, sequences: sequences.into_iter().enumerate().map(masked).collect() }
    }

    /// What a model loses on it: the mean over the masks, in nats.
    pub fn look(&self, model: &PromptModel, batch_tokens: usize) -> Look {
        let (loss, masks) = loss_of(model, &self.sequences, batch_tokens);
        Look { of: self.name.clone(), accuracy: None, loss: loss / masks.max(1) as f64, rows: masks }
    }
}
