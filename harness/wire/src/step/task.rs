//! The task that a step is about.

use std::fmt;

use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A task that a step is about: `0` is the caller, `-1` is every task, `1` is the first process of
/// the caller's PID namespace (at first, the agent), `4194304` is nobody. A name is a process of the case, a task that a `clone` step made, or, with the flag `PID_CGROUP`, a
/// descriptor of a cgroup's directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Task {
    /// The caller.
    #[default]
    Caller,
    /// Every task.
    Every,
    /// The first process of the caller's PID namespace; in the initial one, the agent.
    First,
    /// No task: a number above that of any task (`PID_MAX_LIMIT`).
    Nobody,
    /// The task with this name.
    Named(String),
}

/// `PID_MAX_LIMIT` of `include/linux/threads.h` on a 64-bit kernel: every pid is below it.
pub const NOBODY: i64 = 4 << 20;

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller => f.write_str("0"),
            Self::Every => f.write_str("-1"),
            Self::First => f.write_str("1"),
            Self::Nobody => NOBODY.fmt(f),
            Self::Named(name) => f.write_str(name),
        }
    }
}

impl Serialize for Task {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Task {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrName;

        impl Visitor<'_> for NumberOrName {
            type Value = Task;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "0 (the caller), 1 (process 1), -1 (every task) or the name of a process",
                )
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Task, E> {
                match number {
                    0 => Ok(Task::Caller),
                    1 => Ok(Task::First),
                    -1 => Ok(Task::Every),
                    NOBODY => Ok(Task::Nobody),
                    other => Err(E::custom(format!(
                        "a case cannot know which process has the number {other}: \
                         write 0, 1, -1, {NOBODY} (nobody) or the name of a process of the case"
                    ))),
                }
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Task, E> {
                let numbered = [Task::Caller, Task::Every, Task::First, Task::Nobody];
                if let Some(task) = numbered.into_iter().find(|task| task.to_string() == name) {
                    return Ok(task);
                }
                Ok(match name {
                    "" => return Err(E::custom("a process needs a name")),
                    name => Task::Named(name.to_owned()),
                })
            }
        }

        // The wire format is not self-describing: there, a task is always a string.
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(NumberOrName)
        } else {
            let text = String::deserialize(deserializer)?;
            NumberOrName.visit_str(&text).map_err(|error: D::Error| D::Error::custom(error))
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Task {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Task".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["integer", "string"],
            "anyOf": [{ "enum": [0, 1, -1, NOBODY] }, { "type": "string", "minLength": 1 }],
            "description": "0 is the caller, 1 process 1, -1 every task, a name a process of the case",
        })
    }
}
