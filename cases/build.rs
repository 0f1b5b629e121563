//! Has the package compiled anew when a file is added or removed: `include_dir!` alone notices
//! only that known files change.

fn main() {
    for directory in ["mutations", "policies", "suite"] {
        println!("cargo::rerun-if-changed={directory}");
    }
}
