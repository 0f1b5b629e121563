//! Why capabilities that a process seems to have do not count.

use perfsec_wire::CapSet;

use super::Change;
use crate::grant::cap_constant;
use crate::why::ask::{Asked, Changed, Obstacle, ask};

/// The reasons why what would usually help does not, as sentences.
pub(crate) fn blocked(changed: &Changed, asked: &Asked) -> Vec<String> {
    let facts = &changed.facts;
    let Some((_, refusal)) = asked.first() else { return Vec::new() };
    let mut why = Vec::new();
    if refusal.obstacle == Obstacle::Absolute {
        why.push(format!("{}. No privilege lifts this.", sentence(&refusal.because)));
    }
    let Obstacle::Capability(cap) = refusal.obstacle else { return why };
    let name = cap_constant(cap);
    let file = &facts.file.value;
    let on_file = file.permitted.has(cap);
    if facts.userns.value {
        why.push(format!(
            "The process is in a user namespace of its own: capabilities there, also those of its \
             root and of setcap inside, do not count. capable() asks for {name} in the initial \
             user namespace."
        ));
    }
    if on_file && file.nosuid {
        why.push(format!(
            "The file has {name}, and exec ignores it, silently: the file system is mounted nosuid."
        ));
    }
    if on_file && facts.no_new_privs.value && !facts.ambient.value.has(cap) {
        why.push(format!(
            "The file has {name}, and exec gives nothing of it, silently: no_new_privs is set \
             (NoNewPrivileges=yes of a unit, --security-opt no-new-privileges of a container)."
        ));
    }
    if on_file && !file.effective {
        why.push(format!(
            "The file has {name} in its permitted set without the effective bit (=p instead of \
             =ep), and perf does not raise it itself."
        ));
    }
    if !facts.bounding.value.has(cap) && facts.container.is_none() && !facts.userns.value {
        why.push(format!("The bounding set lacks {name}: no exec can give it."));
    }
    if facts.effective.is_none() && !facts.userns.value && why.is_empty() {
        let file = Change::FileCaps(file.permitted.with(CapSet::one(cap)));
        let after = ask(&file.apply(changed));
        let same = after.first().is_some_and(|(_, it)| it.obstacle == refusal.obstacle);
        if same && facts.no_new_privs.value {
            why.push("setcap alone would not help: no_new_privs is set.".to_owned());
        } else if same && facts.file.value.nosuid {
            why.push("setcap alone would not help: the file system is mounted nosuid.".to_owned());
        }
    }
    why
}

fn sentence(clause: &str) -> String {
    let mut letters = clause.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}
