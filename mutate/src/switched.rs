//! One source with many mutants, each chosen at run time by its number.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::Mutant;
use crate::mutant::{Form, Switch};

/// The file that defines the choice: the boot parameter `perfsec_mutant=N`, and at run time
/// `/sys/module/kernel/parameters/perfsec_mutant`, which only root may read and write. With
/// [`SURVEY`], the kernel behaves as if unmutated, and prints the numbers of the mutants whose code
/// runs.
pub const SELECTOR_SOURCE: &str = include_str!("perfsec_mutant.c");

/// The path of [`SELECTOR_SOURCE`] in the kernel's tree.
pub const SELECTOR_PATH: &str = "kernel/perfsec_mutant.c";

/// The line that builds [`SELECTOR_SOURCE`], for the Makefile beside it.
pub const SELECTOR_MAKEFILE: &str = "obj-y += perfsec_mutant.o\n";

/// The number that chooses no mutant and lets the kernel print, at debug level, [`REACHED`] and a
/// number for each mutant whose code a process runs, once per clock tick.
pub const SURVEY: u32 = u32::MAX;

/// The beginning of the messages of a kernel that was booted with [`SURVEY`].
pub const REACHED: &str = "perfsec: mutant ";

/// A header and the source that includes it can both have it.
const DECLARATION: &str = "\
#if !defined(PERFSEC_MUTANT) && !defined(__ASSEMBLY__)
extern unsigned int perfsec_mutant;
extern int perfsec_reach(unsigned int mutant);
#define PERFSEC_MUTANT(n) \\
	(perfsec_mutant == (n) || (perfsec_mutant == -1U && perfsec_reach(n)))
#endif
";

/// The lines of a mutated function that do not belong to a mutant, before and after those that do.
const NEAR: usize = 8;

/// The source with many mutants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switched {
    /// The text to build.
    pub text: String,
    /// The lines, from 1, of each mutant's own text.
    lines: Vec<(RangeInclusive<usize>, u32)>,
    /// The lines of each function's mutants, and their numbers.
    functions: Vec<(RangeInclusive<usize>, Vec<u32>)>,
}

impl Switched {
    /// The mutants whose own text is at this line, from 1, of the text: those to leave out when the
    /// compiler reports an error there.
    pub fn at_line(&self, line: usize) -> Vec<u32> {
        let mut numbers: Vec<_> =
            self.lines.iter().filter(|(lines, _)| lines.contains(&line)).map(|l| l.1).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// All mutants of the function around this line, for an error that [`at_line`](Self::at_line)
    /// attributes to none.
    pub fn near_line(&self, line: usize) -> Vec<u32> {
        let around = self.functions.iter().filter(|(lines, _)| {
            (lines.start().saturating_sub(NEAR)..=lines.end() + NEAR).contains(&line)
        });
        around.flat_map(|(_, numbers)| numbers.iter().copied()).collect()
    }
}

/// `source` with all these mutants, which must be its own. The number 0 chooses none of them. A
/// mutant that is not [switched](Mutant::is_switched) is left out.
///
/// Each alternative is on lines of its own. Inside one, the rest of the code is unmutated; the
/// original code beside it keeps the choices of the mutants within.
pub fn switched(source: &str, mutants: &[(u32, &Mutant)]) -> Switched {
    let mut places: BTreeMap<Site, Vec<(u32, &Switch)>> = BTreeMap::new();
    for (number, mutant) in mutants {
        for switch in &mutant.switches {
            places.entry(Site::from(switch)).or_default().push((*number, switch));
        }
    }
    let places: Vec<_> = places.into_iter().collect();
    let mut out = Output::default();
    if !places.is_empty() {
        out.write(DECLARATION);
    }
    out.copy(source, 0..source.len(), &places);
    let mut functions: BTreeMap<&str, (RangeInclusive<usize>, Vec<u32>)> = BTreeMap::new();
    for (number, mutant) in mutants {
        for (lines, _) in out.lines.iter().filter(|(_, owner)| owner == number) {
            let entry = functions.entry(&mutant.function);
            let (all, numbers) = entry.or_insert_with(|| (lines.clone(), Vec::new()));
            *all = (*all.start()).min(*lines.start())..=(*all.end()).max(*lines.end());
            if !numbers.contains(number) {
                numbers.push(*number);
            }
        }
    }
    Switched { text: out.text, lines: out.lines, functions: functions.into_values().collect() }
}

/// A range of the source. In order of their start, those that contain others first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Site {
    start: usize,
    end: std::cmp::Reverse<usize>,
}

impl From<&Switch> for Site {
    fn from(switch: &Switch) -> Self {
        Self { start: switch.range.start, end: std::cmp::Reverse(switch.range.end) }
    }
}

#[derive(Default)]
struct Output {
    text: String,
    /// The number of complete lines in `text`.
    complete: usize,
    lines: Vec<(RangeInclusive<usize>, u32)>,
}

impl Output {
    fn write(&mut self, text: &str) {
        self.complete += text.matches('\n').count();
        self.text.push_str(text);
    }

    /// Starts a line, unless one was just started.
    fn new_line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.write("\n");
        }
    }

    /// Copies a range of the source with the choices in it.
    fn copy(
        &mut self,
        source: &str,
        range: std::ops::Range<usize>,
        places: &[(Site, Vec<(u32, &Switch)>)],
    ) {
        let mut from = range.start;
        let mut left = places;
        while let Some(((place, switches), rest)) = left.split_first() {
            let end = place.end.0;
            let inner = rest.iter().take_while(|(place, _)| place.start < end).count();
            self.write(&source[from..place.start]);
            let mut switches = switches.clone();
            switches.sort_by_key(|(number, switch)| (switch.form, *number));
            for (number, switch) in switches.iter().rev() {
                self.open(*number, switch);
            }
            self.copy(source, place.start..end, &rest[..inner]);
            for (_, switch) in &switches {
                self.close(switch.form);
            }
            from = end;
            left = &rest[inner..];
        }
        self.write(&source[from..range.end]);
    }

    fn open(&mut self, number: u32, switch: &Switch) {
        self.new_line();
        let first = self.complete + 1;
        let text = &switch.alternative;
        let chosen = format!("PERFSEC_MUTANT({number})");
        self.write(&match switch.form {
            Form::Place => format!("(*({chosen} ?\n&({text})\n: &(\n"),
            Form::Value => format!("({chosen} ?\n({text})\n: (\n"),
            Form::Truth => format!("({chosen} ?\n!!({text})\n: !!(\n"),
            Form::Statement => format!("{{ if ({chosen}) {{\n{text}\n}} else {{\n"),
            Form::Before => format!("if ({chosen}) {{\n{text}\n}}\n"),
        });
        self.lines.push((first..=self.complete, number));
    }

    fn close(&mut self, form: Form) {
        self.new_line();
        self.write(match form {
            Form::Place => ")))\n",
            Form::Value | Form::Truth => "))\n",
            Form::Statement => "} }\n",
            Form::Before => "",
        });
    }
}
