//! `struct perf_event_attr` as a C initialiser.

use perfsec_wire::PerfEventAttr;
use perfsec_wire::attr::{Address, Event, Hardware, Named, Software};
use serde_json::Value;

use super::constants::bits;
use super::literal::string;
use super::obstacle::Obstacle;

/// Fields that are newer than Linux 6.1.
const NEW: [&str; 7] = [
    "config3",
    "config4",
    "aux_start_paused",
    "aux_pause",
    "aux_resume",
    "defer_callchain",
    "defer_output",
];

/// The size of `struct perf_event_attr` in Linux 5.8 (`PERF_ATTR_SIZE_VER6`), in bytes.
const FIRST_VERSIONS: u32 = 120;

/// An initialiser, and what is known only on the machine.
pub(super) struct Attr {
    /// Its lines: `.type = PERF_TYPE_SOFTWARE`.
    pub(super) fields: Vec<String>,
    /// The field whose value is in a file, and the file.
    pub(super) looked_up: Option<(&'static str, String)>,
    /// True if it points to a variable of the program.
    pub(super) own: bool,
}

/// Writes the initialiser.
///
/// # Errors
///
/// A field that a C program with the headers of a distribution cannot name.
pub(super) fn attr(attr: &PerfEventAttr) -> Result<Attr, Obstacle> {
    let mut out = Attr { fields: Vec::new(), looked_up: None, own: false };
    if matches!(&attr.event, Event::Tracepoint { category, .. } if category == "kprobes") {
        return Err(Obstacle::Step("it opens a probe that another step defines"));
    }
    event(attr, &mut out);
    out.fields.insert(
        1.min(out.fields.len()),
        match attr.size {
            0 => ".size = sizeof(struct perf_event_attr)".to_owned(),
            size => format!(".size = {size}"),
        },
    );
    if attr.size > FIRST_VERSIONS {
        return Err(Obstacle::Step("its perf_event_attr is longer than that of many headers"));
    }
    let Ok(Value::Object(fields)) = serde_json::to_value(attr) else {
        return Err(Obstacle::Step("its perf_event_attr cannot be written"));
    };
    for (name, value) in &fields {
        if name == "event" || name == "size" {
            continue;
        }
        let Some(value) = written(name, value) else { continue };
        if NEW.contains(&name.as_str()) {
            return Err(Obstacle::Field(name.clone()));
        }
        let field = match name.as_str() {
            "beyond" => {
                return Err(Obstacle::Step("its perf_event_attr is longer than any kernel's"));
            }
            "unknown_bit" => {
                return Err(Obstacle::Step("its perf_event_attr sets a bit that no header names"));
            }
            "reserved" => "__reserved_2",
            "sample_freq" if !attr.freq => {
                out.fields.push(".freq = 1".to_owned());
                "sample_freq"
            }
            other => other,
        };
        out.fields.push(format!(".{field} = {value}"));
    }
    Ok(out)
}

/// A value that is not zero.
fn written(name: &str, value: &Value) -> Option<String> {
    let prefix = match name {
        "sample_type" => "PERF_SAMPLE_",
        "read_format" => "PERF_FORMAT_",
        "branch_sample_type" => "PERF_SAMPLE_BRANCH_",
        _ => "HW_BREAKPOINT_",
    };
    match value {
        Value::Bool(true) => Some("1".to_owned()),
        Value::Number(number) if number.as_i64() != Some(0) => Some(number.to_string()),
        // From 2^63 on, a number is a text.
        Value::String(number) => Some(format!("{number}ULL")),
        Value::Array(names) if !names.is_empty() => {
            Some(bits(prefix, names.iter().filter_map(Value::as_str)))
        }
        _ => None,
    }
}

/// Writes `type`, `config` and what the event points to.
fn event(attr: &PerfEventAttr, out: &mut Attr) {
    let mut typed = |kind: &str| out.fields.push(format!(".type = {kind}"));
    let pointer = |text: &str| format!("(unsigned long){text}");
    match &attr.event {
        Event::Software(event) => {
            typed("PERF_TYPE_SOFTWARE");
            out.fields.push(format!(".config = {}", software(*event)));
        }
        Event::Hardware(event) => {
            typed("PERF_TYPE_HARDWARE");
            out.fields.push(format!(".config = {}", hardware(*event)));
        }
        Event::Tracepoint { category, name } => {
            typed("PERF_TYPE_TRACEPOINT");
            let file = format!("/sys/kernel/tracing/events/{category}/{name}/id");
            out.looked_up = Some(("config", file));
        }
        Event::Breakpoint { access, address } => {
            typed("PERF_TYPE_BREAKPOINT");
            let kinds = bits("HW_BREAKPOINT_", access.iter().map(|kind| kind.name()));
            out.fields.push(format!(".bp_type = {kinds}"));
            let address = match address {
                Address::Own => {
                    out.own = true;
                    pointer("&own_variable")
                }
                // __START_KERNEL_map
                Address::Kernel => "0xffffffff80000000".to_owned(),
                Address::At(address) => format!("{address:#x}"),
            };
            out.fields.push(format!(".bp_addr = {address}"));
            if attr.bp_len == 0 {
                let executes = access.iter().any(|kind| kind.name() == "X");
                let length = if executes { "sizeof(long)" } else { "HW_BREAKPOINT_LEN_4" };
                out.fields.push(format!(".bp_len = {length}"));
            }
        }
        Event::Kprobe(symbol) => {
            out.fields.push(format!(".kprobe_func = {}", pointer(&string(symbol))))
        }
        Event::Uprobe => {
            out.fields.push(format!(".uprobe_path = {}", pointer(&string("/proc/self/exe"))));
        }
        Event::Raw(config) => {
            typed("PERF_TYPE_RAW");
            out.fields.push(format!(".config = {config:#x}"));
        }
        Event::Pmu { config, .. } => out.fields.push(format!(".config = {config:#x}")),
        Event::Type { number, config } => {
            typed(&format!("{number}u"));
            out.fields.push(format!(".config = {config:#x}"));
        }
    }
    if let Some(pmu) = attr.event.pmu() {
        out.looked_up = Some(("type", format!("/sys/bus/event_source/devices/{pmu}/type")));
    }
}

fn software(event: Software) -> String {
    match event {
        Software::MinorFaults => "PERF_COUNT_SW_PAGE_FAULTS_MIN".to_owned(),
        Software::MajorFaults => "PERF_COUNT_SW_PAGE_FAULTS_MAJ".to_owned(),
        other => format!("PERF_COUNT_SW_{}", upper(other.name())),
    }
}

fn hardware(event: Hardware) -> String {
    match event {
        Hardware::RefCycles => "PERF_COUNT_HW_REF_CPU_CYCLES".to_owned(),
        other => format!("PERF_COUNT_HW_{}", upper(other.name())),
    }
}

fn upper(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}
