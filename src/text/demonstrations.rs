//! Demonstrations: labelled rows that stand in the pattern, their blank filled in, before the model is asked
//! (Brown et al. 2020; for masked language models LM-BFF, Gao et al. 2021).

use std::sync::Arc;

use rand::Rng as _;
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::Result;
use crate::seed;
use crate::text::data::Example;

/// How the rows that are shown are chosen. A row never shows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Any rows.
    Random,
    /// One of each class in turn.
    ///
    /// Classes and rows come in random order.
    #[default]
    ClassBalanced,
    /// The same, from the half of each class that is most similar to the row by the model's own states.
    ///
    /// The similarity is the cosine of the means of the last states, as Gao et al. (2021) do with another
    /// model's.
    Similar,
}

impl Strategy {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Random => "random",
            Strategy::ClassBalanced => "class-balanced",
            Strategy::Similar => "similar",
        }
    }
}

/// The most draws for a row.
pub const MOST_DRAWS: usize = 1024;

/// How demonstrations are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drawing {
    /// Of which rows.
    pub strategy: Strategy,
    /// So many times for each row; the class probabilities are averaged.
    pub draws: usize,
    /// The seed of every draw.
    pub seed: u64,
    /// Whether a training draws others in each epoch (LM-BFF: Gao et al. 2021), or has those of the first in
    /// all: what 0.1.0 did, whose files do not say it.
    #[serde(default)]
    pub each_epoch: bool,
}

impl Default for Drawing {
    fn default() -> Drawing {
        Drawing { strategy: Strategy::default(), draws: 4, seed: 0, each_epoch: true }
    }
}

/// A part of a demonstration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// The pattern's words, or the label word.
    Text(String),
    /// The row's words, whose end may be cut.
    Field(String),
}

/// A labelled row in a pattern.
#[derive(Debug, Clone)]
pub struct Demonstration {
    /// The row.
    pub example: Example,
    /// Its own words: what it is known by.
    pub text: String,
    /// Its class.
    pub class: usize,
    /// The pattern with the row and its label word.
    pub parts: Vec<Shown>,
}

/// What rows are like: a vector of length 1 for each.
pub type Similarity = Arc<dyn Fn(&[Example]) -> Result<Vec<Vec<f32>>> + Send + Sync>;

/// Labelled rows in a pattern, to draw from.
#[derive(Clone)]
pub struct Support {
    drawing: Drawing,
    classes: usize,
    demonstrations: Arc<Vec<Demonstration>>,
    /// What rows are like, and the support rows' own vectors; for [`Strategy::Similar`] alone.
    similarity: Option<(Similarity, Arc<Vec<Vec<f32>>>)>,
    /// The number of the first draw.
    first: usize,
}

impl Support {
    /// Rows of so many classes to draw from; in whatever order they come, the same are drawn.
    pub fn new(drawing: Drawing, classes: usize, mut demonstrations: Vec<Demonstration>) -> Support {
        demonstrations.sort_by(|one, other| (&one.text, one.class).cmp(&(&other.text, other.class)));
        Support { drawing, classes, demonstrations: Arc::new(demonstrations), similarity: None, first: 0 }
    }

    /// The same with what rows are like, which [`Strategy::Similar`] needs.
    pub fn with_similarity(mut self, similarity: Similarity) -> Result<Support> {
        let examples: Vec<Example> = self.demonstrations.iter().map(|shown| shown.example.clone()).collect();
        let own = similarity(&examples)?;
        self.similarity = Some((similarity, Arc::new(own)));
        Ok(self)
    }

    /// The same with other draws, those of an epoch, counted from 0; of the first they are the usual.
    #[must_use]
    pub fn in_epoch(&self, epoch: usize) -> Support {
        Support { first: epoch * self.drawing.draws, ..self.clone() }
    }

    /// How they are drawn.
    pub fn drawing(&self) -> Drawing {
        self.drawing
    }

    /// What the demonstrations of rows are, for telling them from others.
    pub fn identity(&self) -> String {
        let Drawing { strategy, draws, seed, .. } = self.drawing;
        let rows: Vec<&Vec<Shown>> = self.demonstrations.iter().map(|shown| &shown.parts).collect();
        format!("{} {draws} {seed} {:x}", strategy.name(), Sha256::digest(format!("{rows:?}")))
    }

    /// Rows' vectors, where the strategy looks at them.
    pub fn vectors_of(&self, examples: &[Example]) -> Result<Option<Vec<Vec<f32>>>> {
        self.similarity.as_ref().map(|(similarity, _)| similarity(examples)).transpose()
    }

    /// The demonstrations for a row of these words in each draw, `count` of them or as many as there are.
    /// They depend on the seed, the rows to draw from, the pattern's name and the row's words alone.
    pub fn draw(
        &self,
        pattern: &str,
        count: usize,
        text: &str,
        vector: Option<&[f32]>,
    ) -> Vec<Vec<&[Shown]>> {
        let others: Vec<usize> =
            (0..self.demonstrations.len()).filter(|&row| self.demonstrations[row].text != text).collect();
        let once = |draw: usize| {
            let mut random =
                seed::generator(self.drawing.seed, &format!("demonstrations {draw} of {pattern} for {text}"));
            let chosen = match self.drawing.strategy {
                Strategy::Random => {
                    let mut rows = others.clone();
                    rows.shuffle(&mut random);
                    rows.truncate(count);
                    rows
                }
                Strategy::ClassBalanced | Strategy::Similar => {
                    self.balanced(&others, count, vector, &mut random)
                }
            };
            chosen.into_iter().map(|row| self.demonstrations[row].parts.as_slice()).collect()
        };
        (self.first..self.first + self.drawing.draws).map(once).collect()
    }

    fn balanced(
        &self,
        others: &[usize],
        count: usize,
        vector: Option<&[f32]>,
        random: &mut rand_chacha::ChaCha8Rng,
    ) -> Vec<usize> {
        let of_class = |class: usize| {
            let rows: Vec<usize> =
                others.iter().copied().filter(|&row| self.demonstrations[row].class == class).collect();
            self.nearest_half(rows, vector)
        };
        let mut by_class: Vec<Vec<usize>> = (0..self.classes).map(of_class).collect();
        by_class.shuffle(random);
        let mut chosen = Vec::with_capacity(count);
        while chosen.len() < count && by_class.iter().any(|rows| !rows.is_empty()) {
            for rows in by_class.iter_mut().filter(|rows| !rows.is_empty()).take(count - chosen.len()) {
                let place = random.gen_range(0..rows.len());
                chosen.push(rows.swap_remove(place));
            }
        }
        chosen
    }

    /// The half of some rows, one at least, that is nearest to a vector; all where there is none. The first
    /// of equals.
    fn nearest_half(&self, mut rows: Vec<usize>, vector: Option<&[f32]>) -> Vec<usize> {
        let (Some(vector), Some((_, own))) = (vector, &self.similarity) else { return rows };
        let cosine = |row: usize| {
            own[row].iter().zip(vector).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum::<f64>()
        };
        rows.sort_by(|&one, &other| cosine(other).total_cmp(&cosine(one)));
        rows.truncate(rows.len().div_ceil(2));
        rows
    }
}

impl std::fmt::Debug for Support {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Support")
            .field("drawing", &self.drawing)
            .field("demonstrations", &self.demonstrations)
            .finish_non_exhaustive()
    }
}
