//! The names that steps bind and need.

use perfsec_wire::Step;
use perfsec_wire::step::Task;

/// The names that must be bound before a step can be performed: descriptors, mappings, and tasks
/// that are not processes of the case.
pub(crate) fn needed<'a>(step: &'a Step, processes: &[String]) -> Vec<&'a str> {
    let task = match step.task() {
        Some(Task::Named(name)) if !processes.contains(name) => Some(name.as_str()),
        _ => None,
    };
    step.needs().into_iter().chain(task).collect()
}
