//! The answers of the loaded policy, asked through `/sys/fs/selinux/access`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};

use super::Root;
use super::selinux::MOUNT;
use crate::asks::{Loaded, SecurityServer};
use crate::policy::{Answer, Answers};

/// The source, the target and the class of a question.
type Access = [String; 3];

/// A loaded policy. Domains are whole contexts. A question that it does not answer is taken as
/// allowed, and noted.
#[derive(Debug)]
pub(super) struct LoadedAnswers {
    root: Root,
    /// True if classes and permissions that the policy does not define are refused.
    denies_unknown: bool,
    known: RefCell<BTreeMap<Access, Option<Vector>>>,
}

/// The decision about a class (`struct av_decision`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Vector {
    allowed: u32,
    audit_allow: u32,
    audit_deny: u32,
    permissive: bool,
}

impl LoadedAnswers {
    /// The answers of the policy that the kernel has loaded.
    ///
    /// # Errors
    ///
    /// selinuxfs cannot be read.
    pub(super) fn new(root: &Root) -> Result<Self, String> {
        let denies = root.value::<u8>(&format!("{MOUNT}/deny_unknown"))?;
        let known = RefCell::new(BTreeMap::new());
        Ok(Self { root: root.clone(), denies_unknown: denies != 0, known })
    }

    fn number(&self, class: &str, file: &str) -> Option<u32> {
        self.root.value(&format!("{MOUNT}/class/{class}/{file}")).ok()
    }

    /// Asks the kernel. Each write and its read are a transaction of one open file.
    fn ask(&self, source: &str, target: &str, class: u32) -> Option<Vector> {
        let path = self.root.path(&format!("{MOUNT}/access"));
        let mut file = OpenOptions::new().read(true).write(true).open(path).ok()?;
        file.write_all(format!("{source} {target} {class}").as_bytes()).ok()?;
        let mut answer = [0; 256];
        let length = file.read(&mut answer).ok()?;
        parse(std::str::from_utf8(&answer[..length]).ok()?)
    }

    fn vector(&self, access: &Access) -> Option<Vector> {
        let [source, target, class] = access;
        let number = self.number(class, "index")?;
        let answer = || self.ask(source, target, number);
        *self.known.borrow_mut().entry(access.clone()).or_insert_with(answer)
    }
}

/// Reads an answer: allowed, decided, auditallow, auditdeny, the sequence number and flags.
fn parse(text: &str) -> Option<Vector> {
    let words: Vec<&str> = text.trim_matches(['\0', '\n', ' ']).split(' ').collect();
    let [allowed, _, audit_allow, audit_deny, _, flags] = words.as_slice() else { return None };
    let hex = |text: &str| u32::from_str_radix(text, 16).ok();
    Some(Vector {
        allowed: hex(allowed)?,
        audit_allow: hex(audit_allow)?,
        audit_deny: hex(audit_deny)?,
        permissive: hex(flags)? & 1 == 1,
    })
}

impl Answers for LoadedAnswers {
    fn answer(&self, source: &str, target: &str, class: &str, permission: &str) -> Answer {
        let access = [source, target, class].map(str::to_owned);
        let unknown = Answer {
            allowed: !self.denies_unknown,
            audit_denied: true,
            audit_granted: false,
            permissive: false,
        };
        let bit = self.number(class, &format!("perms/{permission}"));
        let Some(bit) = bit.and_then(|number| 1u32.checked_shl(number.checked_sub(1)?)) else {
            return unknown;
        };
        match self.vector(&access) {
            None => Answer { allowed: true, ..unknown },
            Some(vector) => Answer {
                allowed: vector.allowed & bit != 0,
                audit_denied: vector.audit_deny & bit != 0,
                audit_granted: vector.audit_allow & bit != 0,
                permissive: vector.permissive,
            },
        }
    }
}

impl SecurityServer for LoadedAnswers {
    fn answers(&self, _: &Loaded) -> Box<dyn Answers + '_> {
        Box::new(self)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::root::fixture::tree;
    use super::*;

    #[rstest]
    #[case("b ffffffff 0 fffffffe 4 1", Some((0xb, 0, 0xffff_fffe, true)))]
    #[case("0 ffffffff 0 ffffffff 4 0\0", Some((0, 0, u32::MAX, false)))]
    #[case("", None)]
    #[case("x ffffffff 0 fffffffe 4 1", None)]
    fn an_answer_is_read(#[case] text: &str, #[case] expected: Option<(u32, u32, u32, bool)>) {
        let found = parse(text);
        let parts = found.map(|it| (it.allowed, it.audit_allow, it.audit_deny, it.permissive));
        assert_eq!(parts, expected);
    }

    #[test]
    fn a_class_that_the_policy_lacks_is_handled_as_it_says() {
        for (deny, allowed) in [("0", true), ("1", false)] {
            let (_place, root) = tree(&[("/sys/fs/selinux/deny_unknown", deny)]);
            let answers = LoadedAnswers::new(&root).unwrap();
            let answer = answers.answer("a", "a", "perf_event", "open");
            assert_eq!(answer.allowed, allowed);
        }
    }
}
