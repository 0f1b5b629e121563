//! The answer for a terminal or a mail.

use super::WhyAnswer;
use super::model::{CallLine, QuestionAnswer, RefusalLine, Verdict};
use crate::prose::{MAIL_WIDTH, lines, options};
use crate::text::{Text, line};
use crate::why::facts::FactLine;

impl WhyAnswer {
    /// True if the command is one that perf's privileges are about.
    #[must_use]
    pub fn concerns_perf(&self) -> bool {
        self.verdict != Verdict::NotPerf
    }

    /// The text: the refusal first, then what helps, then what it was computed from.
    #[must_use]
    pub fn text(&self) -> Text {
        let mut out = Text::new();
        if !self.understood.is_empty() {
            paragraph(&mut out, 0, &format!("understood: {}", self.understood.join(", ")));
        }
        if !self.ignored.is_empty() {
            paragraph(&mut out, 0, &format!("ignored: {}", self.ignored.join(" ")));
        }
        if !self.understood.is_empty() || !self.ignored.is_empty() {
            out.end();
        }
        self.verdict(&mut out);
        for note in &self.seen {
            paragraph(&mut out, 0, note);
        }
        if let Some(attempt) = &self.second_attempt {
            paragraph(&mut out, 0, attempt);
        }
        for reason in &self.reasons {
            paragraph(&mut out, 0, reason);
        }
        self.remedies(&mut out);
        if !self.notes.is_empty() {
            out.end();
            for note in &self.notes {
                paragraph(&mut out, 0, note);
            }
        }
        if !self.rules.is_empty() {
            out.end();
            out.line("SELinux must allow:");
            for rule in &self.rules {
                line!(out, "  {rule}");
            }
        }
        self.questions(&mut out);
        self.facts(&mut out);
        out.trim_end();
        out
    }

    fn verdict(&self, out: &mut Text) {
        match (self.verdict, &self.first) {
            (Verdict::Refused, Some(first)) => {
                paragraph(out, 0, &refused(first));
                if !self.next.is_empty() {
                    out.line("Then these would refuse:");
                    for next in &self.next {
                        let text = format!("{}, with {}: {}", next.place, next.errno, next.because);
                        paragraph(out, 2, &text);
                    }
                }
            }
            (Verdict::Allowed, _) => {
                out.line(
                    "By these facts nothing refuses: the level and the capabilities allow it.",
                );
            }
            (Verdict::NotPerf, _) => {
                out.line("This is not about perf.");
            }
            _ if self.seen.is_empty() => {
                out.line("This is not a refusal by the kernel's checks of perf.");
            }
            _ => {}
        }
    }

    fn remedies(&self, out: &mut Text) {
        if self.verdict != Verdict::Refused {
            return;
        }
        out.end();
        if self.remedies.is_empty() {
            out.line("No change that perfsec knows opens access.");
            return;
        }
        out.line("What opens access, safest first; each was computed again and passes:");
        for (number, remedy) in self.remedies.iter().enumerate() {
            for (index, change) in remedy.changes.iter().enumerate() {
                let mark = match index {
                    0 => format!("{}. ", number + 1),
                    _ => "and ".to_owned(),
                };
                let indent = if index == 0 { 2 } else { 5 };
                paragraph(out, indent, &format!("{mark}{}", change.how));
                paragraph(out, 7, &format!("gives away: {}", change.gives_away));
            }
        }
    }

    fn questions(&self, out: &mut Text) {
        if self.calls.is_empty() {
            return;
        }
        out.end();
        out.line("The kernel's questions, in order, as if none had ended a call:");
        let mut before: Option<&CallLine> = None;
        for call in &self.calls {
            let same =
                |it: &CallLine| (&it.questions, &it.records) == (&call.questions, &call.records);
            if before.is_some_and(same) && !call.questions.is_empty() {
                paragraph(out, 2, &call.call);
                paragraph(out, 6, "the same questions");
            } else {
                Self::call(out, call);
            }
            before = Some(call);
        }
    }

    fn call(out: &mut Text, call: &CallLine) {
        paragraph(out, 2, &call.call);
        let mut before: Option<String> = None;
        for question in &call.questions {
            let answer = match question.answer {
                QuestionAnswer::Passes => "passes",
                QuestionAnswer::NotHeld => "not held",
                QuestionAnswer::Denied => "denied by SELinux",
            };
            let text = format!("{}: {answer}, in {}", question.asks, question.place);
            // The verifier of BPF asks the same several times.
            if before.as_ref() != Some(&text) {
                paragraph(out, 6, &text);
            }
            before = Some(text);
        }
        call.records.iter().for_each(|record| paragraph(out, 6, record));
    }

    fn facts(&self, out: &mut Text) {
        out.end();
        let (used, assumed): (Vec<_>, Vec<_>) =
            self.facts.iter().partition(|fact| !fact.source.is_assumed());
        for (title, facts) in [("Facts:", used), ("Assumed:", assumed)] {
            if facts.is_empty() {
                continue;
            }
            out.line(title);
            facts.iter().for_each(|fact| paragraph(out, 2, &fact_text(fact)));
        }
        if !self.unread.is_empty() {
            out.line("Could not be read:");
            self.unread.iter().for_each(|why| paragraph(out, 2, why));
        }
    }
}

fn fact_text(fact: &FactLine) -> String {
    let source = fact.source.to_string();
    let source = source.strip_prefix("assumed: ").unwrap_or(&source);
    format!("{}: {} ({source})", fact.name, fact.value)
}

fn refused(first: &RefusalLine) -> String {
    let held = match first.not_held.as_slice() {
        [] => String::new(),
        [one] => format!(" It asks for {one}, which the process does not hold."),
        [one, rest @ ..] => format!(
            " It asks for {one}, then for {}, and the process holds none of them.",
            rest.join(" and ")
        ),
    };
    let silent = match first.silent {
        true => " No AVC record shows this refusal.",
        false => "",
    };
    let comma = if first.place.contains(',') { "," } else { "" };
    format!(
        "{}() fails with {}: {}{comma} refuses it, because {}.{held}{silent}",
        first.syscall, first.errno, first.place, first.because
    )
}

/// Writes a text with this indent in columns, and two columns more from the second line on.
fn paragraph(out: &mut Text, indent: usize, text: &str) {
    for (number, words) in lines(text, options(MAIL_WIDTH - indent - 2)).iter().enumerate() {
        let indent = if number == 0 { indent } else { indent + 2 };
        line!(out, "{:indent$}{words}", "");
    }
}
