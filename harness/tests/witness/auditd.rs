//! The log of the guest's audit daemon: cells that print it, and the records in it.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::Text;
use super::observed::Cell;

/// The area of the cases that print the log. It is the last in the order of names.
pub(super) const AREA: &str = "zz-auditd/";
/// The number of these cases.
const PARTS: usize = 40;
/// Bytes of the log that one case prints, fewer than an observation may contain.
const PART: usize = 60_000;

/// Names and numbers of types (`include/uapi/linux/audit.h`).
const TYPES: [(&str, u64); 17] = [
    ("SYSCALL", 1300),
    ("PATH", 1302),
    ("CONFIG_CHANGE", 1305),
    ("SOCKADDR", 1306),
    ("CWD", 1307),
    ("EXECVE", 1309),
    ("OBJ_PID", 1318),
    ("EOE", 1320),
    ("BPRM_FCAPS", 1321),
    ("CAPSET", 1322),
    ("MMAP", 1323),
    ("PROCTITLE", 1327),
    ("BPF", 1334),
    ("AVC", 1400),
    ("SELINUX_ERR", 1401),
    ("MAC_STATUS", 1404),
    ("USER_AVC", 1107),
];
/// The end of an event: auditd uses it and does not write it.
pub(super) const EOE: u64 = 1320;

/// Writes the cases that print the log. The first asks `ausearch` for it, so all print one text.
pub(super) fn write_cases(cases: &Path) {
    let folder = cases.join(AREA);
    fs::create_dir_all(&folder).expect("a directory");
    for part in 0..PARTS {
        // auditd writes a little after the agent has read.
        let ask =
            if part == 0 { "sleep 5; ausearch --raw --input-logs >/var/tmp/log; " } else { "" };
        let from = part * PART + 1;
        let script = format!("{ask}tail -c +{from} /var/tmp/log 2>/dev/null | head -c {PART}");
        let mut case = format!(
            "title = \"part {part} of the log\"\nsource = [\"auditd\"]\nuid = 0\nlimit = 900\n\
             domain = \"user_u:user_r:user_t:s0\"\nperf_event_paranoid = 2\ngrant = \"all\"\n\
             mode = \"permissive\"\n[[step]]\nrun.argv = [\"sh\", \"-c\", \"{script}\"]\n"
        );
        writeln!(
            case,
            "[[expect]]\ntranscript = '''\nrun(sh -c \"{script}\") = exit 0\n  ... avc\n'''"
        )
        .expect("a string takes everything");
        fs::write(folder.join(format!("part-{part:02}.toml")), case).expect("a file");
    }
}

/// What auditd wrote while each cell was observed, in the order of the cells.
pub(super) struct Log {
    cells: Vec<Vec<(u64, Text)>>,
}

/// The agent's marks are records too, so auditd writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Begin,
    /// The start of a program, behind its launch.
    Program,
    End,
}

impl Log {
    /// Joins the parts of the log.
    pub(super) fn read(cells: &[Cell]) -> Self {
        let parts: Vec<_> = cells.iter().filter(|cell| cell.is_part_of_log()).collect();
        assert_eq!(parts.len(), PARTS, "cells that print the log");
        assert_eq!(parts[PARTS - 1].output, "", "the log is longer than {PARTS} parts");
        let text: String = parts.iter().map(|part| part.output.as_str()).collect();
        Self { cells: between_marks(&text) }
    }

    /// Records of the processes of cell number `index`. `ausearch` wrote the log during the first
    /// cell behind these.
    pub(super) fn of(&self, index: usize, cell: &Cell) -> Vec<(u64, Text)> {
        let all = self.cells.get(index).unwrap_or_else(|| {
            panic!("auditd wrote the marks of {} cells, not of {}", self.cells.len(), cell.name)
        });
        let own: HashSet<u64> = all
            .iter()
            .filter(|(_, text)| pid(text).is_some_and(|pid| cell.pids.contains(&pid)))
            .map(|(_, text)| serial(text))
            .collect();
        all.iter().filter(|(_, text)| own.contains(&serial(text))).cloned().collect()
    }
}

/// The records between the marks of each cell.
fn between_marks(log: &str) -> Vec<Vec<(u64, Text)>> {
    let mut cells = Vec::new();
    let mut open: Option<Vec<_>> = None;
    for (kind, text) in log.lines().filter_map(record) {
        match mark(&text) {
            Some(Mark::Begin) => open = Some(Vec::new()),
            Some(Mark::Program) => open.iter_mut().for_each(Vec::clear),
            Some(Mark::End) => cells.extend(open.take()),
            None => {
                if let Some(open) = &mut open {
                    open.push((kind, text));
                }
            }
        }
    }
    cells
}

/// Type and text of a line: `type=TYPE msg=audit(TIME:SERIAL): TEXT`. Behind a group separator,
/// auditd adds names for numbers.
fn record(line: &str) -> Option<(u64, Text)> {
    let line = line.split('\u{1d}').next().unwrap_or_default();
    let (kind, text) = line.strip_prefix("type=")?.split_once(" msg=")?;
    let number = TYPES.iter().find(|(name, _)| *name == kind).map(|(_, number)| *number);
    // Other types are those of services, which no cell makes.
    Some((number.unwrap_or(0), text.to_owned()))
}

fn mark(text: &str) -> Option<Mark> {
    let (_, message) = text.split_once("msg='perfsec ")?;
    let words: Vec<_> = message.trim_end_matches('\'').split(' ').collect();
    match words[..] {
        [_, _, "begin"] => Some(Mark::Begin),
        [_, "program", _] => Some(Mark::Program),
        [_, _, "end"] => Some(Mark::End),
        _ => None,
    }
}

/// The serial in `audit(TIME:SERIAL): …`.
pub(super) fn serial(text: &str) -> u64 {
    let inside = text.strip_prefix("audit(").and_then(|rest| rest.split_once("): "));
    let serial = inside.and_then(|(inside, _)| inside.split_once(':')?.1.parse().ok());
    serial.unwrap_or_else(|| panic!("no serial in {text:?}"))
}

fn pid(text: &str) -> Option<u64> {
    text.split(' ').find_map(|word| word.strip_prefix("pid="))?.parse().ok()
}

#[test]
fn a_log_is_split_by_the_marks_of_the_agent() {
    let mark = |serial: u32, words: &str| {
        format!(
            "type=USER_AVC msg=audit(1.0:{serial}): pid=9 uid=0 msg='perfsec 9 {words}'\u{1d}UID=\"root\"\n"
        )
    };
    let avc = |serial: u32, pid: u32| {
        format!("type=AVC msg=audit(1.0:{serial}): avc:  denied  {{ open }} for  pid={pid}\n")
    };
    let log = [
        avc(1, 7),
        mark(2, "0 begin"),
        avc(3, 7),
        "type=SERVICE_START msg=audit(1.0:4): pid=1 uid=0\n".to_owned(),
        "type=PROCTITLE msg=audit(1.0:3): proctitle=\"x\"\n".to_owned(),
        mark(5, "0 end"),
        avc(6, 7),
        mark(7, "1 begin"),
        avc(8, 8),
        mark(9, "program 1"),
        avc(10, 8),
        mark(11, "1 end"),
    ];
    let log = Log { cells: between_marks(&log.concat()) };
    let serials = |index: usize, pid: u64| -> Vec<u64> {
        let cell = Cell { pids: vec![pid], ..Cell::default() };
        log.of(index, &cell).iter().map(|(_, text)| serial(text)).collect()
    };
    assert_eq!(serials(0, 7), [3, 3]);
    assert_eq!(serials(1, 8), [10]);
    assert_eq!(serials(1, 7), Vec::<u64>::new());
}
