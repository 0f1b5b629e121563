//! Damages entries for tests.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::entries::Entry;
use super::{Cache, Holds, Room};

/// Damages a file in one way.
type Damage = fn(&Path);

/// The ways in which an entry can be damaged, by name.
const DAMAGES: &[(&str, Damage)] = &[
    ("cut off", |path| resize(path, -1)),
    ("extended", |path| resize(path, 1)),
    ("empty", |path| fs::write(path, "").unwrap()),
    ("garbage", |path| fs::write(path, b"\x1b[2J\0garbage").unwrap()),
    ("one changed byte", |path| flip_first_byte(path)),
    ("one changed byte and the old mtime", |path| {
        let times = fs::metadata(path).unwrap();
        flip_first_byte(path);
        let (accessed, modified) = (times.accessed().unwrap(), times.modified().unwrap());
        let times = FileTimes::new().set_accessed(accessed).set_modified(modified);
        File::options().write(true).open(path).unwrap().set_times(times).unwrap();
    }),
    ("another file", |path| {
        let other = path.with_extension("other");
        fs::write(&other, vec![b'x'; fs::metadata(path).unwrap().len() as usize]).unwrap();
        fs::rename(other, path).unwrap();
    }),
    ("a directory", |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
        fs::write(path.join("file"), "").unwrap();
    }),
    ("missing", |path| fs::remove_file(path).unwrap()),
];

/// The ways in which the seal of an entry can be damaged.
const DAMAGED_SEALS: &[(&str, Damage)] = &[
    ("no seal", |path| fs::remove_file(path).unwrap()),
    ("an empty seal", |path| fs::write(path, "").unwrap()),
    ("half a seal", |path| resize(path, -(fs::metadata(path).unwrap().len() as i64 / 2))),
];

/// Damages each entry of a room in each way. `is_used` must make use of the entries and return true
/// if it believed the damaged one; if it makes them again, it must return false. Damage at once
/// after the entry was written is tried as well as damage to an entry that was believed before.
///
/// # Panics
///
/// If a damaged entry is believed, or one that `make` has made is not.
#[track_caller]
pub(crate) fn is_never_believed(
    cache: &Cache,
    room: Room,
    make: impl Fn(),
    is_believed: impl Fn() -> bool,
) {
    make();
    let mut names: Vec<_> = fs::read_dir(cache.root().join(room.name)).unwrap().collect();
    assert!(!names.is_empty(), "nothing in {}", room.name);
    for name in names.drain(..) {
        let name = name.unwrap().file_name().into_string().unwrap();
        let entry = Entry::new(cache.root(), room, &name);
        let of =
            |damages: &'static [(&str, Damage)], path| damages.iter().map(move |it| (it, path));
        let (file, seal) = (entry.path(), entry.seal_path());
        for ((damage, apply), path) in of(DAMAGES, &file).chain(of(DAMAGED_SEALS, &seal)) {
            for settled in [false, true] {
                make();
                assert!(is_believed(), "{} {name} as it was made", room.name);
                if settled {
                    settle(cache, room, &name);
                }
                apply(path);
                assert!(!is_believed(), "{} {name}: {damage}, settled: {settled}", room.name);
            }
        }
    }
    make();
    assert!(is_believed(), "{} made again", room.name);
    let _ = cache.take_notes();
}

/// Waits until the seal of an entry vouches for its file.
fn settle(cache: &Cache, room: Room, name: &str) {
    std::thread::sleep(Duration::from_millis(30));
    assert!(cache.find(room, name).is_some());
}

/// Sets the time of an entry's last use.
pub(crate) fn set_last_use(cache: &Cache, room: Room, name: &str, time: SystemTime) {
    let path = cache.file(room, name);
    let inside = fs::read_dir(&path).into_iter().flatten();
    let mut paths: Vec<_> = inside.map(|entry| entry.unwrap().path()).chain([path]).collect();
    if room.holds == Holds::Entries {
        paths.push(Entry::new(cache.root(), room, name).seal_path());
    }
    for path in paths {
        let times = FileTimes::new().set_accessed(time).set_modified(time);
        File::open(path).unwrap().set_times(times).unwrap();
    }
}

fn resize(path: &Path, by: i64) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len().checked_add_signed(by).unwrap()).unwrap();
}

fn flip_first_byte(path: &Path) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 0).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 0).unwrap();
}
