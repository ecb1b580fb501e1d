//! What a model takes of one text: ids, where to read, where soft vectors stand.

/// A prompt as the model takes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Features {
    /// `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`, L tokens; soft tokens may stand before `[CLS]`.
    pub ids: Vec<i64>,
    /// Where token type 1 begins; L if there is one segment.
    pub second_segment: usize,
    /// Where the mask stands. Carried from the pattern, never searched for: a text may say `[MASK]` itself.
    /// Without a mask, `[CLS]`.
    pub mask: usize,
    /// So many masks are read from there on: one, or as many as a word has tokens; none where the text itself
    /// is compared. M.
    pub masks: usize,
    /// Whether the mask's word stands behind what is no space, where some models have other pieces for it.
    pub is_bare: bool,
    /// Which of the label words' priors count: those of its pattern.
    pub priors: usize,
    /// How many tokens truncation took out.
    pub removed: usize,
    /// How many demonstrations had no room.
    pub left_out: usize,
    /// Of so many windows on a long text it is one: 1 where all of the text is here, or what was cut is left out.
    pub windows: usize,
    /// Where soft tokens stand; the id there is the mask's and is not looked at.
    pub soft: Vec<SoftSlot>,
}

impl Features {
    /// The same with these ids in the mask's place, all of which are read.
    ///
    /// ```
    /// use cloze::model::features::Features;
    /// let features = Features { ids: vec![101, 7, 103, 8, 102], second_segment: 5, mask: 2, masks: 1, is_bare: false, priors: 0, removed: 0, left_out: 0, windows: 1, soft: Vec::new() };
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
            is_bare: self.is_bare,
            priors: self.priors,
            removed: self.removed,
            left_out: self.left_out,
            windows: self.windows,
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
