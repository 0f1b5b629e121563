//! Notes about a command and its facts.

use super::model::Verdict;
use crate::why::ask::Changed;
use crate::why::facts::Distributions;

/// `kernel.kptr_restrict`, as `kallsyms_show_value()` and `%pK` read it.
pub(super) fn kptr(level: i32) -> &'static str {
    match level {
        2.. => {
            "kernel.kptr_restrict is 2: kernel addresses are hidden from everybody, also from root \
             and CAP_SYSLOG. Events open all the same; only kernel symbols are missing. 1 shows the \
             addresses to CAP_SYSLOG; 0 also to everybody, if perf_event_paranoid is at most 1."
        }
        1 => {
            "kernel.kptr_restrict is 1: kernel addresses are shown only to CAP_SYSLOG. Events open \
             all the same; only kernel symbols are missing. 0 shows them to everybody, if \
             perf_event_paranoid is at most 1."
        }
        _ => {
            "kernel.kptr_restrict is 0: kernel addresses are shown to everybody if \
             perf_event_paranoid is at most 1, else to CAP_SYSLOG. Events open all the same; only \
             kernel symbols are missing."
        }
    }
}

/// The notes about a command.
pub(super) fn notes(changed: &Changed, verdict: Verdict) -> Vec<String> {
    let (facts, command) = (&changed.facts, &changed.command);
    let mut notes: Vec<String> = command.tool.note.iter().map(|note| capitalised(note)).collect();
    let mut of_distribution = |text: String| notes.push(text);
    match facts.built_by() {
        None => of_distribution(format!(
            "perfsec knows nothing about kernels of {} that concerns perf: this is computed as for \
             upstream's.",
            facts.distribution.value
        )),
        Some(distribution) => {
            if let Some(note) = &distribution.note {
                of_distribution(format!("{}: {note}.", capitalised(&distribution.id)));
            }
        }
    }
    let upstream = facts.built_by().is_some_and(|it| it.gate.is_none());
    if facts.level.value > 2 && upstream {
        let data = Distributions::built_in().ok();
        let only = data.and_then(|data| data.only_with_level(facts.level.value));
        let patched = only.map_or_else(String::new, |only| {
            format!(
                " On a kernel of {}, it would leave perf_event_open() to CAP_SYS_ADMIN alone \
                 (--distribution {}).",
                capitalised(&only.id),
                only.id
            )
        });
        notes.push(format!(
            "Level {} means the same as 2 on upstream's kernels.{patched}",
            facts.level.value
        ));
    }
    let gate = facts.built_by().and_then(|it| it.gate);
    if facts.distribution.source.is_assumed() && gate.is_some_and(|gate| facts.level.value >= gate)
    {
        notes.push(format!(
            "On a kernel without {}'s patch, level {} means the same as 2 (--distribution upstream).",
            capitalised(&facts.distribution.value),
            facts.level.value
        ));
    }
    for event in command.events.iter().filter(|event| !event.can_exclude) {
        notes.push(format!(
            "{} counts the kernel's side in any case: exclude bits give EINVAL, so `:u` does not \
             help, and above level 1 perf_event {{ kernel }} and CAP_PERFMON are asked for as well.",
            event.name
        ));
    }
    if command.program {
        notes.push(
            "Levels 3 of Debian's and 4 of Ubuntu's kernels leave perf_event_open(), and so the \
             event of a kprobe, to CAP_SYS_ADMIN, whatever bpf() allows."
                .to_owned(),
        );
    }
    let matters = verdict == Verdict::Refused || facts.errno.is_some();
    let runtime = facts.container.as_ref().and_then(|it| it.value.data());
    if let Some(runtime) = runtime.filter(|_| matters) {
        if let Some(since) = &runtime.since {
            notes.push(format!(
                "{}'s default seccomp profile lets perf_event_open() through with CAP_PERFMON only \
                 from {since} on; before, with CAP_SYS_ADMIN alone ({}).",
                capitalised(&runtime.name),
                runtime.source
            ));
        }
        if let Some(note) = &runtime.note {
            notes.push(format!("{}: {note}.", capitalised(&runtime.name)));
        }
    }
    if let Some(profile) = &facts.apparmor {
        notes.push(format!(
            "AppArmor confines the process ({}): its profile must allow the capability, too \
             (`capability perfmon,`); a refusal is logged as apparmor=\"DENIED\" \
             capname=\"perfmon\".",
            profile.value
        ));
    }
    if facts.filter.value.unknown {
        notes.push(
            "A seccomp filter is installed, whose rules nothing shows: if it refuses the call, the \
             errno is usually EPERM, before every check and without an AVC record."
                .to_owned(),
        );
    }
    for (option, since) in &command.newer {
        if facts.kernel.value < *since {
            notes.push(format!("perf has {option} only from {since} on."));
        }
    }
    if let Some(since) = command.tool.since.filter(|since| facts.kernel.value < *since) {
        notes.push(format!("perf has `{}` only from {since} on.", command.tool.name));
    }
    if let Some(pmus) = &facts.pmus {
        for event in &command.events {
            if let Some(pmu) = event.event.pmu().filter(|pmu| !pmus.value.contains(*pmu)) {
                notes.push(format!("This machine has no PMU {pmu} ({}).", pmus.source));
            }
        }
    }
    let looks_up = command.events.iter().any(|event| event.is_tracepoint());
    if looks_up && verdict == Verdict::Refused && !facts.tracefs.value {
        notes.push(
            "tracefs belongs to root, and by its mode only root can read it: that is the first \
             obstacle, and CAP_PERFMON does not change it."
                .to_owned(),
        );
    }
    let uprobe = command.events.iter().any(|it| it.event.pmu() == Some("uprobe"));
    if uprobe && verdict == Verdict::Refused {
        notes.push(
            "The uprobe PMU asks for CAP_SYS_ADMIN since the fix of CVE-2025-38466 (5.10.240, \
             5.15.189, 6.1.146, 6.6.99, 6.12.39, 6.16); before, CAP_PERFMON was enough. Other ways: \
             uprobes of tracefs (uprobe_events, where file modes decide), or a uprobe_multi link of \
             BPF (6.6)."
                .to_owned(),
        );
    }
    notes
}

pub(super) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    let rest = letters.as_str();
    let end = if text.ends_with(['.', '"', ')']) || !text.contains(' ') { "" } else { "." };
    let all = first.unwrap_or_default() + rest;
    // A program's name stays as it is.
    if text.starts_with("perf ") || text.starts_with("bpf") || text.starts_with("rr ") {
        return format!("{text}{end}");
    }
    all + end
}
