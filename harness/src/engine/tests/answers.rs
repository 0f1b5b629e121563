//! The cells that ask a policy for its answers.

use perfsec_wire::answers::Decision;
use perfsec_wire::{BootMode, Party, PolicyAnswers};

use super::*;
use crate::policy::{Access, AccessVector, KERNEL, TableAnswers};
use crate::record::LaneAnswers;

/// A lane with two cells, and one that asks the policy `minimal`.
fn asking_plan(agent: Agent) -> LanePlan {
    let mut cells = cells();
    let classes = crate::policy::classes().unwrap();
    cells.extend(crate::plan::answers(BootMode::Selinux, &cells, &classes));
    LanePlan { cells: Arc::new(cells), ..super::plan(&[agent]) }
}

/// An agent on a healthy kernel whose policy gives these answers.
fn answering(answers: impl Fn(&Cell) -> CellOutcome + Send + Sync + 'static) -> Agent {
    Agent::new(move |cell| match cell.questions.is_empty() {
        true => finish(cell, healthy(cell)),
        false => vec![message(Message::Finished(cell.id, answers(cell)))],
    })
}

/// The true answers of the policy `minimal`.
fn answers(cell: &Cell) -> PolicyAnswers {
    let table = TableAnswers::of("minimal").unwrap().unwrap();
    let name = |party: &Party| match party {
        Party::Agent => KERNEL.to_owned(),
        Party::Context(context) => context.split(':').nth(2).unwrap().to_owned(),
    };
    let vectors = cell.questions.iter().map(|question| {
        let (source, target) = (name(&question.source), name(&question.target));
        table.vector(&Access { source, target, class: question.class.clone() })
    });
    let mut all = PolicyAnswers::default();
    for vector in vectors {
        let names = vector.answers.keys().cloned().zip(1..).collect();
        let class = (vector.access.class.clone(), names);
        if !all.classes.contains(&class) {
            all.classes.push(class);
        }
        all.decisions.push(Some(decision(&vector)));
    }
    all
}

fn decision(vector: &AccessVector) -> Decision {
    let bits = |has: fn(&crate::policy::Answer) -> bool| {
        let places = vector.answers.values().enumerate().filter(|(_, answer)| has(answer));
        places.map(|(place, _)| 1 << place).sum()
    };
    Decision {
        allowed: bits(|it| it.allowed),
        auditallow: bits(|it| it.audit_granted),
        auditdeny: bits(|it| it.audit_denied),
        permissive: vector.answers.values().any(|it| it.permissive),
    }
}

/// The result of the cell that asks, and the recorded answers.
fn asked(agent: Agent) -> (CellResult, Vec<LaneAnswers>) {
    let (mut cells, mut recorded) = (Vec::new(), Vec::new());
    for event in events(&[asking_plan(agent)], manner(), 1, &Interrupt::default()) {
        match event {
            Event::Cell(cell) => cells.push(*cell),
            Event::Answers(answers) => recorded.push(answers),
            _ => {}
        }
    }
    cells.sort_by_key(|cell| cell.number);
    let asked = cells.pop().unwrap();
    assert!(cells.iter().all(|cell| cell.judgement.verdict == Verdict::Pass));
    assert_eq!(asked.case, "policy/answers");
    (asked, recorded)
}

#[test]
fn a_kernel_that_answers_as_the_policy_says_passes_and_its_answers_are_recorded() {
    let (cell, recorded) = asked(answering(|cell| CellOutcome::Answered(answers(cell))));
    assert_eq!(cell.judgement.verdict, Verdict::Pass, "{:?}", cell.judgement);
    let [recorded] = recorded.as_slice() else { panic!("{recorded:?}") };
    assert_eq!((recorded.policy.as_str(), recorded.number), ("minimal", cell.number));
    let lines: Vec<_> = recorded.vectors.iter().map(ToString::to_string).collect();
    assert!(lines.contains(&"all_t kernel_t fd allow { use }".to_owned()), "{lines:?}");
    let again: Event =
        serde_json::from_str(&serde_json::to_string(&Event::Answers(recorded.clone())).unwrap())
            .unwrap();
    assert!(matches!(again, Event::Answers(again) if again.vectors == recorded.vectors));
}

#[rstest]
#[case::it_allows_nothing(
    |it: &mut PolicyAnswers| it.decisions.iter_mut().flatten().for_each(|it| it.allowed = 0),
    "says `all_t all_t bpf deny { map_create map_create_as map_read map_write prog_load prog_load_as \
     prog_run }`, the policy says `all_t all_t bpf allow { map_create"
)]
#[case::it_hides_one_denial(
    |it: &mut PolicyAnswers| it.decisions[3].as_mut().unwrap().auditdeny &= !1,
    "says `all_t all_t fd allow { use } dontaudit { use }`, the policy says `all_t all_t fd allow \
     { use }`"
)]
#[case::a_domain_is_permissive(
    |it: &mut PolicyAnswers| it.decisions[3].as_mut().unwrap().permissive = true,
    "says `all_t all_t fd permissive allow { use }`"
)]
#[case::it_does_not_know_a_context(
    |it: &mut PolicyAnswers| it.decisions[3] = None,
    "says `EINVAL`, the policy says `all_t all_t fd`"
)]
#[case::it_denies_the_unknown(
    |it: &mut PolicyAnswers| it.deny_unknown = true,
    "says `handleunknown deny`, the policy says `handleunknown allow`"
)]
fn a_kernel_that_answers_otherwise_fails_with_both_answers(
    #[case] change: fn(&mut PolicyAnswers),
    #[case] words: &str,
) {
    let (cell, recorded) = asked(answering(move |cell| {
        let mut answers = answers(cell);
        change(&mut answers);
        CellOutcome::Answered(answers)
    }));
    let reason = cell.judgement.reason.unwrap();
    assert_eq!(cell.judgement.verdict, Verdict::Fail, "{reason}");
    assert!(reason.contains(words), "{reason}");
    assert_eq!(recorded.len(), 1);
}

#[test]
fn an_agent_that_does_not_answer_the_questions_is_at_fault() {
    let truncated = |cell: &Cell| {
        let mut answers = answers(cell);
        answers.decisions.pop();
        CellOutcome::Answered(answers)
    };
    for agent in [answering(truncated), Agent::healthy()] {
        let (cell, recorded) = asked(agent);
        assert_eq!(cell.judgement.verdict, Verdict::Error);
        assert!(recorded.is_empty());
    }
    let unasked = Agent::new(|cell| {
        let outcome = CellOutcome::Answered(PolicyAnswers::default());
        vec![message(Message::Finished(cell.id, outcome))]
    });
    assert_eq!(run(&[unasked]).verdicts(), [Verdict::Error, Verdict::Error]);
}
