//! Fits the expected lines of a program to those that were observed.
//!
//! A line and the lines below it are a block. Expected and observed blocks are aligned with the
//! least number of differences; each expected block then becomes the observed ones that it
//! matches, and one that matches none stays as it is written.

use super::program::stands_for;
use super::{Effect, ExpectedEffects, Times, glob};

/// Lines with their places in the case file.
type Lines = Vec<(Effect, usize)>;

/// Fits the groups to the lines that were seen, `None` if the program was not. Effects for which
/// `compared` is false make no difference.
pub(super) fn fit_program(
    groups: &[ExpectedEffects],
    seen: Option<&[Effect]>,
    compared: impl Fn(&Effect) -> bool,
) -> Lines {
    let Some(seen) = seen else { return least(groups) };
    let blocks = blocks(seen);
    let is_never = |group: &&ExpectedEffects| matches!(group.effects[..], [Effect::Never(_)]);
    let listed: Vec<_> = groups.iter().filter(|group| !is_never(group)).collect();
    let fit = Fit::new(&listed, &blocks, &compared);
    let mut lines = fit.lines();
    for group in groups.iter().filter(is_never) {
        let [Effect::Never(text)] = &group.effects[..] else { continue };
        if seen.iter().any(|line| glob::is_in(text, &line.to_string())) {
            lines.push((group.effects[0].clone(), group.line));
        }
    }
    lines
}

/// The lines with the least counts.
fn least(groups: &[ExpectedEffects]) -> Lines {
    let wanted = groups.iter().filter(|group| group.times.least() > 0);
    wanted.flat_map(written).collect()
}

/// The lines of a group as they are written.
fn written(group: &ExpectedEffects) -> Lines {
    group.effects.iter().map(|effect| (effect.clone(), group.line)).collect()
}

/// Splits lines into blocks.
fn blocks(lines: &[Effect]) -> Vec<&[Effect]> {
    let mut blocks = Vec::new();
    let mut start = 0;
    for (at, line) in lines.iter().enumerate().skip(1) {
        if !matches!(line, Effect::Caused(_)) {
            blocks.push(&lines[start..at]);
            start = at;
        }
    }
    blocks.extend((!lines.is_empty()).then(|| &lines[start..]));
    blocks
}

/// The lines with one block for each that is repeated at once, counted with `+`.
pub(super) fn repeated(lines: &[Effect]) -> Vec<String> {
    let mut written = Vec::new();
    for same in blocks(lines).chunk_by(|one, next| one == next && is_call(one)) {
        let Some((head, below)) = same.first().and_then(|block| block.split_first()) else {
            continue;
        };
        let count = if same.len() > 1 { "  +" } else { "" };
        written.push(format!("{head}{count}"));
        written.extend(below.iter().map(ToString::to_string));
    }
    written
}

fn is_call(block: &[Effect]) -> bool {
    matches!(block, [Effect::Called(_), ..])
}

/// The next move of an alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    /// The group ends here.
    Next,
    /// The group matches the block, and may match another.
    Take,
    /// The block is the group's only or last one.
    TakeLast,
    /// The block is the group's with another effect below it.
    Change,
    /// The block is in a gap.
    Skip,
    /// The group was not seen.
    Missing,
    /// The block is not expected.
    Surplus,
}

/// The best alignment of groups and blocks from each place on.
struct Fit<'a> {
    groups: &'a [&'a ExpectedEffects],
    blocks: &'a [&'a [Effect]],
    /// At `[group][block]`, twice: before the group was seen, and after.
    moves: Vec<Vec<[(usize, Move); 2]>>,
}

impl<'a> Fit<'a> {
    fn new(
        groups: &'a [&'a ExpectedEffects],
        blocks: &'a [&'a [Effect]],
        compared: &impl Fn(&Effect) -> bool,
    ) -> Self {
        let width = blocks.len() + 1;
        let moves = vec![vec![[(0, Move::Next); 2]; width]; groups.len() + 1];
        let mut fit = Self { groups, blocks, moves };
        // From the end, so that each answer depends only on answers that are known.
        for group in (0..=groups.len()).rev() {
            for block in (0..width).rev() {
                for again in [1, 0] {
                    fit.moves[group][block][again] = fit.best(group, block, again == 1, compared);
                }
            }
        }
        fit
    }

    fn cost(&self, group: usize, block: usize, again: bool) -> usize {
        self.moves[group][block][usize::from(again)].0
    }

    fn best(
        &self,
        at: usize,
        block: usize,
        again: bool,
        compared: &impl Fn(&Effect) -> bool,
    ) -> (usize, Move) {
        let mut best = (usize::MAX, Move::Next);
        let mut offer = |cost: usize, next: Move| {
            if cost < best.0 {
                best = (cost, next);
            }
        };
        let seen = self.blocks.get(block).copied();
        if let Some(group) = self.groups.get(at).copied() {
            let gap = match group.effects[..] {
                [Effect::Gap { recorded }] => Some(recorded),
                _ => None,
            };
            if let Some(seen) = seen {
                match (gap, agreement(group, seen, compared)) {
                    (Some(recorded), _) => {
                        if recorded || !has_record(seen) {
                            offer(self.cost(at, block + 1, true), Move::Skip);
                        }
                    }
                    (None, Agreement::Full) if group.times == Times::Once => {
                        offer(self.cost(at + 1, block + 1, false), Move::TakeLast);
                    }
                    (None, Agreement::Full) => {
                        offer(self.cost(at, block + 1, true), Move::Take);
                    }
                    (None, Agreement::Head) => {
                        offer(1 + self.cost(at + 1, block + 1, false), Move::Change);
                    }
                    (None, Agreement::None) => {}
                }
            }
            if again || gap.is_some() || group.times == Times::Any {
                offer(self.cost(at + 1, block, false), Move::Next);
            } else {
                offer(2 + self.cost(at + 1, block, false), Move::Missing);
            }
        }
        match seen {
            Some(_) => offer(2 + self.cost(at, block + 1, again), Move::Surplus),
            None if at == self.groups.len() => offer(0, Move::Next),
            None => {}
        }
        best
    }

    /// The expected lines.
    fn lines(&self) -> Lines {
        let (mut at, mut block, mut again) = (0, 0, false);
        let mut lines = Lines::new();
        while at < self.groups.len() || block < self.blocks.len() {
            let (_, next) = self.moves[at][block][usize::from(again)];
            let group = self.groups.get(at).copied();
            let seen = self.blocks.get(block).copied().unwrap_or_default();
            let line = group.map_or(0, |group| group.line);
            match next {
                Move::Next => (at, again) = (at + 1, false),
                Move::Missing => {
                    lines.extend(group.into_iter().flat_map(written));
                    (at, again) = (at + 1, false);
                }
                Move::Surplus => block += 1,
                Move::Skip | Move::Take | Move::TakeLast => {
                    lines.extend(seen.iter().map(|effect| (effect.clone(), line)));
                    block += 1;
                    again = next != Move::TakeLast;
                    at += usize::from(!again);
                }
                Move::Change => {
                    lines.extend(group.into_iter().flat_map(|group| changed(group, seen)));
                    (at, block, again) = (at + 1, block + 1, false);
                }
            }
        }
        lines
    }
}

/// The lines of a group, each replaced by the line that it matches.
fn changed(group: &ExpectedEffects, seen: &[Effect]) -> Lines {
    let mut rest = seen.iter();
    let mut lines = written(group);
    for (effect, _) in &mut lines {
        let mut after = rest.clone();
        if let Some(found) = after.find(|seen| stands_for(effect, seen)) {
            *effect = found.clone();
            rest = after;
        }
    }
    lines
}

/// The degree to which a group matches a block.
enum Agreement {
    Full,
    /// Only the call, not its effects.
    Head,
    None,
}

fn agreement(
    group: &ExpectedEffects,
    seen: &[Effect],
    compared: impl Fn(&Effect) -> bool,
) -> Agreement {
    let (mut wanted, mut seen) = (group.effects.iter(), seen.iter());
    let heads = wanted.next().zip(seen.next());
    if !heads.is_some_and(|(wanted, seen)| stands_for(wanted, seen)) {
        return Agreement::None;
    }
    let wanted: Vec<_> = wanted.filter(|effect| compared(effect)).collect();
    let seen: Vec<_> = seen.filter(|effect| compared(effect)).collect();
    let same = wanted.len() == seen.len()
        && wanted.iter().zip(&seen).all(|(wanted, seen)| stands_for(wanted, seen));
    if same { Agreement::Full } else { Agreement::Head }
}

/// True for a block with an audit record.
fn has_record(block: &[Effect]) -> bool {
    block.iter().any(|effect| match effect {
        Effect::Caused(effect) => !effect.is_check(),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const SEEN: &str = "\
open(\"/proc/sys/kernel/perf_event_paranoid\") = fd
perf_event_open(software/cpu-clock, pid=-1, cpu=0) = fd
  avc denied { open } tclass=perf_event
perf_event_open(software/cpu-clock, pid=-1, cpu=1) = fd
ioctl(software/cpu-clock, ENABLE) = 0
output \"not supported\"
";

    fn effects(text: &str) -> Vec<Effect> {
        text.lines().map(Effect::read).collect()
    }

    fn groups(text: &str) -> Vec<ExpectedEffects> {
        let mut groups: Vec<ExpectedEffects> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let group = ExpectedEffects::parse(line, index + 1).unwrap();
            match (line.starts_with("  "), groups.last_mut()) {
                (true, Some(last)) => {
                    let below = group.effects.into_iter();
                    last.effects.extend(below.map(|effect| Effect::Caused(Box::new(effect))));
                }
                _ => groups.push(group),
            }
        }
        groups
    }

    fn fitted(text: &str, seen: &str) -> String {
        let lines = fit_program(&groups(text), Some(&effects(seen)), |_| true);
        lines.iter().map(|(effect, _)| format!("{effect}\n")).collect()
    }

    #[rstest]
    #[case::as_written(SEEN)]
    #[case::with_gaps(
        "...\nperf_event_open(...) = fd\n  avc denied { open } tclass=perf_event\n\
         perf_event_open(software/cpu-clock, pid=-1, cpu=*) = fd  +\n...\noutput \"not supported\""
    )]
    #[case::any_number("read(...) = some  *\n...\noutput \"nothing\"  *\n... avc")]
    #[case::a_gap_with_records("... avc")]
    #[case::never("... avc\nnever sys_admin")]
    fn lines_that_stand_for_what_was_seen_become_it(#[case] text: &str) {
        assert_eq!(fitted(text, SEEN), SEEN);
    }

    #[rstest]
    #[case::a_record_in_a_gap("...", "  avc denied { open } tclass=perf_event\n")]
    #[case::a_record_that_differs(
        "...\nperf_event_open(...) = fd\n  avc denied { cpu } tclass=perf_event\n...",
        "  avc denied { open } tclass=perf_event\n"
    )]
    #[case::another_result("...\nperf_event_open(...) = EACCES\n... avc", "")]
    #[case::once_is_once("...\nperf_event_open(...) = fd\n  *\nioctl(...) = 0\n...", "")]
    #[case::one_line_too_few("... avc\nread(...) = some\n", "")]
    #[case::never("... avc\nnever tclass=perf_event", "")]
    #[case::nothing_expected("", "output \"not supported\"\n")]
    fn lines_that_do_not_stand_for_what_was_seen_differ(#[case] text: &str, #[case] lacks: &str) {
        let text = text.replace("  *\n", "");
        let fitted = fitted(&text, SEEN);
        assert_ne!(fitted, SEEN);
        assert!(lacks.is_empty() || !fitted.contains(lacks), "{fitted}");
    }

    #[test]
    fn a_call_with_another_effect_keeps_its_place_and_its_arguments() {
        let text =
            "...\nperf_event_open(..., cpu=0) = fd\n  avc denied { cpu } tclass=perf_event\n...";
        let text = text.replace("(...,", "(*,");
        let fitted = fitted(&text, SEEN);
        let expected = SEEN.replace("{ open }", "{ cpu }");
        assert_eq!(fitted, expected);
    }

    #[test]
    fn a_program_that_was_not_seen_has_the_least_lines() {
        let text =
            "...\nread(...) = some  *\nperf_event_open(...) = fd  +\n  cap perfmon = granted";
        let lines = fit_program(&groups(text), None, |_| true);
        let lines: Vec<_> = lines.iter().map(|(effect, line)| format!("{line} {effect}")).collect();
        assert_eq!(lines, ["1 ...", "3 perf_event_open(...) = fd", "3   cap perfmon = granted"]);
    }

    #[test]
    fn a_call_that_is_repeated_at_once_is_written_with_a_count() {
        let seen = "read(x) = some\nread(x) = some\n  cap bpf = granted\nread(x) = some\n  \
                    cap bpf = granted\nread(x) = some";
        let lines = repeated(&effects(seen));
        let expected = ["read(x) = some", "read(x) = some  +", "  cap bpf = granted"];
        assert_eq!(lines[..3], expected);
        let two = effects("cap bpf = granted\ncap bpf = granted");
        assert_eq!(repeated(&two), ["cap bpf = granted"; 2]);
    }

    #[test]
    fn checks_that_were_not_traced_make_no_difference() {
        let text = groups("bpf(PROG_LOAD, KPROBE) = fd\n  cap bpf = granted");
        let seen = effects("bpf(PROG_LOAD, KPROBE) = fd");
        let lines = fit_program(&text, Some(&seen), |effect| !effect.is_check());
        assert_eq!(lines.len(), 1);
    }
}
