//! `cloze check --strict`: what the model itself says of patterns and label words, with its weights: what it
//! prefers without a row, and whether the label words are words that it would say.

use std::collections::BTreeMap;

use anyhow::Result;
use cloze::error::Error;
use cloze::model::encoder::Mode;
use cloze::model::features::Features;
use cloze::model::folder::{EngineChoice, ModelFolder};
use cloze::model::parameters::WORD_EMBEDDINGS;
use cloze::numbers::percent;
use cloze::predict::classifier::{Base, Classifier};
use cloze::predict::encode::encode;
use cloze::predict::label_words::LabelWords;
use cloze::predict::prompt_model::PromptModel;
use cloze::predict::report::Prediction;
use cloze::predict::task::Task;
use cloze::text::data::Example;
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;
use cloze::tune::soft::SoftTokens;
use tch::{Device, Kind, Tensor, no_grad};

use super::render::{self, Align};
use super::setup;

/// So many rows are looked at, from the first.
pub const ROWS: usize = 200;
/// Inputs at once.
const BATCH: usize = 16;
/// So many of the words that the model says instead are shown.
const OTHERS: usize = 5;

/// What is looked at.
pub struct Subject<'a> {
    pub verbalizer: &'a Verbalizer,
    pub templates: &'a [Template],
    pub soft: &'a SoftTokens,
    /// Each template's, in the same order; none without data.
    pub tasks: &'a [Task],
    pub rows: &'a [Example],
    pub max_length: usize,
}

/// What the model says at the masks of some inputs.
struct Said {
    /// The classes' mean probabilities.
    classes: Prediction,
    /// The label words' mean probabilities among all words, in the order of their ids.
    words: Vec<f64>,
    /// The likeliest word of each input.
    likeliest: Vec<i64>,
}

impl Subject<'_> {
    /// Loads the weights, and reports.
    pub fn report(&self, folder: ModelFolder) -> Result<String> {
        let words =
            LabelWords::check(self.verbalizer, &folder.tokenizer, Device::Cpu).map_err(setup::Problems)?;
        let base = Base::load(folder, words, EngineChoice::Cloze, Device::Cpu)?;
        let Classifier::Prompt(model, words) = setup::zero_shot(&base, self.soft)? else {
            unreachable!("zero-shot models read label words")
        };
        let ids = words.distinct_ids();
        let (mut patterns, mut sums) = (Vec::new(), vec![0.0; ids.len()]);
        let mut looked_at = 0;
        for (index, template) in self.templates.iter().enumerate() {
            let prompts = [template.wrap(|_| "N/A"), template.wrap(|_| ""), template.wrap(|_| "").masked()];
            let encoded = prompts.iter().map(|prompt| encode(prompt, model.tokenizer(), self.max_length));
            let without = say(&model, &words, &ids, &encoded.collect::<Result<Vec<_>, Error>>()?);
            let row =
                |row: &Example| encode(&self.tasks[index].wrap(row), model.tokenizer(), self.max_length);
            let rows = self.rows.iter().map(row).collect::<Result<Vec<_>, Error>>()?;
            let with = (!rows.is_empty()).then(|| say(&model, &words, &ids, &rows));
            let seen = with.as_ref().unwrap_or(&without);
            sums.iter_mut().zip(&seen.words).for_each(|(sum, word)| *sum += word);
            looked_at += 1;
            patterns.push((template, without, with));
        }
        let mut text = String::new();
        if !patterns.is_empty() {
            text.push_str(&self.priors(&patterns));
        }
        // A single mask says nothing of words of several tokens.
        if self.verbalizer.multi_token().is_some() {
            return Ok(text);
        }
        if !patterns.is_empty() {
            text.push_str(&self.likeliest(&patterns, &model, &ids));
            let means: Vec<f64> = sums.iter().map(|sum| sum / f64::from(looked_at)).collect();
            text.push_str(&self.rare(&ids, &means, &model));
        }
        text.push_str(&self.near(base.parameters.get(WORD_EMBEDDINGS), &ids, &model));
        Ok(text)
    }

    /// Each class's probability without a row, and over the rows.
    fn priors(&self, patterns: &[(&Template, Said, Option<Said>)]) -> String {
        let classes = || self.verbalizer.labels().map(str::to_owned);
        let mut rows =
            vec![["pattern", "asked"].into_iter().map(str::to_owned).chain(classes()).collect::<Vec<_>>()];
        for (template, without, with) in patterns {
            for (what, said) in [("without a row", Some(without)), ("rows, mean", with.as_ref())] {
                let Some(said) = said else { continue };
                let shares = said.classes.probabilities.iter().map(|share| percent(*share));
                rows.push([template.name().to_owned(), what.to_owned()].into_iter().chain(shares).collect());
            }
        }
        let mut columns = vec![Align::Right; self.verbalizer.labels().len() + 2];
        columns[..2].fill(Align::Left);
        let equal = 100.0 / self.verbalizer.labels().len() as f64;
        format!(
            "what the model says of the classes, % (without a preference: {equal:.1})\n\n{}\n",
            render::table(&columns, &rows)
        )
    }

    /// How often the likeliest word is no label word, and which it is then.
    fn likeliest(
        &self,
        patterns: &[(&Template, Said, Option<Said>)],
        model: &PromptModel,
        ids: &[i64],
    ) -> String {
        let mut rows =
            vec![["pattern", "rows", "another word is likeliest, %", "such as"].map(str::to_owned).to_vec()];
        for (template, _, with) in patterns {
            let Some(said) = with else { return String::new() };
            let mut others: BTreeMap<i64, usize> = BTreeMap::new();
            said.likeliest
                .iter()
                .filter(|word| !ids.contains(word))
                .for_each(|word| *others.entry(*word).or_default() += 1);
            let share = others.values().sum::<usize>() as f64 / said.likeliest.len() as f64;
            let mut others: Vec<(i64, usize)> = others.into_iter().collect();
            others.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            let named = others
                .iter()
                .take(OTHERS)
                .map(|(word, _)| model.tokenizer().token(*word))
                .collect::<Vec<_>>()
                .join(", ");
            rows.push(vec![
                template.name().to_owned(),
                said.likeliest.len().to_string(),
                percent(share),
                named,
            ]);
        }
        format!("{}\n", render::table(&[Align::Left, Align::Right, Align::Right, Align::Left], &rows))
    }

    /// Words that the model would say less often than any word by chance.
    fn rare(&self, ids: &[i64], means: &[f64], model: &PromptModel) -> String {
        let chance = 1.0 / model.tokenizer().vocabulary_size() as f64;
        let rare = ids.iter().zip(means).filter(|(_, mean)| **mean < chance);
        let lines = rare.map(|(id, mean)| {
            let word = model.tokenizer().token(*id);
            format!("note: {word} ({}) is a word that the model hardly says here: {mean:.1e}, one word of the vocabulary by chance {chance:.1e}\n", self.class_of(*id, model))
        });
        lines.collect()
    }

    /// Words whose nearest word of the vocabulary is one of another class.
    fn near(&self, embeddings: &Tensor, ids: &[i64], model: &PromptModel) -> String {
        let unit = |rows: &Tensor| {
            rows / rows.square().sum_dim_intlist([1].as_slice(), true, Kind::Float).sqrt().clamp_min(1e-12)
        };
        let own = unit(&embeddings.index_select(0, &Tensor::from_slice(ids)));
        let cosines = no_grad(|| own.matmul(&unit(embeddings).transpose(0, 1)));
        // The nearest is the word itself.
        let (found, nearest) = cosines.topk(2, 1, true, true);
        let mut text = String::new();
        for (index, &id) in ids.iter().enumerate() {
            let (other, cosine) =
                (nearest.int64_value(&[index as i64, 1]), found.double_value(&[index as i64, 1]));
            let (class, others) = (self.class_of(id, model), self.class_of(other, model));
            if ids.contains(&other) && class != others {
                let [word, other] = [id, other].map(|id| model.tokenizer().token(id).to_owned());
                text.push_str(&format!(
                    "note: {word} ({class}) is nearest to {other} ({others}) of all words that the model knows, cosine {cosine:.2}\n"
                ));
            }
        }
        text
    }

    fn class_of(&self, id: i64, model: &PromptModel) -> &str {
        let is_word = |word: &cloze::text::verbalizer::LabelWord| {
            model.tokenizer().tokenize(word.word()).first().is_some_and(|token| token.id == id)
        };
        self.verbalizer
            .classes()
            .iter()
            .find(|class| class.words.iter().any(is_word))
            .map_or("", |class| class.label.as_str())
    }
}

fn say(model: &PromptModel, words: &LabelWords, ids: &[i64], inputs: &[Features]) -> Said {
    let mut classes = Vec::with_capacity(inputs.len());
    let (mut sums, mut likeliest) = (vec![0.0; ids.len()], Vec::with_capacity(inputs.len()));
    let columns = Tensor::from_slice(ids);
    for batch in inputs.chunks(BATCH) {
        let inputs: Vec<&Features> = batch.iter().collect();
        no_grad(|| {
            let scores = model.class_scores(&inputs, words, Mode::Score).softmax(-1, Kind::Double);
            let vocabulary = model.vocabulary_logits(&inputs).softmax(-1, Kind::Float);
            for (row, _) in (0_i64..).zip(batch) {
                classes.push(Prediction { probabilities: numbers(&scores.get(row)) });
            }
            let of_words =
                vocabulary.index_select(1, &columns).sum_dim_intlist([0].as_slice(), false, Kind::Double);
            sums.iter_mut().zip(numbers(&of_words)).for_each(|(sum, word)| *sum += word);
            likeliest.extend(Vec::<i64>::try_from(vocabulary.argmax(-1, false)).unwrap_or_default());
        });
    }
    let mean = |sum: f64| sum / inputs.len() as f64;
    Said { classes: Prediction::average(&classes), words: sums.into_iter().map(mean).collect(), likeliest }
}

/// Of doubles by construction.
fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.to_kind(Kind::Double)).unwrap_or_default()
}
