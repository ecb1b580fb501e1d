//! AdamW (Loshchilov & Hutter 2019) over named tensors, with its state open, so that a training can be
//! stopped and taken up again.

use std::collections::BTreeMap;

use tch::{Kind as Type, Tensor, no_grad};

use crate::model::layers::Moved;

/// The optimiser's constants and state.
pub struct AdamW {
    /// Steps taken.
    pub step: i32,
    /// First and second moments of each tensor, of its shape.
    pub moments: BTreeMap<String, [Tensor; 2]>,
}

/// PyTorch's own defaults.
const BETAS: [f64; 2] = [0.9, 0.999];
const EPSILON: f64 = 1e-8;

impl AdamW {
    /// Before the first step.
    pub fn new(leaves: &BTreeMap<String, Tensor>) -> AdamW {
        let zeros = |leaf: &Tensor| no_grad(|| [leaf.zeros_like(), leaf.zeros_like()]);
        AdamW { step: 0, moments: leaves.iter().map(|(name, leaf)| (name.clone(), zeros(leaf))).collect() }
    }

    /// Moves the leaves by their gradients, with bias correction. `rate_and_decay` gives each leaf's learning
    /// rate and weight decay; the decay is decoupled: `θ ← θ - η·λ·θ` before the update.
    pub fn step(&mut self, leaves: &BTreeMap<String, Tensor>, rate_and_decay: impl Fn(&str) -> (f64, f64)) {
        self.step += 1;
        no_grad(|| {
            // Of each rate and decay, whose bits are a key, all at once.
            let mut groups: BTreeMap<[u64; 2], Moved> = BTreeMap::new();
            for (name, leaf) in leaves {
                // A leaf that no row of the step reaches has gradient zero, whether or not it was ever
                // reached: its moments fade, and a training that was stopped must not tell the two apart.
                let found = leaf.grad();
                let Some([first, second]) = self.moments.get(name) else {
                    unreachable!("moments of every leaf")
                };
                let (rate, decay) = rate_and_decay(name);
                let group = groups.entry([rate, decay].map(f64::to_bits)).or_default();
                group.leaves.push(leaf.shallow_clone());
                group.gradients.push(if found.defined() { found } else { leaf.zeros_like() });
                group.firsts.push(first.shallow_clone());
                group.seconds.push(second.shallow_clone());
            }
            for (key, mut group) in groups {
                let [rate, decay] = key.map(f64::from_bits);
                if !group.step(self.step, rate, decay) {
                    step_by_step(&mut group, self.step, rate, decay);
                }
            }
        });
    }
}

/// The same, an operation after the other, where libtorch has it in no single one.
fn step_by_step(group: &mut Moved, step: i32, rate: f64, decay: f64) {
    let [first_correction, second_correction] = BETAS.map(|beta| 1.0 - beta.powi(step));
    let moments = group.firsts.iter_mut().zip(&mut group.seconds);
    for ((leaf, gradient), (first, second)) in group.leaves.iter_mut().zip(&group.gradients).zip(moments) {
        let _ = first.lerp_(gradient, 1.0 - BETAS[0]);
        let _ = second.lerp_(&gradient.square(), 1.0 - BETAS[1]);
        if rate > 0.0 {
            if decay > 0.0 {
                let _ = leaf.g_mul_scalar_(1.0 - rate * decay);
            }
            // θ ← θ - η/c₁ · m / (√(v/c₂) + ε), with -c₁/η in the denominator: one pass less.
            let factor = -first_correction / rate;
            let mut denominator = second.sqrt();
            let _ = denominator.g_mul_scalar_(factor / second_correction.sqrt());
            let _ = denominator.g_add_scalar_(factor * EPSILON);
            let _ = leaf.addcdiv_(first, &denominator);
        }
    }
}

/// Scales all gradients so that their common norm is at most `most` (Pascanu et al. 2013); gives the norm
/// that they had.
pub fn clip_gradients(leaves: &BTreeMap<String, Tensor>, most: f64) -> f64 {
    no_grad(|| {
        let mut gradients: Vec<Tensor> = leaves.values().map(Tensor::grad).filter(Tensor::defined).collect();
        let norms: Vec<Tensor> = gradients.iter().map(Tensor::norm).collect();
        if norms.is_empty() {
            return 0.0;
        }
        let norm = Tensor::stack(&norms, 0).to_kind(Type::Double).norm().double_value(&[]);
        // Divided as PyTorch's clip_grad_norm_ does.
        let share = most / (norm + 1e-6);
        if share < 1.0 {
            for gradient in &mut gradients {
                let _ = gradient.g_mul_scalar_(share);
            }
        }
        norm
    })
}
