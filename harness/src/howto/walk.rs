//! Walks through the steps: boots, types the commands and checks the promises.

use std::path::Path;
use std::time::{Duration, Instant};

use perfsec_wire::{BootMode, Typed};

use super::error::HowtoError;
use super::module::OwnModule;
use super::outcome::{Boot, Performed, StepOutcome, Walkthrough};
use super::script::{self, Allow, BootKind, Command, Script, Step};
use super::shorten::shorten;
use crate::causes::with_causes;
use crate::engine::{Engine, Terminal};
use crate::kernel::{Kernel, KernelVersion};
use crate::policy::extend::{Rewrite, Wanted};

/// Time limit of a command that prints a file.
const READ_LIMIT: Duration = Duration::from_secs(120);

/// A walk through the how-to on one kernel.
pub struct Walk<'a> {
    engine: &'a Engine<'a>,
    kernel: &'a Kernel,
    script: &'a Script,
    terminal: Option<Terminal>,
}

impl<'a> Walk<'a> {
    /// A walk on this kernel, with the guest system of the engine's machines.
    #[must_use]
    pub fn new(engine: &'a Engine<'a>, kernel: &'a Kernel, script: &'a Script) -> Self {
        Self { engine, kernel, script, terminal: None }
    }

    /// Performs all steps, or those until a guest does not come up or fails: then there is an error
    /// too. A promise that is not kept is no error.
    #[must_use]
    pub fn run(mut self) -> (Walkthrough, Option<HowtoError>) {
        let started = Instant::now();
        let (mut steps, mut error) = (Vec::new(), None);
        let script = self.script;
        for (at, step) in script.steps.iter().enumerate() {
            let title = &step.title;
            self.engine.note(&format!("step {} of {}: {title}", at + 1, script.steps.len()));
            let mut outcome = StepOutcome {
                title: title.clone(),
                says: step.says.trim().to_owned(),
                ..StepOutcome::default()
            };
            error = self.step(step, &mut outcome).err();
            steps.push(outcome);
            if error.is_some() {
                break;
            }
        }
        let machinery = self.engine.pool().describe(BootMode::Selinux);
        let walk = Walkthrough {
            kernel: format!("Linux {}", self.kernel.release),
            machine: format!("{}, {}", machinery.machine, machinery.accel),
            steps,
            stopped: error.as_ref().map(|error| with_causes(error)),
            took: started.elapsed(),
            ..Walkthrough::default()
        };
        (walk, error)
    }

    /// Performs a step as far as it gets.
    fn step(&mut self, step: &Step, outcome: &mut StepOutcome) -> Result<(), HowtoError> {
        outcome.boot = step.boot.map(|kind| self.boot(kind)).transpose()?;
        for command in &step.commands {
            outcome.commands.push(self.command(command)?);
        }
        Ok(())
    }

    fn boot(&mut self, kind: BootKind) -> Result<Boot, HowtoError> {
        // Before the next starts: two would need twice the memory.
        self.terminal = None;
        let (mode, parameters) = match kind {
            BootKind::Selinux => (BootMode::Selinux, "security=selinux enforcing=0"),
            BootKind::NoSelinux => (BootMode::NoSelinux, "selinux=0"),
        };
        let terminal = self.engine.terminal(self.kernel, mode)?;
        let (took, restored) = (terminal.ready, terminal.restored);
        self.terminal = Some(terminal);
        Ok(Boot { parameters: parameters.to_owned(), took, restored })
    }

    fn command(&mut self, command: &Command) -> Result<Performed, HowtoError> {
        match (&command.allow, &command.extend) {
            (Some(allow), _) => self.allow(command, allow),
            (None, Some(file)) => self.extend(command, file),
            (None, None) => {
                let keys = command.keys();
                let typed = self.perform(command, &keys, command.limit())?;
                let prompt = format!("{}{}", command.user.name(), command.user.prompt());
                Ok(performed(self.kernel.version, command, prompt, keys, &typed))
            }
        }
    }

    /// Writes a module for what the log says, and compares it with another.
    fn allow(&mut self, command: &Command, allow: &Allow) -> Result<Performed, HowtoError> {
        let Allow { log, name, than } = allow;
        let log = self.perform(command, log, READ_LIMIT)?;
        let other = self.perform(command, &format!("cat {than}"), READ_LIMIT)?;
        let own = OwnModule::of(&log.output, name)?;
        let written = script::write_file(&format!("{name}.te"), &own.source);
        let written = self.perform(command, &written, READ_LIMIT)?;
        let typed = Typed { output: own.source.clone(), ..written };
        let keys = format!("perfsec allow --te --out {name}.te audit.log");
        let mut performed = self.on_host(command, keys, &typed);
        performed.findings.push(own.is_no_larger_than(&other.output));
        Ok(performed)
    }

    /// Extends a module of the guest.
    fn extend(&mut self, command: &Command, file: &str) -> Result<Performed, HowtoError> {
        let keys = format!("perfsec policy extend {file}");
        let read = self.perform(command, &format!("cat {file}"), READ_LIMIT)?;
        if read.exit != Some(0) || read.clipped {
            let exit = read.exit.filter(|_| !read.clipped);
            return Ok(self.on_host(command, keys, &Typed { exit, ..read }));
        }
        let rewrite = Rewrite::of_module(Path::new(file), read.output, &Wanted::default());
        let typed = match rewrite {
            Ok(rewrite) => {
                let written = script::write_file(file, &rewrite.after);
                let written = self.perform(command, &written, READ_LIMIT)?;
                Typed { output: rewrite.patch(), ..written }
            }
            Err(error) => Typed { exit: Some(2), output: with_causes(&error), ..Typed::default() },
        };
        Ok(self.on_host(command, keys, &typed))
    }

    /// A command of the host's.
    fn on_host(&self, command: &Command, keys: String, typed: &Typed) -> Performed {
        performed(self.kernel.version, command, "host$".to_owned(), keys, typed)
    }

    fn perform(
        &mut self,
        command: &Command,
        keys: &str,
        limit: Duration,
    ) -> Result<Typed, HowtoError> {
        if self.terminal.is_none() {
            self.boot(BootKind::Selinux)?;
        }
        self.engine.say(&format!("typing {}", keys.lines().next().unwrap_or_default()));
        let terminal = self.terminal.as_mut().expect("it was just booted");
        Ok(terminal.perform(command.user.name(), keys, limit)?)
    }
}

/// A command with what it printed and the promises.
fn performed(
    kernel: KernelVersion,
    command: &Command,
    prompt: String,
    typed: String,
    got: &Typed,
) -> Performed {
    let findings = command.promises.iter().map(|promise| promise.check(kernel, got));
    Performed {
        prompt,
        typed,
        why: command.why.trim().to_owned(),
        output: shorten(&got.output, &command.promises),
        exit: got.exit,
        took: Duration::from_millis(got.took_ms.into()),
        findings: findings.collect(),
    }
}
