//! The ELF headers of an uncompressed kernel: machine, segments and notes.

use object::elf::{self, FileHeader64, NoteType};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, FileKind};

/// Note with the kernel's 32-bit PVH entry point (`include/xen/interface/elfnote.h`).
const XEN_ELFNOTE_PHYS32_ENTRY: NoteType = NoteType(18);

type Header = FileHeader64<Endianness>;

/// An ELF file that perfsec cannot boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ElfError {
    /// For another architecture, by name.
    Machine(String),
    /// Not an executable; names the type of file.
    Kind(&'static str),
    /// Invalid headers.
    Damaged(String),
}

/// File offset of the end of the last segment; debug information may follow it.
///
/// `start` is the beginning of the file and includes all program headers.
pub(crate) fn loaded_end(start: &[u8]) -> Result<u64, ElfError> {
    let (header, endian) = header(start)?;
    let segments = header.program_headers(endian, start).map_err(damaged)?;
    segments
        .iter()
        .map(|segment| segment.p_offset(endian).checked_add(segment.p_filesz(endian)))
        .try_fold(0, |end, segment| Some(end.max(segment?)))
        .ok_or_else(|| ElfError::Damaged("a segment ends past the end of any file".to_owned()))
}

/// True if the kernel has a PVH entry point, which QEMU's `-kernel` needs for an ELF file.
pub(crate) fn has_pvh_entry(vmlinux: &[u8]) -> Result<bool, ElfError> {
    let (header, endian) = header(vmlinux)?;
    for segment in header.program_headers(endian, vmlinux).map_err(damaged)? {
        let Some(mut notes) = segment.notes(endian, vmlinux).map_err(damaged)? else { continue };
        while let Some(note) = notes.next().map_err(damaged)? {
            if note.name() == b"Xen" && note.n_type(endian) == XEN_ELFNOTE_PHYS32_ENTRY {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// True for a program that a dynamic linker starts.
pub(crate) fn needs_libraries(program: &[u8]) -> Result<bool, ElfError> {
    let (header, endian) = header(program)?;
    let segments = header.program_headers(endian, program).map_err(damaged)?;
    Ok(segments.iter().any(|segment| segment.p_type(endian) == elf::PT_INTERP))
}

fn header(data: &[u8]) -> Result<(&Header, Endianness), ElfError> {
    match FileKind::parse(data).map_err(damaged)? {
        FileKind::Elf64 => {}
        FileKind::Elf32 => return Err(ElfError::Machine("a 32-bit processor".to_owned())),
        _ => return Err(ElfError::Damaged("not an ELF file".to_owned())),
    }
    let header = Header::parse(data).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let machine = match header.e_machine(endian) {
        elf::EM_X86_64 => None,
        elf::EM_AARCH64 => Some("aarch64".to_owned()),
        elf::EM_RISCV => Some("riscv64".to_owned()),
        elf::EM_PPC64 => Some("ppc64".to_owned()),
        elf::EM_S390 => Some("s390x".to_owned()),
        elf::EM_LOONGARCH => Some("loongarch64".to_owned()),
        other => Some(format!("machine number {}", other.0)),
    };
    if let Some(machine) = machine {
        return Err(ElfError::Machine(machine));
    }
    match header.e_type(endian) {
        // A position-independent kernel is ET_DYN; only the banner distinguishes it from a program.
        elf::ET_EXEC | elf::ET_DYN => Ok((header, endian)),
        elf::ET_REL => Err(ElfError::Kind("an object file or kernel module")),
        elf::ET_CORE => Err(ElfError::Kind("a core dump")),
        _ => Err(ElfError::Kind("an ELF file of unknown type")),
    }
}

fn damaged(error: object::read::Error) -> ElfError {
    ElfError::Damaged(error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::fixture::{Shape, vmlinux};

    #[test]
    fn the_pvh_note_is_found() {
        let with = vmlinux(&Shape::default());
        let without = vmlinux(&Shape { pvh: false, ..Shape::default() });
        assert_eq!(has_pvh_entry(&with), Ok(true));
        assert_eq!(has_pvh_entry(&without), Ok(false));
        assert_eq!(loaded_end(&with), Ok(with.len() as u64));
    }

    #[test]
    fn another_architecture_is_named() {
        let arm = vmlinux(&Shape { machine: 183, ..Shape::default() });
        assert_eq!(has_pvh_entry(&arm), Err(ElfError::Machine("aarch64".to_owned())));
    }

    proptest! {
        #[test]
        fn a_damaged_file_never_panics(at in 0usize..300, byte in any::<u8>(), end in 0usize..400) {
            let mut data = vmlinux(&Shape::default());
            let at = at % data.len();
            data[at] = byte;
            data.truncate(end);
            let _ = (has_pvh_entry(&data), loaded_end(&data));
        }
    }
}
