//! Reads the figures for a benchmark from a run record, which has one JSON event per line.

use std::path::Path;

use serde_json::Value;

use super::times;
use crate::error::Error;

/// The figures of a run on one kernel.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    /// The accelerator.
    pub(crate) accel: String,
    /// The kernel's release.
    pub(crate) release: String,
    /// Number of lanes that became ready.
    pub(crate) lanes: usize,
    /// Time from the first boot of a lane until it is ready, in milliseconds; the sum of all lanes.
    pub(crate) ready: f64,
    /// Time of each cell in the guest, in milliseconds, ascending.
    pub(crate) cells: Vec<f64>,
    /// Number of cells that passed.
    pub(crate) passed: usize,
}

impl Figures {
    /// The figures of a run in which cells ran.
    pub(super) fn of(record: &Path) -> Result<Self, Error> {
        let figures = Self::read(&times::read(record)?);
        if figures.cells.is_empty() {
            return Err(Error::Output { program: "perfsec run", what: "no cell ran".to_owned() });
        }
        Ok(figures)
    }

    /// Reads a record. Skips lines that are not events.
    pub(crate) fn read(text: &str) -> Self {
        let mut figures = Self::default();
        for event in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let number = |value: &Value| value.as_f64().unwrap_or_default();
            match event["event"].as_str() {
                Some("lane") => {
                    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
                    figures.accel = text(&event["machinery"]["accel"]);
                    figures.release = text(&event["kernel"]["release"]);
                }
                Some("ready") if event["boot"] == 0 => {
                    figures.lanes += 1;
                    figures.ready += number(&event["millis"]);
                }
                Some("cell") => {
                    figures.passed += usize::from(event["judgement"]["verdict"] == "PASS");
                    if let Some(micros) = event["observation"]["micros"].as_f64() {
                        figures.cells.push(micros / 1000.0);
                    }
                }
                _ => {}
            }
        }
        figures.cells.sort_by(f64::total_cmp);
        figures
    }

    /// The time in milliseconds that `percent` of the cells do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let last = self.cells.len().saturating_sub(1);
        self.cells.get(last * percent / 100).copied().unwrap_or_default()
    }

    /// The mean time from a boot until its lane is ready, in milliseconds.
    pub(crate) fn boot(&self) -> f64 {
        self.ready / self.lanes.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"event":"run","format":1}
{"event":"lane","lane":0,"kernel":{"release":"6.12.1"},"machinery":{"accel":"tcg"}}
{"event":"ready","lane":0,"boot":0,"millis":4000}
{"event":"cell","judgement":{"verdict":"PASS"},"observation":{"micros":3000}}
{"event":"cell","judgement":{"verdict":"FAIL"},"observation":{"micros":1000}}
{"event":"cell","judgement":{"verdict":"SKIP"},"observation":null}
{"event":"lane_end","lane":0,"millis":4100}
"#;

    #[test]
    fn the_figures_of_a_run_are_found() {
        let figures = Figures::read(RECORD);
        assert_eq!((figures.accel.as_str(), figures.release.as_str()), ("tcg", "6.12.1"));
        assert_eq!((figures.cells.as_slice(), figures.passed), ([1.0, 3.0].as_slice(), 1));
        assert_eq!((figures.percentile(0), figures.percentile(100)), (1.0, 3.0));
        assert_eq!(figures.boot(), 4000.0);
    }

    #[test]
    fn a_record_without_cells_has_no_figures() {
        assert_eq!(Figures::read("").percentile(50), 0.0);
    }
}
