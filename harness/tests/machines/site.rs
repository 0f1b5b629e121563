//! A kernel under test on a machine of the site, which QEMU plays.
//!
//! Needs QEMU and a kernel package. `PERFSEC_TEST_CELLS` selects other cells.

use std::fs;
use std::sync::Arc;

use perfsec::cache::Cache;
use perfsec::case::Library;
use perfsec::engine::{Engine, Setup, Suite};
use perfsec::interrupt::Interrupt;
use perfsec::kernel::{ImageOptions, shipped_image};
use perfsec::known::KnownDifferences;
use perfsec::machines::site::{SitePool, States};
use perfsec::machines::{MachineSetup, Pool};
use perfsec::plan::Filter;
use perfsec::record::Run;

use crate::bench::Bench;
use crate::one_port::Stderr;

/// The kernel of the machine's own system, and the kernel under test.
const KERNEL: &str = "debian:6.12";

/// A pool of the machine on a bench.
fn pool(bench: &Bench, site: perfsec::machines::site::Site) -> SitePool {
    let states = States::at(&bench.path("states")).expect("the states");
    SitePool::new(site, states, &Cache::open().expect("the cache"))
}

/// Runs the selected cells.
fn run(pool: Arc<dyn Pool>) -> Run {
    let names = std::env::var("PERFSEC_TEST_CELLS").unwrap_or("open/cpu-kernel".to_owned());
    let names: Vec<_> = names.split_whitespace().map(str::to_owned).collect();
    let setup = Setup {
        jobs: 1,
        machine: MachineSetup::Pool(pool),
        ..Setup::by_default().expect("the defaults")
    };
    let engine =
        Engine::open(setup, Cache::open().expect("the cache"), Interrupt::default(), &Stderr);
    let engine = engine.expect("an engine");
    let known = Arc::new(KnownDifferences::built_in().expect("they parse"));
    let suite =
        Suite { library: Library::built_in().expect("the suite parses"), directory: None, known };
    let kernels = engine.kernels(&[KERNEL.parse().expect("a name")]).expect("the kernel");
    let filter = Filter { names, ..Filter::default() };
    let cells = suite.select(&filter).expect("cells");
    let plans = engine.plan(&kernels, engine.policies(), &cells, &suite).expect("a plan");
    engine
        .execute(&plans, suite.asked(filter), &mut |_| Ok(()))
        .expect("a run")
        .whole()
        .expect("its record")
}

#[test]
#[ignore = "needs QEMU and a kernel package"]
fn a_kernel_that_was_started_by_kexec_passes_and_the_machine_returns() {
    let (cache, interrupt) = (Cache::open().expect("the cache"), Interrupt::default());
    let options = ImageOptions::default();
    let image =
        shipped_image(&KERNEL.parse().expect("a name"), &cache, options, &interrupt, &|_| {})
            .expect("the image");
    let bench = Bench::new(Some(&image));
    let site = Arc::new(pool(&bench, bench.site()));
    let run = run(Arc::<SitePool>::clone(&site) as Arc<dyn Pool>);
    let results: Vec<_> = run.lanes.iter().flat_map(|lane| &lane.cells).collect();
    let bad = results.iter().filter(|cell| cell.judgement.verdict.is_bad());
    let bad: Vec<_> = bad
        .map(|cell| format!("{} {} {:?}", cell.name, cell.judgement.verdict, cell.judgement.reason))
        .collect();
    println!("{} cells, {} bad\n{}", results.len(), bad.len(), bench.log());
    assert!(!results.is_empty() && bad.is_empty(), "{bad:#?}");
    assert!(site.has_returned() && bench.path("up").exists());
    // Everything came back by itself.
    assert!(!bench.log().contains("power off"), "{}", bench.log());
}

#[test]
fn a_machine_that_kexec_never_leaves_is_broken_until_it_is_checked() {
    let bench = Bench::new(None);
    for mark in ["vmlinuz", "never-arrive"] {
        fs::write(bench.path(mark), "").expect("a mark");
    }
    let mut site = bench.site();
    site.limits.kexec = std::time::Duration::from_secs(1);
    let first = pool(&bench, site.clone());
    let error = first.check(&|_| {}).unwrap_err();
    assert!(error.to_string().contains("nothing of it was on the console"), "{error}");
    drop(first);
    let states = States::at(&bench.path("states")).expect("the states");
    assert!(states.read(&site.name).broken.is_some());
    // It was off before it was on, and its own system is back.
    let log = bench.log();
    assert!(log.rfind("power off").expect("off") < log.rfind("power on").expect("on"), "{log}");
    assert!(bench.path("up").exists());
}

#[test]
fn a_kernel_that_cannot_be_loaded_leaves_the_machine_alone() {
    let bench = Bench::new(None);
    for mark in ["vmlinuz", "refuse"] {
        fs::write(bench.path(mark), "").expect("a mark");
    }
    let mut site = bench.site();
    site.power = None;
    let error = pool(&bench, site).check(&|_| {}).unwrap_err();
    assert!(error.to_string().contains("Exec format error"), "{error}");
    assert!(!bench.log().contains("kexec-start"), "{}", bench.log());
    assert_eq!(fs::read_to_string(bench.path("boot")).expect("the boot"), "boot-0");
}

#[test]
fn a_machine_that_does_not_come_back_is_broken_with_the_phase() {
    let bench = Bench::new(None);
    for mark in ["vmlinuz", "dead"] {
        fs::write(bench.path(mark), "").expect("a mark");
    }
    let mut site = bench.site();
    site.limits.system = std::time::Duration::from_secs(3);
    let error = pool(&bench, site.clone()).check(&|_| {}).unwrap_err();
    assert!(error.to_string().contains("own system: it did not answer over ssh"), "{error}");
    let states = States::at(&bench.path("states")).expect("the states");
    assert!(states.read(&site.name).broken.expect("it is broken").reason.contains("power cycle"));
}

#[test]
fn a_console_that_cannot_be_opened_changes_nothing() {
    let bench = Bench::new(None);
    let mut site = bench.site();
    site.console = "unix:/nonexistent/console".parse().expect("a name");
    let error = pool(&bench, site).check(&|_| {}).unwrap_err();
    assert!(error.to_string().contains("console: cannot connect"), "{error}");
    assert_eq!(bench.log(), "");
}
