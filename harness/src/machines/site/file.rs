//! The site file: the user's description of real machines.
//!
//! It names commands that perfsec runs, so it is read from the user's configuration alone: never
//! from a project, a case, a series or a repository. docs/machines.md shows the keys.

use std::collections::BTreeMap;
use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::name::SiteName;
use super::noise::LinePattern;
use super::source::{ConsoleSource, Serial};
use super::table::Table;
use super::way::BootWay;
use crate::case::{CaseError, Mistakes};
use crate::foreign;
use crate::suggest::closest;

/// The name of the file in the user's configuration of perfsec.
pub const SITE_FILE: &str = "machines.toml";

/// The machines of a site file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sites {
    /// The file, if there is one.
    pub path: Option<PathBuf>,
    /// The machines by name.
    pub machines: BTreeMap<SiteName, Site>,
}

/// A machine of the user's site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its name.
    pub name: SiteName,
    /// The program `ssh`.
    pub program: PathBuf,
    /// Its arguments that reach the machine's own system as root.
    pub ssh: Vec<String>,
    /// The other end of its serial console.
    pub console: ConsoleSource,
    /// The serial port of that console.
    pub serial: Serial,
    /// The way to start a kernel.
    pub boot: BootWay,
    /// Text on which the console's other end sends a break; a `tty:` needs none.
    pub send_break: Option<String>,
    /// Text that the firmware prints after a reset.
    pub firmware: Option<String>,
    /// Lines of the console that no kernel has printed.
    pub ignore: Vec<LinePattern>,
    /// Commands that switch its power; without them, a machine that hangs is broken.
    pub power: Option<PowerCommands>,
    /// Commands of the lab's own reservations.
    pub lease: LeaseCommands,
    /// Kernel parameters that the machine needs, after perfsec's.
    pub parameters: Vec<String>,
    /// Time limits.
    pub limits: SiteLimits,
}

/// Commands that switch a machine's power, for `sh`. Secrets come from the environment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PowerCommands {
    /// Switches it on.
    pub on: String,
    /// Switches it off.
    pub off: String,
    /// Prints the state: the last word is `on` or `off`.
    pub status: String,
}

/// Commands of a lab's reservations, for `sh`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseCommands {
    /// Reserves the machine before anything else; fails if another has it.
    pub reserve: Option<String>,
    /// Keeps the reservation, once a minute while cells run.
    pub refresh: Option<String>,
    /// Ends the reservation.
    pub release: Option<String>,
}

/// Time limits of the phases around a kernel under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteLimits {
    /// A command of a reservation.
    pub reserve: Duration,
    /// A command on power, and from it until the state has changed.
    pub power: Duration,
    /// From a reset, through the firmware, until the machine's own system answers over ssh.
    pub system: Duration,
    /// From the start of a kernel until something of it is on the console.
    pub kexec: Duration,
    /// A command that arms or clears a boot; and from a reboot, through the firmware, until
    /// something of the kernel is on the console.
    pub boot: Duration,
}

impl Default for SiteLimits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            reserve: seconds(60),
            power: seconds(60),
            system: seconds(600),
            kexec: seconds(60),
            boot: seconds(600),
        }
    }
}

impl Sites {
    /// Reads the user's site file, `~/.config/perfsec/machines.toml`. Without one there is no
    /// machine.
    ///
    /// # Errors
    ///
    /// All mistakes in it, or that it cannot be read.
    pub fn of_user() -> Result<Self, SiteFileError> {
        let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".config"));
        let user = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
        let Some(folder) = user.filter(|path| path.is_absolute()) else {
            return Ok(Self::default());
        };
        let path = folder.join("perfsec").join(SITE_FILE);
        match foreign::read_text(&path, &foreign::DEFAULTS) {
            Ok(text) => Self::read(&path, &text).map_err(SiteFileError::Mistakes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(SiteFileError::Read { path, source }),
        }
    }

    /// Reads the text of a site file.
    ///
    /// # Errors
    ///
    /// All mistakes in it, or the first if it makes the rest meaningless.
    pub fn read(path: &Path, text: &str) -> Result<Self, Vec<CaseError>> {
        let mut mistakes = Mistakes::new(path, text);
        let tables: BTreeMap<Spanned<String>, Table> = match toml::from_str(text) {
            Ok(tables) => tables,
            Err(error) => {
                let help = suggestion(error.message());
                mistakes.add(error.span().unwrap_or(0..0), error.message(), help.as_deref());
                return Err(mistakes.all);
            }
        };
        let mut machines = BTreeMap::new();
        for (name, table) in tables {
            if let Some(site) = table.site(&name, &mut mistakes) {
                machines.insert(site.name.clone(), site);
            }
        }
        match mistakes.all.is_empty() {
            true => Ok(Self { path: Some(path.to_owned()), machines }),
            false => Err(mistakes.all),
        }
    }

    /// The machine of this name.
    ///
    /// # Errors
    ///
    /// If the file has none; the error names those that it has, the closest first.
    pub fn find(&self, name: &SiteName) -> Result<&Site, UnknownSite> {
        self.machines.get(name).ok_or_else(|| match &self.path {
            None => UnknownSite::NoFile { name: name.clone() },
            Some(path) => {
                let names: Vec<_> = self.machines.keys().map(SiteName::as_str).collect();
                let close = closest(name.as_str(), names.iter().copied());
                let known = match (close.as_str(), names.as_slice()) {
                    (_, []) => "; it has none".to_owned(),
                    ("", names) => format!("; it has {}", names.join(", ")),
                    (close, _) => close.to_owned(),
                };
                UnknownSite::Other { name: name.clone(), path: path.clone(), known }
            }
        })
    }
}

/// A site file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SiteFileError {
    /// It cannot be read.
    #[error("read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It has mistakes.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))]
    Mistakes(Vec<CaseError>),
}

/// A name that no machine has.
#[derive(Debug, thiserror::Error)]
pub enum UnknownSite {
    /// There is no site file.
    #[error(
        "no machine `{name}`: ~/.config/perfsec/{SITE_FILE} is missing; `perfsec help machines` \
         shows how to write it (this machine is `here`, and one that ssh reaches `ssh:{name}`)"
    )]
    NoFile {
        /// The name.
        name: SiteName,
    },
    /// The site file has other machines.
    #[error("no machine `{name}` in {}{known}", .path.display())]
    Other {
        /// The name.
        name: SiteName,
        /// The file.
        path: PathBuf,
        /// The closest name, or all.
        known: String,
    },
}

/// Advice on a name that serde does not know, from its message: it lists those that it knows.
fn suggestion(message: &str) -> Option<String> {
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names.next().filter(|_| message.starts_with("unknown "))?;
    let close = closest(unknown, names);
    close.split('`').nth(1).map(|name| format!("did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::way::BootKind;
    use super::*;

    const WHOLE: &str = r#"
[rack1]
ssh = "-p 2222 root@rack1"
console = "tcp:conserver:7001"
serial = "ttyS1,57600"
boot = "kexec"
reserve = "labgrid-client -p rack1 acquire"
ignore = ["^BMC: ", "PSP"]
parameters = ["nosmt"]
power = { on = "a", off = "b", status = "c" }
limits = { system = 900 }

[rack2]
ssh = "rack2"
console = "unix:/run/rack2"
boot = "netboot"
arm = "tftp add"
clear = "tftp remove"
"#;

    fn mistake(text: &str) -> String {
        let all = Sites::read(Path::new("machines.toml"), text).unwrap_err();
        all.iter().map(ToString::to_string).collect()
    }

    /// The example of the documentation.
    fn example() -> String {
        let page = include_str!("../../../../docs/machines.md");
        let from = page.find("    # ipmitool").unwrap();
        let to = from + page[from..].find("Its keys:").unwrap();
        page[from..to].lines().map(|line| format!("{}\n", line.trim())).collect()
    }

    #[test]
    fn the_example_is_read() {
        let sites = Sites::read(Path::new("machines.toml"), &example()).unwrap();
        let names: Vec<_> = sites.machines.keys().map(SiteName::as_str).collect();
        assert_eq!(names, ["beaker7", "board", "quad", "rack1"]);
        let rack1 = sites.find(&"rack1".parse().unwrap()).unwrap();
        assert_eq!(rack1.send_break.as_deref(), Some("\r~B"));
    }

    #[rstest]
    #[case("    [rack2]", "With `boot = \"oneshot\"`", BootKind::Netboot)]
    #[case("    [rack3]", "The machine's own system is asked", BootKind::Oneshot)]
    fn the_examples_of_other_ways_to_boot_are_read(
        #[case] from: &str,
        #[case] to: &str,
        #[case] kind: BootKind,
    ) {
        let page = include_str!("../../../../docs/machines.md");
        let page = &page[page.find(from).unwrap()..];
        let text = &page[..page.find(to).unwrap()];
        let sites = Sites::read(Path::new("machines.toml"), text).unwrap();
        assert_eq!(sites.machines.values().next().unwrap().boot.kind(), kind);
    }

    #[test]
    fn machines_have_what_the_file_says_and_defaults() {
        let sites = Sites::read(Path::new("machines.toml"), WHOLE).unwrap();
        let find = |name: &str| sites.find(&name.parse().unwrap());
        let rack1 = find("rack1").unwrap();
        assert_eq!(rack1.ssh, ["-p", "2222", "root@rack1"]);
        assert_eq!(rack1.serial.to_string(), "ttyS1,57600n8");
        assert_eq!(rack1.limits.system, Duration::from_secs(900));
        assert_eq!(rack1.limits.power, SiteLimits::default().power);
        assert_eq!(rack1.ignore, ["^BMC: ", "PSP"].map(|it| it.parse().unwrap()));
        assert!(rack1.power.is_some() && rack1.lease.reserve.is_some());
        let rack2 = find("rack2").unwrap();
        assert_eq!((rack2.power.as_ref(), &rack2.serial), (None, &Serial::default()));
        assert_eq!(rack1.boot, BootWay::Kexec);
        let BootWay::Netboot(commands) = &rack2.boot else { panic!("{:?}", rack2.boot) };
        assert_eq!((&*commands.arm, &*commands.clear), ("tftp add", "tftp remove"));
        let unknown = find("rack11").unwrap_err().to_string();
        assert!(unknown.contains("did you mean `rack1`?"), "{unknown}");
    }

    #[rstest]
    #[case("boot = \"kexec\"", "boot = \"pxe\"", "unknown variant `pxe`")]
    #[case("boot = \"kexec\"", "boot = \"netboot\"", "`netboot` needs `arm` and `clear`")]
    #[case("boot = \"netboot\"", "boot = \"kexec\"", "`kexec` takes neither `arm` nor `clear`")]
    #[case("clear = \"tftp remove\"", "", "`netboot` needs `arm` and `clear`")]
    #[case("serial = \"ttyS1,57600\"", "sreial = \"ttyS1,57600\"", "did you mean `serial`?")]
    #[case("status = \"c\"", "stat = \"c\"", "unknown field `stat`")]
    #[case(", status = \"c\"", "", "missing field `status`")]
    #[case("system = 900", "system = 0", "1 to 604800 seconds")]
    #[case("system = 900", "cell = 900", "unknown field `cell`")]
    #[case("tcp:conserver:7001", "conserver", "tcp:HOST:PORT")]
    #[case("ttyS1,57600", "ttyS1", "expected its name and its speed")]
    #[case("^BMC: ", "(BMC: ", "`(BMC: ` is not a regular expression: unclosed group")]
    #[case("^BMC: ", "x*", "`x*` matches an empty line")]
    #[case("-p 2222 root@rack1", "'", "the arguments of ssh")]
    #[case("[rack1]", "[here]", "cannot be the name of a machine")]
    fn a_mistake_has_its_place_and_its_reason(
        #[case] text: &str,
        #[case] instead: &str,
        #[case] words: &str,
    ) {
        let changed = WHOLE.replacen(text, instead, 1);
        assert_ne!(changed, WHOLE);
        let mistake = mistake(&changed);
        assert!(mistake.contains(words) && mistake.contains("machines.toml:"), "{mistake}");
    }
}
