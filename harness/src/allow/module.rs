//! The text of a policy module.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::rules::{Rules, WHY_PERFMON, why};
use crate::prose::{self, MAIL_WIDTH};
use crate::text::{Text, line};

/// The language of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// CIL, for `semodule -i` and `secilc`.
    Cil,
    /// The kernel policy language (`.te`), for `checkmodule`.
    Te,
}

/// A policy module.
#[derive(Clone, Copy, Debug)]
pub struct Module<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its rules.
    pub rules: &'a Rules,
    /// The source of the records, for the head comment: a file's name.
    pub from: &'a str,
}

/// The largest number of records to print above a rule.
const RECORDS: usize = 20;

impl Language {
    const fn comment(self) -> &'static str {
        match self {
            Self::Cil => ";",
            Self::Te => "#",
        }
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Cil => "cil",
            Self::Te => "te",
        }
    }

    /// The text, with every line as a comment.
    #[must_use]
    pub fn commented(self, text: &Text) -> Text {
        let mut out = Text::new();
        text.plain().lines().for_each(|line| self.write_comment(line, &mut out));
        out
    }

    /// Writes one line as a comment.
    fn write_comment(self, words: impl fmt::Display, out: &mut Text) {
        out.line(format!("{} {words}", self.comment()).trim_end());
    }
}

impl Module<'_> {
    /// The whole module.
    #[must_use]
    pub fn text(&self, language: Language) -> Text {
        let mut out = Text::new();
        let (name, from) = (self.name, self.from);
        let install = match language {
            Language::Cil => vec![format!(
                "Install it with `semodule -i {name}.cil`, remove it with `semodule -r {name}`."
            )],
            Language::Te => vec![
                "Install it with".to_owned(),
                format!("  checkmodule -M -m -o {name}.mod {name}.te"),
                format!("  semodule_package -o {name}.pp -m {name}.mod"),
                format!("  semodule -i {name}.pp"),
                format!("and remove it with `semodule -r {name}`."),
            ],
        };
        let end = language.extension();
        let what = format!("{name}.{end}: allows what the records in {from} ask for, and no more.");
        [what].iter().chain(&install).for_each(|line| language.write_comment(line, &mut out));
        if language == Language::Te {
            self.requirements(&mut out);
        }
        let mut last = None;
        for (scope, rule) in self.rules.iter() {
            out.end();
            if last != Some(&scope.source) {
                line!(out, "{} --- {} ---", language.comment(), scope.source);
                out.end();
                self.advice(&scope.source, language, &mut out);
                last = Some(&scope.source);
            }
            for record in rule.records.iter().take(RECORDS) {
                language.write_comment(record, &mut out);
            }
            if rule.records.len() > RECORDS {
                let more = format!("and {} more", rule.records.len() - RECORDS);
                language.write_comment(more, &mut out);
            }
            out.line(match language {
                Language::Cil => rule.cil(scope),
                Language::Te => rule.te(scope),
            });
        }
        for (why, records) in self.unused() {
            language.write_comment(format_args!("Not allowed: {why}."), out.end());
            records.iter().for_each(|record| language.write_comment(record, &mut out));
        }
        out
    }

    fn advice(&self, domain: &str, language: Language, out: &mut Text) {
        let withheld = self.rules.perfmon_alone.contains(domain).then_some(WHY_PERFMON);
        let allowed = self.rules.sys_admin.get(domain).into_iter().flatten();
        for note in withheld.into_iter().chain(allowed.map(|reason| why(*reason))) {
            let lines = prose::lines(note, prose::options(MAIL_WIDTH - 2));
            lines.iter().for_each(|line| language.write_comment(line, out));
            out.end();
        }
    }

    /// The records without a rule, by reason, without duplicates.
    fn unused(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut unused: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for one in &self.rules.unused {
            unused.entry(one.why).or_default().insert(&one.record);
        }
        unused
    }

    /// Writes the `module` and `require` statements that `checkmodule` demands.
    fn requirements(&self, out: &mut Text) {
        let mut types = BTreeSet::new();
        let mut classes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (scope, rule) in self.rules.iter() {
            types.extend([scope.source.as_str(), &scope.target]);
            let permissions = rule.permissions.iter().map(String::as_str);
            classes.entry(&scope.class).or_default().extend(permissions);
        }
        out.end();
        line!(out, "module {} 1.0;", self.name);
        out.end().line("require {");
        for name in types {
            line!(out.block("\t"), "type {name};");
        }
        for (class, permissions) in classes {
            let names: Vec<_> = permissions.into_iter().collect();
            line!(out.block("\t"), "class {class} {{ {} }};", names.join(" "));
        }
        out.line("}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use rstest::rstest;

    use super::*;
    use crate::audit::{Denial, SysAdminReason};
    use crate::policy::{DEFAULT_PRIORITY, Obtaining, Policy, PolicyRequest};

    fn rules() -> Rules {
        let record = |permission: &str, class: &str, target: &str| {
            let line = format!(
                "avc:  denied  {{ {permission} }} for  pid=1 comm=\"a;b\" \
                 scontext=u:r:none_t:s0 tcontext=u:r:{target}:s0 tclass={class} permissive=1"
            );
            Denial::parse(&line).unwrap().unwrap()
        };
        Rules::from_denials(&[
            record("open", "perf_event", "none_t"),
            record("cpu kernel", "perf_event", "none_t"),
            record("perfmon", "capability2", "none_t"),
            Denial {
                sys_admin_reason: SysAdminReason::AfterPerfmon,
                ..record("sys_admin", "capability", "none_t")
            },
            record("use", "fd", "owner_t"),
        ])
    }

    fn text(language: Language) -> String {
        let rules = rules();
        Module { name: "perfsec_allow", rules: &rules, from: "audit.log" }.text(language).plain()
    }

    #[rstest]
    #[case(Language::Cil, "(allow none_t self (perf_event (cpu kernel open)))\n")]
    #[case(Language::Cil, "(allow none_t owner_t (fd (use)))\n")]
    #[case(Language::Te, "allow none_t self:perf_event { cpu kernel open };\n")]
    #[case(Language::Te, "\tclass perf_event { cpu kernel open };\n")]
    #[case(Language::Te, "\ttype owner_t;\n")]
    fn a_module_has_every_rule(#[case] language: Language, #[case] line: &str) {
        assert!(text(language).contains(line), "{}", text(language));
    }

    #[rstest]
    fn sys_admin_appears_only_in_a_comment(
        #[values(Language::Cil, Language::Te)] language: Language,
    ) {
        let text = text(language);
        let mark = language.comment();
        let code: Vec<_> = text.lines().filter(|line| !line.starts_with(mark)).collect();
        assert!(!code.iter().any(|line| line.contains("sys_admin")), "{code:?}");
        assert!(code.iter().any(|line| line.contains("perfmon")), "{code:?}");
        assert!(text.contains("perf-security.rst"));
    }

    #[test]
    #[ignore = "needs secilc"]
    fn secilc_accepts_the_module_with_our_policy() {
        let place = tempfile::tempdir().unwrap();
        let cache = crate::cache::Cache::at(place.path()).unwrap();
        let obtaining = Obtaining::quietly(&cache);
        let request = PolicyRequest::unchanged("minimal".parse().unwrap());
        let before = Policy::obtain(&request, &obtaining).unwrap();
        let text = text(Language::Cil);
        let after =
            before.with_module("perfsec_allow", &text, DEFAULT_PRIORITY, &obtaining).unwrap();
        assert_ne!(before.sha256, after.sha256);
    }

    #[test]
    #[ignore = "needs checkmodule and semodule_package"]
    fn checkmodule_and_semodule_package_accept_the_module() {
        let place = tempfile::tempdir().unwrap();
        let [te, module, package] =
            ["te", "mod", "pp"].map(|end| place.path().join(format!("perfsec_allow.{end}")));
        fs::write(&te, text(Language::Te)).unwrap();
        let mut check = Command::new("checkmodule");
        check.args(["-M", "-m", "-o"]).args([&module, &te]);
        let mut pack = Command::new("semodule_package");
        pack.arg("-o").arg(&package).arg("-m").arg(&module);
        for mut command in [check, pack] {
            let ended = command.output().unwrap();
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        }
        assert!(fs::metadata(package).unwrap().len() > 0);
    }
}
