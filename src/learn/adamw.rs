//! AdamW (Loshchilov & Hutter 2019) over named tensors, with its state open, so that a training can be
//! stopped and taken up again.

use std::collections::BTreeMap;

use tch::{Kind as Type, Tensor, no_grad};

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

    /// Moves the leaves by their gradients, with bias correction, and clears the gradients. `rate_and_decay`
    /// gives each leaf's learning rate and weight decay; the decay is decoupled: `θ ← θ - η·λ·θ` before the
    /// update.
    pub fn step(&mut self, leaves: &BTreeMap<String, Tensor>, rate_and_decay: impl Fn(&str) -> (f64, f64)) {
        self.step += 1;
        let [first_correction, second_correction] = BETAS.map(|beta| 1.0 - beta.powi(self.step));
        no_grad(|| {
            for (name, leaf) in leaves {
                let mut leaf = leaf.shallow_clone();
                // A leaf that no row of the step reaches has gradient zero, whether or not it was ever
                // reached: its moments fade, and a training that was stopped must not tell the two apart.
                let found = leaf.grad();
                let mut gradient = if found.defined() { found } else { leaf.zeros_like() };
                let Some([first, second]) = self.moments.get_mut(name) else {
                    unreachable!("moments of every leaf")
                };
                let (rate, decay) = rate_and_decay(name);
                let _ = first.lerp_(&gradient, 1.0 - BETAS[0]);
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
                let _ = gradient.zero_();
            }
        });
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
