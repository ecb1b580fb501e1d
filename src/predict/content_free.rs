//! Inputs that ask nothing in particular, and what a model says to them: its bias, for calibration to take
//! out.

use rand::Rng as _;

use crate::error::{EncodeError, Error, Result};
use crate::model::batch::small_batches;
use crate::model::features::Features;
use crate::predict::calibration::Method;
use crate::predict::report::Prediction;
use crate::predict::score::Scorer;
use crate::predict::task::Task;
use crate::seed;
use crate::text::data::{Columns, Example};

/// Texts of random words for [`Method::Domain`], as in Fei et al. (2023).
const TEXTS: usize = 20;

impl Scorer<'_> {
    /// What the models say in a pattern to each of the inputs of a method that asks without a row, or with
    /// words of these rows alone: what the pattern is divided by
    /// ([`crate::predict::calibration::Correction::dividing_by`]).
    ///
    /// # Panics
    /// In a method that looks at rows' own predictions.
    pub fn without_content(
        &self,
        method: Method,
        task: &Task,
        columns: &Columns,
        rows: &[&Example],
    ) -> Result<Vec<Prediction>> {
        let inputs = match method {
            Method::Contextual => {
                let texts = ["N/A", ""].map(|text| example(columns, &mut |_| text.to_owned()));
                let mut inputs = self.encode(task, columns, &texts)?;
                inputs.extend(self.encode_changed(task, columns, &texts[1..], |prompt| prompt.masked())?);
                inputs
            }
            Method::Pmi => self.encode(task, columns, &[example(columns, &mut |_| String::new())])?,
            Method::Domain => self.encode(task, columns, &random_texts(columns, rows))?,
            Method::Batch
            | Method::Mixed
            | Method::Prior
            | Method::Temperature
            | Method::Dirichlet
            | Method::VectorScaling => unreachable!("{} looks at rows", method.name()),
        };
        self.say(&inputs)
    }

    /// The models' average for each text, whose inputs count as they are weighted.
    fn say(&self, texts: &[Vec<(Features, f64)>]) -> Result<Vec<Prediction>> {
        let inputs: Vec<Features> = texts.iter().flatten().map(|(features, _)| features.clone()).collect();
        let of_model = |classifier: &crate::predict::classifier::Classifier| -> Vec<Prediction> {
            let of_batch = |inputs: Vec<&Features>| {
                let values = classifier.probabilities(&inputs);
                let classes = values.len() / inputs.len();
                values
                    .chunks(classes)
                    .map(|values| Prediction { probabilities: values.to_vec() })
                    .collect::<Vec<_>>()
            };
            small_batches(&inputs).flat_map(of_batch).collect()
        };
        let by_model: Vec<Vec<Prediction>> = self.classifiers.iter().map(of_model).collect();
        let average = |input: usize| {
            Prediction::average(&by_model.iter().map(|said| said[input].clone()).collect::<Vec<_>>())
        };
        let mut said = (0..inputs.len()).map(average);
        let of_text = |text: &Vec<(Features, f64)>| {
            let inputs: Vec<Prediction> = said.by_ref().take(text.len()).collect();
            Prediction::weighted(inputs.iter().zip(text.iter().map(|(_, weight)| *weight)))
        };
        let said: Vec<Prediction> = texts.iter().map(of_text).collect();
        let finite = said
            .iter()
            .all(|prediction| prediction.probabilities.iter().all(|probability| probability.is_finite()));
        if finite { Ok(said) } else { Err(Error::new(EncodeError::ScoreNotFinite)) }
    }
}

/// A row of a file that no one has.
fn example(columns: &Columns, field: &mut dyn FnMut(usize) -> String) -> Example {
    Example {
        record: 0,
        line: 0,
        fields: (0..columns.names().len()).map(field).collect(),
        label: None,
        values: None,
    }
}

/// Rows of random words: each column's words come from that column of the rows, and are as many as it has on
/// average. Texts that are written without spaces count by letters.
fn random_texts(columns: &Columns, rows: &[&Example]) -> Vec<Example> {
    let words = |column: usize| -> (Vec<String>, usize, &'static str) {
        let texts = || rows.iter().map(|row| row.fields[column].as_str());
        let spaced: Vec<String> = texts().flat_map(str::split_whitespace).map(str::to_owned).collect();
        let letters: usize = spaced.iter().map(|word| word.chars().count()).sum();
        // No language's words are so long on average.
        const LONGEST: usize = 20;
        let (units, between) = if letters > LONGEST * spaced.len() {
            (
                texts()
                    .flat_map(str::chars)
                    .filter(|letter| !letter.is_whitespace())
                    .map(String::from)
                    .collect(),
                "",
            )
        } else {
            (spaced, " ")
        };
        let usual = (units.len() as f64 / rows.len().max(1) as f64).round() as usize;
        (units, usual, between)
    };
    // Each column has its own draws: one that no pattern reads changes nothing.
    let texts_of = |column: usize| -> Vec<String> {
        let (units, usual, between) = words(column);
        let name = format!("words without content, {}", columns.names()[column]);
        let mut random = seed::generator(0, &name);
        let mut drawn = || units[random.gen_range(0..units.len())].as_str();
        (0..TEXTS).map(|_| (0..usual).map(|_| drawn()).collect::<Vec<_>>().join(between)).collect()
    };
    let by_column: Vec<Vec<String>> = (0..columns.names().len()).map(texts_of).collect();
    (0..TEXTS).map(|text| example(columns, &mut |column| by_column[column][text].clone())).collect()
}
