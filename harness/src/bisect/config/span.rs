//! The configurations between a good and a bad one, and the order in which they are tried.

use std::collections::BTreeSet;

use crate::kernel::Config;

/// The finest division, in parts. A larger set of options is never split into single ones.
const FINEST: usize = 16;

/// The two closest configurations that are known to be good and bad.
#[derive(Clone, Debug)]
pub(super) struct Span {
    good: Config,
    bad: Config,
    /// The options in which they differ are divided into so many parts.
    parts: usize,
    /// The next proposal of this division.
    next: usize,
}

impl Span {
    pub(super) fn between(good: Config, bad: Config) -> Self {
        Self { good, bad, parts: 2, next: 0 }
    }

    pub(super) fn good(&self) -> &Config {
        &self.good
    }

    pub(super) fn bad(&self) -> &Config {
        &self.bad
    }

    /// The names of the options that differ, sorted: options of one subsystem mostly share the
    /// beginning of their names, and depend on each other.
    pub(super) fn differing(&self) -> Vec<String> {
        let names = self.good.options().chain(self.bad.options()).map(|(name, _)| name);
        let names: BTreeSet<&str> = names.collect();
        let differs = |name: &&str| self.good.raw(name) != self.bad.raw(name);
        names.into_iter().filter(differs).map(str::to_owned).collect()
    }

    /// The good configuration with these options as in the bad one.
    pub(super) fn with(&self, options: &[String]) -> Config {
        let mut config = self.good.clone();
        options.iter().for_each(|name| config.set(name, self.bad.raw(name)));
        config
    }

    /// The next configuration to try: part of the options as in the bad one, or all but a part.
    /// Parts become smaller until each is one option. `None` if nothing is left to try.
    ///
    /// This is the order of delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating
    /// Failure-Inducing Input", 2002).
    pub(super) fn propose(&mut self) -> Option<Config> {
        let differing = self.differing();
        let finest = differing.len().min(FINEST);
        if self.parts > finest {
            // The last division before this one was coarser than single options.
            let coarser = self.parts / 2;
            if coarser >= finest {
                return None;
            }
            self.parts = finest;
        }
        let proposals = if self.parts == 2 { 2 } else { 2 * self.parts };
        if self.next == proposals {
            (self.parts, self.next) = (self.parts * 2, 0);
            return self.propose();
        }
        let (part, inverted) = (self.next % self.parts, self.next >= self.parts);
        self.next += 1;
        let bound = |number: usize| differing.len() * number / self.parts;
        let inside = bound(part)..bound(part + 1);
        let chosen = differing.iter().enumerate();
        let chosen = chosen.filter(|(at, _)| inside.contains(at) != inverted);
        let chosen: Vec<String> = chosen.map(|(_, name)| name.clone()).collect();
        Some(self.with(&chosen))
    }

    /// True if a configuration is one of the ends: testing it would bring nothing.
    pub(super) fn is_end(&self, config: &Config) -> bool {
        *config == self.good || *config == self.bad
    }

    /// Goes on with another good end.
    pub(super) fn is_good(&mut self, config: Config) {
        *self = Self::between(config, self.bad.clone());
    }

    /// Goes on with another bad end.
    pub(super) fn is_bad(&mut self, config: Config) {
        *self = Self::between(self.good.clone(), config);
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn config(options: impl IntoIterator<Item = String>) -> Config {
        Config::parse(&options.into_iter().collect::<Vec<_>>().join("\n"))
    }

    fn on(numbers: impl IntoIterator<Item = usize>) -> Config {
        config(numbers.into_iter().map(|number| format!("CONFIG_O{number:03}=y")))
    }

    /// Searches for `culprit` among independent options; returns the options left, and how many
    /// configurations were tried.
    fn search(options: usize, culprit: usize) -> (Vec<String>, usize) {
        let mut span = Span::between(on([]), on(0..options));
        let mut tried = 0;
        let name = format!("CONFIG_O{culprit:03}");
        while let Some(config) = span.propose() {
            if span.is_end(&config) {
                continue;
            }
            tried += 1;
            if config.is_set(&name) { span.is_bad(config) } else { span.is_good(config) }
        }
        (span.differing(), tried)
    }

    #[rstest]
    #[case(1, 0, 0)]
    #[case(2, 1, 1)]
    #[case(3, 1, 2)]
    #[case(1000, 0, 10)]
    #[case(1000, 617, 10)]
    #[case(1000, 999, 10)]
    fn one_option_is_found_in_as_many_steps_as_halving_takes(
        #[case] options: usize,
        #[case] culprit: usize,
        #[case] most: usize,
    ) {
        let (left, tried) = search(options, culprit);
        assert_eq!(left, [format!("CONFIG_O{culprit:03}")]);
        assert!(tried <= most, "{tried}");
    }

    #[rstest]
    #[case(2)]
    #[case(3)]
    #[case(16)]
    #[case(40)]
    fn options_that_only_change_together_stay_together(#[case] options: usize) {
        let mut span = Span::between(on([]), on(0..options));
        let mut proposals = BTreeSet::new();
        while let Some(config) = span.propose() {
            proposals.insert(config.options().map(|(name, _)| name.to_owned()).collect::<Vec<_>>());
        }
        assert_eq!(span.differing().len(), options);
        let singles = proposals.iter().filter(|chosen| chosen.len() == 1).count();
        assert_eq!(singles, if options <= FINEST { options } else { 0 });
    }

    #[test]
    fn values_other_than_y_are_moved_too() {
        let good = config(["CONFIG_HZ=250".to_owned(), "CONFIG_LSM=\"a,b\"".to_owned()]);
        let bad = config(["CONFIG_HZ=1000".to_owned(), "CONFIG_M=m".to_owned()]);
        let span = Span::between(good.clone(), bad.clone());
        let all = span.differing();
        assert_eq!(all, ["CONFIG_HZ", "CONFIG_LSM", "CONFIG_M"]);
        assert_eq!((span.with(&all), span.with(&[])), (bad, good));
    }
}
