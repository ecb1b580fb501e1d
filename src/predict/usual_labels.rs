//! Labels that need no words from their user: what they are labels of can be told by their names.

use crate::predict::general::Ask;
use crate::text::labels::{NamedLabel, as_said};

/// A usual name, or several that mean the same, with words that speak better for it.
type Usual = (&'static [&'static str], &'static [&'static str]);

/// What is asked of texts with these labels. The words of verdicts and emotions are those of the verbalizers
/// that ship; the topics' are the first that came to mind.
const KINDS: [(Ask, &[Usual]); 3] = [
    (
        Ask::Sentiment,
        &[
            (&["negative", "neg", "bad"], &["bad", "terrible", "horrible", "awful"]),
            (&["positive", "pos", "good"], &["good", "great", "wonderful", "excellent"]),
            (&["neutral", "mixed"], &["okay", "average", "mixed"]),
        ],
    ),
    (
        Ask::Emotion,
        &[
            (&["sadness", "sad"], &["sad", "unhappy", "miserable"]),
            (&["joy", "happiness", "happy"], &["happy", "glad", "delighted"]),
            (&["love"], &["loving", "loved", "tender"]),
            (&["anger", "angry"], &["angry", "mad", "furious"]),
            (&["fear"], &["afraid", "scared", "nervous"]),
            (&["surprise"], &["surprised", "amazed", "shocked"]),
            (&["disgust"], &["disgusted", "sick"]),
        ],
    ),
    (
        Ask::Topic,
        &[
            (&["world", "international"], &["world", "politics", "international"]),
            (&["politics"], &["politics", "government", "election"]),
            (&["sports", "sport"], &["sports", "game", "football"]),
            (&["business", "economy"], &["business", "economy", "company"]),
            (&["sci tech", "technology", "tech"], &["technology", "science", "computer"]),
            (&["science"], &["science", "research", "study"]),
            (&["health"], &["health", "medicine", "disease"]),
            (&["entertainment"], &["entertainment", "music", "movies"]),
            (&["travel"], &["travel", "tourism", "holiday"]),
        ],
    ),
];

/// What is asked of texts with these labels, and the labels with their words: none where a label is not a
/// usual one of the same kind as the others, or has words or texts of its own.
///
/// ```
/// use cloze::predict::general::Ask;
/// use cloze::predict::usual_labels::usual;
/// use cloze::text::labels::of_line;
/// let (ask, labels) = usual(&of_line("Negative, Positive")?).unwrap();
/// assert_eq!((ask, labels[0].words[0].as_str()), (Ask::Sentiment, "bad"));
/// assert_eq!(usual(&of_line("negative, sports")?), None);
/// # Ok::<(), cloze::Errors>(())
/// ```
pub fn usual(labels: &[NamedLabel]) -> Option<(Ask, Vec<NamedLabel>)> {
    let with_words = |known: &[Usual], label: &NamedLabel| {
        let name = as_said(&label.label).to_lowercase();
        let (_, words) = known.iter().find(|(names, _)| names.contains(&name.as_str()))?;
        let is_bare = label.words.is_empty() && label.texts.is_empty();
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        is_bare.then(|| NamedLabel { words, ..label.clone() })
    };
    KINDS.iter().find_map(|(ask, known)| {
        let labels = labels.iter().map(|label| with_words(known, label)).collect::<Option<Vec<_>>>()?;
        Some((*ask, labels))
    })
}
