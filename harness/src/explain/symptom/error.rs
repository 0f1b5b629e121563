//! Errors of reading a symptom.

/// All the ways reading a symptom can fail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SymptomError {
    /// The words do not describe a symptom.
    #[error(
        "understand `{0}`: give an AVC record, a cell, `-` for a log on standard input, or a \
         symptom such as `perf stat -a as user with cap_perfmon, paranoid 2`"
    )]
    Nothing(String),
    /// Some words are unknown and could change the answer.
    #[error(
        "understand {words}, which could change the answer (understood: {understood}): use perf \
         stat, record, top, trace or probe; -a, -C CPU, -G CGROUP, -p PID, -g, -m PAGES, -e EVENT; \
         root, user, `with CAP` or `without CAP`; `paranoid N`; the domain; EACCES or EPERM; and \
         omit what does not matter"
    )]
    Unknown {
        /// The unknown words, in backquotes.
        words: String,
        /// The meaning of the other words.
        understood: String,
    },
    /// The symptom is about bpf(2).
    #[error(
        "explain bpf(2) in words, only perf_event_open(): give its AVC record, or a cell of `bpf/` \
         (`perfsec run --list`); for the capability, write `cap_bpf`"
    )]
    Bpf,
}
