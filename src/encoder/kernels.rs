//! Products that libtorch has and tch has no function for: oneDNN's linear layer over weights that were arranged for it once.
//!
//! libtorch calls them `mkldnn::_linear_pointwise` and `mkldnn::_reorder_linear_weight`. TorchScript can name any operator, so a
//! module of a few lines calls them; it is put together here, as the archive that libtorch loads.

use std::io::{Cursor, Write as _};
use std::sync::OnceLock;

use tch::{CModule, Kind as Type, Tensor};
use zip::write::{FileOptions, ZipWriter};

use crate::shared::Shared;

const CODE: &str = r#"class Kernels(Module):
  __parameters__ = []
  __buffers__ = []
  def arrange(self: __torch__.Kernels, weight: Tensor) -> Tensor:
    return ops.mkldnn._reorder_linear_weight(weight, None)
  def linear(self: __torch__.Kernels, input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return ops.mkldnn._linear_pointwise(input, weight, bias, "none", annotate(List[Optional[number]], []), "")
"#;

/// An object of that class without attributes, pickled: protocol, class, empty tuple, new object, empty dict, build, stop.
const OBJECT: &[u8] = b"\x80\x02c__torch__\nKernels\n)\x81}b.";
/// An empty tuple, pickled.
const NOTHING: &[u8] = b"\x80\x02).";

/// A linear layer's weights in oneDNN's arrangement.
#[derive(Clone)]
pub(super) struct Arranged(Shared);

impl Arranged {
    /// A weight `[out,in]` of a processor's tensor; none where this libtorch has no such kernel for the type.
    pub(super) fn of(weight: &Tensor) -> Option<Arranged> {
        kernels()?.method_ts("arrange", &[weight]).ok().map(|arranged| Arranged(arranged.into()))
    }

    /// # Shapes
    /// input `[…,in]`, bias `[out]`, both of the weight's type → `[…,out]`
    ///
    /// # Panics
    /// On tensors of other sizes or types.
    pub(super) fn linear(&self, input: &Tensor, bias: &Tensor) -> Tensor {
        let product = kernels().map(|kernels| kernels.method_ts("linear", &[input, &*self.0, bias]));
        match product {
            Some(Ok(output)) => output,
            Some(Err(error)) => panic!("{error}"),
            None => unreachable!("arranged without kernels"),
        }
    }
}

/// The module, if libtorch has what it calls and computes with it.
fn kernels() -> Option<&'static CModule> {
    static KERNELS: OnceLock<Option<CModule>> = OnceLock::new();
    let load = || {
        let module = CModule::load_data(&mut Cursor::new(archive().ok()?)).ok()?;
        let [weight, input] = [Tensor::eye(2, (Type::Float, tch::Device::Cpu)), Tensor::ones([1, 2], (Type::Float, tch::Device::Cpu))];
        let arranged = module.method_ts("arrange", &[&weight]).ok()?;
        let output = module.method_ts("linear", &[&input, &arranged, &input.squeeze_dim(0)]).ok()?;
        (output == Tensor::full([1, 2], 2.0, (Type::Float, tch::Device::Cpu))).then_some(module)
    };
    KERNELS.get_or_init(load).as_ref()
}

/// A TorchScript archive: a zip file with the code and a pickled object of its class.
fn archive() -> zip::result::ZipResult<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let files: [(&str, &[u8]); 4] =
        [("data.pkl", OBJECT), ("code/__torch__.py", CODE.as_bytes()), ("constants.pkl", NOTHING), ("version", b"3\n")];
    for (name, bytes) in files {
        archive.start_file(format!("kernels/{name}"), FileOptions::default().compression_method(zip::CompressionMethod::Stored))?;
        archive.write_all(bytes)?;
    }
    Ok(archive.finish()?.into_inner())
}
