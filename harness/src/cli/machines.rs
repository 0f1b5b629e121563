//! `perfsec machines`

use super::args::{MachinesArgs, MachinesCheckArgs, MachinesCommand, MachinesFormat};
use super::signals::Signals;
use super::{Exit, Failure};
use crate::cache::Cache;
use crate::machines::site::{
    Checked, SITE_FILE, Site, SiteName, SiteOptions, SitePool, Sites, States, list,
};
use crate::text::{self, Text, eprint_line, line};

pub(super) fn machines(args: &MachinesArgs) -> Result<Exit, Failure> {
    match &args.command {
        None => print_list(args.format),
        Some(MachinesCommand::Check(args)) => check(args),
    }
}

fn print_list(format: MachinesFormat) -> Result<Exit, Failure> {
    let (sites, states) = (Sites::of_user()?, States::of_user().map_err(Failure::host)?);
    let machines = list(&sites, &states);
    let text = match format {
        MachinesFormat::Json => text::json(&machines),
        MachinesFormat::Text if machines.is_empty() => Text::of_line(nothing(&sites)),
        MachinesFormat::Text => {
            let width = machines.iter().map(|it| it.name.as_str().len()).max().unwrap_or(0);
            let mut text = Text::new();
            for machine in &machines {
                let (name, state, detail) = (&machine.name, machine.state, machine.detail());
                text.line(format!("{name:<width$}  {state:<9}  {detail}").trim_end());
            }
            text
        }
    };
    super::print(&text)?;
    Ok(Exit::Success)
}

/// The words for a site without machines.
fn nothing(sites: &Sites) -> String {
    let why = match &sites.path {
        Some(path) => format!("{} has none", path.display()),
        None => format!("~/.config/perfsec/{SITE_FILE} is missing"),
    };
    format!("no machines: {why} (`perfsec help machines` shows how to write it)")
}

fn check(args: &MachinesCheckArgs) -> Result<Exit, Failure> {
    let (sites, states) = (Sites::of_user()?, States::of_user().map_err(Failure::host)?);
    let named = |name: &SiteName| sites.find(name).cloned();
    let chosen: Vec<Site> = match args.names.as_slice() {
        [] => sites.machines.values().cloned().collect(),
        names => names.iter().map(named).collect::<Result<_, _>>()?,
    };
    if chosen.is_empty() {
        return Err(Failure::input(nothing(&sites)));
    }
    let (cache, signals) = (Cache::open()?, Signals::default());
    signals.watch()?;
    let mut exit = Exit::Success;
    for site in chosen {
        let options =
            SiteOptions { interrupt: signals.interrupt.clone(), ..SiteOptions::default() };
        let (name, pool) =
            (site.name.clone(), SitePool::new(site, states.clone(), &cache, options));
        let checked = pool.check(&|text| eprint_line!("{text}"));
        // The lease ends before anybody reads that the machine can be used.
        drop(pool);
        if let Some(signal) = signals.exit() {
            return Ok(signal);
        }
        let mut text = Text::new();
        match checked {
            Ok(Checked { release, boot, firmware, has_power }) => {
                let firmware = if firmware.is_empty() { "unknown" } else { &firmware };
                line!(text, "{name}: healthy: started {release} {boot}, firmware {firmware}");
                if !has_power {
                    line!(text, "  without `power`: if it hangs, somebody has to reset it");
                }
            }
            Err(error) => {
                exit = Exit::Failed;
                line!(text, "{name}: {}: {}", error.phase, error.reason);
            }
        }
        super::print(&text)?;
    }
    Ok(exit)
}
