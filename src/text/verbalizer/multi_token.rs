//! How a label word of several tokens is scored.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{Result, VerbalizerError};
use crate::text::json::Node;

/// How a label word of m tokens `t_1 … t_m` gets one score, in a pattern whose blank is as many masks.
///
/// `l_i(t)` is the logit of a token at the i-th mask and `p_i` its probability there, the softmax over the
/// whole vocabulary. With a word of one token `joint`, `pll` and `greedy` are the same, `ln p_1(t_1)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scoring {
    /// `l_1(t_1)` at a single mask: the word's first token stands for it. What most tools do without saying
    /// so; for comparison.
    First,
    /// `Σ l_1(t_i)` at a single mask, in one forward pass for all words: what the blank is about, whatever the
    /// tokens' order. For names of several words, of which a model would say no whole one.
    Pieces,
    /// `Σ l_i(t_i)`, in one forward pass.
    MeanLogit,
    /// `Σ ln p_i(t_i)`, in one forward pass: the tokens are taken to be independent of each other.
    Joint,
    /// `Σ ln p_i(t_i | the word's other tokens)`, in m forward passes: the pseudo-log-likelihood (Salazar et
    /// al. 2020).
    Pll,
    /// `Σ ln p_i(t_i | the tokens filled before)`, in m forward passes: of the masks that are left the one
    /// whose token is most probable is filled first (Schick & Schütze 2021, "It's Not Just Size That
    /// Matters").
    Greedy,
}

/// That label words may be of several tokens, and how these are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MultiToken {
    /// How.
    pub scoring: Scoring,
    /// Whether a score is divided by the word's number of tokens: longer words are less probable.
    /// [`Scoring::First`] has one token.
    pub normalised: bool,
}

impl Scoring {
    /// All of them.
    pub const ALL: [Scoring; 6] =
        [Scoring::First, Scoring::Pieces, Scoring::MeanLogit, Scoring::Joint, Scoring::Pll, Scoring::Greedy];

    /// The name in verbalizer files.
    pub fn name(self) -> &'static str {
        match self {
            Scoring::First => "first",
            Scoring::Pieces => "pieces",
            Scoring::MeanLogit => "mean_logit",
            Scoring::Joint => "joint",
            Scoring::Pll => "pll",
            Scoring::Greedy => "greedy",
        }
    }

    fn read(node: &Node<'_>) -> Result<Scoring> {
        let name: String = node.read()?;
        Scoring::ALL.into_iter().find(|scoring| scoring.name() == name).ok_or_else(|| {
            let allowed = Scoring::ALL.iter().map(|scoring| scoring.name()).collect();
            node.error(VerbalizerError::UnknownScoring { name, allowed })
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMultiToken<'a> {
    #[serde(borrow)]
    score: &'a RawValue,
    normalise: Option<bool>,
}

impl MultiToken {
    /// `"joint"`, or an object that says whether scores are normalised too.
    pub(super) fn read(node: &Node<'_>) -> Result<MultiToken> {
        if !node.is_object() {
            return Ok(MultiToken { scoring: Scoring::read(node)?, normalised: true });
        }
        let raw: RawMultiToken = node.read()?;
        Ok(MultiToken {
            scoring: Scoring::read(&node.key("score", raw.score))?,
            normalised: raw.normalise.unwrap_or(true),
        })
    }
}
