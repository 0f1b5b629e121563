//! Messages of setroubleshoot in the journal or in syslog.
//!
//! `SELinux is preventing PROGRAM from PERMISSION access on the CLASS NAME.`, where the name is a
//! path or `labeled TYPE`; for capabilities `from using the NAME capability.`

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::super::assemble::Summary;
use super::super::denial::{Context, Denial};

static ACCESS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"SELinux is preventing (\S.*?) from (?:using the )?['"]?([\w, ]+?)['"]? "#,
        r"access(?:es)? on (?:the )?(?:an? )?(\w+)",
        r"(?: (?:labeled |labelled )?(\S+?))?\.?(?:\s|$)"
    ))
    .ok()
});

static CAPABILITY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"SELinux is preventing (\S.*?) from (?:using|having) the ['"]?(\w+)['"]? capabilit"#,
    )
    .ok()
});

/// The permissions with which the kernel asks a domain about itself.
const OWN: [&str; 4] = ["open", "cpu", "kernel", "tracepoint"];

/// Reads a line. Returns `None` if the line has another form.
pub(super) fn read(line: &str) -> Option<Summary> {
    if !line.contains("SELinux is preventing ") {
        return None;
    }
    let summary = |denial| Some(Summary { denial, event: None, call: None });
    if let Some(found) = CAPABILITY.as_ref()?.captures(line) {
        let name = found[2].to_ascii_lowercase();
        let second = matches!(
            name.as_str(),
            "perfmon" | "bpf" | "syslog" | "checkpoint_restore" | "mac_admin" | "wake_alarm"
        );
        return summary(Denial {
            permissions: BTreeSet::from([name]),
            class: if second { "capability2" } else { "capability" }.to_owned(),
            comm: Some(program(&found[1])),
            ..Denial::summarised(Context::omitted(), Context::omitted(), line)
        });
    }
    let found = ACCESS.as_ref()?.captures(line)?;
    let permissions: BTreeSet<_> = found[2]
        .split([',', ' '])
        .filter(|name| !name.is_empty() && *name != "and")
        .map(str::to_owned)
        .collect();
    let kind = found
        .get(4)
        .map(|part| part.as_str())
        .filter(|name| !matches!(*name, "Unknown" | "(null)") && !name.contains('/'));
    let target = kind.map_or_else(Context::omitted, Context::of_type);
    let own =
        &found[3] == "perf_event" && permissions.iter().all(|name| OWN.contains(&name.as_str()));
    let source = if own { target.clone() } else { Context::omitted() };
    summary(Denial {
        permissions,
        class: found[3].to_owned(),
        comm: Some(program(&found[1])),
        ..Denial::summarised(source, target, line)
    })
}

/// The program's name, of a path too.
fn program(text: &str) -> String {
    text.rsplit('/').next().unwrap_or(text).trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::open(
        "SELinux is preventing perf from open access on the perf_event labeled a_t. For complete",
        "perf", "perf_event", &["open"], "a_t", "a_t"
    )]
    #[case::several(
        "SELinux is preventing /usr/bin/perf from open, kernel access on the perf_event Unknown.",
        "perf", "perf_event", &["kernel", "open"], "?", "?"
    )]
    #[case::quoted(
        "SELinux is preventing /usr/bin/perf from 'open' accesses on the perf_event Unknown.",
        "perf", "perf_event", &["open"], "?", "?"
    )]
    #[case::read(
        "SELinux is preventing sysprof from read access on the perf_event labeled b_t.",
        "sysprof", "perf_event", &["read"], "?", "b_t"
    )]
    #[case::perfmon(
        "SELinux is preventing systemd-sleep from using the perfmon capability.",
        "systemd-sleep", "capability2", &["perfmon"], "?", "?"
    )]
    #[case::sys_admin(
        "SELinux is preventing perf from using the sys_admin capability.",
        "perf", "capability", &["sys_admin"], "?", "?"
    )]
    #[case::file(
        "SELinux is preventing httpd from write access on the file /etc/x.",
        "httpd", "file", &["write"], "?", "?"
    )]
    fn a_message_is_read(
        #[case] line: &str,
        #[case] comm: &str,
        #[case] class: &str,
        #[case] permissions: &[&str],
        #[case] source: &str,
        #[case] target: &str,
    ) {
        let denial = read(line).unwrap().denial;
        assert_eq!((denial.comm.as_deref(), denial.class.as_str()), (Some(comm), class));
        assert!(denial.permissions.iter().eq(permissions), "{denial:?}");
        assert_eq!((denial.source.short(), denial.target.short()), (source, target));
        assert_eq!(denial.permissive, None);
    }

    #[test]
    fn another_line_is_none() {
        assert!(read("SELinux is enforcing").is_none());
        assert!(read("SELinux is preventing perf").is_none());
    }
}
