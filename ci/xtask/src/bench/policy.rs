//! Compares a lane under a distribution's policy with one under the minimal policy, and the survey
//! of that policy with stock boots.
//!
//! Policy and kernel are in the cache before anything is measured. The kernel needs longer to load a
//! large policy; the boots under both policies differ in little else.

use std::path::Path;

use xshell::{Shell, cmd};

use super::Options;
use super::record::Figures;
use super::stock::{self, StockBoot};
use super::times;
use crate::error::{self, Error};
use crate::setup;

/// Cells of every domain; a context is a domain.
const CELLS: &str = "open/cpu-kernel/*/paranoid=2/perfmon/permissive";

/// Measures and prints a table. Under the policy, the cell runs in the context.
pub(super) fn bench(
    shell: &Shell,
    options: &Options,
    (policy, context): (&str, &str),
) -> Result<(), Error> {
    let perfsec = setup::build(shell)?;
    setup::install(shell, &perfsec, &["run", "debian", "bench", "policies"])?;
    let room = shell.create_temp_dir()?;
    let at = |name: &str| room.path().join(name);
    let (kernel, record) = (at("vmlinuz"), at("record.jsonl"));
    stock::fetch(shell, &perfsec, options.kernel.as_deref(), &kernel)?;

    let kernel = &kernel;
    let accel = &options.accel.iter().map(|name| format!("--accel={name}")).collect::<Vec<_>>();
    let ready = |under: &[&str]| -> Result<Figures, Error> {
        let run = cmd!(
            shell,
            "{perfsec} run --quiet {accel...} --kernel {kernel} {under...} --out {record} {CELLS}"
        );
        // A failed cell does not stop the measurement.
        run.quiet().ignore_stdout().ignore_status().run()?;
        Figures::of(&record)
    };
    let minimal = ["--policy", "minimal"];
    let other = ["--policy", policy, "--domain", context];
    let cold = |under: &[&str]| ready(&[under, &["--cold"]].concat());
    eprintln!("building {policy}, and saving a snapshot of each lane");
    ready(&minimal)?;
    let Figures { accel: used, release, .. } = ready(&other)?;

    eprintln!("measuring lanes, {} runs each", options.runs);
    let mut lanes = <[Vec<f64>; 4]>::default();
    for _ in 0..options.runs {
        lanes[0].push(cold(&minimal)?.boot());
        lanes[1].push(cold(&other)?.boot());
        lanes[2].push(ready(&minimal)?.boot());
        lanes[3].push(ready(&other)?.boot());
    }
    eprintln!("measuring the survey, {} runs", options.runs);
    let survey = survey(shell, &perfsec, options.runs, (kernel, policy), (room.path(), &used))?;
    print(&format!("Linux {release}, {used}, {policy}"), lanes.map(median), survey);
    Ok(())
}

/// The median times in seconds of a stock boot and of a survey.
fn survey(
    shell: &Shell,
    perfsec: &Path,
    runs: u32,
    (kernel, policy): (&Path, &str),
    (room, accel): (&Path, &str),
) -> Result<[f64; 2], Error> {
    let (times, runs) = (room.join("times.json"), runs.to_string());
    let boot = StockBoot::new(shell, room, kernel, accel)?;
    let stock = boot.command();
    let survey = format!(
        "{} survey --quiet --accel {accel} --kernel {} --policy {policy} --out {}",
        perfsec.display(),
        kernel.display(),
        room.join("survey.txt").display()
    );
    error::run(cmd!(
        shell,
        "hyperfine --shell none --runs {runs} --export-json {times}
         --command-name stock {stock} --command-name survey {survey}"
    ))?;
    boot.check()?;
    times::medians(&times)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn print(title: &str, [cold, cold_other, restored, restored_other]: [f64; 4], survey: [f64; 2]) {
    println!("\n{title}\n\n{:<44} {:>10}  {:>6}  aim", "what", "measured", "ratio");
    let row = |what: &str, seconds: f64, base: f64, aim: &str| {
        println!("{what:<44} {seconds:>8.2} s  {:>6.2}  {aim}", seconds / base);
    };
    let [stock, whole] = survey;
    row("(a) lane ready, minimal policy, booted", cold / 1e3, cold / 1e3, "");
    row("    under this policy", cold_other / 1e3, cold / 1e3, "ratio <= 1.5");
    row("    of that, to load a larger policy", (cold_other - cold) / 1e3, cold / 1e3, "");
    row("(b) lane ready, minimal policy, restored", restored / 1e3, restored / 1e3, "");
    row("    under this policy", restored_other / 1e3, restored / 1e3, "ratio <= 1.5");
    row("(c) stock boot to power-off", stock, stock, "");
    row("    the survey of the whole policy", whole, stock, "ratio <= 5");
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_median_is_the_middle_of_the_sorted_times() {
        assert_eq!(super::median(vec![3.0, 1.0, 2.0]), 2.0);
    }
}
