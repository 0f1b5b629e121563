//! Links the program without any library: its start is its own.

fn main() {
    for argument in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        // Few and small segments: each is a mapping that every exec makes and every exit unmakes.
        "-Wl,-z,noseparate-code",
        "-Wl,-z,max-page-size=4096",
        "-Wl,-z,norelro",
        "-Wl,--build-id=none",
    ] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
