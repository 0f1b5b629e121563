//! Watches that a guest makes progress. A limit ends whatever does not.
//!
//! While a kernel boots, output on its console is progress. But a boot has a limit in all too, as a
//! kernel that hangs may say so for ever. Once its agent runs, only a message that carries
//! something on is progress: a soft lockup is reported every 22 seconds for as long as it lasts.

use std::time::{Duration, Instant};

use super::Limits;

/// A guest gets this long to end after it was killed, and its channel to end after its machine.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Watches one guest.
#[derive(Debug)]
pub(super) struct Watch {
    limits: Limits,
    stage: Stage,
    /// The time of the last progress.
    since: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The guest boots since then.
    Boot(Instant),
    /// Its agent runs, and may be silent for this long.
    Work(Duration),
    /// It is out of reach, and its end is known within this time.
    Away(Duration),
    /// It was killed, or has begun to end by itself.
    End,
}

/// A limit that has passed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// One for progress, and a clause that names it.
    Progress(String),
    /// The one for the end.
    End,
}

impl Watch {
    /// Watches a guest that boots now.
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        Self { limits, stage: Stage::Boot(now), since: now }
    }

    /// Notes a message that carries something on, or that the guest was restored and can send one.
    pub(super) fn note_progress(&mut self, now: Instant) {
        match self.stage {
            Stage::Boot(_) => self.note_order(Duration::ZERO, now),
            Stage::Work(_) => self.since = now,
            Stage::Away(_) | Stage::End => {}
        }
    }

    /// Notes an order of cells. Each cell may take up to `cell`.
    pub(super) fn note_order(&mut self, cell: Duration, now: Instant) {
        if !matches!(self.stage, Stage::Away(_) | Stage::End) {
            (self.stage, self.since) = (Stage::Work(self.limits.silence(cell)), now);
        }
    }

    /// Notes that the machine is out of reach, and that its end is known within this time.
    pub(super) fn note_away(&mut self, limit: Duration, now: Instant) {
        (self.stage, self.since) = (Stage::Away(limit), now);
    }

    /// Notes that the guest was killed or has begun to end by itself.
    pub(super) fn note_end(&mut self, now: Instant) {
        (self.stage, self.since) = (Stage::End, now);
    }

    /// The time until a limit passes, if nothing happens before; `printed` is the time of the last
    /// output on the console.
    pub(super) fn left(&self, printed: Option<Instant>, now: Instant) -> Result<Duration, Passed> {
        let since = |from: Instant| now.saturating_duration_since(from);
        let Limits { boot, silence, .. } = self.limits;
        let left =
            |limit: Duration, from| limit.checked_sub(since(from)).filter(|it| !it.is_zero());
        match self.stage {
            Stage::Boot(started) => {
                let total = self.limits.whole_boot();
                let quiet = left(boot, printed.map_or(self.since, |at| at.max(self.since)));
                let passed = |words| Passed::Progress(words);
                let whole = left(total, started).ok_or_else(|| {
                    let factor = Limits::BOOT_FACTOR;
                    passed(format!("{} passed, {factor} times the boot limit", Seconds(total)))
                })?;
                let quiet = quiet.ok_or_else(|| {
                    passed(format!("nothing happened for {}, the boot limit", Seconds(boot)))
                })?;
                Ok(whole.min(quiet))
            }
            Stage::Work(limit) => left(limit, self.since).ok_or_else(|| {
                let words = format!("no message came for {}, the silence limit", Seconds(limit));
                Passed::Progress(words)
            }),
            Stage::Away(limit) => left(limit, self.since).ok_or_else(|| {
                let words = format!("the machine was out of reach for {}", Seconds(limit));
                Passed::Progress(words)
            }),
            Stage::End => left(END_LIMIT.min(silence), self.since).ok_or(Passed::End),
        }
    }
}

/// A duration for display: `60 s`, `0.05 s`.
struct Seconds(Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const LIMITS: Limits = Limits {
        boot: Duration::from_secs(100),
        silence: Duration::from_secs(60),
        cell: Duration::from_secs(10),
        run: None,
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Left after `now` seconds, with the last output on the console after `printed` seconds.
    fn left(watch: &Watch, start: Instant, printed: u64, now: u64) -> Result<u64, Passed> {
        let printed = (printed > 0).then(|| start + seconds(printed));
        watch.left(printed, start + seconds(now)).map(|left| left.as_secs())
    }

    #[rstest]
    #[case::at_once(0, 0, Ok(100))]
    #[case::silent(0, 40, Ok(60))]
    #[case::silent_for_too_long(0, 100, Err("nothing happened for 100 s, the boot limit"))]
    #[case::printing(90, 150, Ok(40))]
    #[case::silent_later(90, 190, Err("nothing happened for 100 s, the boot limit"))]
    #[case::printing_for_ever(499, 499, Ok(1))]
    #[case::in_all(500, 500, Err("500 s passed, 5 times the boot limit"))]
    fn output_extends_a_boot_up_to_its_whole_limit(
        #[case] printed: u64,
        #[case] now: u64,
        #[case] wanted: Result<u64, &str>,
    ) {
        let start = Instant::now();
        let watch = Watch::new(LIMITS, start);
        let wanted = wanted.map_err(|words| Passed::Progress(words.to_owned()));
        assert_eq!(left(&watch, start, printed, now), wanted);
    }

    #[test]
    fn only_a_message_extends_the_limit_of_a_guest_whose_agent_runs() {
        let start = Instant::now();
        let mut watch = Watch::new(LIMITS, start);
        watch.note_progress(start + seconds(3));
        assert_eq!(left(&watch, start, 60, 61), Ok(2));
        watch.note_order(seconds(10), start + seconds(5));
        assert_eq!(left(&watch, start, 64, 64), Ok(1));
        let passed = "no message came for 60 s, the silence limit";
        assert_eq!(left(&watch, start, 64, 65), Err(Passed::Progress(passed.to_owned())));
        watch.note_progress(start + seconds(30));
        assert_eq!(left(&watch, start, 0, 65), Ok(25));
        watch.note_order(seconds(100), start + seconds(70));
        assert_eq!(left(&watch, start, 0, 70), Ok(400));
    }

    #[test]
    fn a_machine_out_of_reach_has_its_own_limit() {
        let start = Instant::now();
        let mut watch = Watch::new(LIMITS, start);
        watch.note_order(seconds(10), start);
        watch.note_away(seconds(600), start + seconds(50));
        watch.note_progress(start + seconds(60));
        watch.note_order(seconds(10), start + seconds(60));
        assert_eq!(left(&watch, start, 0, 100), Ok(550));
        let passed = "the machine was out of reach for 600 s";
        assert_eq!(left(&watch, start, 0, 650), Err(Passed::Progress(passed.to_owned())));
    }

    #[test]
    fn nothing_extends_the_end() {
        let start = Instant::now();
        let mut watch = Watch::new(LIMITS, start);
        watch.note_end(start + seconds(5));
        watch.note_progress(start + seconds(14));
        watch.note_order(seconds(100), start + seconds(14));
        assert_eq!(left(&watch, start, 14, 14), Ok(1));
        assert_eq!(left(&watch, start, 14, 15), Err(Passed::End));
    }
}
