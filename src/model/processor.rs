//! The instructions for short numbers that this processor has and oneDNN may use, which computes libtorch's
//! products.
//!
//! A variable of oneDNN's own keeps it from newer instructions than those of one set: whoever sets it has the
//! products of an older processor.

use std::env;
use std::sync::LazyLock;

/// Whether there are any for bfloat16. Processors with AMX have those of AVX-512 too.
pub fn has_bf16() -> bool {
    static HAS: LazyLock<bool> = LazyLock::new(|| {
        #[cfg(target_arch = "x86_64")]
        return is_x86_feature_detected!("avx512bf16")
            && may_use_more_than(&["avx2_vnni", "avx2_vnni_2", "avx512_core_vnni"]);
        // Apple's have some, but libtorch is built without oneDNN there.
        #[cfg(target_arch = "aarch64")]
        return cfg!(target_os = "linux") && std::arch::is_aarch64_feature_detected!("bf16");
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        return false;
    });
    *HAS
}

/// Whether products of bytes are added in 32 bits: older x86-64 adds pairs of them in 16.
pub fn adds_bytes_wide() -> bool {
    static WIDE: LazyLock<bool> = LazyLock::new(|| {
        #[cfg(target_arch = "x86_64")]
        return (is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni"))
            && may_use_more_than(&[]);
        #[cfg(not(target_arch = "x86_64"))]
        return true;
    });
    *WIDE
}

/// Whether oneDNN is not kept to one of these sets, or to one without any instructions for short numbers.
#[cfg(target_arch = "x86_64")]
fn may_use_more_than(sets: &[&str]) -> bool {
    const WITHOUT_ANY: [&str; 4] = ["sse41", "avx", "avx2", "avx512_core"];
    let newest = ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"].iter().find_map(|name| env::var(name).ok());
    let newest = newest.unwrap_or_default().to_ascii_lowercase();
    !sets.iter().chain(&WITHOUT_ANY).any(|set| *set == newest)
}
