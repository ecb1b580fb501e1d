//! Pairs of rows: those of one class shall be alike, others not. The first half of SetFit (Tunstall et al.
//! 2022); a logistic regression on the states is the second.
//!
//! `L = mean of (cos(u, v) - y)²`
//!
//! u and v `[H]` are the means of two rows' last states, y is 1 for rows of one class and else 0. Each row
//! has [`REPETITIONS`] partners of its class and as many of others, drawn anew each time.

use rand::Rng as _;
use tch::{Kind as Type, Tensor};

use super::step::{Input, Step};
use crate::error::{Error, Kind, Result, TrainingError};
use crate::learn::encoded::{EncodedRows, EpochOrder};
use crate::model::encoder::Mode;
use crate::model::features::Features;
use crate::predict::prompt_model::PromptModel;
use crate::seed;

/// How many partners of each kind a row has, as in the paper.
pub const REPETITIONS: usize = 20;
/// Pairs in a step, as in the paper.
pub const PAIRS_IN_STEP: usize = 16;

/// The mean loss over pairs of rows.
pub struct Pairs {
    /// In one pattern, which shows no other rows.
    rows: EncodedRows,
    classes: Vec<usize>,
    /// The rows of each class.
    of_class: Vec<Vec<usize>>,
    order: EpochOrder,
    seed: u64,
}

/// Two inputs, and whether they are of one class.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The inputs.
    pub inputs: [Features; 2],
    /// Whether they shall be alike.
    pub alike: bool,
}

impl Pairs {
    /// Of rows in one pattern with their classes, the pairs in the order of a seed.
    pub(crate) fn new(rows: EncodedRows, classes: Vec<usize>, seed: u64) -> Pairs {
        let count = classes.iter().max().map_or(0, |last| last + 1);
        let mut of_class = vec![Vec::new(); count];
        classes.iter().enumerate().for_each(|(row, class)| of_class[*class].push(row));
        let order = EpochOrder::new(seed, "pair order", Pairs::count(classes.len()));
        Pairs { rows, classes, of_class, order, seed }
    }

    /// How many pairs so many rows make.
    pub fn count(rows: usize) -> usize {
        rows.saturating_mul(2 * REPETITIONS)
    }

    pub(super) fn add_gradients(
        &mut self,
        step: &mut Step<'_>,
        weight: f64,
    ) -> Result<(Option<f64>, Vec<usize>)> {
        let mut inputs: Vec<Input<Pair>> = Vec::new();
        for number in self.order.items(step.places(PAIRS_IN_STEP)) {
            let (rows, alike) = self.drawn(number);
            let [first, second] = rows;
            let content = Pair {
                inputs: [self.rows.item(first)?.features.clone(), self.rows.item(second)?.features.clone()],
                alike,
            };
            // Both are padded to the longer one.
            let length = 2 * content.inputs.iter().map(|input| input.ids.len()).max().unwrap_or(0);
            inputs.push(Input { row: first, length, losses: 1, content });
        }
        let rows = inputs.iter().map(|input| input.row).collect();
        let found =
            step.add_gradients_of(inputs, weight, |model, part| pair_losses(model, part, Mode::Train));
        let mean = found.map_err(|rows| self.not_finite(step.number, &rows))?;
        Ok((mean, rows))
    }

    /// A pair by its number: even ones are alike. A row that is alone in its class is its own partner; where
    /// there is one class, all are alike.
    fn drawn(&self, number: usize) -> ([usize; 2], bool) {
        let row = number / 2 % self.classes.len();
        let own = &self.of_class[self.classes[row]];
        let others = self.classes.len() - own.len();
        let alike = number.is_multiple_of(2) || others == 0;
        let mut dice = seed::generator(self.seed, &format!("partner of pair {number}"));
        let partner = match alike {
            true if own.len() == 1 => row,
            true => {
                let place = dice.gen_range(0..own.len() - 1);
                own[place + usize::from(own[place] >= row)]
            }
            false => {
                let mut place = dice.gen_range(0..others);
                let strangers = self.of_class.iter().enumerate();
                let mut strangers = strangers.filter(|(class, _)| *class != self.classes[row]);
                loop {
                    match strangers.next() {
                        Some((_, rows)) if place < rows.len() => break rows[place],
                        Some((_, rows)) => place -= rows.len(),
                        None => unreachable!("a place among the rows of other classes"),
                    }
                }
            }
        };
        ([row, partner], alike)
    }

    pub(super) fn not_finite(&self, step: usize, rows: &[usize]) -> Error {
        self.rows.not_finite(rows, |records| {
            Kind::Training(TrainingError::LossNotFinite { step: step + 1, records })
        })
    }
}

/// `(cos(u, v) - y)²` of each pair.
///
/// # Panics
/// If the model is rust-bert's, which gives no states.
///
/// # Shapes
/// P pairs: states `[2P,L,H]` → `[P]`
pub fn pair_losses(model: &PromptModel, pairs: &[&Pair], mode: Mode) -> Tensor {
    let side = |side: usize| pairs.iter().map(move |pair| &pair.inputs[side]);
    let vectors = model.vectors_of(&side(0).chain(side(1)).collect::<Vec<_>>(), mode);
    let sides = vectors.chunk(2, 0);
    let cosines = (&sides[0] * &sides[1]).sum_dim_intlist([-1].as_slice(), false, Type::Float);
    let wanted: Vec<f32> = pairs.iter().map(|pair| f32::from(u8::from(pair.alike))).collect();
    (cosines - Tensor::from_slice(&wanted).to_device(vectors.device())).square()
}
