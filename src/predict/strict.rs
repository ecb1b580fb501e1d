//! What a model itself says of patterns and label words: which classes it prefers without a row, and whether
//! the label words are words that it would say.
//!
//! Letters: C classes, W label words, V vocabulary.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use tch::{Kind as Type, Tensor, no_grad};

use crate::error::Result;
use crate::model::batch::small_batches;
use crate::model::encoder::Mode;
use crate::model::features::Features;
use crate::model::tensor_map::Module;
use crate::model::tokenizer::Tokenizer;
use crate::model::values::{rows, values};
use crate::predict::classifier::VerbalizedLm;
use crate::predict::encode::encode;
use crate::predict::label_words::LabelWords;
use crate::predict::prompt_model::PromptModel;
use crate::predict::pvp::{Patterns, Pvp};
use crate::predict::report::Prediction;
use crate::predict::task::Task;
use crate::text::data::Example;
use crate::text::verbalizer::{LabelWord, Verbalizer};

/// What is looked at.
pub struct Subject<'a> {
    /// The classes and their words.
    pub verbalizer: &'a Verbalizer,
    /// The patterns, bound to the model.
    pub patterns: &'a Patterns,
    /// The same patterns on the rows' columns, in the same order; none without rows.
    pub tasks: &'a [Task],
    /// Some rows.
    pub rows: &'a [Example],
}

/// What a model says of patterns and label words.
#[derive(Debug, Clone)]
pub struct StrictReport {
    /// Each pattern, in their order.
    pub patterns: Vec<PatternAnswers>,
    /// The label words; none if they may have several tokens, of which a single mask says nothing.
    pub words: Option<WordAnswers>,
}

/// What a model says in a pattern.
#[derive(Debug, Clone)]
pub struct PatternAnswers {
    /// The pattern's name.
    pub pattern: String,
    /// The classes' mean probabilities where no row stands in the pattern, `[C]`.
    pub without_row: Prediction,
    /// What it says of the rows, if there are any.
    pub on_rows: Option<RowAnswers>,
}

/// What a model says of rows in a pattern.
#[derive(Debug, Clone)]
pub struct RowAnswers {
    /// The classes' mean probabilities, `[C]`.
    pub mean: Prediction,
    /// The number of rows.
    pub rows: usize,
    /// Words of the vocabulary that are no label words, each with the number of rows in which it is the
    /// likeliest of all words; the most frequent first.
    pub other_words: Vec<(String, usize)>,
}

impl RowAnswers {
    /// The share of rows in which another word than the label words is the likeliest, from 0 to 1.
    pub fn share_of_others(&self) -> f64 {
        self.other_words.iter().map(|(_, rows)| rows).sum::<usize>() as f64 / self.rows as f64
    }
}

/// What a model says of label words.
#[derive(Debug, Clone)]
pub struct WordAnswers {
    /// The probability of a word of the vocabulary by chance, `1/V`.
    pub chance: f64,
    /// Words that the model says less often than that, on average over patterns and rows.
    pub rare: Vec<RareWord>,
    /// Words whose nearest word in the model's input embeddings stands for another class.
    pub confusable: Vec<ConfusableWord>,
}

/// A label word that a model hardly says.
#[derive(Debug, Clone)]
pub struct RareWord {
    /// The word as the vocabulary has it.
    pub word: String,
    /// The label of its class.
    pub label: String,
    /// Its mean probability among all words, from 0 to 1.
    pub probability: f64,
}

/// A label word that is nearest to one of another class.
#[derive(Debug, Clone)]
pub struct ConfusableWord {
    /// The word as the vocabulary has it.
    pub word: String,
    /// The label of its class.
    pub label: String,
    /// The nearest word.
    pub other_word: String,
    /// The label of that word's class.
    pub other_label: String,
    /// The cosine of their embeddings.
    pub cosine: f64,
}

/// What the model says at the masks of some inputs.
struct MaskAnswers {
    /// The classes' mean probabilities, `[C]`.
    classes: Prediction,
    /// The label words' mean probabilities among all words, `[W]`, in the order of their ids.
    words: Vec<f64>,
    /// The likeliest word of each input.
    likeliest: Vec<i64>,
}

/// Models with their label words, and the ids of these.
struct Asked<'a> {
    verbalizer: &'a Verbalizer,
    tokenizer: &'a Tokenizer,
    models: Vec<PromptModel>,
    words: LabelWords,
    ids: Vec<i64>,
}

impl Subject<'_> {
    /// Asks models, whose probabilities are averaged: the base model, or what was learned from it.
    pub fn ask(&self, base: &VerbalizedLm, models: Vec<PromptModel>) -> Result<StrictReport> {
        let asked = Asked {
            verbalizer: self.verbalizer,
            tokenizer: base.tokenizer(),
            models,
            ids: base.words.distinct_ids(),
            words: base.words.clone(),
        };
        let mut patterns = Vec::with_capacity(self.patterns.pvps.len());
        let mut sums = vec![0.0; asked.ids.len()];
        // What is compared has no blank to ask about.
        let asked_at_blanks = |(_, pvp): &(usize, &Pvp)| !pvp.template().compares();
        for (index, pvp) in self.patterns.pvps.iter().enumerate().filter(asked_at_blanks) {
            let without = asked.say(&self.without_row(pvp, asked.tokenizer)?);
            let with = self.on_rows(index, asked.tokenizer)?;
            let with = (!with.is_empty()).then(|| asked.say(&with));
            let seen = with.as_ref().unwrap_or(&without);
            sums.iter_mut().zip(&seen.words).for_each(|(sum, word)| *sum += word);
            patterns.push(PatternAnswers {
                pattern: pvp.template().name().to_owned(),
                without_row: without.classes,
                on_rows: with.map(|with| asked.of_rows(with)),
            });
        }
        let of_words = || {
            let means: Vec<f64> = sums.iter().map(|sum| sum / patterns.len() as f64).collect();
            let chance = 1.0 / asked.tokenizer.vocabulary_size() as f64;
            let rare = if patterns.is_empty() { Vec::new() } else { asked.rare(&means, chance) };
            let embeddings = base.model.parameters.weight(Module::WordEmbeddings);
            WordAnswers { chance, rare, confusable: asked.confusable(embeddings) }
        };
        let words = self.verbalizer.multi_token().is_none().then(of_words);
        Ok(StrictReport { patterns, words })
    }

    /// A pattern with what says nothing in the place of a row.
    fn without_row(&self, pvp: &Pvp, tokenizer: &Tokenizer) -> Result<Vec<Features>> {
        let prompts = [pvp.wrap(|_| "N/A"), pvp.wrap(|_| ""), pvp.wrap(|_| "").masked()];
        prompts.iter().map(|prompt| encode(prompt, tokenizer, self.patterns.max_length)).collect()
    }

    fn on_rows(&self, pattern: usize, tokenizer: &Tokenizer) -> Result<Vec<Features>> {
        let row = |row: &Example| encode(&self.tasks[pattern].wrap(row), tokenizer, self.patterns.max_length);
        self.rows.iter().map(row).collect()
    }
}

impl Asked<'_> {
    fn say(&self, inputs: &[Features]) -> MaskAnswers {
        let mut classes = Vec::with_capacity(inputs.len());
        let (mut sums, mut likeliest) = (vec![0.0; self.ids.len()], Vec::with_capacity(inputs.len()));
        let columns = [false, true].map(|is_bare| {
            Tensor::from_slice(&self.words.behind(is_bare).distinct_ids()).to_device(self.models[0].device())
        });
        let mean = |say: &dyn Fn(&PromptModel) -> Tensor| {
            let sum = self.models.iter().map(say).reduce(|sum, next| sum + next).unwrap_or_default();
            sum / self.models.len() as f64
        };
        for inputs in small_batches(inputs) {
            no_grad(|| {
                let scores = mean(&|model| {
                    model.class_scores(&inputs, &self.words, Mode::Score).softmax(-1, Type::Double)
                });
                let vocabulary = mean(&|model| model.vocabulary_logits(&inputs).softmax(-1, Type::Float));
                classes.extend(rows(&scores).into_iter().map(|probabilities| Prediction { probabilities }));
                for (row, input) in (0..).zip(&inputs) {
                    let of_words = vocabulary.get(row).index_select(0, &columns[usize::from(input.is_bare)]);
                    sums.iter_mut().zip(values::<f64>(&of_words)).for_each(|(sum, word)| *sum += word);
                }
                likeliest.extend(values::<i64>(&vocabulary.argmax(-1, false)));
            });
        }
        let mean = |sum: f64| sum / inputs.len() as f64;
        let words = sums.into_iter().map(mean).collect();
        MaskAnswers { classes: Prediction::average(&classes), words, likeliest }
    }

    /// How often the likeliest word is no label word, and which it is then.
    fn of_rows(&self, said: MaskAnswers) -> RowAnswers {
        let mut others: BTreeMap<i64, usize> = BTreeMap::new();
        said.likeliest
            .iter()
            .filter(|word| !self.ids.contains(word) && !self.words.behind(true).distinct_ids().contains(word))
            .for_each(|word| *others.entry(*word).or_default() += 1);
        let mut others: Vec<(i64, usize)> = others.into_iter().collect();
        others.sort_by_key(|(_, rows)| Reverse(*rows));
        let other_words = others.into_iter().map(|(id, rows)| (self.word(id), rows)).collect();
        RowAnswers { mean: said.classes, rows: said.likeliest.len(), other_words }
    }

    /// Words that the model says less often than any word by chance.
    fn rare(&self, means: &[f64], chance: f64) -> Vec<RareWord> {
        let rare = self.ids.iter().zip(means).filter(|(_, mean)| **mean < chance);
        let word = |(id, mean): (&i64, &f64)| RareWord {
            word: self.word(*id),
            label: self.class_of(*id).to_owned(),
            probability: *mean,
        };
        rare.map(word).collect()
    }

    /// Words whose nearest word of the vocabulary is one of another class.
    ///
    /// # Shapes
    /// embeddings `[V,H]`
    fn confusable(&self, embeddings: &Tensor) -> Vec<ConfusableWord> {
        let unit = |rows: &Tensor| {
            rows / rows.square().sum_dim_intlist([1].as_slice(), true, Type::Float).sqrt().clamp_min(1e-12)
        };
        let ids = Tensor::from_slice(&self.ids).to_device(embeddings.device());
        let own = unit(&embeddings.index_select(0, &ids));
        let cosines = no_grad(|| own.matmul(&unit(embeddings).transpose(0, 1)));
        // The nearest is the word itself.
        let (found, nearest) = cosines.topk(2, 1, true, true);
        let word = |(&id, place): (&i64, i64)| {
            let (other, cosine) = (nearest.int64_value(&[place, 1]), found.double_value(&[place, 1]));
            let (label, other_label) = (self.class_of(id).to_owned(), self.class_of(other).to_owned());
            let (word, other_word) = (self.word(id), self.word(other));
            (self.ids.contains(&other) && label != other_label).then_some(ConfusableWord {
                word,
                label,
                other_word,
                other_label,
                cosine,
            })
        };
        self.ids.iter().zip(0..).filter_map(word).collect()
    }

    fn word(&self, id: i64) -> String {
        self.tokenizer.written(id).to_owned()
    }

    /// The label of a word's class; empty for what is no label word.
    fn class_of(&self, id: i64) -> &str {
        let is_word = |word: &LabelWord| self.tokenizer.word_ids(word.word()).first() == Some(&id);
        let class = self.verbalizer.classes().iter().find(|class| class.words.iter().any(is_word));
        class.map_or("", |class| class.label.as_str())
    }
}
