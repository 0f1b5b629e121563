//! The other end of a machine's serial console, and the serial port itself.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The other end of a machine's serial console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsoleSource {
    /// `tcp:HOST:PORT`, a terminal server in raw mode.
    Tcp(String),
    /// `unix:PATH`, a socket.
    Unix(PathBuf),
    /// `tty:PATH:BAUD`, a serial port of this host.
    Tty {
        /// The device.
        path: PathBuf,
        /// Its speed.
        baud: u32,
    },
    /// `run:COMMAND`, run by `sh` on a pseudo-terminal.
    Command(String),
}

/// The machine's serial port, as its kernel calls it: `ttyS0,115200`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serial {
    /// Name of the device below `/dev`.
    pub device: String,
    /// Its speed.
    pub baud: u32,
}

/// A console that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a console: expected tcp:HOST:PORT, unix:PATH, tty:PATH:BAUD or run:COMMAND")]
pub struct SourceError(String);

/// A serial port that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a serial port: expected its name and its speed, `ttyS0,115200`")]
pub struct SerialError(String);

impl FromStr for ConsoleSource {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let parse = || match text.split_once(':')? {
            ("tcp", address) => {
                let (host, port) = address.rsplit_once(':')?;
                (!host.is_empty() && port.parse::<u16>().is_ok())
                    .then(|| Self::Tcp(address.to_owned()))
            }
            ("unix", path) if !path.is_empty() => Some(Self::Unix(path.into())),
            ("tty", rest) => {
                let (path, baud) = rest.rsplit_once(':')?;
                let baud = baud.parse().ok()?;
                path.starts_with('/').then(|| Self::Tty { path: path.into(), baud })
            }
            ("run", command) if !command.trim().is_empty() => {
                Some(Self::Command(command.trim().to_owned()))
            }
            _ => None,
        };
        parse().ok_or_else(|| SourceError(text.to_owned()))
    }
}

impl FromStr for Serial {
    type Err = SerialError;

    fn from_str(text: &str) -> Result<Self, SerialError> {
        let parse = || {
            let (device, baud) = text.split_once(',')?;
            let is_name = !device.is_empty() && device.bytes().all(|b| b.is_ascii_alphanumeric());
            let baud = baud.parse().ok()?;
            is_name.then(|| Self { device: device.to_owned(), baud })
        };
        parse().ok_or_else(|| SerialError(text.to_owned()))
    }
}

impl Default for Serial {
    fn default() -> Self {
        Self { device: "ttyS0".to_owned(), baud: 115_200 }
    }
}

/// As the kernel parameter `console=` takes it.
impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}n8", self.device, self.baud)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("tcp:conserver:7001", Some(ConsoleSource::Tcp("conserver:7001".to_owned())))]
    #[case("tcp:[::1]:7001", Some(ConsoleSource::Tcp("[::1]:7001".to_owned())))]
    #[case("unix:/run/console", Some(ConsoleSource::Unix("/run/console".into())))]
    #[case(
        "tty:/dev/ttyUSB0:115200",
        Some(ConsoleSource::Tty { path: "/dev/ttyUSB0".into(), baud: 115_200 })
    )]
    #[case("run: console -f rack1", Some(ConsoleSource::Command("console -f rack1".to_owned())))]
    #[case("tcp:7001", None)]
    #[case("tcp:host:x", None)]
    #[case("unix:", None)]
    #[case("tty:/dev/ttyUSB0", None)]
    #[case("tty:ttyUSB0:115200", None)]
    #[case("run:", None)]
    #[case("console rack1", None)]
    fn a_console_has_one_of_four_forms(
        #[case] text: &str,
        #[case] expected: Option<ConsoleSource>,
    ) {
        assert_eq!(text.parse().ok(), expected);
    }

    #[rstest]
    #[case("ttyS1,57600", Some("ttyS1,57600n8"))]
    #[case("ttyS1", None)]
    #[case("../S1,57600", None)]
    fn a_serial_port_has_a_name_and_a_speed(#[case] text: &str, #[case] shown: Option<&str>) {
        assert_eq!(text.parse::<Serial>().ok().map(|it| it.to_string()).as_deref(), shown);
    }
}
