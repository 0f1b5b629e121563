//! Rebuilds the package when a file is added or removed: `include_dir!` alone only notices
//! changes to files that it has already seen.

fn main() {
    for directory in ["mutations", "policies", "suite"] {
        println!("cargo::rerun-if-changed={directory}");
    }
}
