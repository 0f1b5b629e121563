//! Cells in guests that have one serial port, for the kernel's console and the agent.
//!
//! Needs QEMU and a kernel in `PERFSEC_TEST_KERNEL`. `PERFSEC_TEST_CELLS` selects cells; without it
//! the whole suite runs.

use std::sync::Arc;

use perfsec::cache::Cache;
use perfsec::case::Library;
use perfsec::engine::{Engine, KernelSpec, PlainListener, Setup, Suite};
use perfsec::interrupt::Interrupt;
use perfsec::known::KnownDifferences;
use perfsec::machines::qemu::{QemuOptions, QemuPool};
use perfsec::machines::{MachineSetup, Pool};
use perfsec::plan::Filter;

use crate::support::kernel;

/// Bytes per second at 115,200 baud: eight bits, a start bit and a stop bit.
const RATE: u64 = 11_520;
/// Seconds that the whole suite may take on the wire.
const WHOLE: u64 = 300;

#[test]
#[ignore = "needs QEMU and a kernel"]
fn the_suite_passes_over_the_console_and_fits_a_serial_cable() {
    let names = std::env::var("PERFSEC_TEST_CELLS").unwrap_or_default();
    let names: Vec<_> = names.split_whitespace().map(str::to_owned).collect();
    let is_whole = names.is_empty();
    let cache = Cache::open().expect("the cache");
    let options = QemuOptions { one_port: true, ..QemuOptions::default() };
    let qemu = Arc::new(QemuPool::open(options, &cache).expect("QEMU"));
    let pool: Arc<dyn Pool> = Arc::<QemuPool>::clone(&qemu);
    let setup = Setup {
        jobs: 1,
        machine: MachineSetup::Pool(pool),
        ..Setup::by_default().expect("the defaults")
    };
    let plain = PlainListener::default();
    let engine = Engine::open(setup, cache, Interrupt::default(), &plain).expect("an engine");
    let known = Arc::new(KnownDifferences::built_in().expect("they parse"));
    let suite =
        Suite { library: Library::built_in().expect("the suite parses"), directory: None, known };
    let spec: KernelSpec = kernel().parse().expect("a name");
    let kernels = engine.kernels(&[spec]).expect("the kernel");
    let filter = Filter { names, ..Filter::default() };
    let cells = suite.select(&filter).expect("cells");
    let plans = engine.plan(&kernels, engine.policies(), &cells, &suite).expect("a plan");
    let ended = engine.execute(&plans, suite.asked(filter), &mut |_| Ok(())).expect("a run");
    let run = ended.whole().expect("its record");

    let results: Vec<_> = run.lanes.iter().flat_map(|lane| &lane.cells).collect();
    let traffic = qemu.traffic();
    println!(
        "{} cells, {} boots: {} bytes received ({} each), {} sent, {} damaged lines, {} s at 115,200 \
         baud",
        results.len(),
        run.lanes.iter().map(|lane| lane.ready.len()).sum::<usize>(),
        traffic.received,
        traffic.received / results.len() as u64,
        traffic.sent,
        traffic.damaged,
        (traffic.received + traffic.sent) / RATE,
    );
    let bad = results.iter().filter(|cell| cell.judgement.verdict.is_bad());
    let bad: Vec<_> = bad
        .map(|cell| format!("{} {} {:?}", cell.name, cell.judgement.verdict, cell.judgement.reason))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    // Both directions are used in turns, not at once.
    assert!(!is_whole || (traffic.received + traffic.sent) / RATE <= WHOLE, "{traffic:?}");
}
