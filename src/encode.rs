//! A prompt as ids: tokenised, cut to length, with the mask's position carried along.

use std::ops::Range;

use crate::error::{Error, Kind, Result};
use crate::template::{Part, Prompt, Template};
use crate::tokenizer::{Token, Tokenizer};

/// A prompt as the model takes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Features {
    /// `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`, L tokens; soft tokens may stand before `[CLS]`.
    pub ids: Vec<i64>,
    /// Where token type 1 begins; L if there is one segment.
    pub second_segment: usize,
    /// Where the mask stands. Carried from the pattern, never searched for: a text may say `[MASK]` itself. Without a mask, `[CLS]`.
    pub mask: usize,
    /// So many masks are read from there on: one, or as many as a word has tokens. M.
    pub masks: usize,
    /// How many tokens truncation took out.
    pub removed: usize,
    /// Where soft tokens stand; the id there is the mask's and is not looked at.
    pub soft: Vec<SoftSlot>,
}

impl Features {
    /// The same with these ids in the mask's place, all of which are read.
    ///
    /// ```
    /// use cloze::encode::Features;
    /// let features = Features { ids: vec![101, 7, 103, 8, 102], second_segment: 5, mask: 2, masks: 1, removed: 0, soft: Vec::new() };
    /// let grown = features.with_blank(&[103, 9]);
    /// assert_eq!((grown.ids, grown.second_segment, grown.mask, grown.masks), (vec![101, 7, 103, 9, 8, 102], 6, 2, 2));
    /// ```
    #[must_use]
    pub fn with_blank(&self, blank: &[i64]) -> Features {
        let moved = |at: usize| if at > self.mask { at + blank.len() - 1 } else { at };
        let mut ids = self.ids.clone();
        ids.splice(self.mask..=self.mask, blank.iter().copied());
        Features {
            ids,
            second_segment: moved(self.second_segment),
            mask: self.mask,
            masks: blank.len(),
            removed: self.removed,
            soft: self.soft.iter().map(|slot| SoftSlot { at: moved(slot.at), ..*slot }).collect(),
        }
    }

    /// The same, read at one of its masks alone.
    #[must_use]
    pub fn read_at(self, mask: usize) -> Features {
        Features { mask: self.mask + mask, masks: 1, ..self }
    }
}

/// A place for a soft vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SoftSlot {
    /// The position in the input.
    pub at: usize,
    /// Which of the vectors.
    pub vector: usize,
}

/// A field's tokens that truncation took out, for showing them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Which of the pattern's fields.
    pub field: usize,
    /// The ids, in order.
    pub ids: Vec<i64>,
}

/// A token before truncation, and the field that may lose it.
struct Slot {
    id: i64,
    field: Option<usize>,
    soft: Option<usize>,
}

impl Slot {
    fn fixed(id: i64) -> Slot {
        Slot { id, field: None, soft: None }
    }
}

/// Turns a prompt into at most `max_length` ids.
///
/// Each run of text between masks and borders is tokenised as one text, so words do not change where a piece of the pattern
/// meets a field. A prompt that is too long loses tokens one at a time, from the end of that field which has most tokens left,
/// the later one on a tie; only fields that may be shortened lose any, and words that reach from a field into the pattern's
/// text are the pattern's own.
///
/// # Panics
/// If the pattern has soft tokens and [`crate::soft::SoftTokens::check`] has not given them their vectors.
pub fn encode(prompt: &Prompt<'_>, tokenizer: &Tokenizer, max_length: usize) -> Result<Features> {
    encode_with_cuts(prompt, tokenizer, max_length).map(|(features, _)| features)
}

/// Refuses a pattern that is too long by itself, whatever a row has.
pub fn check_length(template: &Template, tokenizer: &Tokenizer, max_length: usize) -> Result<()> {
    match encode(&template.wrap(|_| ""), tokenizer, max_length) {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind() {
            &Kind::PromptTooLong { fixed, limit, .. } => template.error(Kind::PatternTooLong { fixed, limit }),
            _ => error,
        }),
    }
}

/// As [`encode`], and what truncation took out.
pub fn encode_with_cuts(prompt: &Prompt<'_>, tokenizer: &Tokenizer, max_length: usize) -> Result<(Features, Vec<Cut>)> {
    let special = tokenizer.special();
    let soft = |vector| Slot { id: special.mask, field: None, soft: Some(vector) };
    let mut slots: Vec<Slot> = (0..prompt.front).map(soft).collect();
    let mut mask_slot = slots.len();
    slots.push(Slot::fixed(special.cls));
    let mut segment_ends = Vec::with_capacity(2);
    for segment in &prompt.segments {
        for run in segment.split_inclusive(|part| matches!(part, Part::Mask | Part::Masked | Part::Soft { .. })) {
            append_run(run, tokenizer, &mut slots);
            match run.last() {
                Some(Part::Mask) => {
                    mask_slot = slots.len();
                    slots.push(Slot::fixed(special.mask));
                }
                Some(Part::Masked) => slots.push(Slot::fixed(special.mask)),
                Some(Part::Soft { vectors }) => {
                    assert!(!vectors.is_empty(), "soft tokens of pattern {} have no vectors: SoftTokens::check gives them", prompt.pattern);
                    slots.extend(vectors.clone().map(soft));
                }
                _ => {}
            }
        }
        slots.push(Slot::fixed(special.sep));
        segment_ends.push(slots.len());
    }
    let quotas = quotas(prompt.pattern, &slots, max_length.saturating_sub(prompt.kept_free))?;
    let mut features = Features {
        ids: Vec::with_capacity(slots.len().min(max_length)),
        second_segment: 0,
        mask: 0,
        masks: 1,
        removed: 0,
        soft: Vec::new(),
    };
    let mut cuts: Vec<Cut> = (0..quotas.len()).map(|field| Cut { field, ids: Vec::new() }).collect();
    let mut taken = vec![0; quotas.len()];
    for (index, slot) in slots.iter().enumerate() {
        if index == segment_ends[0] {
            features.second_segment = features.ids.len();
        }
        if let Some(field) = slot.field {
            taken[field] += 1;
            if taken[field] > quotas[field] {
                cuts[field].ids.push(slot.id);
                continue;
            }
        }
        if index == mask_slot {
            features.mask = features.ids.len();
        }
        features.soft.extend(slot.soft.map(|vector| SoftSlot { at: features.ids.len(), vector }));
        features.ids.push(slot.id);
    }
    if segment_ends.len() == 1 {
        features.second_segment = features.ids.len();
    }
    cuts.retain(|cut| !cut.ids.is_empty());
    features.removed = cuts.iter().map(|cut| cut.ids.len()).sum();
    Ok((features, cuts))
}

/// Tokenises the text of a run as one and gives each token its owner.
fn append_run(run: &[Part<'_>], tokenizer: &Tokenizer, slots: &mut Vec<Slot>) {
    let mut text = String::new();
    let mut fields = Vec::new();
    for part in run {
        match part {
            Part::Text(words) => text.push_str(words),
            Part::Field { index, text: words, shorten } => {
                let start = text.len();
                text.push_str(words);
                if *shorten {
                    fields.push((start..text.len(), *index));
                }
            }
            Part::Mask | Part::Masked | Part::Soft { .. } => {}
        }
    }
    // A word belongs to the last field it reaches into, if no letter of it is the pattern's own or of a field that keeps its end.
    let owner = |token: &Token| {
        let shared = |range: &Range<usize>| range.end.min(token.word.end).saturating_sub(range.start.max(token.word.start));
        let covered: usize = fields.iter().map(|(range, _)| shared(range)).sum();
        let last = fields.iter().rev().find(|(range, _)| shared(range) > 0)?;
        (covered == token.word.len()).then_some(last.1)
    };
    slots.extend(tokenizer.tokenize(&text).into_iter().map(|token| Slot { id: token.id, field: owner(&token), soft: None }));
}

/// How many tokens each field may keep.
fn quotas(pattern: &str, slots: &[Slot], max_length: usize) -> Result<Vec<usize>> {
    let fields = slots.iter().filter_map(|slot| slot.field).max().map_or(0, |most| most + 1);
    let mut lengths = vec![0; fields];
    for field in slots.iter().filter_map(|slot| slot.field) {
        lengths[field] += 1;
    }
    let fixed = slots.len() - lengths.iter().sum::<usize>();
    if fixed > max_length {
        return Err(Error::new(Kind::PromptTooLong { pattern: pattern.to_owned(), fixed, limit: max_length }));
    }
    let mut excess = slots.len().saturating_sub(max_length);
    while excess > 0 {
        // `max_by_key` takes the last of equals: the later field.
        let Some(longest) = (0..fields).max_by_key(|&field| lengths[field]) else { break };
        lengths[longest] -= 1;
        excess -= 1;
    }
    Ok(lengths)
}
