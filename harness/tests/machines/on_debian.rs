//! Form 3 against a machine with a real system of its own: real ssh, real kexec, real firmware.

use std::thread;
use std::time::{Duration, Instant};

use crate::desk::Desk;

/// The time until the machine has booted, on a host that is busy.
const LIMIT: Duration = Duration::from_secs(900);

/// Needs QEMU, ssh, the guest system `debian:trixie`, a kernel in `PERFSEC_TEST_KERNEL`, and what
/// `cargo xtask machines` fetches: a kernel package of that suite, and an archive with openssh.
/// `PERFSEC_TEST_CELLS` selects other cells.
#[test]
#[ignore = "needs QEMU, ssh, a guest system, PERFSEC_TEST_{KERNEL,PACKAGE,SSH}"]
fn a_machine_with_a_debian_of_its_own_is_checked_runs_cells_and_keeps_its_disk() {
    let desk = Desk::new();
    let kernel = crate::support::kernel();
    let began = Instant::now();
    // It boots.
    while !desk.answers() {
        assert!(began.elapsed() < LIMIT, "ssh does not answer");
        thread::sleep(Duration::from_secs(5));
    }
    desk.perfsec(&["machines", "check", "desk"]).succeeds();
    println!("checked after {:.0} s\n{}", began.elapsed().as_secs_f64(), desk.log());
    assert!(desk.log().contains("power off"), "the check includes a power cycle");
    let cells = std::env::var("PERFSEC_TEST_CELLS").unwrap_or("open/cpu-kernel".to_owned());
    let cells: Vec<_> = cells.split_whitespace().collect();
    let options = ["run", "--machine", "desk", "--kernel", &kernel];
    let offs = desk.log().matches("power off").count();
    let ended = desk.perfsec(&[&options[..], &cells].concat());
    ended.succeeds();
    // It came back by itself.
    assert_eq!(desk.log().matches("power off").count(), offs);
    assert!(desk.perfsec(&["machines"]).stdout.contains("healthy"));
    assert!(desk.has_its_disk());
}
