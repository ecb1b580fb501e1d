//! Lets what is built here find libtorch at run time, without LD_LIBRARY_PATH.
//!
//! torch-sys does write an rpath, but as a flag of its C++ compilation, where it has no effect on
//! the final program. Link arguments given here reach the programs, tests, examples, benches and
//! doctests of this package (not those of a package that merely depends on it).
//!
//! It also tells the program which libtorch it is, for `cloze --version` and `cloze doctor`.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");

    // From torch-sys (`links = "tch"`), which is why Cargo.toml names it next to tch. It is the
    // `lib` folder of LIBTORCH, of Python's torch, or of torch-sys's own download in its OUT_DIR.
    // Unset on Windows, which has no rpath (the folder must be on the PATH), and with `doc-only`.
    // tools/newer-libtorch hands it on under a name of its own.
    let told = ["DEP_TCH_LIBTORCH_LIB", "DEP_TCH_SHIM_LIBTORCH_LIB"].into_iter().find_map(env::var_os);
    let Some(lib) = told.map(PathBuf::from) else {
        return;
    };
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    // Where `make install` puts a libtorch that lies in the checkout: torch-sys's own download does.
    let beside = match env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("macos") => "@executable_path/../lib/cloze",
        _ => "$ORIGIN/../lib/cloze",
    };
    println!("cargo:rustc-link-arg=-Wl,-rpath,{beside}");
    println!("cargo:rustc-env=CLOZE_LIBTORCH_LIB={}", lib.display());
    if let Some(version) = version(&lib) {
        println!("cargo:rustc-env=CLOZE_LIBTORCH_VERSION={version}");
    }

    // GPU support registers itself when its library is loaded; hardly a symbol of it is called by
    // name. Linkers that are told `--as-needed`, as rustc does, may therefore drop the library, and
    // the GPU is then silently not seen. So name it once more, as needed in any case.
    for name in ["libtorch_cuda.so", "libtorch_hip.so"] {
        let library = lib.join(name);
        if library.exists() {
            println!("cargo:rustc-link-arg=-Wl,--no-as-needed,{},--as-needed", library.display());
        }
    }
}

/// The version as libtorch's own header has it.
fn version(lib: &Path) -> Option<String> {
    let header =
        fs::read_to_string(lib.parent()?.join("include/torch/csrc/api/include/torch/version.h")).ok()?;
    let (_, rest) = header.split_once("define TORCH_VERSION \\")?;
    rest.split('"').nth(1).map(str::to_owned)
}
