//! A prompt as ids: tokenised, cut to length, with the mask's position carried along.

use std::ops::Range;

use crate::error::{EncodeError, Error, Result};
use crate::model::features::{Features, SoftSlot};
use crate::model::tokenizer::{Token, Tokenizer};
use crate::text::demonstrations::Shown;
use crate::text::template::{Part, Prompt};

/// A field's tokens that truncation took out, for showing them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Which of the pattern's fields.
    pub field: usize,
    /// The ids, in order.
    pub ids: Vec<i64>,
}

/// A token before truncation, and what may lose it.
struct Slot {
    id: i64,
    owner: Option<Owner>,
    soft: Option<usize>,
    /// The number of the run of text that it is of, and the byte there at which its word begins.
    word: Option<(usize, usize)>,
}

/// What may lose tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// A field of the row.
    Field(usize),
    /// A field of a demonstration, these counted one behind another.
    Shown(usize),
}

/// A demonstration's field is not cut to fewer tokens: with less of it there is little to learn from.
const LEAST_SHOWN: usize = 8;

impl Slot {
    fn fixed(id: i64) -> Slot {
        Slot { id, owner: None, soft: None, word: None }
    }
}

/// What is read of a text that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Long {
    /// Its beginning
    #[default]
    Head,
    /// Its end
    Tail,
    /// Half of its beginning and half of its end
    HeadTail,
    /// All of it, in windows that overlap by a quarter; the probabilities of the windows are pooled
    Chunks,
}

/// Of a text that is much too long so many bytes are tokenised at first, for each token that there is room
/// for.
const BYTES_A_TOKEN: usize = 64;

/// Windows overlap by one in so many of their tokens.
const OVERLAP: usize = 4;

/// Turns a prompt into at most `max_length` ids.
///
/// Each run of text between masks and borders is tokenised as one text, so words do not change where a piece
/// of the pattern meets a field. A prompt that is too long loses tokens one at a time, from the end of that
/// field which has most tokens left, the later one on a tie; only fields that may be shortened lose any, and
/// words that reach from a field into the pattern's text are the pattern's own. Demonstrations give way
/// before the row does: their longest field loses tokens first, and where all are short the last
/// demonstration is left out.
///
/// Of a text that is very long, no more is tokenised than can be used: [`Features::removed`] then counts less
/// than was taken out.
pub fn encode(prompt: &Prompt<'_>, tokenizer: &Tokenizer, max_length: usize) -> Result<Features> {
    let fitted = Fitted::new(prompt, tokenizer, max_length, Read::Enough)?;
    Ok(fitted.beginning().features)
}

/// As [`encode`], and what truncation took out.
pub fn encode_with_cuts(
    prompt: &Prompt<'_>,
    tokenizer: &Tokenizer,
    max_length: usize,
) -> Result<(Features, Vec<Cut>)> {
    let fitted = Fitted::new(prompt, tokenizer, max_length, Read::All)?;
    let Kept { features, cuts, .. } = fitted.beginning();
    Ok((features, cuts))
}

/// A word of a row, by the pattern's field and its number among the words of that, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FieldWord {
    /// Which of the pattern's fields.
    pub field: usize,
    /// Which of the words between its blanks.
    pub word: usize,
}

/// As [`encode`], and for each token the row's word that it is of; none where it is the pattern's own, or of
/// a demonstration.
pub fn encode_with_words(
    prompt: &Prompt<'_>,
    tokenizer: &Tokenizer,
    max_length: usize,
) -> Result<(Features, Vec<Option<FieldWord>>)> {
    let fitted = Fitted::new(prompt, tokenizer, max_length, Read::All)?;
    let Kept { features, slots, .. } = fitted.beginning();
    let shown = fitted.shown;
    let runs: Vec<Run<'_>> =
        prompt.segments.iter().flat_map(|segment| Run::all_of(segment, shown, usize::MAX)).collect();
    let of_slot = |slot: usize| {
        let (run, at) = fitted.slots.slots[slot].word?;
        runs[run].field_word(at)
    };
    Ok((features, slots.into_iter().map(of_slot).collect()))
}

/// As [`encode`], but what is read of a field that is too long is chosen: with [`Long::Chunks`] it may be
/// several inputs, windows on the field that is much too long; of others their beginning is read.
pub fn encode_long(
    prompt: &Prompt<'_>,
    tokenizer: &Tokenizer,
    max_length: usize,
    long: Long,
) -> Result<Vec<Features>> {
    let read = if long == Long::Head { Read::Enough } else { Read::All };
    let fitted = Fitted::new(prompt, tokenizer, max_length, read)?;
    let (lengths, quotas) = (fitted.slots.lengths().fields, &fitted.quotas.fields);
    let cut = |keeps: &dyn Fn(usize, usize) -> bool| fitted.cut(keeps).features;
    let tail = |field: usize, at: usize, count: usize| at + count >= lengths[field];
    let longest = (0..quotas.len()).max_by_key(|&field| lengths[field] - quotas[field]);
    Ok(match (long, longest) {
        (Long::Chunks, Some(longest)) if quotas[longest] > 0 && lengths[longest] > quotas[longest] => {
            let (length, size) = (lengths[longest], quotas[longest]);
            let starts = (0..length - size).step_by(size - size / OVERLAP).chain([length - size]);
            let window = |start: usize| {
                cut(&|field, at| match field == longest {
                    true => (start..start + size).contains(&at),
                    false => at < quotas[field],
                })
            };
            let mut windows: Vec<Features> = starts.map(window).collect();
            let count = windows.len();
            for features in &mut windows {
                // Nothing of the longest field is lost.
                features.removed -= length - size;
                features.windows = count;
            }
            windows
        }
        (Long::Head | Long::Chunks, _) => vec![cut(&|field, at| at < quotas[field])],
        (Long::Tail, _) => vec![cut(&|field, at| tail(field, at, quotas[field]))],
        (Long::HeadTail, _) => vec![cut(&|field, at| {
            let end = quotas[field] / 2;
            at < quotas[field] - end || tail(field, at, end)
        })],
    })
}

/// A prompt's tokens, and how many of them have room.
struct Fitted {
    slots: Slots,
    quotas: Quotas,
    /// So many demonstrations have it, and so many have none.
    shown: usize,
    left_out: usize,
}

/// How much of the row's texts is tokenised.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    All,
    /// Of what is cut anyway, not all.
    Enough,
}

/// What of a prompt has room.
struct Kept {
    features: Features,
    cuts: Vec<Cut>,
    /// Each token's place before truncation.
    slots: Vec<usize>,
}

impl Fitted {
    /// The beginnings of the fields that are too long.
    fn beginning(&self) -> Kept {
        self.cut(&|field, at| at < self.quotas.fields[field])
    }

    fn cut(&self, keeps: &dyn Fn(usize, usize) -> bool) -> Kept {
        self.slots.cut(&self.quotas, self.left_out, keeps)
    }

    fn new(prompt: &Prompt<'_>, tokenizer: &Tokenizer, max_length: usize, read: Read) -> Result<Fitted> {
        let room = max_length.saturating_sub(prompt.kept_free);
        let most_shown = prompt
            .segments
            .iter()
            .flatten()
            .map(|part| if let Part::Demonstrations(all) = part { all.len() } else { 0 })
            .sum();
        for shown in (1..=most_shown).rev() {
            let slots = Slots::read(prompt, shown, tokenizer, room, read)?;
            if let Some(quotas) = slots.quotas_of_demonstrations(room) {
                return Ok(Fitted { slots, quotas, shown, left_out: most_shown - shown });
            }
        }
        let slots = Slots::read(prompt, 0, tokenizer, room, read)?;
        let quotas = slots.quotas(prompt.pattern, room)?;
        Ok(Fitted { slots, quotas, shown: 0, left_out: most_shown })
    }
}

/// A prompt's tokens before truncation.
struct Slots {
    slots: Vec<Slot>,
    mask: usize,
    /// So many masks are read: none where the text is compared.
    masks: usize,
    /// Whether the mask's word stands behind what is no space.
    is_bare: bool,
    priors: usize,
    segment_ends: Vec<usize>,
    /// Fields of which the middle was not tokenised, and how many bytes of their end were.
    shortened: Vec<(usize, usize)>,
}

/// How many tokens each owner may keep.
struct Quotas {
    fields: Vec<usize>,
    shown: Vec<usize>,
}

impl Slots {
    /// With so many of its demonstrations. Of texts that have more tokens than there is room for, enough
    /// tokens are there to cut: what is kept of each, and which loses more, does not depend on the rest.
    fn read(
        prompt: &Prompt<'_>,
        shown: usize,
        tokenizer: &Tokenizer,
        room: usize,
        read: Read,
    ) -> Result<Slots> {
        let mut most = match read {
            Read::All => usize::MAX,
            Read::Enough => room.saturating_mul(BYTES_A_TOKEN),
        };
        loop {
            let slots = Slots::new(prompt, shown, tokenizer, most)?;
            let lengths = slots.lengths().fields;
            // A token has a byte at least.
            let is_enough = |&(field, end): &(usize, usize)| lengths.get(field) > Some(&(room + end));
            if slots.shortened.iter().all(is_enough) {
                return Ok(slots);
            }
            most = most.saturating_mul(8);
        }
    }

    /// With so many of its demonstrations, and so many bytes of each field.
    fn new(prompt: &Prompt<'_>, shown: usize, tokenizer: &Tokenizer, most: usize) -> Result<Slots> {
        let special = tokenizer.special();
        let soft = |vector| Slot { soft: Some(vector), ..Slot::fixed(special.mask) };
        let mut slots: Vec<Slot> = (0..prompt.front).map(soft).collect();
        let mut mask_slot = slots.len();
        slots.push(Slot::fixed(special.cls));
        let mut segment_ends = Vec::with_capacity(2);
        let (mut is_bare, mut number, mut shortened) = (false, 0, Vec::new());
        for segment in &prompt.segments {
            if !segment_ends.is_empty() {
                slots.extend((1..tokenizer.separators()).map(|_| Slot::fixed(special.sep)));
            }
            let runs = Run::all_of(segment, shown, most);
            shortened.extend(runs.iter().flat_map(|run| run.shortened.iter().copied()));
            let texts: Vec<&str> = runs.iter().map(|run| run.text.as_str()).collect();
            for (index, (run, tokens)) in runs.iter().zip(tokenizer.tokenize_around(&texts)?).enumerate() {
                let last = tokens.last().map(|token| token.id);
                slots.extend(tokens.into_iter().map(|token| run.slot(number, &token)));
                number += 1;
                match run.end {
                    Some(Part::Mask) => {
                        mask_slot = slots.len();
                        is_bare = tokenizer.is_bare_behind(&run.text, last, index == 0);
                        slots.push(Slot::fixed(special.mask));
                    }
                    Some(Part::Masked) => slots.push(Slot::fixed(special.mask)),
                    Some(Part::Soft { vectors }) => {
                        slots.extend(vectors.clone().map(soft));
                    }
                    _ => {}
                }
            }
            slots.push(Slot::fixed(special.sep));
            segment_ends.push(slots.len());
        }
        let masks = usize::from(!prompt.compared);
        let priors = prompt.priors;
        Ok(Slots { slots, mask: mask_slot, masks, is_bare, priors, segment_ends, shortened })
    }

    /// The tokens that stay, and what was cut from the row; `keeps` says it of a field and a place in it.
    fn cut(&self, quotas: &Quotas, left_out: usize, keeps: &dyn Fn(usize, usize) -> bool) -> Kept {
        let ids = Vec::with_capacity(self.slots.len());
        let mut slots = Vec::with_capacity(self.slots.len());
        let mut features = Features {
            ids,
            second_segment: 0,
            mask: 0,
            masks: self.masks,
            is_bare: self.is_bare,
            priors: self.priors,
            removed: 0,
            left_out,
            windows: 1,
            soft: Vec::new(),
        };
        let mut cuts: Vec<Cut> =
            (0..quotas.fields.len()).map(|field| Cut { field, ids: Vec::new() }).collect();
        let (mut seen, mut shown_left) = (vec![0; quotas.fields.len()], quotas.shown.clone());
        let take = |left: &mut usize| {
            let some = *left > 0;
            *left = left.saturating_sub(1);
            some
        };
        for (index, slot) in self.slots.iter().enumerate() {
            if index == self.segment_ends[0] {
                features.second_segment = features.ids.len();
            }
            match slot.owner {
                Some(Owner::Field(field)) => {
                    seen[field] += 1;
                    if !keeps(field, seen[field] - 1) {
                        cuts[field].ids.push(slot.id);
                        continue;
                    }
                }
                Some(Owner::Shown(shown)) if !take(&mut shown_left[shown]) => continue,
                _ => {}
            }
            if index == self.mask {
                features.mask = features.ids.len();
            }
            features.soft.extend(slot.soft.map(|vector| SoftSlot { at: features.ids.len(), vector }));
            features.ids.push(slot.id);
            slots.push(index);
        }
        if self.segment_ends.len() == 1 {
            features.second_segment = features.ids.len();
        }
        cuts.retain(|cut| !cut.ids.is_empty());
        features.removed = cuts.iter().map(|cut| cut.ids.len()).sum();
        Kept { features, cuts, slots }
    }

    /// The tokens of each owner.
    fn lengths(&self) -> Quotas {
        let mut lengths = Quotas { fields: Vec::new(), shown: Vec::new() };
        for owner in self.slots.iter().filter_map(|slot| slot.owner) {
            let (of, index) = match owner {
                Owner::Field(field) => (&mut lengths.fields, field),
                Owner::Shown(shown) => (&mut lengths.shown, shown),
            };
            of.resize(of.len().max(index + 1), 0);
            of[index] += 1;
        }
        lengths
    }

    /// What demonstrations keep beside the whole row; none where even their least has no room.
    fn quotas_of_demonstrations(&self, room: usize) -> Option<Quotas> {
        let mut quotas = self.lengths();
        let left = cut_longest(&mut quotas.shown, self.slots.len().saturating_sub(room), LEAST_SHOWN);
        (left == 0).then_some(quotas)
    }

    /// What the row's fields keep.
    fn quotas(&self, pattern: &str, room: usize) -> Result<Quotas> {
        let mut quotas = self.lengths();
        let fixed = self.slots.len() - quotas.fields.iter().sum::<usize>();
        if fixed > room {
            return Err(Error::new(EncodeError::PromptTooLong {
                pattern: pattern.to_owned(),
                fixed,
                limit: room,
            }));
        }
        cut_longest(&mut quotas.fields, self.slots.len().saturating_sub(room), 0);
        Ok(quotas)
    }
}

/// Takes tokens one by one from the longest, the later one on a tie, as long as it has more than `least`; how
/// many could not be taken.
fn cut_longest(lengths: &mut [usize], mut excess: usize, least: usize) -> usize {
    while excess > 0 {
        // `max` takes the last of equals.
        let Some(longest) = lengths.iter_mut().max().filter(|longest| **longest > least) else { break };
        *longest -= 1;
        excess -= 1;
    }
    excess
}

/// The text between two blanks of a segment, which is tokenised as one.
struct Run<'a> {
    text: String,
    /// Where the fields stand that may lose tokens.
    fields: Vec<(Range<usize>, Owner)>,
    /// Fields whose middle is left out, and how many bytes of their end stand here.
    shortened: Vec<(usize, usize)>,
    /// Where all fields of the row stand.
    of_row: Vec<(Range<usize>, usize)>,
    /// The blank or soft token behind it; none at the segment's end.
    end: Option<&'a Part<'a>>,
}

impl<'a> Run<'a> {
    /// The runs of a segment, one more than it has blanks and soft tokens; of its demonstrations so many.
    fn all_of(segment: &'a [Part<'a>], shown: usize, most: usize) -> Vec<Run<'a>> {
        let ends = |part: &&Part<'_>| matches!(part, Part::Mask | Part::Masked | Part::Soft { .. });
        let mut runs: Vec<Run<'a>> = segment
            .split_inclusive(|part| ends(&part))
            .map(|parts| Run::new(parts, parts.last().filter(ends), shown, most))
            .collect();
        if runs.last().is_none_or(|run| run.end.is_some()) {
            runs.push(Run::new(&[], None, shown, most));
        }
        runs
    }

    fn new(parts: &'a [Part<'a>], end: Option<&'a Part<'a>>, shown: usize, most: usize) -> Run<'a> {
        let mut run =
            Run { text: String::new(), fields: Vec::new(), of_row: Vec::new(), shortened: Vec::new(), end };
        let mut shown_fields = 0;
        for part in parts {
            match part {
                Part::Text(words) => run.text.push_str(words),
                Part::Field { index, text: words, shorten } => {
                    run.of_row.push((run.text.len()..run.text.len() + words.len(), *index));
                    match shorten {
                        true => run.add_field(*index, words, most),
                        false => run.text.push_str(words),
                    }
                }
                Part::Demonstrations(all) => {
                    for demonstration in all.iter().take(shown) {
                        for part in *demonstration {
                            match part {
                                Shown::Text(words) => run.text.push_str(words),
                                Shown::Field(words) => {
                                    run.add(words, Owner::Shown(shown_fields));
                                    shown_fields += 1;
                                }
                            }
                        }
                        run.text.push(' ');
                    }
                }
                Part::Mask | Part::Masked | Part::Soft { .. } => {}
            }
        }
        run
    }

    /// A field, of which so many bytes are wanted: of a longer one the beginning to the end of a word, and
    /// the last word, which may touch the pattern's own.
    fn add_field(&mut self, index: usize, words: &str, most: usize) {
        let blank = |from: usize| words[from..].find(char::is_whitespace).map(|at| from + at);
        let from = (most.min(words.len())..=words.len()).find(|&at| words.is_char_boundary(at));
        match (from.and_then(blank), words.rfind(char::is_whitespace)) {
            (Some(first), Some(last)) if first < last => {
                let start = self.text.len();
                self.text.push_str(&words[..first]);
                self.text.push_str(&words[last..]);
                self.fields.push((start..self.text.len(), Owner::Field(index)));
                self.shortened.push((index, words.len() - last));
            }
            _ => self.add(words, Owner::Field(index)),
        }
    }

    fn add(&mut self, words: &str, owner: Owner) {
        self.fields.push((self.text.len()..self.text.len() + words.len(), owner));
        self.text.push_str(words);
    }

    /// The row's word at a byte of the text, or behind the blanks there.
    fn field_word(&self, at: usize) -> Option<FieldWord> {
        let at = at + self.text.get(at..)?.find(|letter: char| !letter.is_whitespace())?;
        let (range, field) = self.of_row.iter().find(|(range, _)| range.contains(&at))?;
        let before = self.text.get(range.start..at)?;
        let begins = before.is_empty() || before.ends_with(char::is_whitespace);
        Some(FieldWord { field: *field, word: before.split_whitespace().count() - usize::from(!begins) })
    }

    /// A word belongs to the last field it reaches into, if no letter of it is the pattern's own or of a
    /// field that keeps its end.
    fn slot(&self, number: usize, token: &Token) -> Slot {
        let shared = |range: &Range<usize>| {
            range.end.min(token.word.end).saturating_sub(range.start.max(token.word.start))
        };
        let covered: usize = self.fields.iter().map(|(range, _)| shared(range)).sum();
        let last = self.fields.iter().rev().find(|(range, _)| shared(range) > 0);
        let owner = last.filter(|_| covered == token.word.len()).map(|(_, owner)| *owner);
        Slot { owner, word: Some((number, token.word.start)), ..Slot::fixed(token.id) }
    }
}
