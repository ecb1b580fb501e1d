//! What libtorch has and tch has no function for: oneDNN's linear layers over weights that were arranged for
//! it once, and attention with or without a mask, whatever arguments libtorch's next version adds.
//!
//! TorchScript can name any operator of libtorch, so modules of a few lines call them; they are put together
//! here, as the archives that libtorch loads.

use std::io::{Cursor, Write as _};
use std::sync::OnceLock;

use tch::{CModule, IValue, Kind as Type, TchError, Tensor};
use zip::write::{FileOptions, ZipWriter};

use crate::model::dtype::Dtype;
use crate::model::shared::Shared;

/// In single precision and in bfloat16.
const FLOAT: &str = r#"class Kernels(Module):
  __parameters__ = []
  __buffers__ = []
  def arrange(self: __torch__.Kernels, weight: Tensor) -> Tensor:
    return ops.mkldnn._reorder_linear_weight(weight, None)
  def linear(self: __torch__.Kernels, input: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:
    return ops.mkldnn._linear_pointwise(input, weight, bias, "none", annotate(List[Optional[number]], []), "")
"#;

/// Unsigned bytes times signed ones into floats (6 is libtorch's number for them),
/// `(input - zero)·weight·scales`.
const BYTES: &str = r#"class Kernels(Module):
  __parameters__ = []
  __buffers__ = []
  def arrange(self: __torch__.Kernels, weight: Tensor) -> Tensor:
    return ops.onednn.qlinear_prepack(weight, None)
  def linear(self: __torch__.Kernels, input: Tensor, weight: Tensor, scales: Tensor, zeros: Tensor, zero: int) -> Tensor:
    return ops.onednn.qlinear_pointwise(input, 1.0, zero, weight, scales, zeros, None, 1.0, 0, 6, "none", annotate(List[Optional[number]], []), "")
"#;

/// The scale is in the query already.
const ATTENTION: &str = r#"class Kernels(Module):
  __parameters__ = []
  __buffers__ = []
  def attend(self: __torch__.Kernels, query: Tensor, key: Tensor, value: Tensor, mask: Optional[Tensor]) -> Tensor:
    return torch.scaled_dot_product_attention(query, key, value, mask, 0.0, False, scale=1.0)
"#;

/// AdamW with PyTorch's own constants, on many tensors in one pass over each.
const ADAMW: &str = r#"class Kernels(Module):
  __parameters__ = []
  __buffers__ = []
  def step(self: __torch__.Kernels, leaves: List[Tensor], gradients: List[Tensor], firsts: List[Tensor], seconds: List[Tensor], steps: List[Tensor], rate: float, decay: float) -> bool:
    none = annotate(List[Tensor], [])
    ops.aten._fused_adamw_(leaves, gradients, firsts, seconds, none, steps, lr=rate, beta1=0.9, beta2=0.999, weight_decay=decay, eps=1e-08, amsgrad=False, maximize=False, grad_scale=None, found_inf=None)
    return True
"#;

/// An object of such a class without attributes, pickled: protocol, class, empty tuple, new object, empty
/// dict, build, stop.
const OBJECT: &[u8] = b"\x80\x02c__torch__\nKernels\n)\x81}b.";
/// An empty tuple, pickled.
const NOTHING: &[u8] = b"\x80\x02).";

/// A linear layer's weights in oneDNN's arrangement.
#[derive(Clone)]
pub(super) struct Arranged(Shared);

impl Arranged {
    /// A weight `[out,in]` in a processor's memory; none where this libtorch has no such kernel for its type,
    /// which one product shows.
    pub(super) fn of(weight: &Tensor) -> Option<Arranged> {
        let (size, options) = (weight.size(), (weight.kind(), weight.device()));
        let arranged = float()?.method_ts("arrange", &[weight]).ok()?;
        let [input, bias] = [Tensor::zeros([1, size[1]], options), Tensor::zeros([size[0]], options)];
        let arranged = Arranged(arranged.into());
        arranged.product(&input, Some(&bias))?.is_ok().then_some(arranged)
    }

    /// # Shapes
    /// input `[…,in]`, bias `[out]`, both of the weight's type → `[…,out]`
    pub(super) fn linear(&self, input: &Tensor, bias: Option<&Tensor>) -> Tensor {
        computed(self.product(input, bias))
    }

    fn product(&self, input: &Tensor, bias: Option<&Tensor>) -> Option<Result<Tensor, TchError>> {
        let arguments = [tensor(input), tensor(&self.0), bias.map_or(IValue::None, tensor)];
        float().map(|kernels| kernels.method_is("linear", &arguments).and_then(Tensor::try_from))
    }
}

/// A linear layer's int8 weights in oneDNN's arrangement, with the scale of each output.
#[derive(Clone)]
pub(super) struct ArrangedBytes {
    weight: Shared,
    /// `[out]`
    scales: Shared,
    /// `[out]`, all 0.
    zeros: Shared,
}

impl ArrangedBytes {
    /// Weights `[out,in]`, int8, and scales `[out]`; none where this libtorch has no such kernel, which one
    /// product shows.
    pub(super) fn of(weight: &Tensor, scales: Tensor) -> Option<ArrangedBytes> {
        let arranged = bytes()?.method_ts("arrange", &[weight]).ok()?;
        let zeros = scales.zeros_like().to_kind(Type::Int);
        let input = Tensor::zeros([1, weight.size()[1]], (Type::Uint8, weight.device()));
        let arranged = ArrangedBytes { weight: arranged.into(), scales: scales.into(), zeros: zeros.into() };
        arranged.product(&input, 0)?.is_ok().then_some(arranged)
    }

    /// # Shapes
    /// input `[N,in]`, uint8, of which `zero` stands for 0 → `[N,out]`, in single precision
    pub(super) fn linear(&self, input: &Tensor, zero: i64) -> Tensor {
        computed(self.product(input, zero))
    }

    fn product(&self, input: &Tensor, zero: i64) -> Option<Result<Tensor, TchError>> {
        let arguments = [
            tensor(input),
            tensor(&self.weight),
            tensor(&self.scales),
            tensor(&self.zeros),
            IValue::Int(zero),
        ];
        bytes().map(|kernels| kernels.method_is("linear", &arguments).and_then(Tensor::try_from))
    }
}

/// libtorch's fused attention, without dropout; none where this libtorch has none.
///
/// # Shapes
/// query `[B,A,R,D]`, key and value `[B,A,L,D]`, mask `[B,1,1,L]` → `[B,A,R,D]`
pub(super) fn attend(query: &Tensor, key: &Tensor, value: &Tensor, mask: Option<&Tensor>) -> Option<Tensor> {
    let arguments = [tensor(query), tensor(key), tensor(value), mask.map_or(IValue::None, tensor)];
    let kernels = attention()?;
    Some(computed(Some(kernels.method_is("attend", &arguments).and_then(Tensor::try_from))))
}

/// What one step of AdamW moves: tensors of one learning rate and one weight decay.
#[derive(Default)]
pub(crate) struct Moved {
    /// The tensors.
    pub leaves: Vec<Tensor>,
    /// Their gradients.
    pub gradients: Vec<Tensor>,
    /// Their first moments.
    pub firsts: Vec<Tensor>,
    /// Their second moments.
    pub seconds: Vec<Tensor>,
}

impl Moved {
    /// Takes a step, counted from 1, in one pass over each tensor; false, and nothing done, where this libtorch
    /// cannot.
    pub(crate) fn step(&self, step: i32, rate: f64, decay: f64) -> bool {
        let Some(kernels) = adamw() else { return false };
        let list =
            |tensors: &[Tensor]| IValue::TensorList(tensors.iter().map(Tensor::shallow_clone).collect());
        let count = |leaf: &Tensor| Tensor::from_slice(&[step as f32]).squeeze().to_device(leaf.device());
        let steps = IValue::TensorList(self.leaves.iter().map(count).collect());
        let arguments = [
            list(&self.leaves),
            list(&self.gradients),
            list(&self.firsts),
            list(&self.seconds),
            steps,
            IValue::Double(rate),
            IValue::Double(decay),
        ];
        kernels.method_is("step", &arguments).is_ok()
    }
}

/// A kernel's argument.
fn tensor(tensor: &Tensor) -> IValue {
    IValue::Tensor(tensor.shallow_clone())
}

/// What a kernel gave.
///
/// # Panics
/// If it refused, as all of tch's functions do: it is out of memory, or the tensors are of other sizes or
/// types than documented.
fn computed(product: Option<Result<Tensor, TchError>>) -> Tensor {
    match product {
        Some(Ok(output)) => output,
        Some(Err(error)) => panic!("{error}"),
        None => unreachable!("weights are arranged by kernels that are there"),
    }
}

/// Loads libtorch's kernels for a type, which takes a tenth of a second, or when they are first needed: while
/// other things are read, on a thread of its own, it costs nothing.
pub fn load_kernels(dtype: Dtype) {
    float();
    if dtype == Dtype::Int8 {
        bytes();
    }
}

fn float() -> Option<&'static CModule> {
    static KERNELS: OnceLock<Option<CModule>> = OnceLock::new();
    KERNELS.get_or_init(|| module(FLOAT)).as_ref()
}

fn bytes() -> Option<&'static CModule> {
    static KERNELS: OnceLock<Option<CModule>> = OnceLock::new();
    KERNELS.get_or_init(|| module(BYTES)).as_ref()
}

fn adamw() -> Option<&'static CModule> {
    static KERNELS: OnceLock<Option<CModule>> = OnceLock::new();
    KERNELS.get_or_init(|| module(ADAMW)).as_ref()
}

fn attention() -> Option<&'static CModule> {
    static KERNELS: OnceLock<Option<CModule>> = OnceLock::new();
    KERNELS.get_or_init(|| module(ATTENTION)).as_ref()
}

/// The module of this code, if libtorch has what it calls.
fn module(code: &str) -> Option<CModule> {
    CModule::load_data(&mut Cursor::new(archive(code).ok()?)).ok()
}

/// A TorchScript archive: a zip file with the code and a pickled object of its class.
fn archive(code: &str) -> zip::result::ZipResult<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let files: [(&str, &[u8]); 4] = [
        ("data.pkl", OBJECT),
        ("code/__torch__.py", code.as_bytes()),
        ("constants.pkl", NOTHING),
        ("version", b"3\n"),
    ];
    for (name, bytes) in files {
        archive.start_file(
            format!("kernels/{name}"),
            FileOptions::default().compression_method(zip::CompressionMethod::Stored),
        )?;
        archive.write_all(bytes)?;
    }
    Ok(archive.finish()?.into_inner())
}
