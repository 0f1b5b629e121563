//! A target without a machine: plays incidents that a test wrote down.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::mpsc::Sender;

use super::{Guest, Incident, Load, Machinery, Target, TargetError};

/// Plays one script for each boot, in turn.
#[derive(Debug)]
pub struct Fake {
    boots: Mutex<VecDeque<Vec<Incident>>>,
    loads: Mutex<Vec<Load>>,
}

struct Quiet {
    sink: Sender<Incident>,
}

impl Fake {
    /// A target that can boot as often as there are scripts.
    #[must_use]
    pub fn new(boots: Vec<Vec<Incident>>) -> Self {
        Self { boots: Mutex::new(boots.into()), loads: Mutex::default() }
    }

    /// What each boot was given.
    #[must_use]
    pub fn loads(&self) -> Vec<Load> {
        self.loads.lock().map(|loads| loads.clone()).unwrap_or_default()
    }
}

impl Target for Fake {
    fn boot(&self, load: &Load, sink: Sender<Incident>) -> Result<Box<dyn Guest>, TargetError> {
        if let Ok(mut loads) = self.loads.lock() {
            loads.push(load.clone());
        }
        let script = self.boots.lock().ok().and_then(|mut boots| boots.pop_front());
        let script = script.ok_or_else(|| TargetError::Host {
            doing: "boot once more: the script is over".to_owned(),
            source: std::io::ErrorKind::UnexpectedEof.into(),
        })?;
        for incident in script {
            // A runner that has heard enough hangs up.
            if sink.send(incident).is_err() {
                break;
            }
        }
        Ok(Box::new(Quiet { sink }))
    }

    fn describe(&self) -> Machinery {
        Machinery {
            machine: "fake".to_owned(),
            accel: "none".to_owned(),
            parameters: String::new(),
        }
    }
}

impl Guest for Quiet {
    fn kill(&mut self) {
        let _ = self.sink.send(Incident::Silence(None));
        let _ = self.sink.send(Incident::Ended(super::End::Killed));
    }
}
