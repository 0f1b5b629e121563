//! `perfsec run --machine ssh:HOST` in a guest system that reaches itself over ssh.
//!
//! Needs QEMU, the guest system `debian:trixie`, a kernel in `PERFSEC_TEST_KERNEL`, in
//! `PERFSEC_TEST_PROGRAM` a static perfsec of the same sources, and in `PERFSEC_TEST_SSH` a
//! `.tar.gz` with the files of the suite's packages `openssh-client`, `openssh-server` and
//! `libwtmpdb0`.

use std::fs;

use rstest::rstest;
use tempfile::TempDir;

use crate::guest::Guest;
use crate::unchanged::{self, CELLS, code_after_death, is_unchanged, note_state};

/// Unpacks ssh, and starts its server as a service: in enforcing mode Debian's policy does not let
/// a shell start it. Without PAM, nobody's session is left for a while after a login.
const SET_UP: &str = r#"
tail -c LENGTH /usr/bin/ssh-archive | tar -xz --no-same-owner -C / && restorecon -R /usr/sbin /usr/bin /usr/lib/openssh /etc/ssh
echo 'sshd:x:199:65534::/run/sshd:/usr/sbin/nologin' >>/etc/passwd
mkdir -p /run/sshd /root/.ssh && chmod 700 /root/.ssh
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys
printf 'Host m\n Hostname 127.0.0.1\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n' >/root/.ssh/config
restorecon -R /root/.ssh /etc/ssh
printf 'ListenAddress 127.0.0.1\nUsePAM no\n' >/root/sshd_config
ip link set lo up 2>/dev/null
printf 'pidof -q sshd || systemd-run --quiet /usr/sbin/sshd -D -f /root/sshd_config' >/root/start-sshd
sh /root/start-sshd
until ssh -n m true; do sleep 1; done
"#;

/// A guest that reaches itself as `m`, and the name of perfsec there.
fn machine() -> (Guest, String) {
    let path = std::env::var("PERFSEC_TEST_SSH").expect("PERFSEC_TEST_SSH is an archive");
    let ssh = fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    // A guest gets nothing but static programs: one, with the archive behind it.
    let folder = TempDir::new().expect("a directory");
    let archive = folder.path().join("ssh-archive");
    fs::write(&archive, [perfsec::AGENT, &ssh].concat()).expect("a file");
    let (mut guest, name) = unchanged::boot(&[archive.to_str().expect("a plain name")]);
    guest.run(SET_UP.replace("LENGTH", &ssh.len().to_string()).trim());
    note_state(&mut guest);
    (guest, name)
}

#[test]
#[ignore = "needs QEMU, a guest system, PERFSEC_TEST_{KERNEL,PROGRAM,SSH}"]
fn a_run_over_ssh_has_the_verdicts_of_one_on_the_machine_and_leaves_it_as_it_was() {
    let (mut guest, name) = machine();
    let run = |machine| format!("{name} run --machine {machine} --format ktap {CELLS} 2>/dev/null");
    let (here, code) = guest.ask(&run("here"));
    assert_eq!(code, 0, "{here}");
    let (output, code) = guest.ask(&run("ssh:m"));
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("# machine: ssh:m, none"), "{output}");
    let cells = |text: &str| {
        let lines = text.lines().filter(|line| line.contains("ok "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(cells(&output), cells(&here));
    is_unchanged(&mut guest);
}

#[rstest]
#[case::interrupt("kill -INT $!", 130, "")]
#[case::kill("kill -KILL $!", 137, "")]
#[case::death_of_ssh("kill -KILL $(pidof ssh)", 3, "was lost, and the machine went on")]
#[case::death_of_the_relay("kill -KILL $(agent relay)", 3, "was lost, and the machine went on")]
#[case::death_of_the_guardian("kill -KILL $(agent guard)", 3, "guardian was killed by a signal")]
#[case::death_of_the_network(
    "kill $(pidof sshd); kill -KILL $(pidof ssh)",
    3,
    "the network did not lead to it for 100 s"
)]
#[case::reboot(
    "mkdir -p /var/lib/systemd/pstore/1; echo Kernel panic - not syncing: test \
     >/var/lib/systemd/pstore/1/dmesg.txt; uuidgen >/root/id; \
     mount --bind /root/id /proc/sys/kernel/random/boot_id; kill -KILL $(pidof ssh)",
    3,
    "the machine rebooted, and left `kernel panic: test`"
)]
#[ignore = "needs QEMU, a guest system, PERFSEC_TEST_{KERNEL,PROGRAM,SSH}"]
fn a_run_over_ssh_that_is_cut_short_is_put_back(
    #[case] end: &str,
    #[case] wanted: i32,
    #[case] words: &str,
) {
    let (mut guest, name) = machine();
    let options = "--machine ssh:m --quiet --boot-limit 20 --repeat 5";
    let start = format!("{name} run {options} {CELLS} >/root/output 2>&1 &");
    let (output, code) = guest.ask(&format!("{start} wait_for_cells; {end}; wait $!"));
    let said = guest.run("cat /root/output");
    assert_eq!(code, code_after_death(&said, wanted), "{output}\n{said}");
    assert!(said.contains(words), "{said}");
    guest.run(
        "umount /proc/sys/kernel/random/boot_id 2>/dev/null; rm -rf /var/lib/systemd/pstore/1",
    );
    guest.run("sh /root/start-sshd");
    is_unchanged(&mut guest);
}
