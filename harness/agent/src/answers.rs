//! Asks the loaded policy what it allows.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use nix::libc;
use perfsec_wire::answers::{Decision, PolicyAnswers, Question};

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
    let deny_unknown = knob::read(Path::new(MOUNT).join("deny_unknown"))? != "0";
    let mut classes: BTreeMap<&str, Option<Class>> = BTreeMap::new();
    for name in questions.iter().map(|question| question.class.as_str()) {
        if !classes.contains_key(name) {
            classes.insert(name, class(name)?);
        }
    }
    let mut decisions = Vec::with_capacity(questions.len());
    for question in questions {
        decisions.push(match &classes[question.class.as_str()] {
            Some(class) => decide(question, class.number)?,
            None => None,
        });
    }
    let defined = classes.into_iter().filter_map(|(name, class)| {
        let permissions = class?.permissions;
        Some((name.to_owned(), permissions))
    });
    Ok(PolicyAnswers { deny_unknown, classes: defined.collect(), decisions })
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
fn decide(question: &Question, class: u16) -> Result<Option<Decision>> {
    let Question { source, target, .. } = question;
    let text = format!("{source} {target} {class}");
    let doing = format!("ask the policy `{text}`");
    // Each open file answers once (simple_transaction_get()).
    let mut file = open().doing(&doing)?;
    match file.write_all(text.as_bytes()) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(None),
        written => written.doing(&doing)?,
    }
    let mut answer = [0; 128];
    let length = file.read(&mut answer).doing(&doing)?;
    let answer = String::from_utf8_lossy(&answer[..length]);
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

fn open() -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).open(Path::new(MOUNT).join("access"))
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| Error::new("read the policy's classes", format_args!("`{text}`")))
}
