//! A pool without machines: plays incidents that a test wrote down.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::mpsc::Sender;

use perfsec_wire::BootMode;

use super::{Blame, CannotBoot, Guest, Incident, Load, MachineError, Machinery, Pool};
use crate::kernel::Kernel;

/// Plays one script for each boot, in turn.
#[derive(Debug)]
pub struct FakePool {
    boots: Mutex<VecDeque<Vec<Incident>>>,
    loads: Mutex<Vec<Load>>,
    unable: Option<CannotBoot>,
}

struct Quiet {
    sink: Sender<Incident>,
}

impl FakePool {
    /// A pool that can boot as often as there are scripts.
    #[must_use]
    pub fn new(boots: Vec<Vec<Incident>>) -> Self {
        Self { boots: Mutex::new(boots.into()), loads: Mutex::default(), unable: None }
    }

    /// A pool that cannot boot in any mode, for this reason.
    #[must_use]
    pub fn unable(reason: &str) -> Self {
        Self { unable: Some(CannotBoot(reason.to_owned())), ..Self::new(Vec::new()) }
    }

    /// The loads of all boots so far.
    #[must_use]
    pub fn loads(&self) -> Vec<Load> {
        self.loads.lock().map(|loads| loads.clone()).unwrap_or_default()
    }
}

impl Pool for FakePool {
    fn prepare(&self, _kernel: &Kernel, _say: &dyn Fn(&str)) -> Result<(), MachineError> {
        Ok(())
    }

    fn can(&self, _mode: BootMode) -> Result<(), CannotBoot> {
        self.unable.clone().map_or(Ok(()), Err)
    }

    fn boot(
        &self,
        _kernel: &Kernel,
        _mode: BootMode,
        load: &Load,
        sink: Sender<Incident>,
    ) -> Result<Box<dyn Guest>, MachineError> {
        if let Ok(mut loads) = self.loads.lock() {
            loads.push(load.clone());
        }
        let script = self.boots.lock().ok().and_then(|mut boots| boots.pop_front());
        let script = script
            .ok_or_else(|| MachineError::new(Blame::Host, "boot once more: the script is over"))?;
        for incident in script {
            // A runner that has heard enough hangs up.
            if sink.send(incident).is_err() {
                break;
            }
        }
        Ok(Box::new(Quiet { sink }))
    }

    fn describe(&self, _mode: BootMode) -> Machinery {
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
