//! The list of a site's machines with their states.

use std::fmt;

use serde::Serialize;

use super::file::Sites;
use super::name::SiteName;
use super::state::{Broken, Control, States};

/// A machine in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedMachine {
    /// Its name.
    pub name: SiteName,
    /// Its state.
    pub state: Health,
    /// The user and the process that have leased it, if one has.
    pub lessee: Option<String>,
    /// The failure that broke it.
    pub broken: Option<Broken>,
    /// Known good kernels that it has started, the newest first.
    pub controls: Vec<Control>,
}

/// The state of a machine. The first that fits counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It failed, and is not used until it is checked again.
    Broken,
    /// A perfsec of this host uses it.
    Leased,
    /// It has started a known good kernel, and returned from it.
    Healthy,
    /// Nothing is known of it. The first run checks if it starts a known good kernel.
    Unchecked,
}

/// The machines of a site by name.
#[must_use]
pub fn list(sites: &Sites, states: &States) -> Vec<ListedMachine> {
    let listed = |name: &SiteName| {
        let (known, lessee) = (states.read(name), states.lessee(name));
        let state = match (&known.broken, &lessee, known.controls.is_empty()) {
            (Some(_), _, _) => Health::Broken,
            (None, Some(_), _) => Health::Leased,
            (None, None, false) => Health::Healthy,
            (None, None, true) => Health::Unchecked,
        };
        let (broken, controls) = (known.broken, known.controls);
        ListedMachine { name: name.clone(), state, lessee, broken, controls }
    };
    sites.machines.keys().map(listed).collect()
}

impl ListedMachine {
    /// The reason for its state, as a clause; empty for a machine that was never checked.
    #[must_use]
    pub fn detail(&self) -> String {
        match (self.state, &self.broken, &self.lessee, self.controls.first()) {
            (Health::Broken, Some(broken), lessee, _) => {
                let Broken { phase, reason, since } = broken;
                let by = lessee.iter().map(|it| format!("; leased by {it}")).collect::<String>();
                format!("since {since:.0}: {phase}: {reason}{by}")
            }
            (Health::Leased, _, Some(lessee), _) => format!("by {lessee}"),
            (Health::Healthy, _, _, Some(Control { firmware, release, boot, passed })) => {
                let firmware = match firmware.as_str() {
                    "" => String::new(),
                    firmware => format!(" (firmware {firmware})"),
                };
                format!("started {release} {boot} on {passed:.0}{firmware}")
            }
            _ => String::new(),
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Broken => "broken",
            Self::Leased => "leased",
            Self::Healthy => "healthy",
            Self::Unchecked => "unchecked",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jiff::Timestamp;

    use super::super::error::Phase;
    use super::super::state::MachineState;
    use super::super::way::BootKind;
    use super::*;

    #[test]
    fn a_list_has_the_state_of_each_machine_and_why() {
        let folder = tempfile::tempdir().unwrap();
        let states = States::at(folder.path()).unwrap();
        let machine = "ssh = 'a'\nconsole = 'unix:/a'\nboot = 'kexec'\n";
        let text: String =
            ["bad", "fresh", "good", "taken"].map(|it| format!("[{it}]\n{machine}")).concat();
        let sites = Sites::read(Path::new("machines.toml"), &text).unwrap();
        let (reason, since) = ("it is not off".to_owned(), Timestamp::UNIX_EPOCH);
        let broken = Broken { phase: Phase::Power, reason, since };
        let control = Control {
            firmware: "SeaBIOS 1.16".to_owned(),
            release: "6.12.1".to_owned(),
            boot: BootKind::Netboot,
            passed: Timestamp::UNIX_EPOCH,
        };
        let name = |text: &str| text.parse::<SiteName>().unwrap();
        let good = MachineState { controls: vec![control], ..MachineState::default() };
        let bad = MachineState { broken: Some(broken), ..good.clone() };
        states.write(&name("bad"), &bad).unwrap();
        states.write(&name("good"), &good).unwrap();
        let lease = states.lease(&name("taken")).unwrap();
        let list = list(&sites, &states);
        drop(lease);
        let lines: Vec<_> = list.iter().map(|it| format!("{} {}", it.state, it.detail())).collect();
        assert_eq!(lines[0], "broken since 1970-01-01T00:00:00Z: power: it is not off");
        assert_eq!(lines[1], "unchecked ");
        let started =
            "started 6.12.1 from the network on 1970-01-01T00:00:00Z (firmware SeaBIOS 1.16)";
        assert_eq!(lines[2], format!("healthy {started}"));
        assert!(lines[3].starts_with("leased by "), "{}", lines[3]);
    }
}
