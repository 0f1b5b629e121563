//! Compares the answers that were seen with the decision points of a kernel.

use std::collections::BTreeMap;

use perfsec_wire::coverage::{Check, Counts, Coverage, Site};

use super::LsmQuestion;
use super::points::{Answer, Point, Points, source_name};
use crate::case::Circumstances;

/// The coverage of one kernel's decision points.
#[derive(Debug)]
pub struct Survey<'a> {
    /// The questions of all reachable places.
    pub rows: Vec<SurveyRow<'a>>,
    /// Points that no cell can reach on this machine, or that this kernel lacks.
    pub absent: Vec<AbsentPoint<'a>>,
    /// Places whose question is about perf but that belong to no point in the list.
    pub unknown: Vec<Site>,
    /// Places outside the list with questions that are not about perf alone.
    pub others: Vec<Site>,
}

/// One question of one place.
#[derive(Debug)]
pub struct SurveyRow<'a> {
    /// The decision point.
    pub point: &'a Point,
    /// The question.
    pub ask: LsmQuestion,
    /// The place; `None` if nothing asked and the kernel's code could not be searched.
    pub site: Option<Site>,
    /// The kinds of answers that were seen.
    pub seen: AnswersSeen,
    /// The answer that the place cannot get, and the reason.
    pub impossible: Option<(Answer, &'a str)>,
}

/// The kinds of answers that were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswersSeen {
    /// Both yes and no, or the only possible answer.
    BothWays,
    /// Only yes, or only no.
    OneWay,
    /// No answer.
    None,
}

/// A decision point without a reachable place.
#[derive(Debug)]
pub struct AbsentPoint<'a> {
    /// The decision point.
    pub point: &'a Point,
    /// The reason.
    pub reason: String,
}

impl<'a> Survey<'a> {
    /// Assigns the places that boots reported to the decision points.
    #[must_use]
    pub fn new(points: &'a Points, kernel: &Circumstances<'_>, coverage: &Coverage) -> Self {
        let (rows, absent, unknown, others) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut this = Self { rows, absent, unknown, others };
        let mut point_sites: Vec<Vec<&Site>> = points.all.iter().map(|_| Vec::new()).collect();
        for site in &coverage.sites {
            let function = source_name(&site.place.symbol);
            let seen = site.counts.total() > 0;
            let own = |point: &&Point| point.functions.iter().any(|name| name == function);
            if points
                .all
                .iter()
                .filter(own)
                .any(|point| point.aside.contains(&LsmQuestion(site.check)))
            {
                continue;
            }
            let at = points
                .all
                .iter()
                .position(|point| own(&point) && point.asks.contains(&LsmQuestion(site.check)));
            match at.and_then(|at| point_sites.get_mut(at)) {
                // A tail call does not appear in the counts: its caller does.
                Some(sites) if seen || !site.tail => sites.push(site),
                Some(_) => {}
                None if LsmQuestion(site.check).is_perf_only() => this.unknown.push(site.clone()),
                None if seen => this.others.push(site.clone()),
                None => {}
            }
        }
        for (point, mut sites) in points.all.iter().zip(point_sites) {
            sites.sort_by(|a, b| (&a.place, a.check).cmp(&(&b.place, b.check)));
            this.add_point(point, &sites, kernel, coverage.unlisted.is_some());
        }
        for sites in [&mut this.unknown, &mut this.others] {
            sites.sort_by(|a, b| (&a.place, a.check).cmp(&(&b.place, b.check)));
        }
        this
    }

    /// Adds a decision point with the places that belong to it.
    fn add_point(
        &mut self,
        point: &'a Point,
        sites: &[&Site],
        kernel: &Circumstances<'_>,
        unlisted: bool,
    ) {
        let seen = sites.iter().any(|site| site.counts.total() > 0);
        let unreachable = || {
            let unreachable = point.unreachable.as_ref()?;
            let places = match sites.len() {
                0 => String::new(),
                1 => " (1 question)".to_owned(),
                number => format!(" ({number} questions)"),
            };
            Some(format!("{}: {}{places}", unreachable.because, unreachable.reason))
        };
        let not_in_version = || {
            let before = point.since.as_ref().filter(|since| !since.has(kernel.version));
            let after = point.until.as_ref().filter(|until| until.has(kernel.version));
            let before = before.map(|since| format!("version: only since {since}"));
            before.or_else(|| after.map(|until| format!("version: not since {until}")))
        };
        let not_built = || {
            let option = point.config.as_deref()?;
            let config = kernel.config.filter(|config| !config.is_set(option))?;
            let value = config.get(option).unwrap_or("not set");
            Some(format!("config: {option} is {value}"))
        };
        let reason = match (seen, sites) {
            (true, _) => None,
            (false, []) => not_in_version().or_else(not_built).or_else(unreachable).or_else(|| {
                let reason = "image: nothing there asks; it is a module, or inlined elsewhere";
                (!unlisted).then(|| reason.to_owned())
            }),
            (false, _) => unreachable(),
        };
        if let Some(reason) = reason {
            self.absent.push(AbsentPoint { point, reason });
            return;
        }
        let row = |ask: LsmQuestion, site: Option<&Site>| {
            let impossible = point.impossible_answer(ask, kernel);
            let counts = site.map_or(Counts::default(), |site| site.counts);
            let seen = answers_seen(counts, impossible.map(|(answer, _)| answer));
            SurveyRow { point, ask, site: site.cloned(), seen, impossible }
        };
        if sites.is_empty() {
            self.rows.extend(point.asks.iter().map(|ask| row(*ask, None)));
        }
        self.rows.extend(sites.iter().map(|site| row(LsmQuestion(site.check), Some(site))));
    }

    /// The number of rows with these kinds of answers.
    #[must_use]
    pub fn count(&self, seen: AnswersSeen) -> usize {
        self.rows.iter().filter(|row| row.seen == seen).count()
    }

    /// True if all reachable places were seen both ways.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.count(AnswersSeen::BothWays) == self.rows.len()
    }
}

impl SurveyRow<'_> {
    /// The number of answers of each kind.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.site.as_ref().map_or(Counts::default(), |site| site.counts)
    }

    /// True if all possible answers were seen: yes, no by commoncap, and no by SELinux.
    #[must_use]
    pub fn has_every_answer(&self) -> bool {
        let counts = self.counts();
        let is_capability = matches!(self.ask.0, Check::Capability(_));
        self.seen == AnswersSeen::BothWays
            && (self.impossible.is_some()
                || counts.refused > 0 && (!is_capability || counts.not_held > 0))
    }
}

fn answers_seen(counts: Counts, impossible: Option<Answer>) -> AnswersSeen {
    let allowed = counts.allowed > 0 || counts.logged > 0;
    let refused = counts.not_held > 0 || counts.refused > 0;
    match (allowed, refused, impossible) {
        (true, true, _)
        | (true, false, Some(Answer::Refused))
        | (false, true, Some(Answer::Allowed)) => AnswersSeen::BothWays,
        (false, false, _) => AnswersSeen::None,
        _ => AnswersSeen::OneWay,
    }
}

/// Adds up the coverage of several boots of one lane.
pub(super) fn merge(boots: &[&Coverage]) -> Coverage {
    let mut all = Coverage::default();
    let mut sites: BTreeMap<_, Site> = BTreeMap::new();
    for boot in boots {
        for site in &boot.sites {
            sites
                .entry((&site.place, site.check, &site.via))
                .and_modify(|known| known.counts = known.counts.plus(site.counts))
                .or_insert_with(|| site.clone());
        }
        for name in &boot.traced {
            if !all.traced.contains(name) {
                all.traced.push(name.clone());
            }
        }
        all.unlisted = all.unlisted.or_else(|| boot.unlisted.clone());
        all.dropped = all.dropped.saturating_add(boot.dropped);
    }
    all.sites = sites.into_values().collect();
    all
}

#[cfg(test)]
mod tests {
    use perfsec_wire::caps;
    use perfsec_wire::coverage::{Hook, SymbolOffset};
    use rstest::rstest;

    use super::*;
    use crate::kernel::{Config, KernelVersion};

    const POINTS: &str = r#"
[[point]]
name = "open"
what = "opening"
file = "core.c"
functions = ["perf_event_open"]
asks = ["cap perfmon", "hook open"]
[[point]]
name = "alloc"
what = "labelling"
file = "core.c"
functions = ["perf_event_alloc"]
asks = ["hook alloc"]
[[point.never]]
ask = "hook alloc"
answer = "refused"
reason = "it asks nothing"
[[point]]
name = "new"
what = "something new"
file = "new.c"
functions = ["new"]
asks = ["cap perfmon"]
since = "7.2"
[[point]]
name = "user_events"
what = "a user event"
file = "user.c"
functions = ["user_events"]
asks = ["cap perfmon"]
config = "CONFIG_USER_EVENTS"
[[point]]
name = "pmu"
what = "a counter"
file = "pmu.c"
functions = ["pmu"]
asks = ["cap perfmon"]
unreachable = { because = "hardware", reason = "no such device" }
"#;

    const PERFMON: Check = Check::Capability(caps::PERFMON);

    fn site(symbol: &str, check: Check, counts: [u32; 4]) -> Site {
        let [allowed, logged, not_held, refused] = counts;
        Site {
            via: "capable".to_owned(),
            check,
            place: SymbolOffset { symbol: symbol.to_owned(), offset: 16, size: 64 },
            tail: false,
            counts: Counts { allowed, logged, not_held, refused },
        }
    }

    fn survey<'a>(points: &'a Points, sites: Vec<Site>) -> Survey<'a> {
        let config = Config::parse("CONFIG_PERF_EVENTS=y\n");
        let kernel = Circumstances {
            config: Some(&config),
            ..Circumstances::hypothetical(KernelVersion::new(6, 1, 192), None)
        };
        Survey::new(points, &kernel, &Coverage { sites, ..Coverage::default() })
    }

    #[rstest]
    #[case::every_answer([1, 0, 1, 1], AnswersSeen::BothWays, true)]
    #[case::let_through_and_not_held([0, 1, 1, 0], AnswersSeen::BothWays, false)]
    #[case::only_yes([1, 1, 0, 0], AnswersSeen::OneWay, false)]
    #[case::only_no([0, 0, 1, 1], AnswersSeen::OneWay, false)]
    #[case::nothing([0; 4], AnswersSeen::None, false)]
    fn a_capability_check_can_be_seen_in_several_ways(
        #[case] counts: [u32; 4],
        #[case] seen: AnswersSeen,
        #[case] every: bool,
    ) {
        let points = Points::parse(POINTS).unwrap();
        let survey = survey(&points, vec![site("__do_sys_perf_event_open", PERFMON, counts)]);
        let [row] = survey.rows.as_slice() else { panic!("{survey:?}") };
        assert_eq!((row.seen, row.has_every_answer()), (seen, every));
        assert_eq!(survey.is_complete(), seen == AnswersSeen::BothWays);
    }

    #[test]
    fn a_place_that_cannot_refuse_need_not_be_seen_refusing() {
        let points = Points::parse(POINTS).unwrap();
        let alloc = Check::PerfEvent(Hook::Alloc);
        let survey = survey(&points, vec![site("perf_event_alloc", alloc, [3, 0, 0, 0])]);
        assert_eq!(survey.rows.first().map(|row| row.seen), Some(AnswersSeen::BothWays));
    }

    #[test]
    fn an_absent_point_has_a_reason() {
        let points = Points::parse(POINTS).unwrap();
        let survey = survey(&points, vec![site("pmu.part.0", PERFMON, [0; 4])]);
        let absent: Vec<_> = survey
            .absent
            .iter()
            .map(|absent| (absent.point.name.as_str(), absent.reason.as_str()))
            .collect();
        let image = "image: nothing there asks; it is a module, or inlined elsewhere";
        let expected = [
            ("open", image),
            ("alloc", image),
            ("new", "version: only since 7.2"),
            ("user_events", "config: CONFIG_USER_EVENTS is not set"),
            ("pmu", "hardware: no such device (1 question)"),
        ];
        assert_eq!(absent, expected);
    }

    #[test]
    fn a_point_that_was_seen_is_reachable_even_if_the_list_denies_it() {
        let points = Points::parse(POINTS).unwrap();
        let survey = survey(&points, vec![site("pmu", PERFMON, [1, 0, 0, 0])]);
        assert_eq!(survey.rows.first().map(|row| row.point.name.as_str()), Some("pmu"));
    }

    #[rstest]
    #[case::perfmon_that_nobody_asked("stranger", PERFMON, 0, (1, 0))]
    #[case::another_that_somebody_asked("stranger", Check::Capability(caps::SYS_ADMIN), 1, (0, 1))]
    #[case::another_that_nobody_asked("stranger", Check::Capability(caps::SYS_ADMIN), 0, (0, 0))]
    #[case::a_new_question_of_a_known_point(
        "perf_event_open",
        Check::PerfEvent(Hook::Cpu),
        0,
        (1, 0)
    )]
    fn places_of_no_point_are_listed(
        #[case] symbol: &str,
        #[case] check: Check,
        #[case] allowed: u32,
        #[case] expected: (usize, usize),
    ) {
        let points = Points::parse(POINTS).unwrap();
        let survey = survey(&points, vec![site(symbol, check, [allowed, 0, 0, 0])]);
        assert_eq!((survey.unknown.len(), survey.others.len()), expected);
    }

    #[test]
    fn without_a_list_of_places_every_unasked_question_is_listed() {
        let points = Points::parse(POINTS).unwrap();
        let kernel = Circumstances {
            config: None,
            ..Circumstances::hypothetical(KernelVersion::new(7, 3, 0), None)
        };
        let unlisted = Some("no kcore".to_owned());
        let coverage = Coverage { unlisted, ..Coverage::default() };
        let survey = Survey::new(&points, &kernel, &coverage);
        assert_eq!(survey.count(AnswersSeen::None), 5);
        assert_eq!(survey.absent.len(), 1);
    }

    #[test]
    fn boots_of_one_lane_are_added_up() {
        let boot = |counts| Coverage {
            sites: vec![site("perf_event_open", PERFMON, counts)],
            ..Coverage::default()
        };
        let merged = merge(&[&boot([1, 2, 3, 4]), &boot([10, 20, 30, u32::MAX])]);
        assert_eq!(merged.sites, [site("perf_event_open", PERFMON, [11, 22, 33, u32::MAX])]);
    }
}
