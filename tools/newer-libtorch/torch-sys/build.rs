//! Hands on where libtorch is: only packages that depend on the real torch-sys directly are told.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:libtorch_lib={}", lib.to_string_lossy());
    }
}
