//! A kernel under test on a machine of the site: it runs, it dies, or the machine fails, and the
//! machine is back in its own system in the end or known to be broken.
//!
//! A script plays the kernels, as that is quick; only ignored tests start real ones, by real kexec.

use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use perfsec::kernel::Origin;
use rstest::rstest;

use crate::bench::{BANNER, Bench, Death, Qemu, Scripted};
use crate::image::bz_image;
use crate::support::{Ended, kernel};
use crate::tree::FakeTree;

/// Eight cells. A subject without CAP_PERFMON is refused.
const CASE: &str = r#"
title = "a task counts itself"
source = ["a test"]
domain = "all_t"
perf_event_paranoid = [2, 1, 0, -1]
grant = ["none", "perfmon"]
mode = "permissive"

[[step]]
perf_event_open = { attr = { event = "software/dummy" } }

[[expect]]
grant = "none"
transcript = "perf_event_open(...) = EACCES\n  cap perfmon = not held"

[[expect]]
grant = "perfmon"
transcript = "perf_event_open(...) = fd\n  cap perfmon = granted"
"#;

/// A machine that is known to start kernels by kexec.
const HEALTHY: &str = r#"{"controls": [
    {"firmware": "bench 1", "release": "own", "passed": "2026-11-30T00:00:00Z"}
]}"#;

/// The machine's power and its limits, which are short.
const LINES: &str = "power = { on = 'POWER on', off = 'POWER off', status = 'POWER status' }\n\
                     limits = { system = 20, kexec = 5, power = 5 }";
/// A machine whose firmware starts a kernel, once.
const ONESHOT: &str = r#"boot = 'oneshot'
arm = '''
cp "$PERFSEC_KERNEL" "$PERFSEC_INITRD" BENCH &&
echo "$PERFSEC_CMDLINE" >BENCHmemory/parameters &&
echo $PERFSEC_MACHINE >BENCHmachine &&
echo once >BENCHarmed && echo arm >>BENCHlog'''
clear = '''
rm -f BENCHarmed BENCHkernel BENCHinitramfs && echo clear $PERFSEC_MACHINE >>BENCHlog'''
"#;
/// One that starts a kernel from the network until that is cleared.
const NETBOOT: &str = r#"boot = 'netboot'
arm = '''
mkdir -p BENCHmemory && cp "$PERFSEC_KERNEL" "$PERFSEC_INITRD" BENCHmemory &&
echo "$PERFSEC_CMDLINE" >BENCHmemory/parameters &&
echo $PERFSEC_MACHINE >BENCHmachine &&
echo on >BENCHarmed && echo arm >>BENCHlog'''
clear = '''
rm -f BENCHarmed && echo clear $PERFSEC_MACHINE >>BENCHlog'''
"#;
/// Their power and their limits.
const FIRMWARE_LINES: &str = "power = { on = 'POWER on', off = 'POWER off', status = 'POWER status' }\n\
     limits = { system = 20, boot = 5, power = 5 }";
/// The power and the limits of a machine without commands for its power.
const NO_POWER: &str = "limits = { system = 4, kexec = 5 }";

/// A healthy machine whose kernels die so.
fn bench(deaths: &[Option<Death>]) -> Bench {
    let bench = unchecked(deaths);
    bench.place().file("state/perfsec/machines/bench.json", HEALTHY);
    bench
}

/// One of which nothing is known.
fn unchecked(deaths: &[Option<Death>]) -> Bench {
    let bench = Bench::new(Scripted::new(deaths));
    bench.describe(LINES);
    bench.place().file("cases/self.toml", CASE);
    fs::write(bench.place().path().join("bzImage"), bz_image(BANNER)).expect("the image");
    bench
}

/// The options of a run of the cells, whose results are in `run.jsonl`.
const RUN: [&str; 14] = [
    "run",
    "--machine",
    "bench",
    "--kernel",
    "bzImage",
    "--cases",
    "cases",
    "--cell-limit",
    "1",
    "--silence-limit",
    "2",
    "--out",
    "run.jsonl",
    "--quiet",
];

fn run(bench: &Bench) -> Ended {
    let ended = bench.perfsec(&RUN);
    println!("{}{}{}", ended.stdout, ended.stderr, bench.log());
    ended
}

/// The verdicts of a run with the reasons, sorted, and the causes of deaths. What a script cannot
/// do, the answers of a policy, is left out.
fn results(bench: &Bench) -> (Vec<String>, Vec<String>) {
    let path = bench.place().path().join("run.jsonl");
    let run = perfsec::record::read(&path).expect("a record").run;
    let cells = run.lanes.iter().flat_map(|lane| &lane.cells);
    let mut cells: Vec<_> = cells
        .filter(|cell| !cell.name.starts_with("policy/"))
        .map(|cell| {
            let reason = cell.judgement.reason.clone().unwrap_or_default();
            format!("{} {reason}", cell.judgement.verdict).trim().to_owned()
        })
        .collect();
    cells.sort();
    let deaths = run.lanes.iter().flat_map(|lane| &lane.deaths);
    let deaths = deaths.map(|it| format!("{:?}: {}\n{}", it.blame, it.cause, it.console));
    (cells, deaths.collect())
}

#[test]
fn a_kernel_is_started_on_a_machine_that_was_shown_to_start_its_own() {
    let bench = unchecked(&[]);
    assert!(bench.state().starts_with("bench  unchecked"), "{}", bench.state());
    let ended = run(&bench);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(results(&bench), (vec!["PASS".to_owned(); 8], Vec::new()));
    let log = bench.log();
    // Its own kernel first, then the one under test. Both came back by themselves.
    assert_eq!(log.matches("kexec-start").count(), 2, "{log}");
    assert!(bench.is_home() && !log.contains("power off"), "{log}");
    assert!(bench.state().contains("healthy    started own by kexec on"), "{}", bench.state());
    assert_eq!(run(&bench).code, Some(0));
    assert_eq!(bench.log().matches("kexec-start").count(), 3, "{}", bench.log());
}

#[test]
#[ignore = "needs git, make and gcc"]
fn a_kernel_that_perfsec_builds_is_started_from_its_boot_image() {
    let bench = bench(&[]);
    let image = bench.place().path().join("bzImage");
    FakeTree::new(&bench.place().path().join("linux"), &image);
    let mut options = RUN;
    options[4] = "tree:linux";
    let ended = bench.perfsec(&options);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stderr, bench.log());
    assert_eq!(results(&bench), (vec!["PASS".to_owned(); 8], Vec::new()));
    let sent = bench.path("memory").join(perfsec_wire::takeover::KERNEL);
    assert_eq!(fs::read(sent).expect("it was sent"), bz_image(BANNER));
    let path = bench.place().path().join("run.jsonl");
    let run = perfsec::record::read(&path).expect("a record").run;
    let origin = &run.lanes[0].started.kernel.origin;
    let Origin::Tree { fragments, .. } = origin else { panic!("{origin}") };
    assert_eq!(fragments.last().map(String::as_str), Some("metal"));
}

#[rstest]
#[case::panic(
    Death::Panic,
    false,
    "MISS kernel panic: Fatal exception while this cell ran",
    "Kernel: kernel panic"
)]
#[case::oops(
    Death::Oops,
    false,
    "MISS NULL pointer dereference in perf_event_open while this cell ran",
    "Kernel: NULL pointer dereference"
)]
#[case::hang(
    Death::Hang,
    true,
    "MISS no progress: no message came for 4 s, the silence limit while this cell ran",
    "Kernel: no progress"
)]
#[case::silence(
    Death::Silence,
    true,
    "MISS the machine went silent while this cell ran: SysRq was not answered",
    "Machine: the machine went silent"
)]
#[case::reset(
    Death::Reset,
    false,
    "MISS the machine rebooted while this cell ran",
    "Machine: the machine rebooted"
)]
#[case::console(
    Death::HangUp,
    true,
    "ERROR the console of bench ended while this cell ran",
    "Machine: the console of bench ended"
)]
fn after_a_death_in_a_cell_the_machine_returns_and_the_other_cells_run(
    #[case] death: Death,
    #[case] is_switched: bool,
    #[case] cell: &str,
    #[case] cause: &str,
) {
    let bench = bench(&[Some(death)]);
    let ended = run(&bench);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    let (cells, deaths) = results(&bench);
    let passed = cells.iter().filter(|it| *it == "PASS").count();
    assert!(cells.iter().any(|it| it == cell) && passed == 7, "{cells:#?}");
    assert!(deaths.len() == 1 && deaths[0].starts_with(cause), "{deaths:?}");
    assert!(deaths[0].contains("perfsec.console="), "its console: {deaths:?}");
    // It was asked for blocked tasks and backtraces before its power was switched.
    let asked = deaths[0].contains("sysrq: the key w") && deaths[0].contains("sysrq: the key l");
    assert_eq!(asked, death == Death::Hang, "{deaths:?}");
    let log = bench.log();
    assert_eq!(log.contains("power off"), is_switched, "{log}");
    assert!(bench.is_home(), "{log}");
    assert!(bench.state().contains("healthy"), "{}", bench.state());
}

#[rstest]
#[case::reset(Death::Dump)]
#[case::console(Death::HangUpAndDump)]
fn a_panic_in_pstore_names_the_death_and_files_of_others_are_kept(#[case] death: Death) {
    let bench = bench(&[Some(death)]);
    let pstore = bench.path("root/sys/fs/pstore");
    // Of a kernel that died long ago, under the name of the next one.
    let old = "Panic#1 Part1\n<0>[    1.000000] Kernel panic - not syncing: old\n";
    fs::write(pstore.join("dmesg-efi-1"), old).expect("it is ours");
    let ended = run(&bench);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    let (cells, deaths) = results(&bench);
    let cell = "MISS kernel panic: stack-protector while this cell ran";
    let passed = cells.iter().filter(|it| *it == "PASS").count();
    assert!(cells.iter().any(|it| it == cell) && passed == 7, "{cells:#?}");
    assert!(deaths.len() == 1 && deaths[0].starts_with("Kernel: kernel panic"), "{deaths:?}");
    let left = "/sys/fs/pstore/dmesg-efi-2:\r\n<0>[    5.000000] Kernel panic - not syncing: \
                stack-protector\r\n<4>[    5.000000] Call Trace:\r\n";
    assert!(deaths[0].contains(left) && !deaths[0].contains("old"), "{deaths:?}");
    // The record has what was new, and this host what was old.
    assert_eq!(fs::read_dir(&pstore).expect("it is ours").count(), 0);
    let states = bench.place().path().join("state/perfsec/machines");
    let files = fs::read_dir(states).expect("states").map(|it| it.expect("a file").path());
    let kept: Vec<_> = files.filter(|it| it.extension().is_some_and(|it| it == "tar")).collect();
    let [kept] = kept.as_slice() else { panic!("{kept:?}") };
    let mut archive = tar::Archive::new(fs::File::open(kept).expect("it is ours"));
    let mut entries = archive.entries().expect("an archive");
    let mut entry = entries.next().expect("a file").expect("a file");
    let mut text = String::new();
    entry.read_to_string(&mut text).expect("a text");
    assert_eq!(
        (entry.path().expect("a name").display().to_string().as_str(), text.as_str()),
        ("sys/fs/pstore/dmesg-efi-1", old)
    );
    let words = format!("perfsec: bench: pstore was not empty: 1 files are in {}", kept.display());
    assert!(ended.stderr.contains(&words), "{}", ended.stderr);
}

#[test]
fn pstore_is_not_emptied_if_its_files_cannot_be_kept() {
    let bench = bench(&[Some(Death::Dump)]);
    let old = bench.path("root/sys/fs/pstore/dmesg-efi-9");
    // More than perfsec reads.
    let length = 20 << 20;
    let file = fs::File::create(&old).expect("it is ours");
    file.set_len(length).expect("it is ours");
    let ended = run(&bench);
    let words = "perfsec: bench: pstore is not empty, and stays so: its files cannot be read";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    let (cells, deaths) = results(&bench);
    assert!(cells.iter().any(|it| it.contains("stack-protector")), "{cells:#?} {deaths:?}");
    assert_eq!(fs::metadata(&old).expect("it is there").len(), length);
}

#[rstest]
#[case::oneshot(ONESHOT, "by a one-shot boot entry")]
#[case::netboot(NETBOOT, "from the network")]
fn a_kernel_is_started_through_the_firmware_once(#[case] lines: &str, #[case] way: &str) {
    let bench = unchecked(&[None, Some(Death::Reset)]);
    bench.describe(&[lines, FIRMWARE_LINES].concat());
    let ended = run(&bench);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    let (cells, deaths) = results(&bench);
    let passed = cells.iter().filter(|it| *it == "PASS").count();
    assert_eq!((passed, deaths.len()), (7, 1), "{cells:#?}");
    // Its own kernel, the one under test, and the same after its death. Each came back by itself.
    let log = bench.log();
    assert_eq!((log.matches("arm\n").count(), log.matches("kexec").count()), (3, 0), "{log}");
    assert_eq!(log.matches("clear bench\n").count(), 3, "{log}");
    assert!(bench.is_home() && !log.contains("power off"), "{log}");
    assert_eq!(fs::read_to_string(bench.path("machine")).expect("arm"), "bench\n");
    let sent = bench.path("memory").join(perfsec_wire::takeover::KERNEL);
    assert_eq!(fs::read(sent).expect("it was sent"), bz_image(BANNER));
    assert!(!bench.path("armed").exists() && !bench.path("kernel").exists());
    assert!(bench.state().contains(&format!("started own {way} on")), "{}", bench.state());
}

#[rstest]
#[case::oneshot(ONESHOT, "by a one-shot boot entry")]
#[case::netboot(NETBOOT, "from the network")]
fn a_kernel_that_the_firmware_does_not_start_is_blamed_if_another_arrives(
    #[case] lines: &str,
    #[case] way: &str,
) {
    let bench = unchecked(&[None, Some(Death::Nothing)]);
    bench.describe(&[lines, FIRMWARE_LINES].concat());
    let words = format!("start 6.1.0 on bench {way}, which starts its own kernel: nothing of it");
    run(&bench).fails(6, &words);
    assert_eq!(bench.log().matches("arm\n").count(), 3, "{}", bench.log());
    assert!(bench.is_home() && bench.state().contains("healthy"), "{}", bench.state());
}

#[rstest]
#[case::oneshot(ONESHOT)]
#[case::netboot(NETBOOT)]
fn a_boot_that_cannot_be_chosen_is_cleared_and_the_machine_stays_up(#[case] lines: &str) {
    let bench = unchecked(&[]);
    let lines = lines.replace("&& echo arm", "&& echo no server && false && echo arm");
    bench.describe(&[&lines, FIRMWARE_LINES].concat());
    run(&bench).fails(5, "no server");
    let log = bench.log();
    assert!(log.contains("clear bench") && !log.contains("reboot"), "{log}");
    assert!(bench.is_home() && !bench.path("armed").exists());
    assert!(bench.state().contains("broken     since"), "{}", bench.state());
}

#[test]
fn a_machine_whose_boot_cannot_be_cleared_is_broken_until_it_is() {
    let bench = unchecked(&[]);
    let lines = NETBOOT.replace("rm -f", "[ ! -e BENCHstuck-server ] && rm -f");
    let limits = FIRMWARE_LINES.replace("system = 20", "system = 4");
    bench.describe(&[&*lines, &*limits].concat());
    bench.mark("stuck-server");
    let ended = run(&bench);
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    assert!(ended.stderr.contains("left: the choice of its next boot"), "{}", ended.stderr);
    assert!(bench.state().contains("broken     since"), "{}", bench.state());
    fs::remove_file(bench.path("stuck-server")).expect("a mark");
    // Now it comes up, which takes as long as this host lets it take.
    bench.describe(&[&*lines, FIRMWARE_LINES].concat());
    let checked = bench.perfsec(&["machines", "check", "bench"]);
    assert_eq!(checked.code, Some(0), "{}{}", checked.stderr, bench.log());
    assert!(checked.stdout.contains("started own from the network"), "{}", checked.stdout);
    assert!(bench.is_home() && bench.state().contains("healthy"), "{}", bench.state());
}

#[rstest]
#[case::oneshot(ONESHOT)]
#[case::netboot(NETBOOT)]
fn a_boot_that_a_killed_perfsec_has_chosen_is_cleared_first(#[case] lines: &str) {
    let bench = bench(&[]);
    bench.describe(&[lines, FIRMWARE_LINES].concat());
    let state = HEALTHY.replacen('{', r#"{"armed": true, "#, 1);
    bench.place().file("state/perfsec/machines/bench.json", &state);
    bench.place().file("bench/armed", "on");
    assert_eq!(run(&bench).code, Some(0));
    let log = bench.log();
    let place = |words: &str| log.find(words).unwrap_or_else(|| panic!("no {words}: {log}"));
    assert!(place("clear bench\n") < place("arm\n"), "{log}");
    assert!(bench.is_home() && !bench.path("armed").exists(), "{log}");
}

#[rstest]
#[case::believed("", "MISS kernel panic: fan 3 of the BMC while this cell ran")]
#[case::ignored("ignore = [' of the BMC$']", "MISS the machine rebooted while this cell ran")]
fn an_ignored_line_of_the_console_is_no_panic(#[case] line: &str, #[case] cell: &str) {
    let bench = bench(&[Some(Death::Noise)]);
    bench.describe(&format!("{line}\n{LINES}"));
    let ended = run(&bench);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    let (cells, deaths) = results(&bench);
    assert!(cells.iter().any(|it| it == cell), "{cells:#?}");
    assert_eq!(deaths[0].contains("BMC"), line.is_empty(), "{deaths:?}");
}

#[test]
fn a_kernel_that_hangs_in_its_boot_without_a_word_is_tried_twice_and_not_blamed() {
    let bench = bench(&[Some(Death::InBoot), Some(Death::InBoot)]);
    let options = [&RUN[..], &["--boot-limit", "2"]].concat();
    let ended = bench.perfsec(&options);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    let (cells, deaths) = results(&bench);
    let reason = "ERROR 2 boots in a row failed, the last: the machine went silent while the \
                  kernel booted";
    assert!(cells.iter().all(|it| it.starts_with(reason)), "{cells:?}");
    assert_eq!(deaths.len(), 2);
    assert!(bench.is_home());
}

#[test]
fn a_kernel_that_never_arrives_is_blamed_if_the_machines_own_kernel_arrives() {
    let bench = bench(&[Some(Death::Nothing)]);
    let ended = run(&bench);
    ended.fails(6, "start 6.1.0 on bench by kexec, which starts its own kernel: nothing of it");
    assert_eq!(bench.log().matches("kexec-start").count(), 2, "{}", bench.log());
    assert!(bench.is_home() && bench.state().contains("healthy"), "{}", bench.state());
}

#[test]
fn a_machine_that_starts_no_kernel_any_more_is_broken_and_the_kernel_is_not_blamed() {
    let bench = bench(&[Some(Death::Nothing), Some(Death::Nothing)]);
    let ended = run(&bench);
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    assert!(ended.stderr.contains("known good kernel: nothing of it was on"), "{}", ended.stderr);
    assert!(bench.state().contains("broken     since"), "{}", bench.state());
    // It is not used again.
    let starts = bench.log().matches("kexec-start").count();
    run(&bench).fails(5, "mend it, and run `perfsec machines check bench`");
    assert_eq!(bench.log().matches("kexec-start").count(), starts);
    // It works again, and the check finds that out.
    let checked = bench.perfsec(&["machines", "check", "bench"]);
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    assert!(checked.stdout.contains("bench: healthy: started own by kexec"), "{}", checked.stdout);
    assert!(bench.state().contains("healthy"), "{}", bench.state());
}

#[rstest]
#[case::power("stuck", LINES, "power: it is not off after 5 tries: ")]
#[case::firmware("dead", LINES, "own system: it did not answer over ssh within 20 s")]
#[case::no_power("dead", NO_POWER, "power: it does not come back by itself")]
fn a_machine_that_does_not_come_back_is_broken_with_the_phase(
    #[case] mark: &str,
    #[case] lines: &str,
    #[case] words: &str,
) {
    let bench = bench(&[Some(Death::Silence)]);
    bench.describe(lines);
    bench.mark(mark);
    let ended = run(&bench);
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    assert!(ended.stderr.contains("perfsec: left: not in its own system"), "{}", ended.stderr);
    assert!(bench.state().contains(words), "{}", bench.state());
    let (cells, _) = results(&bench);
    assert!(cells.iter().all(|it| it.starts_with("MISS") || it == "PASS"), "{cells:?}");
    assert!(mark != "stuck" || !bench.log().contains("power on"), "{}", bench.log());
}

#[test]
fn a_check_switches_the_power_and_starts_the_machines_own_kernel() {
    let bench = unchecked(&[]);
    let ended = bench.perfsec(&["machines", "check"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let log = bench.log();
    let place = |words: &str| log.find(words).unwrap_or_else(|| panic!("no {words}: {log}"));
    assert!(place("power off") < place("power on") && place("power on") < place("kexec-start"));
    assert!(bench.is_home() && bench.state().contains("healthy"), "{}", bench.state());
}

#[rstest]
#[case::load("refuse", "load: ", "Exec format error", false)]
#[case::kexec("never-arrive", "known good kernel: ", "nothing of it was on the console", true)]
fn a_machine_that_fails_its_check_is_broken(
    #[case] mark: &str,
    #[case] phase: &str,
    #[case] words: &str,
    #[case] is_left: bool,
) {
    let bench = unchecked(&[]);
    bench.mark(mark);
    let ended = bench.perfsec(&["machines", "check", "bench"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let state = bench.state();
    assert!(state.starts_with("bench  broken"), "{state}");
    assert!(state.contains(phase) && state.contains(words), "{state}");
    assert_eq!(bench.log().contains("kexec-start"), is_left, "{}", bench.log());
    assert!(bench.is_home());
}

#[rstest]
#[case::console("console = 'unix:/nonexistent'", "console: cannot connect to /nonexistent")]
#[case::reserve(
    "reserve = 'echo taken by others; false'",
    "reserve: `echo taken by others; false`"
)]
fn a_machine_that_is_not_given_is_left_alone(#[case] line: &str, #[case] words: &str) {
    let bench = bench(&[]);
    let path = bench.place().path().join("config/perfsec/machines.toml");
    let text = fs::read_to_string(&path).expect("the site file");
    let (key, _) = line.split_once(' ').expect("a key");
    let kept = text.lines().filter(|it| !it.starts_with(&format!("{key} ")));
    fs::write(&path, kept.chain([line]).collect::<Vec<_>>().join("\n")).expect("it is ours");
    run(&bench).fails(5, words);
    assert_eq!(bench.log(), "");
    assert!(bench.state().contains("healthy"), "{}", bench.state());
}

#[test]
fn a_network_that_is_gone_is_no_fault_of_the_machine_or_the_kernel() {
    let bench = bench(&[]);
    bench.mark("unplugged");
    run(&bench).fails(5, "use the machine `bench`: network: `ssh bench …` failed");
    assert!(bench.state().contains("healthy"), "{}", bench.state());
}

#[rstest]
#[case(Signal::SIGINT, 130)]
#[case(Signal::SIGTERM, 143)]
fn a_signal_returns_the_machine_and_ends_the_lease(#[case] signal: Signal, #[case] code: i32) {
    let bench = bench(&[Some(Death::Silence)]);
    let path = bench.place().path().join("config/perfsec/machines.toml");
    let text = fs::read_to_string(&path).expect("the site file");
    let released = bench.path("released");
    let line = format!("release = 'touch {}'\n", released.display());
    fs::write(&path, text + &line).expect("it is ours");
    let mut options = RUN;
    options[10] = "600";
    let mut command = bench.command(&options);
    let mut perfsec = command.stderr(Stdio::piped()).spawn().expect("perfsec starts");
    wait_until("it leaves its own system", || !bench.is_home());
    // While it runs, nobody else gets the machine.
    assert!(bench.state().contains("leased     by "), "{}", bench.state());
    run(&bench).fails(5, "reserve: it is leased by");
    thread::sleep(Duration::from_secs(1));
    let pid = Pid::from_raw(perfsec.id().try_into().expect("a pid"));
    kill(pid, signal).expect("it runs");
    assert_eq!(perfsec.wait().expect("it ends").code(), Some(code));
    assert!(bench.is_home() && released.exists(), "{}", bench.log());
    assert!(bench.state().contains("healthy"), "{}", bench.state());
}

#[test]
fn a_machine_whose_perfsec_is_killed_returns_by_itself_and_the_next_run_waits_for_it() {
    let bench = bench(&[Some(Death::Alone)]);
    let taken = bench.path("taken");
    // As labs do, it refuses what is taken already, whoever asks.
    let lab = format!("reserve = 'mkdir {0}'\nrelease = 'rmdir {0}'\n{LINES}", taken.display());
    bench.describe(&lab);
    let mut options = RUN;
    options[10] = "600";
    let mut perfsec = bench.command(&options).spawn().expect("perfsec starts");
    wait_until("it leaves its own system", || !bench.is_home());
    thread::sleep(Duration::from_secs(1));
    perfsec.kill().expect("it runs");
    perfsec.wait().expect("it ends");
    assert!(!bench.is_home() && taken.exists(), "{}", bench.log());
    let ended = run(&bench);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(results(&bench), (vec!["PASS".to_owned(); 8], Vec::new()));
    assert!(bench.is_home() && !taken.exists(), "{}", bench.log());
    assert!(!bench.log().contains("power off"), "{}", bench.log());
    assert!(bench.state().contains("healthy"), "{}", bench.state());
}

/// Waits for something that happens soon.
#[track_caller]
fn wait_until(what: &str, happened: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(900);
    while !happened() {
        assert!(Instant::now() < deadline, "it does not happen: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[rstest]
#[case("rack1", "no machine `rack1` in")]
#[case("bensh", "did you mean `bench`?")]
fn a_machine_that_is_not_described_is_refused(#[case] machine: &str, #[case] words: &str) {
    let bench = bench(&[]);
    bench.perfsec(&["run", "--machine", machine]).fails(2, words);
    assert_eq!(bench.log(), "");
}

#[test]
fn a_list_is_json_for_programs() {
    let bench = bench(&[]);
    let ended = bench.perfsec(&["machines", "--format", "json"]);
    let list: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(list[0]["name"], "bench");
    assert_eq!(list[0]["state"], "healthy");
    assert_eq!(list[0]["controls"][0]["release"], "own");
}

/// A machine that QEMU plays, whose own kernel is that of the package in `PERFSEC_TEST_KERNEL`.
pub(crate) fn emulated() -> (Bench, String) {
    let kernel = kernel();
    let bench = Bench::new(Qemu);
    bench.describe(&LINES.replace("kexec = 5", "kexec = 300"));
    let own = bench.path("vmlinuz").display().to_string();
    let ended = shared(bench.command(&["kernel", &kernel, "--shipped", &own]));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    (bench, kernel)
}

/// Runs perfsec with the kernel and the policy that this host's cache has.
fn shared(mut command: Command) -> Ended {
    let ended = command.env_remove("PERFSEC_CACHE_DIR").output().expect("perfsec starts");
    let ended = Ended::of(ended);
    println!("{}{}", ended.stdout, ended.stderr);
    ended
}

/// The options of a run on such a machine.
pub(crate) fn options(kernel: &str) -> [&str; 7] {
    ["run", "--machine", "bench", "--kernel", kernel, "--out", "run.jsonl"]
}

/// Needs QEMU and a package in `PERFSEC_TEST_KERNEL`; `PERFSEC_TEST_CELLS` selects other cells.
#[test]
#[ignore = "needs QEMU and a kernel package"]
fn a_kernel_that_was_started_by_kexec_passes_and_the_machine_returns() {
    let (bench, kernel) = emulated();
    let cells = std::env::var("PERFSEC_TEST_CELLS").unwrap_or("open/cpu-kernel".to_owned());
    let cells: Vec<_> = cells.split_whitespace().collect();
    let ended = shared(bench.command(&[&options(&kernel)[..], &cells].concat()));
    let (cells, deaths) = results(&bench);
    println!("{} cells\n{}", cells.len(), bench.log());
    assert_eq!(ended.code, Some(0), "{cells:#?} {deaths:?}");
    assert!(!cells.is_empty() && deaths.is_empty(), "{deaths:?}");
    assert!(bench.is_home() && bench.state().contains("healthy"), "{}", bench.state());
    // Everything came back by itself.
    assert!(!bench.log().contains("power off"), "{}", bench.log());
}

/// Needs QEMU and a package in `PERFSEC_TEST_KERNEL`.
#[test]
#[ignore = "needs QEMU and a kernel package"]
fn a_kernel_started_by_kexec_resets_the_machine_once_perfsec_is_killed_and_the_next_run_passes() {
    let (bench, kernel) = emulated();
    bench.place().file("state/perfsec/machines/bench.json", HEALTHY);
    let cells = [&options(&kernel)[..], &["--repeat", "1000", "open/cpu-kernel"]].concat();
    let mut command = bench.command(&cells);
    let mut perfsec = command.env_remove("PERFSEC_CACHE_DIR").spawn().expect("perfsec starts");
    let record = bench.place().path().join("run.jsonl");
    let has = |word| fs::read_to_string(&record).is_ok_and(|text| text.contains(word));
    wait_until("cells run", || has(r#""event":"cell""#));
    perfsec.kill().expect("it runs");
    perfsec.wait().expect("it ends");
    let killed = Instant::now();
    assert!(!bench.is_home());
    // At once, so that it has to wait.
    let ended = shared(bench.command(&[&options(&kernel)[..], &["open/cpu-kernel"]].concat()));
    println!("{} s after the kill\n{}", killed.elapsed().as_secs(), bench.log());
    let (cells, deaths) = results(&bench);
    assert_eq!(ended.code, Some(0), "{cells:#?} {deaths:?}");
    assert!(!cells.is_empty() && deaths.is_empty(), "{deaths:?}");
    assert!(bench.is_home() && bench.state().contains("healthy"), "{}", bench.state());
    assert_eq!(bench.log().matches("kexec-start").count(), 2, "{}", bench.log());
    assert!(!bench.log().contains("power off"), "{}", bench.log());
}
