//! Long lists of label words: proposed by a model, its embeddings and a dictionary, and refined by what the
//! model says of rows (KPT, Hu et al. 2022).

mod expand;
pub mod refine;
mod refinement;
pub mod wordnet;

use std::collections::BTreeMap;

use crate::error::Result;
use crate::model::features::Features;
use crate::predict::classifier::VerbalizedLm;
use crate::predict::encode::encode;
use crate::predict::prompt_model::PromptModel;
use crate::predict::pvp::Pvp;
use crate::predict::synonyms::neighbours;
use crate::study::search::words::MaskLogProbabilities;
use crate::text::template::Template;

pub use expand::{Expand, ExpandOptions, Expanded, Proposed};
pub use refinement::{RefineOptions, Refined, RefinedWord, Refinement};

/// Where a word comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Source {
    /// What the model says in place of a word.
    Model,
    /// The nearest in its input embeddings.
    Embeddings,
    /// Synonyms and kinds of it in WordNet.
    #[cfg_attr(feature = "cli", value(name = "wordnet"))]
    WordNet,
}

impl Source {
    /// All of them.
    pub const ALL: [Source; 3] = [Source::Model, Source::Embeddings, Source::WordNet];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Source::Model => "model",
            Source::Embeddings => "embeddings",
            Source::WordNet => "wordnet",
        }
    }
}

/// A word that is proposed for a class.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Its token.
    pub id: i64,
    /// Who proposes it.
    pub sources: Vec<Source>,
}

/// How a model is asked for words like another where there are no rows.
const LIKE: [&str; 3] =
    ["{text} or {mask}.", "{text}, {mask} and so on.", "{text} is another word for {mask}."];

/// So many words that each source proposes for each word of a class.
pub fn from_model(
    base: &VerbalizedLm,
    model: &PromptModel,
    word: &str,
    count: usize,
    max_length: usize,
) -> Result<Vec<i64>> {
    let asked = LIKE.iter().map(|pattern| {
        let pvp = Pvp::plain(Template::from_pattern(pattern)?)?;
        encode(&pvp.wrap(|_| word), base.tokenizer(), max_length)
    });
    let by_pattern: Vec<Vec<Features>> = asked.map(|features| Ok(vec![features?])).collect::<Result<_>>()?;
    let models = std::slice::from_ref(model);
    let said = MaskLogProbabilities::of(models, base.tokenizer(), &[], &by_pattern, &mut |_| {});
    let mean = |place: usize| {
        said.log_probabilities.iter().map(|said| said[[0, place]]).sum::<f64>() / LIKE.len() as f64
    };
    let own = base.tokenizer().word_ids(word).first().copied();
    let mut order: Vec<usize> = (0..said.ids.len()).filter(|&place| Some(said.ids[place]) != own).collect();
    order.sort_by(|&one, &other| mean(other).total_cmp(&mean(one)));
    Ok(order.into_iter().take(count).map(|place| said.ids[place]).collect())
}

/// The nearest in the embeddings.
pub fn from_embeddings(base: &VerbalizedLm, id: i64, count: usize) -> Vec<i64> {
    neighbours(base, id).into_iter().take(count).map(|(id, _)| id).collect()
}

/// What the sources propose for each class, at most `count` words a class: those of more sources first, then
/// in the order of the sources' own lists. A word that stands for a class already is none, and one that is
/// proposed for several is left out.
///
/// ```
/// use cloze::study::knowledge::{Source, merge};
/// // For the first of two classes the model proposes 5, 6 and 7, the embeddings 6 and 8; 8 is proposed for the second too.
/// let proposed = vec![vec![(Source::Model, vec![5, 6, 7]), (Source::Embeddings, vec![6, 8])], vec![(Source::Model, vec![8, 9])]];
/// let found = merge(&proposed, &[vec![1], vec![7]], 5);
/// assert_eq!(found[0].iter().map(|proposal| proposal.id).collect::<Vec<_>>(), [6, 5]);
/// assert_eq!(found[0][0].sources, [Source::Model, Source::Embeddings]);
/// assert_eq!(found[1].iter().map(|proposal| proposal.id).collect::<Vec<_>>(), [9]);
/// ```
pub fn merge(proposed: &[Vec<(Source, Vec<i64>)>], given: &[Vec<i64>], count: usize) -> Vec<Vec<Proposal>> {
    let mut classes_of: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    let all = proposed.iter().enumerate().flat_map(|(class, lists)| {
        lists.iter().flat_map(move |(_, ids)| ids.iter().map(move |id| (*id, class)))
    });
    for (id, class) in all {
        let classes = classes_of.entry(id).or_default();
        if !classes.contains(&class) {
            classes.push(class);
        }
    }
    let of_class = |lists: &Vec<(Source, Vec<i64>)>| {
        // The place in a source's list, and who else proposes it.
        let mut found: BTreeMap<i64, (Vec<Source>, usize)> = BTreeMap::new();
        for (source, ids) in lists {
            for (place, id) in ids.iter().enumerate() {
                let (sources, best) = found.entry(*id).or_insert((Vec::new(), place));
                *best = (*best).min(place);
                if !sources.contains(source) {
                    sources.push(*source);
                }
            }
        }
        found.retain(|id, _| classes_of[id].len() == 1 && given.iter().all(|words| !words.contains(id)));
        let mut order: Vec<(i64, (Vec<Source>, usize))> = found.into_iter().collect();
        order.sort_by(|(one, (of_one, at_one)), (other, (of_other, at_other))| {
            of_other.len().cmp(&of_one.len()).then(at_one.cmp(at_other)).then(one.cmp(other))
        });
        order.truncate(count);
        order.into_iter().map(|(id, (sources, _))| Proposal { id, sources }).collect()
    };
    proposed.iter().map(of_class).collect()
}
