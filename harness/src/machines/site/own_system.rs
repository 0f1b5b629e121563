//! The state of a machine's own system, which decides if a kernel can be started from it.

use std::collections::HashMap;

use super::way::BootKind;

/// Prints the state as `KEY=VALUE`.
pub(super) const SCRIPT: &str = r#"
one() { head -n 1 "$1" 2>/dev/null; }
echo "boot=$(one /proc/sys/kernel/random/boot_id)"
echo "release=$(uname -r)"
echo "machine=$(uname -m)"
echo "uid=$(id -u)"
echo "disabled=$(one /proc/sys/kernel/kexec_load_disabled)"
echo "lockdown=$(one /sys/kernel/security/lockdown)"
echo "firmware=$(one /sys/class/dmi/id/bios_vendor) $(one /sys/class/dmi/id/bios_version)"
"#;

/// The state of a machine's own system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnSystem {
    /// The id of its boot.
    pub(super) boot: String,
    /// The release of its kernel.
    pub(super) release: String,
    /// Vendor and version of its firmware; empty if unknown.
    pub(super) firmware: String,
    /// The reason why it can start no kernel, if it cannot.
    pub(super) obstacle: Option<String>,
}

impl OwnSystem {
    /// Reads what the script prints. It is to start kernels in this way.
    pub(super) fn parse(said: &str, boot: BootKind) -> Option<Self> {
        let pairs = said.lines().filter_map(|line| line.split_once('='));
        let values: HashMap<&str, &str> = pairs.map(|(key, value)| (key, value.trim())).collect();
        let get = |key| values.get(key).copied().unwrap_or_default();
        let lockdown = get("lockdown");
        let obstacle = if get("machine") != "x86_64" {
            Some(format!("it is not an x86-64 machine, but {}", get("machine")))
        } else if get("uid") != "0" {
            Some("ssh does not log in as root".to_owned())
        } else if boot != BootKind::Kexec {
            None
        } else if !matches!(get("disabled"), "0") {
            Some(match get("disabled") {
                "" => "its kernel cannot start another (CONFIG_KEXEC_CORE is missing)".to_owned(),
                _ => "kernel.kexec_load_disabled is 1, which only a reboot undoes".to_owned(),
            })
        } else if lockdown.contains("[confidentiality]") {
            Some("lockdown is `confidentiality`, which a kernel under test cannot leave".to_owned())
        } else {
            None
        };
        let boot = Some(get("boot")).filter(|boot| !boot.is_empty())?.to_owned();
        let (release, firmware) = (get("release").to_owned(), get("firmware").to_owned());
        Some(Self { boot, release, firmware, obstacle })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const SAID: &str = "boot=8f-1\nrelease=6.12.1\nmachine=x86_64\nuid=0\ndisabled=0\n\
                        lockdown=[none] integrity\nfirmware=SeaBIOS 1.16\n";

    #[rstest]
    #[case("", "", None)]
    #[case("machine=x86_64", "machine=aarch64", Some("not an x86-64 machine"))]
    #[case("uid=0", "uid=1000", Some("as root"))]
    #[case("disabled=0", "disabled=1", Some("kexec_load_disabled is 1"))]
    #[case("disabled=0", "disabled=", Some("CONFIG_KEXEC_CORE"))]
    #[case("[none] integrity", "none [confidentiality]", Some("lockdown is"))]
    fn an_obstacle_is_named(
        #[case] text: &str,
        #[case] instead: &str,
        #[case] words: Option<&str>,
    ) {
        let system = OwnSystem::parse(&SAID.replace(text, instead), BootKind::Kexec).unwrap();
        match (&system.obstacle, words) {
            (Some(found), Some(words)) => assert!(found.contains(words), "{found}"),
            (found, words) => assert_eq!(found.as_deref(), words),
        }
        assert_eq!((system.boot.as_str(), system.firmware.as_str()), ("8f-1", "SeaBIOS 1.16"));
    }

    #[test]
    fn a_system_without_the_id_of_its_boot_is_none() {
        assert_eq!(OwnSystem::parse("uid=0\n", BootKind::Kexec), None);
    }

    #[rstest]
    #[case("disabled=0", "disabled=", false)]
    #[case("[none] integrity", "none [confidentiality]", false)]
    #[case("uid=0", "uid=1000", true)]
    fn a_machine_that_boots_through_its_firmware_needs_no_kexec(
        #[case] text: &str,
        #[case] instead: &str,
        #[case] is_obstacle: bool,
    ) {
        let system = OwnSystem::parse(&SAID.replace(text, instead), BootKind::Netboot).unwrap();
        assert_eq!(system.obstacle.is_some(), is_obstacle);
    }
}
