//! What the program finds itself on: libtorch and the processor.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use cloze::model::processor;

/// The version of libtorch that the program was built with.
const LIBTORCH: Option<&str> = option_env!("CLOZE_LIBTORCH_VERSION");
/// The folder that libtorch was in then.
const LIBTORCH_LIB: Option<&str> = option_env!("CLOZE_LIBTORCH_LIB");

/// What `--version` says; `-V` says the first line's first words.
pub static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{}\nlibtorch {}; {} with {}",
        env!("CARGO_PKG_VERSION"),
        libtorch_version(),
        std::env::consts::ARCH,
        features_in_words()
    )
});

/// The version of libtorch that the program was built with.
pub fn libtorch_version() -> &'static str {
    LIBTORCH.unwrap_or("of an unknown version")
}

/// The folder of the libtorch in use, where the system tells; else the one of the build.
pub fn libtorch_folder() -> Option<PathBuf> {
    let loaded = std::fs::read_to_string("/proc/self/maps").ok().and_then(|maps| {
        let path = maps.lines().find(|line| line.ends_with("/libtorch_cpu.so"))?;
        Some(PathBuf::from(&path[path.find('/')?..]).parent()?.to_owned())
    });
    loaded.or_else(|| LIBTORCH_LIB.map(PathBuf::from))
}

/// The features of the processor that libtorch's kernels make use of.
pub fn features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    let known = [
        ("AVX2", is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")),
        ("AVX-512", is_x86_feature_detected!("avx512f")),
        ("VNNI", processor::adds_bytes_wide()),
        ("bf16", processor::has_bf16()),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let known = [("bf16", processor::has_bf16())];
    known.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect()
}

/// The same as a person says it.
pub fn features_in_words() -> String {
    match &features()[..] {
        [] => "no features that cloze looks for".to_owned(),
        features => features.join(", "),
    }
}

/// The processor's name, where the system tells.
pub fn processor() -> Option<String> {
    let listed = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    listed.or_else(|| said(Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"])))
}

/// The bytes that are free in a folder's file system, where the system tells.
pub fn free_bytes(folder: &std::path::Path) -> Option<u64> {
    let table = said(Command::new("df").arg("-Pk").arg(folder))?;
    let kilobytes: u64 = table.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// What a program prints, if it can be run and is content.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}
