//! Answers to `b4 review`.

use perfsec::cache::Cache;
use perfsec::report::b4::{Answers, Status};
use perfsec::report::mail::MessageId;
use perfsec::series::SeriesOutcome;
use rstest::rstest;

use crate::report::{changes, fails, fifth_does_not_apply, fine, skipped, unstated};

const COVER: &str = "20200402084611.1234-1-ann@example.com";

/// The answers about a mail of a series, after its check.
fn about(outcome: &SeriesOutcome, id: &str) -> Answers {
    let place = tempfile::tempdir().expect("a directory");
    let cache = Cache::at(place.path()).expect("a cache");
    Answers::keep(outcome, &cache).expect("it is written");
    Answers::find(&id.parse::<MessageId>().expect("an id"), &cache)
}

fn without_stated(outcome: SeriesOutcome) -> SeriesOutcome {
    SeriesOutcome { stated: Vec::new(), ..outcome }
}

fn with(mut outcome: SeriesOutcome, change: fn(&mut SeriesOutcome)) -> SeriesOutcome {
    change(&mut outcome);
    outcome
}

#[rstest]
#[case::same(fine(), 1, Status::Pass, "changes no cell")]
#[case::stated(fine(), 2, Status::Pass, "changes cells only as stated")]
#[case::unstated(
    with(fine(), unstated),
    2,
    Status::Fail,
    "patch 2 of 6 changes 12 cells in a way that was not stated"
)]
#[case::nothing_stated(
    without_stated(with(fine(), unstated)),
    2,
    Status::Warn,
    "patch 2 of 6 changes 12 cells"
)]
#[case::warning(changes(), 3, Status::Warn, "patch 3 of 6 brings 1 new compiler warning")]
#[case::not_built(fails(), 3, Status::Fail, "patch 3 of 6 does not build")]
#[case::not_booted(fails(), 5, Status::Fail, "patch 5 of 6 does not boot")]
#[case::not_applied(
    fifth_does_not_apply(),
    5,
    Status::Fail,
    "patch 5 of 6 does not apply to v5.6-rc5-12-g444444444444"
)]
#[case::lost(with(fine(), skipped), 4, Status::Warn, "1 cell is not judged")]
fn a_patch_has_the_status_of_its_worst_problem(
    #[case] outcome: SeriesOutcome,
    #[case] patch: usize,
    #[case] status: Status,
    #[case] summary: &str,
) {
    let answers = about(&outcome, &format!("20200402.{patch}@example.com"));
    let answer = answers.patch.expect("an answer");
    assert_eq!((answer.status, answer.summary.as_str()), (status, summary));
    let heading = format!("Patch {patch}/6: ");
    assert!(answer.details.contains(&heading), "{}", answer.details);
    assert_eq!(answers.series, None);
}

#[rstest]
#[case::fine(fine(), Status::Pass, "6 patches change 12 cells, all as stated")]
#[case::fails(fails(), Status::Fail, "patch 3 of 6 does not build")]
fn the_answer_about_the_series_is_kept_for_its_cover_letter(
    #[case] outcome: SeriesOutcome,
    #[case] status: Status,
    #[case] summary: &str,
) {
    let Answers { patch, series } = about(&outcome, COVER);
    let answer = series.expect("an answer");
    assert_eq!((patch, answer.status, answer.summary.as_str()), (None, status, summary));
    assert!(answer.details.contains("Series:"), "{}", answer.details);
}

#[test]
fn without_a_cover_letter_the_first_patch_answers_about_the_series() {
    let outcome = with(fine(), |it| it.series.cover_id = None);
    let first = about(&outcome, "20200402.1@example.com");
    assert!(first.patch.is_some() && first.series.is_some(), "{first:?}");
    assert_eq!(about(&outcome, "20200402.2@example.com").series, None);
}

#[rstest]
#[case::not_tried(fifth_does_not_apply(), "20200402.6@example.com")]
#[case::other_series(fine(), "1@example.com")]
#[case::interrupted(with(fine(), |it| it.ended = false), COVER)]
fn nothing_is_said_about_a_mail_that_was_not_checked(
    #[case] outcome: SeriesOutcome,
    #[case] id: &str,
) {
    assert_eq!(about(&outcome, id), Answers::default());
}
