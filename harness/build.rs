//! Builds the programs that perfsec contains: the agent and the subject, both static and small, for
//! the host's architecture.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let cargo = env::var_os("CARGO").expect("cargo sets CARGO");
    for path in ["agent", "subject", "wire", "../Cargo.lock"] {
        println!("cargo::rerun-if-changed={path}");
    }
    // One directory for all profiles: the agent always has its own profile.
    let shared = shared_target(&out).join("agent");

    let mut build = Command::new(cargo);
    build
        .args(["build", "--package", "perfsec-agent", "--package", "perfsec-subject"])
        .args(["--features", "perfsec-subject/program"])
        .args(["--profile", "agent", "--target", &target])
        .arg("--target-dir")
        .arg(&shared)
        .current_dir(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    // Settings for perfsec itself (instrumentation, a linter as the compiler) must not reach the
    // agent.
    for name in [
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
    ] {
        build.env_remove(name);
    }
    // Static, because an initramfs has no libraries; at a fixed address, because relocation would
    // cost an emulated CPU time at every exec.
    let mut flags = "-C target-feature=+crt-static -C relocation-model=static".to_owned();
    // A release has the same bytes wherever it is built (`cargo xtask dist`).
    println!("cargo::rerun-if-env-changed=PERFSEC_REMAP");
    if let Some(remap) = env::var_os("PERFSEC_REMAP") {
        flags.push(' ');
        flags.push_str(&remap.to_string_lossy());
    }
    build.env("RUSTFLAGS", flags);
    let status = build.status().expect("cargo runs");
    assert!(status.success(), "the agent does not build");

    for program in ["perfsec-agent", "perfsec-subject"] {
        let built = shared.join(&target).join("agent").join(program);
        let copy = out.join(program);
        if let Err(error) = std::fs::copy(&built, &copy) {
            panic!("cannot copy {} to {}: {error}", built.display(), copy.display());
        }
    }
}

/// The target directory that contains `OUT_DIR` (`…/PROFILE/build/perfsec-HASH/out`).
fn shared_target(out: &Path) -> PathBuf {
    out.ancestors().nth(4).unwrap_or(out).to_owned()
}
