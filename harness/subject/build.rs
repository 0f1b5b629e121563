//! Links the program without libraries and with its own entry point.

fn main() {
    for argument in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        // Few and small segments: every exec maps each, and every exit unmaps it.
        "-Wl,-z,noseparate-code",
        "-Wl,-z,max-page-size=4096",
        "-Wl,-z,norelro",
        "-Wl,--build-id=none",
    ] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
