//! Reads the machine's properties. A kernel need not show any of them.

use std::path::Path;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use perfsec_wire::{Hypervisor, Lockdown, MachineFacts};

use crate::{knob, sys};

/// The running kernel's configuration, if it has `CONFIG_IKCONFIG_PROC`.
pub(crate) const CONFIG: &str = "/proc/config.gz";

/// The PMUs: `ABI/testing/sysfs-bus-event_source-devices`.
const PMUS: &str = "/sys/bus/event_source/devices";
/// CPU bugs and their mitigations.
const VULNERABILITIES: &str = "/sys/devices/system/cpu/vulnerabilities";
/// Bugs that the BPF verifier works around unless CPU mitigations are off.
const BPF_VULNERABILITIES: [&str; 2] = ["spectre_v1", "spec_store_bypass"];
/// Longest fact, in bytes: a line.
const MAX_TEXT: usize = 256;
/// Several times the capabilities of a CPU's PMU.
const MAX_CAPS: usize = 64;
/// Several times the PMUs of a large server, which has some for each memory controller.
const MAX_PMUS: usize = 512;

/// Reads the facts. `cycles` is what `perf_event_open(2)` of `cpu-cycles` returned.
pub(crate) fn machine(cycles: i64, lockdown: Option<Lockdown>, cmdline: &str) -> MachineFacts {
    let read = |path: String| knob::read(path).ok().map(shortened);
    let vulnerability =
        |name: &str| Some((name.to_owned(), read(format!("{VULNERABILITIES}/{name}"))?));
    let vulnerabilities: Vec<_> =
        BPF_VULNERABILITIES.iter().filter_map(|name| vulnerability(name)).collect();
    let spectre = vulnerabilities.iter().find(|(name, _)| name == "spectre_v1");
    let machine = nix::sys::utsname::uname().ok();
    let cpuinfo = knob::read("/proc/cpuinfo").unwrap_or_default();
    let pmus = pmus();
    MachineFacts {
        cpu: field(&cpuinfo, "model name").map(shortened),
        microcode: field(&cpuinfo, "microcode").map(shortened),
        pinned: pinned(),
        arch: machine.map(|names| names.machine().to_string_lossy().into_owned()),
        cpus: read("/sys/devices/system/cpu/online".to_owned()).and_then(|list| count(&list)),
        cpu_pmu_caps: cpu_pmu_caps(pmus.as_deref().unwrap_or_default()),
        pmus,
        hardware_events: hardware_events(cycles),
        mitigations: mitigations(spectre.map(|(_, text)| text.as_str()), cmdline),
        vulnerabilities,
        watchdog: watchdog(),
        lockdown,
        hypervisor: Some(hypervisor()),
        shows_config: Path::new(CONFIG).exists(),
    }
}

/// The value of a field of `/proc/cpuinfo`, of the first CPU.
fn field(cpuinfo: &str, name: &str) -> Option<String> {
    let fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let mut values = fields.filter(|(found, _)| found.trim() == name).map(|(_, value)| value);
    values.next().map(|value| value.trim().to_owned())
}

/// The CPU to which this process is restricted; `None` if it may run on several, or if there is one.
fn pinned() -> Option<u32> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).ok()?;
    let mut cpus = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or_default());
    let (first, second) = (cpus.next()?, cpus.next());
    let online = knob::read("/sys/devices/system/cpu/online").ok()?;
    let is_pinned = second.is_none() && count(&online)? > 1;
    is_pinned.then(|| first.try_into().ok()).flatten()
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}

/// The number of CPUs in a list such as `0-3,8`.
fn count(list: &str) -> Option<u32> {
    list.split(',').try_fold(0u32, |sum, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

fn pmus() -> Option<Vec<String>> {
    let devices = std::fs::read_dir(PMUS).ok()?;
    let names = devices.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = names.take(MAX_PMUS).map(shortened).collect();
    names.sort();
    Some(names)
}

/// The files in the directory `caps` of the CPUs' PMU, which hybrid CPUs call `cpu_core`.
fn cpu_pmu_caps(pmus: &[String]) -> Vec<(String, String)> {
    let Some(pmu) = ["cpu", "cpu_core"].into_iter().find(|name| pmus.iter().any(|it| it == name))
    else {
        return Vec::new();
    };
    caps_in(&Path::new(PMUS).join(pmu).join("caps"))
}

fn caps_in(directory: &Path) -> Vec<(String, String)> {
    let Ok(files) = std::fs::read_dir(directory) else { return Vec::new() };
    let content = |name: String| {
        let text = knob::read(directory.join(&name)).ok()?;
        Some((shortened(name), shortened(text.trim_end().to_owned())))
    };
    let names = files.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut caps: Vec<_> = names.filter_map(content).take(MAX_CAPS).collect();
    caps.sort();
    caps
}

/// The driver of the first watchdog, if that runs: `ABI/testing/sysfs-class-watchdog`.
fn watchdog() -> Option<String> {
    let read = |name: &str| knob::read(format!("/sys/class/watchdog/watchdog0/{name}")).ok();
    read("state").filter(|state| state.trim_end() == "active")?;
    read("identity").map(|identity| shortened(identity.trim_end().to_owned()))
}

fn hardware_events(cycles: i64) -> Option<bool> {
    match i32::try_from(cycles.wrapping_neg()).map(Errno::from_raw) {
        _ if cycles >= 0 => Some(true),
        // perf_init_event() found no PMU that takes the event.
        Ok(Errno::ENOENT | Errno::EOPNOTSUPP | Errno::ENODEV) => Some(false),
        _ => None,
    }
}

/// `!cpu_mitigations_off()`, from the file `spectre_v1`: x86 mitigates that bug on every CPU that
/// has it, unless mitigations are off, all or only this one (`nospectre_v1`).
fn mitigations(spectre_v1: Option<&str>, cmdline: &str) -> Option<bool> {
    let parameters = || cmdline.split_whitespace();
    match spectre_v1 {
        Some(text) if text.starts_with("Mitigation") => Some(true),
        Some(text) if text.starts_with("Vulnerable") => {
            parameters().all(|word| word != "nospectre_v1").then_some(false)
        }
        // The CPU does not have the bug, or the kernel has no such file.
        _ => {
            let last =
                parameters().filter_map(|word| word.strip_prefix("mitigations=")).next_back();
            (last == Some("off")).then_some(false)
        }
    }
}

/// From CPUID: bit 31 of leaf 1, ecx, and the signature at the first leaf for hypervisors.
fn hypervisor() -> Hypervisor {
    const PRESENT: u32 = 1 << 31;
    let [_, features, _] = sys::cpuid(1);
    if features & PRESENT == 0 {
        return Hypervisor::None;
    }
    let signature: Vec<u8> =
        sys::cpuid(0x4000_0000).iter().flat_map(|word| word.to_le_bytes()).collect();
    let signature = String::from_utf8_lossy(&signature);
    Hypervisor::from_signature(signature.trim_end_matches('\0'))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0", Some(1))]
    #[case("0-3", Some(4))]
    #[case("0,2-3,8", Some(4))]
    #[case("", None)]
    #[case("3-0", None)]
    #[case("0-4294967295", None)]
    fn cpus_are_counted_from_their_ranges(#[case] list: &str, #[case] expected: Option<u32>) {
        assert_eq!(count(list), expected);
    }

    #[test]
    fn a_field_of_cpuinfo_is_that_of_the_first_cpu() {
        let text = "processor\t: 0\nmodel name\t: A: B\nmicrocode\t: 0x1\n\nmodel name\t: C\n";
        assert_eq!(field(text, "model name").as_deref(), Some("A: B"));
        assert_eq!(field(text, "microcode").as_deref(), Some("0x1"));
        assert_eq!(field(text, "name"), None);
    }

    #[test]
    fn the_capabilities_of_a_pmu_are_its_files_without_the_end_of_the_line() {
        let place = std::env::temp_dir().join(format!("perfsec-caps-{}", std::process::id()));
        std::fs::create_dir(&place).unwrap();
        for (name, text) in [("pmu_name", "skylake\n"), ("branches", "32\n")] {
            std::fs::write(place.join(name), text).unwrap();
        }
        let found = caps_in(&place);
        std::fs::remove_dir_all(&place).unwrap();
        let of = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(found, [of("branches", "32"), of("pmu_name", "skylake")]);
        assert_eq!(caps_in(&place), []);
    }

    const ON: &str = "Mitigation: usercopy/swapgs barriers and __user pointer sanitization";
    const OFF: &str = "Vulnerable: __user pointer sanitization and usercopy barriers only; \
                       no swapgs barriers";

    #[rstest]
    #[case::of_a_usual_boot(Some(ON), "quiet", Some(true))]
    #[case::switched_off(Some(OFF), "mitigations=off", Some(false))]
    #[case::built_without(Some(OFF), "mitigations=auto", Some(false))]
    #[case::one_switched_off(Some(OFF), "nospectre_v1", None)]
    #[case::on_a_cpu_without_the_bug(Some("Not affected"), "quiet", None)]
    #[case::off_on_a_cpu_without_the_bug(Some("Not affected"), "mitigations=off", Some(false))]
    #[case::the_last_parameter_wins(None, "mitigations=off mitigations=auto", None)]
    fn mitigations_are_read_from_spectre_v1(
        #[case] spectre_v1: Option<&str>,
        #[case] cmdline: &str,
        #[case] expected: Option<bool>,
    ) {
        assert_eq!(mitigations(spectre_v1, cmdline), expected);
    }

    #[rstest]
    #[case(3, Some(true))]
    #[case(-2, Some(false))]
    #[case(-13, None)]
    fn hardware_events_are_known_from_the_result_of_an_open(
        #[case] cycles: i64,
        #[case] expected: Option<bool>,
    ) {
        assert_eq!(hardware_events(cycles), expected);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shortened("é".repeat(200)).len(), MAX_TEXT);
        assert_eq!(shortened("x".to_owned()), "x");
    }
}
