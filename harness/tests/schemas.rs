//! The schemas of files: they allow every file of the project, and refuse typical mistakes as the
//! reader does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;
use std::process::Command;

use jsonschema::Validator;
use perfsec::asks::Functions;
use perfsec::case::Library;
use perfsec::machines::site::Sites;
use perfsec::schema::FileSchema;
use rstest::rstest;
use serde_json::Value;

/// A case with every key that can stand beside the others.
const CASE: &str = r#"
title = "a task counts itself"
source = ["a test"]
domain = ["all_t", "no_open_t"]
perf_event_paranoid = 2
grant = ["none", "perfmon+bpf"]
mode = "permissive"
boot = "selinux"
policy = "minimal"
audit = true
lockdown = "none"
uid = 1000
comm = "subject"
limit = 10
messages = ["SELinux"]
records = ["SYSCALL"]
sysctl = { "kernel.kptr_restrict" = "1" }
requires = ["new"]

[when.new]
since = "6.1.191, 6.12"
until = "7.0-rc1"
series = "6.1"
distribution = "debian"
config = "CONFIG_PERF_EVENTS"
machine = "smp"
reason = "a commit"

[process.other]
uid = 1001
grant = "none"
domain = "all_t"

[[process.other.step]]
prctl = { SET_NAME = "other" }

[[given]]
perf_event_open = { attr = { event = "breakpoint/rw:0x10" }, as = "agents" }

[[step]]
perf_event_open.attr = { event = "software/dummy", sample_type = ["IP"] }
perf_event_open.pid = 0
perf_event_open.cpu = -1
perf_event_open.flags = ["FD_CLOEXEC"]
asks = "perf_event { open }"
returns = "fd"

[[step]]
ioctl = { fd = "fd", request = "ENABLE" }

[[step]]
prctl = "GET_DUMPABLE"

[[step]]
bpf = { prog_load = { prog_type = "KPROBE" } }
"#;

const KNOWN: &str = r#"
[[known]]
name = "example"
cells = ["open/*"]
since = "6.9"
series = ["6.9"]
machine = "emulated"
reason = "a patch"
link = "https://example.org/1"
"#;

/// The TOML as the data that a validator sees.
fn data(text: &str) -> Value {
    toml::from_str(text).unwrap()
}

fn validator(file: FileSchema) -> Validator {
    jsonschema::draft7::new(&file.value()).unwrap()
}

/// True if perfsec reads the text as a case.
fn is_read(text: &str) -> bool {
    let room = tempfile::tempdir().unwrap();
    fs::write(room.path().join("case.toml"), text).unwrap();
    Library::directory(room.path()).is_ok()
}

#[test]
fn every_case_of_the_suite_is_valid() {
    let case = validator(FileSchema::Case);
    for (name, text) in perfsec_cases::suite() {
        case.validate(&data(text)).unwrap_or_else(|error| {
            panic!("{name}: {}: {error}", error.instance_path());
        });
    }
}

#[rstest]
#[case::unknown_key("domain =", "domian =")]
#[case::missing_key("title = \"a task counts itself\"", "")]
#[case::text_for_a_number("perf_event_paranoid = 2", "perf_event_paranoid = \"two\"")]
#[case::text_for_a_list("messages = [\"SELinux\"]", "messages = \"SELinux\"")]
#[case::no_domain("[\"all_t\", \"no_open_t\"]", "[]")]
#[case::the_same_domain("\"no_open_t\"", "\"all_t\"")]
#[case::unknown_capability("perfmon+bpf", "perfmon+bfp")]
#[case::unknown_mode("permissive", "permisive")]
#[case::unknown_boot("boot = \"selinux\"", "boot = \"selinx\"")]
#[case::unknown_policy("minimal", "minimum")]
#[case::unknown_lockdown("lockdown = \"none\"", "lockdown = \"some\"")]
#[case::long_comm("comm = \"subject\"", "comm = \"a_name_of_16_byt\"")]
#[case::no_time("limit = 10", "limit = 0")]
#[case::number_for_a_sysctl("= \"1\"", "= 1")]
#[case::no_version("6.1.191, 6.12", "6.1.191, six")]
#[case::unknown_machine("\"smp\"", "\"smpp\"")]
#[case::condition_without_a_reason("reason = \"a commit\"", "")]
#[case::unknown_key_of_a_condition("distribution =", "distro =")]
#[case::process_without_a_domain("grant = \"none\"\ndomain = \"all_t\"", "grant = \"none\"")]
#[case::questions_of_the_agent("as = \"agents\" }", "as = \"agents\" }\nasks = \"EINVAL\"")]
#[case::no_such_breakpoint("breakpoint/rw", "breakpoint/wr")]
#[case::unknown_event("software/dummy", "software/dumy")]
#[case::unknown_bit("\"IP\"", "\"PI\"")]
#[case::unknown_flag("FD_CLOEXEC", "FD_CLOEXE")]
#[case::unknown_field("attr = { event =", "attr = { evnt =")]
#[case::number_of_a_process("pid = 0", "pid = 7")]
#[case::list_of_questions("\"perf_event { open }\"", "[\"perf_event { open }\"]")]
#[case::two_syscalls("returns = \"fd\"", "close = {}")]
#[case::no_syscall("ioctl = { fd = \"fd\", request = \"ENABLE\" }", "returns = \"0\"")]
#[case::unknown_syscall("ioctl =", "iotcl =")]
#[case::missing_argument("request = \"ENABLE\"", "arg = 1")]
#[case::unknown_request("ENABLE", "ENABEL")]
#[case::unknown_option("GET_DUMPABLE", "GET_DUMPABEL")]
#[case::option_without_its_value("\"GET_DUMPABLE\"", "\"SET_NAME\"")]
#[case::two_commands("bpf = {", "bpf = { map_create = { map_type = \"HASH\" },")]
#[case::unknown_command("prog_load", "prog_laod")]
fn a_mistake_is_refused_as_by_the_reader(#[case] from: &str, #[case] to: &str) {
    let text = CASE.replacen(from, to, 1);
    assert_ne!(text, CASE);
    let case = validator(FileSchema::Case);
    assert!(case.is_valid(&data(CASE)), "the case itself is refused");
    assert!(!is_read(&text), "perfsec reads it");
    assert!(!case.is_valid(&data(&text)), "the schema allows it");
}

#[rstest]
#[case::unknown_key("source =", "sauce =")]
#[case::list_of_questions("\"perf_event { read }\"", "[]")]
#[case::no_questions("asks = \"perf_event { read }\"", "")]
fn a_mistake_in_functions_is_refused_as_by_the_reader(#[case] from: &str, #[case] to: &str) {
    const FUNCTIONS: &str = "
[function.perf_read]
source = \"kernel/events/core.c, perf_read()\"
asks = \"perf_event { read }\"
";
    let text = FUNCTIONS.replacen(from, to, 1);
    assert_ne!(text, FUNCTIONS);
    let (functions, path) = (validator(FileSchema::Functions), Path::new("functions.toml"));
    assert!(functions.is_valid(&data(perfsec_cases::functions())));
    assert!(functions.is_valid(&data(FUNCTIONS)) && Functions::read(path, FUNCTIONS).is_ok());
    assert!(Functions::read(path, &text).is_err(), "perfsec reads it");
    assert!(!functions.is_valid(&data(&text)), "the schema allows it");
}

/// Removes each key in turn, at every depth, and calls `visit` with its path and the rest.
fn without_each_key(whole: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    fn walk(at: &str, whole: &Value, visit: &mut dyn FnMut(&str, &Value)) {
        let keys: Vec<String> = match whole.pointer(at) {
            Some(Value::Object(table)) => table.keys().cloned().collect(),
            Some(Value::Array(list)) => (0..list.len()).map(|index| index.to_string()).collect(),
            _ => return,
        };
        for key in keys {
            let mut rest = whole.clone();
            match rest.pointer_mut(at) {
                Some(Value::Object(table)) => drop(table.remove(&key)),
                Some(Value::Array(list)) => drop(list.remove(key.parse().unwrap())),
                _ => {}
            }
            let path = format!("{at}/{}", key.replace('/', "~1"));
            visit(&path, &rest);
            walk(&path, whole, visit);
        }
    }
    walk("", whole, visit);
}

#[test]
fn the_reader_needs_every_key_that_the_schema_requires() {
    assert!(is_read(CASE), "the case itself is refused");
    let case = validator(FileSchema::Case);
    let (mut optional, mut required) = (0, 0);
    without_each_key(&data(CASE), &mut |path, rest| {
        if case.is_valid(rest) {
            optional += 1;
        } else {
            assert!(!is_read(&toml::to_string(rest).unwrap()), "without {path}");
            required += 1;
        }
    });
    assert!(optional > 30 && required > 10, "{optional} {required}");
}

#[rstest]
#[case::unknown_key("parameters =", "paramters =")]
#[case::unknown_command("status =", "state =")]
#[case::no_console("console = 'tcp:rack:7001'", "")]
#[case::console("tcp:", "telnet:")]
#[case::serial("ttyS1,57600", "ttyS1")]
#[case::boot("kexec'", "grub'")]
#[case::limit("= 900", "= 0")]
fn a_mistake_in_machines_is_refused_as_by_the_reader(#[case] from: &str, #[case] to: &str) {
    const MACHINES: &str = "
[rack1]
ssh = 'root@rack1'
console = 'tcp:rack:7001'
serial = 'ttyS1,57600'
boot = 'kexec'
break = '~B'
power = { on = 'a', off = 'b', status = 'c' }
parameters = ['nosmt']
limits = { system = 900 }
";
    let text = MACHINES.replacen(from, to, 1);
    assert_ne!(text, MACHINES);
    let (machines, path) = (validator(FileSchema::Machines), Path::new("machines.toml"));
    assert!(machines.is_valid(&data(MACHINES)) && Sites::read(path, MACHINES).is_ok());
    assert!(Sites::read(path, &text).is_err(), "perfsec reads it");
    assert!(!machines.is_valid(&data(&text)), "the schema allows it");
}

#[rstest]
#[case::unknown_key("name =", "nmae =")]
#[case::text_for_a_list("[\"open/*\"]", "\"open/*\"")]
#[case::no_version("since = \"6.9\"", "since = \"six\"")]
#[case::unknown_machine("emulated", "emulator")]
#[case::no_reason("reason = \"a patch\"", "")]
fn a_mistake_in_known_differences_is_refused_as_by_the_reader(
    #[case] from: &str,
    #[case] to: &str,
) {
    let text = KNOWN.replacen(from, to, 1);
    assert_ne!(text, KNOWN);
    let (known, path) = (validator(FileSchema::Known), Path::new("known.toml"));
    assert!(known.is_valid(&data(KNOWN)) && known.is_valid(&data(perfsec_cases::known())));
    assert!(perfsec::known::read(path, KNOWN, None).is_ok());
    assert!(perfsec::known::read(path, &text, None).is_err(), "perfsec reads it");
    assert!(!known.is_valid(&data(&text)), "the schema allows it");
}

#[rstest]
fn a_schema_is_valid_and_describes_every_key(
    #[values(FileSchema::Case, FileSchema::Functions, FileSchema::Known)] file: FileSchema,
) {
    let schema = file.value();
    assert!(jsonschema::draft7::meta::is_valid(&schema));
    let text = file.text().plain();
    assert!(!text.contains("\"null\"") && !text.contains("[`"), "{text}");
    let mut undescribed = Vec::new();
    collect_undescribed("", &schema, &mut undescribed);
    assert_eq!(undescribed, [""; 0]);
}

fn collect_undescribed(at: &str, schema: &Value, found: &mut Vec<String>) {
    for (name, part) in schema.as_object().into_iter().flatten() {
        let at = format!("{at}/{name}");
        for (key, property) in part.as_object().into_iter().flatten() {
            if name == "properties" && property.get("description").is_none() {
                found.push(format!("{at}/{key}"));
            }
        }
        collect_undescribed(&at, part, found);
    }
    for (index, part) in schema.as_array().into_iter().flatten().enumerate() {
        collect_undescribed(&format!("{at}/{index}"), part, found);
    }
}

/// Both parse TOML 1.0, and neither shares code with perfsec. Editors run Taplo.
#[rstest]
#[case("check-jsonschema", &["--schemafile"], "")]
#[case("taplo", &["lint", "--schema"], "file://")]
#[ignore = "needs check-jsonschema and taplo"]
fn other_programs_accept_every_case(
    #[case] program: &str,
    #[case] options: &[&str],
    #[case] prefix: &str,
) {
    let room = tempfile::tempdir().unwrap();
    let schema = room.path().join("case.schema.json");
    fs::write(&schema, FileSchema::Case.text().plain()).unwrap();
    let check = |files: &[String]| {
        let schema = format!("{prefix}{}", schema.display());
        let output = Command::new(program).args(options).arg(schema).args(files).output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases/suite");
    let files: Vec<_> = perfsec_cases::suite()
        .iter()
        .map(|(name, _)| suite.join(name).display().to_string())
        .collect();
    let (accepted, text) = check(&files);
    assert!(accepted, "{text}");

    let damaged = room.path().join("damaged.toml");
    let whole = fs::read_to_string(&files[0]).unwrap();
    fs::write(&damaged, whole.replacen("\n[[step]]", "\n[[stop]]", 1)).unwrap();
    let (accepted, text) = check(&[damaged.display().to_string()]);
    assert!(!accepted && text.contains("stop"), "{text}");
}
