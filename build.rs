//! Tells the programs where libtorch is, so that they run without an environment variable.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for variable in ["LIBTORCH", "LIBTORCH_LIB"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    if env::var_os("CARGO_FEATURE_TRAINING").is_none() || env::var("CARGO_CFG_TARGET_FAMILY").as_deref() != Ok("unix") {
        return;
    }
    // As torch-sys looks for it.
    if let Some(root) = env::var_os("LIBTORCH_LIB").or_else(|| env::var_os("LIBTORCH")) {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", Path::new(&root).join("lib").display());
    }
}
