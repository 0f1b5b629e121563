//! Results that are texts, from the memory that a syscall filled.

use nix::libc;
use perfsec_wire::CapSet;

/// The result of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    /// Index of the step.
    pub(super) step: usize,
    /// Offset of the memory from the beginning of the region, in bytes.
    pub(super) offset: usize,
    pub(super) form: OutputForm,
}

/// The content of the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputForm {
    /// As many bytes of a file as the result says.
    Bytes,
    /// `struct stat`
    Stat,
    /// Two `struct __user_cap_data_struct`.
    Caps,
    /// Three ids of 32 bits.
    Ids,
}

/// Bytes of a `struct stat`.
pub(super) const STAT: usize = size_of::<libc::stat>();
/// Bytes of what `capget(2)` stores.
pub(super) const CAPS: usize = 24;
/// Bytes of what `getresuid(2)` stores.
pub(super) const IDS: usize = 12;

impl Output {
    /// The number of bytes that a successful call with this result has stored.
    pub(crate) fn length(&self, result: i64) -> usize {
        match self.form {
            OutputForm::Bytes => usize::try_from(result).unwrap_or(0),
            OutputForm::Stat => STAT,
            OutputForm::Caps => CAPS,
            OutputForm::Ids => IDS,
        }
    }

    /// The bytes as a transcript has them.
    pub(crate) fn text(&self, bytes: &[u8]) -> String {
        match self.form {
            OutputForm::Bytes => format!("{:?}", String::from_utf8_lossy(bytes)),
            OutputForm::Stat => stat(bytes),
            OutputForm::Ids => [0, 4, 8].map(|at| word(bytes, at).to_string()).join(", "),
            OutputForm::Caps => {
                let [effective, permitted, inheritable] = caps(bytes);
                format!("permitted={permitted}, effective={effective}, inheritable={inheritable}")
            }
        }
    }
}

fn word(bytes: &[u8], offset: usize) -> u32 {
    let word = bytes.get(offset..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |word| u32::from_ne_bytes(*word))
}

/// `0644 uid=0 gid=0`, or `directory 0755 uid=0 gid=0`.
fn stat(bytes: &[u8]) -> String {
    use std::mem::offset_of;
    let mode = word(bytes, offset_of!(libc::stat, st_mode));
    let uid = word(bytes, offset_of!(libc::stat, st_uid));
    let gid = word(bytes, offset_of!(libc::stat, st_gid));
    let kind = match mode & libc::S_IFMT {
        libc::S_IFREG => "",
        libc::S_IFDIR => "directory ",
        libc::S_IFLNK => "link ",
        libc::S_IFCHR => "character device ",
        libc::S_IFBLK => "block device ",
        libc::S_IFIFO => "fifo ",
        libc::S_IFSOCK => "socket ",
        _ => "unknown ",
    };
    format!("{kind}{:04o} uid={uid} gid={gid}", mode & !libc::S_IFMT)
}

/// The sets that `capget(2)` stores: effective, permitted, inheritable. Their low words come first.
pub(super) fn caps(bytes: &[u8]) -> [CapSet; 3] {
    let half = |at: usize| u64::from(word(bytes, at));
    [0, 4, 8].map(|at| CapSet(half(at) | half(at + 12) << 32))
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use rstest::rstest;

    use super::*;

    fn output(form: OutputForm) -> Output {
        Output { step: 0, offset: 0, form }
    }

    #[rstest]
    #[case(libc::S_IFREG | 0o644, "0644 uid=1 gid=2")]
    #[case(libc::S_IFDIR | 0o1777, "directory 1777 uid=1 gid=2")]
    #[case(libc::S_IFREG, "0000 uid=1 gid=2")]
    fn a_file_has_its_type_mode_and_owner(#[case] mode: u32, #[case] text: &str) {
        let mut bytes = [0; STAT];
        for (offset, value) in [
            (offset_of!(libc::stat, st_mode), mode),
            (offset_of!(libc::stat, st_uid), 1),
            (offset_of!(libc::stat, st_gid), 2),
        ] {
            bytes[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        }
        assert_eq!(output(OutputForm::Stat).text(&bytes), text);
    }

    #[test]
    fn what_was_read_is_one_quoted_line() {
        let bytes = output(OutputForm::Bytes);
        assert_eq!(bytes.text(b"2\n"), r#""2\n""#);
        assert_eq!(bytes.text(b"say \"\xff\0\""), r#""say \"�\0\"""#);
        assert_eq!((bytes.length(2), bytes.length(0)), (2, 0));
    }

    #[test]
    fn the_sets_of_a_process_are_effective_permitted_inheritable() {
        let words = [1_u32, 2, 4, 1 << 6, 0, 0];
        let bytes: Vec<_> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let text = output(OutputForm::Caps).text(&bytes);
        let expected =
            "permitted=dac_override, effective=chown+perfmon, inheritable=dac_read_search";
        assert_eq!(text, expected);
    }
}
