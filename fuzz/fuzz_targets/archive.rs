//! Kernel sources in archives: nothing is written, and no link leads, outside the directory.

#![no_main]

use libfuzzer_sys::fuzz_target;
use perfsec::interrupt::Interrupt;
use perfsec::source::unpack;
use perfsec_fuzz::{Scratch, byte, bytes, damage};
use std::fs;
use std::path::Path;
use tar::{Builder, EntryType, Header};

thread_local!(static SCRATCH: Scratch = Scratch::new());

const KINDS: [EntryType; 8] = [
    EntryType::Regular,
    EntryType::Directory,
    EntryType::Symlink,
    EntryType::Link,
    EntryType::XGlobalHeader,
    EntryType::XHeader,
    EntryType::GNULongName,
    EntryType::GNUSparse,
];

fuzz_target!(|data: &[u8]| {
    check(data);
    let mut data = data;
    let mut archive = Builder::new(Vec::new());
    for _ in 0..byte(&mut data) % 8 {
        let mut header = Header::new_gnu();
        header.set_entry_type(KINDS[byte(&mut data) % KINDS.len()]);
        let (name, link, content) = (bytes(&mut data), bytes(&mut data), bytes(&mut data));
        let raw = header.as_old_mut();
        let (name, link) = (&name[..name.len().min(100)], &link[..link.len().min(100)]);
        raw.name[..name.len()].copy_from_slice(name);
        raw.linkname[..link.len()].copy_from_slice(link);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append(&header, content).expect("memory can be written");
    }
    let mut built = archive.into_inner().expect("memory can be written");
    damage(&mut built, &mut data);
    check(&built);
});

fn check(archive: &[u8]) {
    SCRATCH.with(|scratch| {
        let path = scratch.file("archive", archive);
        let tree = scratch.path().join("tree");
        let _ = fs::remove_dir_all(&tree);
        fs::create_dir(&tree).expect("a directory in ours");
        let unpacked = unpack(&path, &tree, &Interrupt::default());
        let beside = fs::read_dir(scratch.path()).expect("our directory").count();
        assert_eq!(beside, 2, "{unpacked:?}");
        if unpacked.is_ok() {
            stays_below(&tree, &tree);
        }
    });
}

fn stays_below(top: &Path, directory: &Path) {
    for entry in fs::read_dir(directory).expect("our directory") {
        let path = entry.expect("an entry").path();
        let data = path.symlink_metadata().expect("it is there");
        if data.is_symlink() {
            let leads = path.canonicalize();
            assert!(leads.is_err() || leads.is_ok_and(|to| to.starts_with(top)), "{path:?}");
        } else if data.is_dir() {
            stays_below(top, &path);
        }
    }
}
