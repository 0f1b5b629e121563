//! Asks the loaded policy what it allows.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use nix::libc;
use perfsec_wire::answers::{Decision, Party, PolicyAnswers, Question};

use crate::error::{Error, ErrorContext, Result};
use crate::knob;
use crate::selinux::MOUNT;

/// A class of the loaded policy.
struct Class {
    number: u16,
    permissions: Vec<(String, u8)>,
}

/// Asks the loaded policy.
pub(crate) fn ask(questions: &[Question]) -> Result<PolicyAnswers> {
    let agent = knob::read("/proc/self/attr/current")?;
    let agent = agent.trim_end_matches('\0').to_owned();
    let deny_unknown = knob::read(Path::new(MOUNT).join("deny_unknown"))? != "0";
    let mut aliases = BTreeMap::new();
    for context in questions.iter().flat_map(contexts) {
        if !aliases.contains_key(context) {
            aliases.insert(context, canonical(context)?);
        }
    }
    let aliases = aliases.into_iter().filter_map(|(context, written)| {
        let written = written.filter(|written| written != context)?;
        Some((context.to_owned(), written))
    });
    let aliases = aliases.collect();
    let mut classes: BTreeMap<&str, Option<Class>> = BTreeMap::new();
    for name in questions.iter().map(|question| question.class.as_str()) {
        if !classes.contains_key(name) {
            classes.insert(name, class(name)?);
        }
    }
    let mut decisions = Vec::with_capacity(questions.len());
    for question in questions {
        decisions.push(match &classes[question.class.as_str()] {
            Some(class) => decide(question, &agent, class.number)?,
            None => None,
        });
    }
    let defined = classes.into_iter().filter_map(|(name, class)| {
        let permissions = class?.permissions;
        Some((name.to_owned(), permissions))
    });
    let classes = defined.collect();
    Ok(PolicyAnswers { agent, aliases, deny_unknown, classes, decisions })
}

/// A class by its name; `None` if the policy does not define it.
fn class(name: &str) -> Result<Option<Class>> {
    let folder: PathBuf = [MOUNT, "class", name].iter().collect();
    if !folder.exists() {
        return Ok(None);
    }
    let number = parse(&knob::read(folder.join("index"))?)?;
    let mut permissions = Vec::new();
    let entries = folder.join("perms");
    for entry in std::fs::read_dir(&entries).doing(format_args!("read {}", entries.display()))? {
        let entry = entry.doing(format_args!("read {}", entries.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        permissions.push((name, parse(&knob::read(entry.path())?)?));
    }
    Ok(Some(Class { number, permissions }))
}

/// The answer to one question; `None` if the policy does not define one of the contexts.
fn decide(question: &Question, agent: &str, class: u16) -> Result<Option<Decision>> {
    let (source, target) = (context(&question.source, agent), context(&question.target, agent));
    let text = format!("{source} {target} {class}");
    let doing = format!("ask the policy `{text}`");
    let Some(answer) = transact("access", &text).doing(&doing)? else { return Ok(None) };
    let words: Option<Vec<u32>> =
        answer.split_whitespace().map(|word| u32::from_str_radix(word, 16).ok()).collect();
    // "%x %x %x %x %u %x": allowed, decided, auditallow, auditdeny, seqno, flags.
    match words.as_deref() {
        Some([allowed, _, auditallow, auditdeny, _, flags]) => Ok(Some(Decision {
            allowed: *allowed,
            auditallow: *auditallow,
            auditdeny: *auditdeny,
            permissive: flags & 1 != 0,
        })),
        _ => Err(Error::new(doing, format_args!("the answer is `{answer}`"))),
    }
}

/// The contexts that a question names.
fn contexts(question: &Question) -> impl Iterator<Item = &str> {
    [&question.source, &question.target].into_iter().filter_map(|party| match party {
        Party::Agent => None,
        Party::Context(context) => Some(context.as_str()),
    })
}

/// A context as the kernel writes it; `None` if the policy does not define it.
fn canonical(context: &str) -> Result<Option<String>> {
    let doing = format!("ask the policy for the context `{context}`");
    let written = transact("context", context).doing(doing)?;
    Ok(written.map(|written| written.trim_end_matches('\0').to_owned()))
}

fn context<'a>(party: &'a Party, agent: &'a str) -> &'a str {
    match party {
        Party::Agent => agent,
        Party::Context(context) => context,
    }
}

/// Asks a file of selinuxfs; `None` if the policy does not define what the question names. Each open
/// file answers once (`simple_transaction_get()`), with at most a page.
fn transact(name: &str, question: &str) -> std::io::Result<Option<String>> {
    let path = Path::new(MOUNT).join(name);
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    match file.write_all(question.as_bytes()) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(None),
        written => written?,
    }
    let mut answer = [0; 4096];
    let length = file.read(&mut answer)?;
    Ok(Some(String::from_utf8_lossy(&answer[..length]).into_owned()))
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| Error::new("read the policy's classes", format_args!("`{text}`")))
}
