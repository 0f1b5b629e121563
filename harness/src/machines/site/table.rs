//! The tables of a site file, as the user writes them.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use toml::Spanned;

use super::file::{LeaseCommands, PowerCommands, Site, SiteLimits};
use super::name::SiteName;
use super::noise::LinePattern;
use super::source::{ConsoleSource, Serial};
use super::way::{ArmCommands, BootKind, BootWay};
use crate::case::Mistakes;

/// Real machines by name, for `perfsec run --machine NAME`.
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(crate) struct SiteFile(#[expect(dead_code, reason = "for the schema")] BTreeMap<String, Table>);

/// A machine.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    /// Arguments of ssh that reach the machine's own system as root.
    #[schemars(with = "String")]
    ssh: Spanned<String>,
    /// The other end of its serial console: `tty:PATH:BAUD`, `tcp:HOST:PORT`, `unix:PATH`, or
    /// `run:COMMAND`.
    #[schemars(with = "String", regex(pattern = "^(tty|tcp|unix|run):."))]
    console: Spanned<String>,
    /// That port as the machine's kernel calls it, with its speed.
    #[schemars(with = "Option<String>", regex(pattern = "^[A-Za-z0-9]+,[0-9]+$"))]
    serial: Option<Spanned<String>>,
    /// The way to start a kernel.
    #[schemars(with = "BootKind")]
    boot: Spanned<BootKind>,
    /// Command that lets the machine boot a kernel next, for `oneshot` and `netboot`.
    arm: Option<String>,
    /// Command that undoes that.
    clear: Option<String>,
    /// Text on which the console's other end sends a break; a `tty:` needs none.
    #[serde(rename = "break")]
    send_break: Option<String>,
    /// Text that the firmware prints after a reset.
    firmware: Option<String>,
    /// Regular expressions for lines of the console that no kernel has printed, but the firmware or
    /// a management controller.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    ignore: Vec<Spanned<String>>,
    /// Commands that switch its power.
    power: Option<PowerCommands>,
    /// Command that reserves the machine, or fails.
    reserve: Option<String>,
    /// Command that keeps the reservation, once a minute.
    refresh: Option<String>,
    /// Command that ends the reservation.
    release: Option<String>,
    /// Kernel parameters that the machine needs.
    #[serde(default)]
    parameters: Vec<String>,
    /// Time limits.
    #[serde(default)]
    limits: LimitTable,
}

/// Time limits in seconds.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LimitTable {
    /// A command of a reservation [60].
    reserve: Option<Seconds>,
    /// A command on power, and from it until the state has changed [60].
    power: Option<Seconds>,
    /// From a reset, through the firmware, until ssh reaches the machine's own system [600].
    system: Option<Seconds>,
    /// `arm` or `clear`, and from a reboot, through the firmware, until something of the kernel is on
    /// the console [600].
    boot: Option<Seconds>,
    /// From the start of a kernel by kexec until something of it is on the console [60].
    kexec: Option<Seconds>,
}

/// A time limit in seconds: at least one, at most a week.
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Seconds(#[schemars(with = "u64", range(min = 1, max = 604_800))] Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            seconds @ 1..=604_800 => Ok(Self(Duration::from_secs(seconds))),
            _ => Err(D::Error::custom("a limit is 1 to 604800 seconds")),
        }
    }
}

impl Table {
    /// The machine, unless there are mistakes.
    pub(super) fn site(self, name: &Spanned<String>, mistakes: &mut Mistakes<'_>) -> Option<Site> {
        let place = name.span();
        let name = name.get_ref().parse::<SiteName>();
        let name = name.map_err(|error| mistakes.add(place, error.to_string(), None)).ok();
        let (at, console) = (self.console.span(), self.console.get_ref().parse::<ConsoleSource>());
        let console = console.map_err(|error| mistakes.add(at, error.to_string(), None)).ok();
        let serial = match &self.serial {
            None => Some(Serial::default()),
            Some(serial) => {
                let parsed = serial.get_ref().parse::<Serial>();
                parsed.map_err(|it| mistakes.add(serial.span(), it.to_string(), None)).ok()
            }
        };
        let ssh = shlex::split(self.ssh.get_ref()).filter(|words| !words.is_empty());
        if ssh.is_none() {
            let message = "`ssh` is not the arguments of ssh, such as `root@rack1`";
            mistakes.add(self.ssh.span(), message, None);
        }
        let mut ignore = Vec::new();
        for pattern in &self.ignore {
            match pattern.get_ref().parse::<LinePattern>() {
                Ok(parsed) => ignore.push(parsed),
                Err(error) => mistakes.add(pattern.span(), error.to_string(), None),
            }
        }
        let boot = way(*self.boot.get_ref(), self.arm, self.clear);
        let boot = boot.map_err(|error| mistakes.add(self.boot.span(), error, None)).ok();
        let default = SiteLimits::default();
        let limit = |given: Option<Seconds>, default| given.map_or(default, |Seconds(it)| it);
        let limits = SiteLimits {
            reserve: limit(self.limits.reserve, default.reserve),
            power: limit(self.limits.power, default.power),
            system: limit(self.limits.system, default.system),
            kexec: limit(self.limits.kexec, default.kexec),
            boot: limit(self.limits.boot, default.boot),
        };
        let lease =
            LeaseCommands { reserve: self.reserve, refresh: self.refresh, release: self.release };
        Some(Site {
            name: name?,
            program: "ssh".into(),
            ssh: ssh?,
            console: console?,
            serial: serial?,
            boot: boot?,
            send_break: self.send_break.filter(|text| !text.is_empty()),
            firmware: self.firmware.filter(|text| !text.is_empty()),
            ignore,
            power: self.power,
            lease,
            parameters: self.parameters,
            limits,
        })
    }
}

/// The way to start a kernel, if it has the commands that it needs.
fn way(
    kind: BootKind,
    arm: Option<String>,
    clear: Option<String>,
) -> Result<BootWay, &'static str> {
    match (kind, arm, clear) {
        (BootKind::Kexec, None, None) => Ok(BootWay::Kexec),
        (BootKind::Kexec, ..) => Err("`kexec` takes neither `arm` nor `clear`"),
        (BootKind::Oneshot, Some(arm), Some(clear)) => {
            Ok(BootWay::Oneshot(ArmCommands { arm, clear }))
        }
        (BootKind::Oneshot, ..) => Err("`oneshot` needs `arm` and `clear`"),
        (BootKind::Netboot, Some(arm), Some(clear)) => {
            Ok(BootWay::Netboot(ArmCommands { arm, clear }))
        }
        (BootKind::Netboot, ..) => Err("`netboot` needs `arm` and `clear`"),
    }
}
