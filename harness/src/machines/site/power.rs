//! Switches a machine's power, and believes only what it reads back.
//!
//! Power units say that they failed after they acted, or that they acted when they did not. So
//! every command is repeated until the state that is read back is the wanted one, and nothing is
//! switched on that was not seen to be off.

use std::thread;
use std::time::Duration;

use super::command::shell;
use super::file::PowerCommands;

/// Times that a command is tried.
const TRIES: u32 = 5;
/// Time between two looks at the state.
const LOOK: Duration = Duration::from_secs(2);
/// Time that a machine stays off.
const REST: Duration = Duration::from_secs(5);

/// A state of the power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PowerState {
    On,
    Off,
}

/// A power state that was not reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not {wanted} after {TRIES} tries{last}", wanted = word(*.wanted))]
pub(super) struct PowerError {
    wanted: PowerState,
    /// The last error, as a clause behind a colon, or nothing.
    last: String,
}

/// A power unit; tests have their own.
pub(super) trait PowerUnit {
    /// Switches, or says why not.
    fn switch(&self, state: PowerState) -> Result<(), String>;
    /// The state, or the reason why it is unknown.
    fn state(&self) -> Result<PowerState, String>;
    /// Waits.
    fn pause(&self, time: Duration);
    /// Time in which a state must change.
    fn limit(&self) -> Duration;
}

/// A power unit behind the site's commands.
pub(super) struct CommandUnit<'a> {
    pub(super) commands: &'a PowerCommands,
    pub(super) limit: Duration,
}

/// Switches the machine off and on.
pub(super) fn cycle(unit: &dyn PowerUnit) -> Result<(), PowerError> {
    reach(unit, PowerState::Off)?;
    unit.pause(REST);
    reach(unit, PowerState::On)
}

fn reach(unit: &dyn PowerUnit, wanted: PowerState) -> Result<(), PowerError> {
    let mut last = String::new();
    for attempt in 1..=TRIES {
        // A command that failed may have acted.
        if let Err(error) = unit.switch(wanted) {
            last = format!(": {error}");
        }
        let looks = (unit.limit().as_secs() / LOOK.as_secs()).max(1);
        for _ in 0..looks {
            match unit.state() {
                Ok(state) if state == wanted => return Ok(()),
                Ok(state) => last = format!(": its state is {}", word(state)),
                Err(error) => last = format!(": {error}"),
            }
            unit.pause(LOOK);
        }
        if attempt < TRIES {
            // Others may be waiting for the same unit.
            unit.pause(Duration::from_secs(u64::from(fastrand::u32(attempt..=1 << attempt))));
        }
    }
    Err(PowerError { wanted, last })
}

fn word(state: PowerState) -> &'static str {
    match state {
        PowerState::On => "on",
        PowerState::Off => "off",
    }
}

impl PowerUnit for CommandUnit<'_> {
    fn switch(&self, state: PowerState) -> Result<(), String> {
        let command = match state {
            PowerState::On => &self.commands.on,
            PowerState::Off => &self.commands.off,
        };
        shell(command, self.limit).map(drop).map_err(|error| error.to_string())
    }

    fn state(&self) -> Result<PowerState, String> {
        let said = shell(&self.commands.status, self.limit).map_err(|error| error.to_string())?;
        parse(&said).ok_or_else(|| {
            format!("`{}` prints neither `on` nor `off` at its end", self.commands.status)
        })
    }

    fn pause(&self, time: Duration) {
        thread::sleep(time);
    }

    fn limit(&self) -> Duration {
        self.limit
    }
}

/// The last word: `Chassis Power is on`.
fn parse(said: &str) -> Option<PowerState> {
    let last = said.split_whitespace().last()?.trim_end_matches('.').to_lowercase();
    match last.as_str() {
        "on" => Some(PowerState::On),
        "off" => Some(PowerState::Off),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use rstest::rstest;

    use super::*;

    /// A unit with faults.
    struct Unit {
        state: Cell<PowerState>,
        /// Commands that are ignored, from the first.
        ignored: Cell<u32>,
        /// Every command says that it failed.
        complains: bool,
        /// The state cannot be read, for so many looks.
        blind: Cell<u32>,
        log: RefCell<Vec<PowerState>>,
    }

    impl Unit {
        fn new(ignored: u32, complains: bool, blind: u32) -> Self {
            Self {
                state: Cell::new(PowerState::On),
                ignored: Cell::new(ignored),
                complains,
                blind: Cell::new(blind),
                log: RefCell::default(),
            }
        }
    }

    impl PowerUnit for Unit {
        fn switch(&self, state: PowerState) -> Result<(), String> {
            self.log.borrow_mut().push(state);
            match self.ignored.get() {
                0 => self.state.set(state),
                left => self.ignored.set(left - 1),
            }
            if self.complains { Err("the unit does not answer".to_owned()) } else { Ok(()) }
        }

        fn state(&self) -> Result<PowerState, String> {
            match self.blind.get() {
                0 => Ok(self.state.get()),
                left => {
                    self.blind.set(left - 1);
                    Err("no answer".to_owned())
                }
            }
        }

        fn pause(&self, _time: Duration) {}

        fn limit(&self) -> Duration {
            Duration::from_secs(10)
        }
    }

    use PowerState::{Off, On};

    #[rstest]
    #[case::good(Unit::new(0, false, 0), &[Off, On])]
    #[case::a_lost_command(Unit::new(2, false, 0), &[Off, Off, Off, On])]
    #[case::one_that_acts_and_complains(Unit::new(0, true, 0), &[Off, On])]
    #[case::blind_for_a_while(Unit::new(0, false, 3), &[Off, On])]
    fn a_machine_is_off_before_it_is_switched_on(#[case] unit: Unit, #[case] log: &[PowerState]) {
        cycle(&unit).unwrap();
        assert_eq!(unit.log.borrow().as_slice(), log);
    }

    #[rstest]
    #[case::ignores_everything(
        Unit::new(u32::MAX, false, 0),
        "not off after 5 tries: its state is on"
    )]
    #[case::never_answers(Unit::new(0, false, u32::MAX), "not off after 5 tries: no answer")]
    fn what_was_not_seen_to_be_off_is_never_switched_on(#[case] unit: Unit, #[case] words: &str) {
        let error = cycle(&unit).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(!unit.log.borrow().contains(&On));
    }

    #[rstest]
    #[case("Chassis Power is on\n", Some(On))]
    #[case("power for place rack1 is off.", Some(Off))]
    #[case("unknown", None)]
    #[case("", None)]
    fn the_last_word_is_the_state(#[case] said: &str, #[case] state: Option<PowerState>) {
        assert_eq!(parse(said), state);
    }
}
