//! What was seen, beside what there is.

use std::collections::BTreeMap;

use perfsec_wire::coverage::{Check, Counts, Coverage, Site};

use super::Ask;
use super::points::{Answer, Point, Points, source_name};
use crate::case::Circumstances;

/// One kernel's decision points, and how far they were covered.
#[derive(Debug)]
pub struct Survey<'a> {
    /// Every question that every reachable place asks.
    pub rows: Vec<Row<'a>>,
    /// Points that no cell can reach on this machine, or that this kernel does not have.
    pub absent: Vec<Absent<'a>>,
    /// Places that are no known point's, and that can only be about perf.
    pub news: Vec<Site>,
    /// What the subjects were asked elsewhere.
    pub others: Vec<Site>,
}

/// One question of one place.
#[derive(Debug)]
pub struct Row<'a> {
    /// The point.
    pub point: &'a Point,
    /// The question.
    pub ask: Ask,
    /// The place; none when nobody asked and the kernel's text could not be searched.
    pub site: Option<Site>,
    /// Which answers were seen.
    pub finding: Finding,
    /// The answer that the place cannot get, and why.
    pub never: Option<(Answer, &'a str)>,
}

/// Which answers were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Yes and no; or the only one that the place can get.
    BothWays,
    /// Only yes, or only no.
    OneWay,
    /// None.
    Unseen,
}

/// A point without a reachable place.
#[derive(Debug)]
pub struct Absent<'a> {
    /// The point.
    pub point: &'a Point,
    /// Why.
    pub why: String,
}

impl<'a> Survey<'a> {
    /// Sorts what a boot told by what is known.
    #[must_use]
    pub fn new(points: &'a Points, kernel: &Circumstances<'_>, coverage: &Coverage) -> Self {
        let (rows, absent, news, others) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut this = Self { rows, absent, news, others };
        let mut of_points: Vec<Vec<&Site>> = points.all.iter().map(|_| Vec::new()).collect();
        for site in &coverage.sites {
            let function = source_name(&site.place.symbol);
            let seen = site.counts.total() > 0;
            let own = |point: &&Point| point.functions.iter().any(|name| name == function);
            if points.all.iter().filter(own).any(|point| point.aside.contains(&Ask(site.check))) {
                continue;
            }
            let at = points
                .all
                .iter()
                .position(|point| own(&point) && point.asks.contains(&Ask(site.check)));
            match at.and_then(|at| of_points.get_mut(at)) {
                // A jump is never seen itself: its caller is.
                Some(sites) if seen || !site.tail => sites.push(site),
                Some(_) => {}
                None if Ask(site.check).is_of_perf() => this.news.push(site.clone()),
                None if seen => this.others.push(site.clone()),
                None => {}
            }
        }
        for (point, mut sites) in points.all.iter().zip(of_points) {
            sites.sort_by(|a, b| (&a.place, a.check).cmp(&(&b.place, b.check)));
            this.point(point, &sites, kernel, coverage.unlisted.is_some());
        }
        for sites in [&mut this.news, &mut this.others] {
            sites.sort_by(|a, b| (&a.place, a.check).cmp(&(&b.place, b.check)));
        }
        this
    }

    fn point(
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
        let why = match (seen, sites) {
            (true, _) => None,
            (false, []) => not_in_version().or_else(not_built).or_else(unreachable).or_else(|| {
                let why = "image: nothing in it asks there; it is a module, or inlined elsewhere";
                (!unlisted).then(|| why.to_owned())
            }),
            (false, _) => unreachable(),
        };
        if let Some(why) = why {
            self.absent.push(Absent { point, why });
            return;
        }
        let row = |ask: Ask, site: Option<&Site>| {
            let never = point.never(ask, kernel);
            let counts = site.map_or(Counts::default(), |site| site.counts);
            let finding = finding(counts, never.map(|(answer, _)| answer));
            Row { point, ask, site: site.cloned(), finding, never }
        };
        if sites.is_empty() {
            self.rows.extend(point.asks.iter().map(|ask| row(*ask, None)));
        }
        self.rows.extend(sites.iter().map(|site| row(Ask(site.check), Some(site))));
    }

    /// How many rows are so.
    #[must_use]
    pub fn count(&self, finding: Finding) -> usize {
        self.rows.iter().filter(|row| row.finding == finding).count()
    }

    /// Whether every place that can be reached was seen both ways.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.count(Finding::BothWays) == self.rows.len()
    }
}

impl Row<'_> {
    /// The answers.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.site.as_ref().map_or(Counts::default(), |site| site.counts)
    }

    /// Whether yes, no by commoncap, and no by SELinux were all seen; those that can be.
    #[must_use]
    pub fn has_every_answer(&self) -> bool {
        let counts = self.counts();
        let of_capability = matches!(self.ask.0, Check::Capability(_));
        self.finding == Finding::BothWays
            && (self.never.is_some()
                || counts.refused > 0 && (!of_capability || counts.not_held > 0))
    }
}

fn finding(counts: Counts, never: Option<Answer>) -> Finding {
    let allowed = counts.allowed > 0 || counts.logged > 0;
    let refused = counts.not_held > 0 || counts.refused > 0;
    match (allowed, refused, never) {
        (true, true, _)
        | (true, false, Some(Answer::Refused))
        | (false, true, Some(Answer::Allowed)) => Finding::BothWays,
        (false, false, _) => Finding::Unseen,
        _ => Finding::OneWay,
    }
}

/// What several boots of one lane covered together.
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
unreachable = { because = "hardware", reason = "there is none" }
"#;

    const PERFMON: Check = Check::Capability(38);

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
            version: KernelVersion::new(6, 1, 192),
            distribution: None,
            config: Some(&config),
        };
        Survey::new(points, &kernel, &Coverage { sites, ..Coverage::default() })
    }

    #[rstest]
    #[case::every_answer([1, 0, 1, 1], Finding::BothWays, true)]
    #[case::let_through_and_not_held([0, 1, 1, 0], Finding::BothWays, false)]
    #[case::only_yes([1, 1, 0, 0], Finding::OneWay, false)]
    #[case::only_no([0, 0, 1, 1], Finding::OneWay, false)]
    #[case::nothing([0; 4], Finding::Unseen, false)]
    fn a_capability_check_can_be_seen_in_several_ways(
        #[case] counts: [u32; 4],
        #[case] finding: Finding,
        #[case] every: bool,
    ) {
        let points = Points::parse(POINTS).unwrap();
        let survey = survey(&points, vec![site("__do_sys_perf_event_open", PERFMON, counts)]);
        let [row] = survey.rows.as_slice() else { panic!("{survey:?}") };
        assert_eq!((row.finding, row.has_every_answer()), (finding, every));
        assert_eq!(survey.is_complete(), finding == Finding::BothWays);
    }

    #[test]
    fn a_place_that_cannot_refuse_needs_not_to_be_seen_refusing() {
        let points = Points::parse(POINTS).unwrap();
        let alloc = Check::PerfEvent(Hook::Alloc);
        let survey = survey(&points, vec![site("perf_event_alloc", alloc, [3, 0, 0, 0])]);
        assert_eq!(survey.rows.first().map(|row| row.finding), Some(Finding::BothWays));
    }

    #[test]
    fn what_is_not_there_has_a_reason() {
        let points = Points::parse(POINTS).unwrap();
        let survey = survey(&points, vec![site("pmu.part.0", PERFMON, [0; 4])]);
        let absent: Vec<_> = survey
            .absent
            .iter()
            .map(|absent| (absent.point.name.as_str(), absent.why.as_str()))
            .collect();
        let image = "image: nothing in it asks there; it is a module, or inlined elsewhere";
        let expected = [
            ("open", image),
            ("alloc", image),
            ("new", "version: only since 7.2"),
            ("user_events", "config: CONFIG_USER_EVENTS is not set"),
            ("pmu", "hardware: there is none (1 question)"),
        ];
        assert_eq!(absent, expected);
    }

    #[test]
    fn what_was_seen_is_reachable_whatever_the_list_says() {
        let points = Points::parse(POINTS).unwrap();
        let survey = survey(&points, vec![site("pmu", PERFMON, [1, 0, 0, 0])]);
        assert_eq!(survey.rows.first().map(|row| row.point.name.as_str()), Some("pmu"));
    }

    #[rstest]
    #[case::perfmon_that_nobody_asked("stranger", PERFMON, 0, (1, 0))]
    #[case::another_that_somebody_asked("stranger", Check::Capability(21), 1, (0, 1))]
    #[case::another_that_nobody_asked("stranger", Check::Capability(21), 0, (0, 0))]
    #[case::a_new_question_of_a_known_point("perf_event_open", Check::PerfEvent(Hook::Cpu), 0, (1, 0))]
    fn what_no_point_describes_is_shown(
        #[case] symbol: &str,
        #[case] check: Check,
        #[case] allowed: u32,
        #[case] expected: (usize, usize),
    ) {
        let points = Points::parse(POINTS).unwrap();
        let survey = survey(&points, vec![site(symbol, check, [allowed, 0, 0, 0])]);
        assert_eq!((survey.news.len(), survey.others.len()), expected);
    }

    #[test]
    fn without_a_list_of_places_every_question_that_nobody_asked_is_shown() {
        let points = Points::parse(POINTS).unwrap();
        let kernel = Circumstances {
            version: KernelVersion::new(7, 3, 0),
            distribution: None,
            config: None,
        };
        let unlisted = Some("no kcore".to_owned());
        let coverage = Coverage { unlisted, ..Coverage::default() };
        let survey = Survey::new(&points, &kernel, &coverage);
        assert_eq!(survey.count(Finding::Unseen), 5);
        assert_eq!(survey.absent.len(), 1);
    }

    #[test]
    fn boots_of_one_lane_are_counted_together() {
        let boot = |counts| Coverage {
            sites: vec![site("perf_event_open", PERFMON, counts)],
            ..Coverage::default()
        };
        let merged = merge(&[&boot([1, 2, 3, 4]), &boot([10, 20, 30, u32::MAX])]);
        assert_eq!(merged.sites, [site("perf_event_open", PERFMON, [11, 22, 33, u32::MAX])]);
    }
}
