//! One event in every form, and the answer, which is the same.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::Form;
use crate::audit::{Log, LogReader};

/// The AVC record of the event, as the kernel writes it.
const AVC: &str = "avc:  denied  { open } for  pid=2345 comm=\"perf\" \
    scontext=staff_u:staff_r:staff_t:s0-s0:c0.c1023 \
    tcontext=staff_u:staff_r:staff_t:s0-s0:c0.c1023 tclass=perf_event permissive=1";

/// The SYSCALL record of the event.
const CALL: &str = "arch=c000003e syscall=298 success=yes exit=3 a0=7ffd5c00 a1=0 a2=ffffffff \
    a3=ffffffff items=0 ppid=2300 pid=2345 auid=1000 uid=1000 gid=1000 tty=pts0 ses=3 \
    comm=\"perf\" exe=\"/usr/bin/perf\" subj=staff_u:staff_r:staff_t:s0-s0:c0.c1023 key=(null)";

/// The time and the serial of the event.
const ID: &str = "1764300000.123:4711";

/// The answer to the event: who was denied what, its fate, and the call.
const ANSWER: &str = "perf staff_t staff_t:perf_event { open } Some(true) 1 [perf_event_open \
    succeeded]";

fn read(text: &str) -> Log {
    Log::read(text.as_bytes()).unwrap()
}

fn answer(log: &Log) -> String {
    let groups = log.groups.iter().map(|group| {
        let denial = &group.denial;
        let names: Vec<_> = denial.permissions.iter().map(String::as_str).collect();
        let calls: Vec<_> = group.calls.iter().map(ToString::to_string).collect();
        format!(
            "{} {} {}:{} {{ {} }} {:?} {} [{}]",
            denial.comm.as_deref().unwrap_or("?"),
            denial.source.short(),
            denial.target.short(),
            denial.class,
            names.join(" "),
            denial.permissive,
            group.count,
            calls.join(", ")
        )
    });
    groups.collect::<Vec<_>>().join("; ")
}

/// The two records with these heads and ends.
fn lines(avc: &str, call: &str, end: &str) -> String {
    format!("{avc}{AVC}{end}\n{call}{CALL}{end}\n")
}

/// The two records as auditd writes them, with this before and after each.
fn audit_log(before: &str, end: &str) -> String {
    let head = |kind| format!("{before}type={kind} msg=audit({ID}): ");
    lines(&head("AVC"), &head("SYSCALL"), end)
}

/// The two records as the kernel prints them.
fn kernel(before: &str) -> String {
    let head = |kind| format!("{before}audit: type={kind} audit({ID}): ");
    lines(&head(1400), &head(1300), "")
}

/// The two records as the journal's short formats have them.
fn journal(before: &str, colour: &str, end: &str) -> String {
    let head = |kind| format!("{before}audit[2345]: {colour}{kind} ");
    lines(&head("AVC"), &head("SYSCALL"), end)
}

/// As `ausearch -i` prints it.
fn interpreted() -> String {
    let call = CALL
        .replace("arch=c000003e syscall=298", "arch=x86_64 syscall=perf_event_open")
        .replace("a1=0", "a1=0x0")
        .replace('"', "");
    let head = |kind| format!("type={kind} msg=audit(11/28/2025 03:20:00.123:4711) : ");
    let avc = AVC.replace('"', "");
    format!(
        "----\n{}proctitle=perf stat \n{}{call} \n{}{avc} \n",
        head("PROCTITLE"),
        head("SYSCALL"),
        head("AVC")
    )
}

/// Each record as an object or objects, one on each line.
fn each(make: impl Fn(&str, &str, &str) -> Value) -> String {
    format!("{}\n{}\n", make("AVC", "1400", AVC), make("SYSCALL", "1300", CALL))
}

fn journal_object(kind: &str, number: &str, record: &str) -> Value {
    json!({
        "__REALTIME_TIMESTAMP": "1764300000123000", "_TRANSPORT": "audit", "_AUDIT_TYPE": number,
        "_AUDIT_TYPE_NAME": kind, "_AUDIT_ID": "4711", "_PID": "2345", "_COMM": "perf",
        "MESSAGE": format!("{kind} {record}"),
    })
}

fn journal_fields(indent: &str) -> String {
    let entry = |kind: &str, record: &str| {
        format!(
            "{indent}_TRANSPORT=audit\n{indent}MESSAGE={kind} {record}\n{indent}_AUDIT_ID=4711\n\
             {indent}_AUDIT_TYPE_NAME={kind}\n{indent}_BOOT_ID=0123456789abcdef\n"
        )
    };
    let (avc, call) = (entry("AVC", AVC), entry("SYSCALL", CALL));
    if indent.is_empty() {
        let cursor = "__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1764300000123000\n";
        format!("{cursor}{avc}\n{cursor}{call}\n")
    } else {
        let head = "Fri 2025-11-28 03:20:00.123456 CET [s=1;i=2;b=3;m=4;t=5;x=6]\n";
        format!("{head}{avc}{head}{call}")
    }
}

fn laurel() -> Value {
    let context = "staff_u:staff_r:staff_t:s0-s0:c0.c1023";
    json!({
        "ID": ID, "NODE": "box",
        "SYSCALL": {
            "arch": "0xc000003e", "syscall": 298, "success": "yes", "exit": 3, "items": 0,
            "ppid": 2300, "pid": 2345, "comm": "perf", "exe": "/usr/bin/perf", "key": null,
            "ARCH": "x86_64", "SYSCALL": "perf_event_open",
            "ARGV": ["0x7ffd5c00", "0x0", "0xffffffff", "0xffffffff"],
        },
        "AVC": [{
            "pid": 2345, "comm": "perf", "scontext": context, "tcontext": context,
            "tclass": "perf_event", "permissive": 1, "denied": ["open"],
        }],
        "PROCTITLE": {"ARGV": ["perf", "stat"]},
    })
}

fn go_audit() -> Value {
    json!({
        "sequence": 4711, "timestamp": "1764300000.123", "uid_map": {"1000": "ann"},
        "messages": [
            {"type": 1400, "data": AVC}, {"type": 1300, "data": CALL},
            {"type": 1327, "data": "proctitle=706572660073746174"},
        ],
    })
}

fn auditbeat() -> Value {
    let context = "staff_u:staff_r:staff_t:s0-s0:c0.c1023";
    json!({
        "@timestamp": "2025-11-28T03:20:00.123Z",
        "event": {"module": "auditd", "action": "violated-selinux-policy", "outcome": "success"},
        "process": {"pid": 2345, "name": "perf", "executable": "/usr/bin/perf"},
        "auditd": {
            "message_type": "avc", "sequence": 4711, "result": "success",
            "data": {
                "seresult": "denied", "seperms": "open", "scontext": context, "tcontext": context,
                "tclass": "perf_event", "permissive": "1", "arch": "x86_64",
                "syscall": "perf_event_open", "exit": "3", "a1": "0",
            },
        },
    })
}

/// The same with dots in the keys and lists for values, as searches return it.
fn auditbeat_flat() -> Value {
    let context = "staff_u:staff_r:staff_t:s0-s0:c0.c1023";
    json!({"hits": {"hits": [{"_index": "auditbeat", "fields": {
        "process.pid": [2345], "process.name": ["perf"], "auditd.sequence": [4711],
        "auditd.result": ["success"], "auditd.data.seresult": ["denied"],
        "auditd.data.seperms": ["open"], "auditd.data.scontext": [context],
        "auditd.data.tcontext": [context], "auditd.data.tclass": ["perf_event"],
        "auditd.data.permissive": ["1"], "auditd.data.arch": ["x86_64"],
        "auditd.data.syscall": ["perf_event_open"], "auditd.data.exit": ["3"],
    }}]}})
}

fn auditbeat_raw() -> Value {
    let mut document = auditbeat();
    let original: Vec<_> = audit_log("", "").lines().map(str::to_owned).collect();
    document["event"]["original"] = json!(original);
    document
}

/// A line of CRI for each line.
fn cri(text: &str) -> String {
    text.lines().map(|line| format!("2025-11-28T03:20:00.123456789Z stdout F {line}\n")).collect()
}

/// An object of docker's json-file for each line.
fn docker(text: &str) -> String {
    let object = |line: &str| {
        let time = "2025-11-28T03:20:00.123456789Z";
        format!("{}\n", json!({"log": format!("{line}\n"), "stream": "stdout", "time": time}))
    };
    text.lines().map(object).collect()
}

/// Breaks the records like a mail client.
fn mailed(quote: &str) -> String {
    let text = audit_log(quote, "").replace(" tcontext=", &format!("\n{quote}tcontext="));
    text.replace(" permissive=", &format!("\n{quote}permissive="))
}

fn table(delimiter: &str) -> String {
    let context = "staff_u:staff_r:staff_t:s0-s0:c0.c1023";
    let columns = "time,comm,pid,scontext,tcontext,tclass,seresult,seperms,permissive,arch,\
                   syscall,success,exit,a1";
    let row = format!(
        "2025-11-28,perf,2345,{context},{context},perf_event,denied,open,1,x86_64,\
         perf_event_open,yes,3,0"
    );
    format!("{columns}\n{row}\n").replace(',', delimiter)
}

fn raw_table(header: &str) -> String {
    let rows: String = audit_log("", "")
        .lines()
        .map(|line| format!("\"2025-11-28\",\"box\",\"{}\"\n", line.replace('"', "\"\"")))
        .collect();
    format!("{header}{rows}")
}

#[rstest]
// auditd and its tools
#[case::audit_log(audit_log("", ""), Form::AuditLog)]
#[case::with_a_host(audit_log("node=box.example.org ", ""), Form::AuditLog)]
#[case::enriched(
    audit_log("", "\u{1d}ARCH=x86_64 SYSCALL=perf_event_open AUID=\"ann\" UID=\"ann\""),
    Form::AuditLogEnriched
)]
#[case::enriched_through_rsyslog(
    audit_log("", "#035ARCH=x86_64 SYSCALL=perf_event_open AUID=\"ann\""),
    Form::AuditLogEnriched
)]
#[case::enriched_in_a_pager(
    audit_log("", "^]ARCH=x86_64 SYSCALL=perf_event_open AUID=\"ann\""),
    Form::AuditLogEnriched
)]
#[case::enriched_and_copied(
    audit_log("", "ARCH=x86_64 SYSCALL=perf_event_open AUID=\"ann\""),
    Form::AuditLog
)]
#[case::ausearch(
    format!("----\ntime->Fri Nov 28 03:20:00 2025\n{}", audit_log("", "")),
    Form::Ausearch
)]
#[case::ausearch_interpreted(interpreted(), Form::AusearchInterpreted)]
#[case::ausearch_interpreted_on_a_line(
    interpreted().replace('\n', " "),
    Form::AusearchInterpreted
)]
#[case::reversed(
    audit_log("", "").lines().rev().fold(String::new(), |all, line| all + line + "\n"),
    Form::AuditLog
)]
#[case::on_a_line(audit_log("", "").replace('\n', " "), Form::AuditLog)]
#[case::with_carriage_returns(audit_log("", "\r"), Form::AuditLog)]
#[case::with_other_records(
    format!(
        "{}type=CWD msg=audit({ID}): cwd=\"/\"\n\
         type=PROCTITLE msg=audit({ID}): proctitle=\"perf\"\n\
         type=EOE msg=audit({ID}): \n",
        audit_log("", "")
    ),
    Form::AuditLog
)]
#[case::with_a_byte_order_mark(format!("\u{feff}{}", audit_log("", "")), Form::AuditLog)]
#[case::in_a_string(audit_log("", "").replace('\n', "\\n"), Form::AuditLog)]
#[case::in_a_line_of_rsyslog(audit_log("", "").replace('\n', "#012"), Form::AuditLog)]
// The kernel log
#[case::dmesg(kernel("[  137.877713] "), Form::KernelLog)]
#[case::dmesg_raw(kernel("<5>[  137.877713] "), Form::KernelLog)]
#[case::dmesg_with_dates(kernel("[Fri Nov 28 03:20:00 2025] "), Form::KernelLog)]
#[case::dmesg_iso(kernel("2025-11-28T03:20:00,123456+01:00 "), Form::KernelLog)]
#[case::dmesg_decoded(kernel("kern  :notice: [  137.877713] "), Form::KernelLog)]
#[case::dmesg_relative(kernel("[Nov28 03:20] "), Form::KernelLog)]
#[case::console(kernel(""), Form::KernelLog)]
#[case::console_with_a_priority(kernel("<5>"), Form::KernelLog)]
#[case::printk_with_the_caller(kernel("[  137.877713][ T2345] "), Form::KernelLog)]
// syslog
#[case::syslog(kernel("Nov 28 03:20:00 box kernel: "), Form::Syslog)]
#[case::syslog_with_a_time(kernel("Nov 28 03:20:00 box kernel: [  137.877713] "), Form::Syslog)]
#[case::syslog_iso(kernel("2025-11-28T03:20:00.123456+01:00 box kernel: "), Form::Syslog)]
#[case::rfc_5424(kernel("<5>1 2025-11-28T03:20:00.123Z box kernel - - - "), Form::Syslog)]
#[case::rfc_3164(kernel("<5>Nov 28 03:20:00 box kernel: "), Form::Syslog)]
#[case::audisp(audit_log("Nov 28 03:20:00 box audispd: ", ""), Form::Syslog)]
#[case::audisp_with_a_host(
    audit_log("Nov 28 03:20:00 box audisp-syslog[7]: node=box ", ""),
    Form::Syslog
)]
#[case::rsyslog_imfile(
    audit_log("2025-11-28T03:20:00+01:00 box tag_audit_log: ", ""),
    Form::Syslog
)]
// The journal
#[case::journal(journal("Nov 28 03:20:00 box ", "", ""), Form::Journal)]
#[case::journal_iso(journal("2025-11-28T03:20:00+0100 box ", "", ""), Form::Journal)]
#[case::journal_precise(journal("Nov 28 03:20:00.123456 box ", "", ""), Form::Journal)]
#[case::journal_unix(journal("1764300000.123456 box ", "", ""), Form::Journal)]
#[case::journal_monotonic(journal("[  137.877713] box ", "", ""), Form::Journal)]
#[case::journal_full(journal("Fri 2025-11-28 03:20:00 CET box ", "", ""), Form::Journal)]
#[case::journal_coloured(
    journal("Nov 28 03:20:00 box ", "\u{1b}[0;1;39m", "\u{1b}[0m"),
    Form::Journal
)]
#[case::journal_with_written_colours(
    journal("Nov 28 03:20:00 box ", "^[[0;1;39m", "^[[0m"),
    Form::Journal
)]
#[case::journal_with_lost_escapes(
    journal("Nov 28 03:20:00 box ", "[0;1;39m", "[0m"),
    Form::Journal
)]
#[case::journal_through_rsyslog(
    journal("Nov 28 03:20:00 box ", "#033[0;1;39m", "#033[0m"),
    Form::Journal
)]
#[case::journal_cat(
    format!("{}PROCTITLE proctitle=706572660073746174\n", lines("AVC ", "SYSCALL ", "")),
    Form::Bare
)]
#[case::journal_json(each(journal_object), Form::JournalJson)]
#[case::journal_json_pretty(
    each(journal_object)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|value| format!("{value:#}\n"))
        .collect::<String>(),
    Form::JournalJson
)]
#[case::journal_json_seq(
    each(journal_object).lines().map(|line| format!("\u{1e}{line}\n")).collect::<String>(),
    Form::JournalJson
)]
#[case::journal_json_sse(
    each(journal_object).lines().map(|line| format!("data: {line}\n\n")).collect::<String>(),
    Form::JournalJson
)]
#[case::journal_json_bytes(
    each(|kind, number, record| {
        let mut object = journal_object(kind, number, record);
        object["MESSAGE"] = json!(format!("{kind} {record}").into_bytes());
        object
    }),
    Form::JournalJson
)]
#[case::journal_json_in_an_array(
    format!("[{}]", each(journal_object).trim().replace('\n', ",\n")),
    Form::JournalJson
)]
#[case::journal_json_of_the_kernel(
    each(|_, number, record| json!({
        "__CURSOR": "s=1", "_TRANSPORT": "kernel", "SYSLOG_IDENTIFIER": "kernel",
        "MESSAGE": format!("audit: type={number} audit({ID}): {record}"),
    })),
    Form::JournalJson
)]
#[case::journal_export(journal_fields(""), Form::JournalExport)]
#[case::journal_verbose(journal_fields("    "), Form::JournalVerbose)]
// Collectors
#[case::laurel(format!("{}\n", laurel()), Form::Laurel)]
#[case::laurel_pretty(format!("{:#}\n", laurel()), Form::Laurel)]
#[case::laurel_through_syslog(
    format!("Nov 28 03:20:00 box laurel[7]: {}\n", laurel()),
    Form::Laurel
)]
#[case::go_audit(format!("{}\n", go_audit()), Form::GoAudit)]
#[case::go_audit_through_syslog(
    format!("Nov 28 03:20:00 box go-audit[7]: {}\n", go_audit()),
    Form::GoAudit
)]
#[case::auditbeat(format!("{}\n", auditbeat()), Form::Auditbeat)]
#[case::auditbeat_in_a_search(format!("{:#}\n", auditbeat_flat()), Form::Auditbeat)]
#[case::auditbeat_with_messages(format!("{}\n", auditbeat_raw()), Form::Auditbeat)]
#[case::filebeat(
    each(|kind, _, record| json!({
        "@timestamp": "2025-11-28T03:20:00.123Z", "log": {"file": {"path": "audit.log"}},
        "message": format!("type={kind} msg=audit({ID}): {record}"),
        "event": {"original": format!("type={kind} msg=audit({ID}): {record}")},
    })),
    Form::Json
)]
#[case::fluentd(
    each(|kind, _, record| json!({"tag": "audit", "record": {
        "raw": format!("type={kind} msg=audit({ID}): {record}")}})),
    Form::Json
)]
#[case::loki(
    json!({"streams": [{"stream": {"job": "audit"}, "values": audit_log("", "")
        .lines().map(|line| json!(["1764300000123000000", line])).collect::<Vec<_>>()}]})
    .to_string(),
    Form::Json
)]
#[case::gelf(
    each(|kind, _, record| json!({"version": "1.1", "host": "box",
        "short_message": format!("type={kind} msg=audit({ID}): {record}")})),
    Form::Json
)]
// Containers
#[case::docker(docker(&audit_log("", "")), Form::DockerLog)]
#[case::docker_with_laurel(docker(&laurel().to_string()), Form::DockerLog)]
#[case::docker_with_a_journal(docker(&each(journal_object)), Form::DockerLog)]
#[case::cri(cri(&audit_log("", "")), Form::CriLog)]
#[case::cri_with_the_kernels(cri(&kernel("[  137.877713] ")), Form::CriLog)]
#[case::cri_in_parts(
    cri(&audit_log("", "")).replace(
        " stdout F type=AVC", " stdout P type=\n2025-11-28T03:20:00.2Z stdout F AVC"),
    Form::CriLog
)]
// Tables
#[case::csv(table(","), Form::Csv)]
#[case::csv_with_semicolons(table(";"), Form::Csv)]
#[case::tsv(table("\t"), Form::Csv)]
#[case::csv_with_the_records(raw_table("_time,host,_raw\n"), Form::Csv)]
// Android
#[case::logcat(
    kernel("11-28 03:20:00.123  2345  2345 W perf    : ").replace("audit: ", ""),
    Form::Logcat
)]
// Mails and pages
#[case::mail(mailed(""), Form::AuditLog)]
#[case::mail_quoted(mailed("> "), Form::AuditLog)]
#[case::mail_with_no_break_spaces(audit_log("", "").replace("  ", "\u{a0} "), Form::AuditLog)]
#[case::html(audit_log("", "").replace('"', "&quot;"), Form::AuditLog)]
#[case::word(
    audit_log("", "").replace("=\"", "=\u{201c}").replace('"', "\u{201d}"),
    Form::AuditLog
)]
#[case::escaped(audit_log("", "").replace('"', "\\\""), Form::AuditLog)]
#[case::indented(audit_log("    ", ""), Form::AuditLog)]
#[case::list(audit_log("* ", ""), Form::AuditLog)]
#[case::code(audit_log("`", "`"), Form::AuditLog)]
#[case::coloured_by_grep(
    audit_log("", "").replace("denied", "\u{1b}[01;31m\u{1b}[Kdenied\u{1b}[m\u{1b}[K"),
    Form::AuditLog
)]
fn every_form_of_an_event_has_the_same_answer(#[case] text: String, #[case] form: Form) {
    let log = read(&text);
    assert_eq!(answer(&log), ANSWER, "{text}");
    assert_eq!((log.damaged, &log.unread), (0, &Vec::new()), "{text}");
    let forms: Vec<_> = log.forms.iter().map(|(form, _)| form).collect();
    assert_eq!(forms, [form], "{text}");
}

#[rstest]
#[case::bare(format!("{AVC}\n"))]
#[case::bare_of_the_journal(format!("AVC {AVC}\n"))]
#[case::in_a_sentence(format!("I see \"{AVC}\" in the log.\n"))]
#[case::single_spaces(format!("{}\n", AVC.replace("  ", " ")))]
#[case::of_android(format!("{}\n", AVC.replace("pid=2345 ", "").replace("  ", " ")))]
#[case::cut_json(format!("{{\"MESSAGE\":\"AVC {}\n", AVC.replace('"', "\\\"")))]
#[case::json_without_a_call(format!("{}\n", json!({"text": AVC})))]
#[case::yaml(format!("- message: '{AVC}'\n"))]
#[case::columns_without_a_call(
    table(",").lines().map(|line| line.split(',').take(9).collect::<Vec<_>>().join(",") + "\n")
        .collect::<String>()
)]
fn a_record_without_its_call_has_the_rest_of_the_answer(#[case] text: String) {
    let log = read(&text);
    let expected = ANSWER.replace("[perf_event_open succeeded]", "[]");
    assert_eq!(answer(&log), expected, "{text}");
}

#[rstest]
#[case::aureport(
    "\nAVC Report\n===============================================================\n\
     # date time comm subj syscall class permission obj result event\n\
     ===============================================================\n\
     1. 11/28/2025 03:20:00 perf staff_u:staff_r:staff_t:s0-s0:c0.c1023 298 perf_event open \
     staff_u:staff_r:staff_t:s0-s0:c0.c1023 denied 4711\n",
    "perf staff_t staff_t:perf_event { open } None 1 [perf_event_open]"
)]
#[case::aureport_interpreted(
    "1. 28.11.2025 03:20:00 perf staff_u:staff_r:staff_t:s0 perf_event_open perf_event open \
     staff_u:staff_r:staff_t:s0 unset 4711\n",
    "perf staff_t staff_t:perf_event { open } None 1 [perf_event_open]"
)]
#[case::setroubleshoot(
    "Nov 28 03:20:00 box setroubleshoot[7]: SELinux is preventing perf from open access on the \
     perf_event labeled staff_t. For complete SELinux messages run: sealert -l 0\n",
    "perf staff_t staff_t:perf_event { open } None 1 []"
)]
#[case::setroubleshoot_in_json(
    "{\"__CURSOR\":\"s\",\"MESSAGE\":\"SELinux is preventing /usr/bin/perf from open access on the \
     perf_event labeled staff_t.\"}\n",
    "perf staff_t staff_t:perf_event { open } None 1 []"
)]
fn a_form_that_lacks_fields_answers_as_far_as_it_goes(#[case] text: &str, #[case] expected: &str) {
    let log = read(text);
    assert_eq!(answer(&log), expected);
    assert!(log.forms.iter().all(|(form, _)| form.description().lacks.is_some()));
    assert_eq!(log.unread, Vec::<String>::new());
}

#[rstest]
#[case::csv(
    "NODE,EVENT,DATE,TIME,SERIAL_NUM,EVENT_KIND,SESSION,SUBJ_PRIME,SUBJ_SEC,SUBJ_KIND,ACTION,\
     RESULT,OBJ_PRIME,OBJ_SEC,OBJ_KIND,HOW\n\
     ,AVC,11/28/2025,03:20:00,4711,mac-decision,3,ann,ann,unprivileged-acct,\
     accessed-mac-policy-controlled-object,success,,,mac-object,/usr/bin/perf\n"
)]
#[case::text(
    "At 03:20:00 11/28/2025 ann, acting as root, successfully \
     accessed-mac-policy-controlled-object using /usr/bin/perf\n"
)]
fn a_report_without_records_names_the_program_and_the_outcome(#[case] text: &str) {
    let log = read(text);
    let [(crate::audit::Notice::Decision(summary), 1)] = log.notices.as_slice() else {
        panic!("{:?}", log.notices)
    };
    assert_eq!(summary.program.as_deref(), Some("/usr/bin/perf"));
    assert_eq!(summary.succeeded, Some(true));
}

#[test]
fn forms_of_several_sources_are_named_and_other_lines_come_back() {
    let mut reader = LogReader::default();
    let journal = format!("{}hello\n", each(journal_object));
    for source in [audit_log("", ""), journal, kernel("[  1.0] ")] {
        reader.read(source.as_bytes()).unwrap();
    }
    let log = reader.finish();
    let named: Vec<_> = log.forms.iter().map(|(_, text)| text).collect();
    assert_eq!(named, ["audit.log, 1 event", "kernel log, 1 event", "journal JSON, 1 event"]);
    assert_eq!((log.unread.as_slice(), log.unread_lines), (["hello".to_owned()].as_slice(), 1));
    assert_eq!(log.groups[0].count, 3);
}

#[test]
fn a_message_about_a_record_that_the_log_has_counts_once() {
    let message = "SELinux is preventing /usr/bin/perf from open access on the perf_event Unknown.";
    let log = read(&format!("{message}\nRaw Audit Messages\n{}", audit_log("", "")));
    assert_eq!(answer(&log), ANSWER);
    assert_eq!(read(message).groups.len(), 1);
}

#[test]
fn text_in_other_forms_comes_back_without_them() {
    let text = format!(
        "{}{}plain \u{1b}[1mperf\u{1b}[0m text\nERROR errno=1\n",
        docker("Error: from docker"),
        cri("from cri")
    );
    assert_eq!(
        read(&text).unread,
        ["Error: from docker", "from cri", "plain perf text", "ERROR errno=1"]
    );
}

#[test]
fn refused_and_let_through_are_never_confused() {
    for (permissive, expected) in [("0", Some(false)), ("1", Some(true))] {
        let change = |text: String| {
            text.replace("permissive=1", &format!("permissive={permissive}"))
                .replace("\"permissive\":1", &format!("\"permissive\":{permissive}"))
                .replace("\"permissive\":\"1\"", &format!("\"permissive\":\"{permissive}\""))
        };
        for text in [
            audit_log("", ""),
            each(journal_object),
            laurel().to_string(),
            go_audit().to_string(),
            auditbeat().to_string(),
            docker(&audit_log("", "")),
            raw_table("_time,host,_raw\n"),
        ] {
            let log = read(&change(text));
            assert_eq!(log.groups[0].denial.permissive, expected, "{log:?}");
        }
    }
}

proptest! {
    #[test]
    fn hostile_input_never_panics(
        text in concat!(
            "([{\\[]\"?(MESSAGE|ID|log|auditd|messages)\"?:|avc: |type=AVC |__CURSOR=",
            "|tclass,message\n)?(.|\n){0,200}"
        )
    ) {
        let _ = read(&text);
    }
}
