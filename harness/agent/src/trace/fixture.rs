//! The trace and audit records of one cell of a real guest: `testdata/*.txt`.

use perfsec_wire::observation::Record;

use super::event::{Decoder, Event, EventKind};
use super::format::{Format, PageLayout};
use super::ring;

/// The files, by the kernel that made them. 5.10 has no tracepoint for commoncap's verdict and
/// writes no SYSCALL record with an AVC record; 7.3 has both.
pub(crate) const DEBIAN_5_10: &str = include_str!("../testdata/debian-5.10.txt");
pub(crate) const DEBIAN_7_3: &str = include_str!("../testdata/debian-7.3.txt");

/// A parsed file, whose pages are not decoded.
#[derive(Default)]
pub(crate) struct Fixture {
    pub(crate) header: String,
    pub(crate) formats: Vec<(String, String)>,
    pub(crate) pages: Vec<Vec<u8>>,
    pub(crate) pid: u32,
    pub(crate) records: Vec<Record>,
}

enum Section {
    Header,
    Format,
    Page,
}

impl Fixture {
    pub(crate) fn parse(text: &str) -> Self {
        let mut this = Self::default();
        let mut section = Section::Header;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<_> = line.splitn(3, ' ').collect();
            match words.as_slice() {
                ["header_page"] => section = Section::Header,
                ["format", name] => {
                    this.formats.push(((*name).to_owned(), String::new()));
                    section = Section::Format;
                }
                ["page"] => {
                    this.pages.push(Vec::new());
                    section = Section::Page;
                }
                ["pid", pid] => this.pid = pid.parse().unwrap(),
                ["record", kind, text] => {
                    let (kind, text) = (kind.parse().unwrap(), (*text).to_owned());
                    this.records.push(Record { kind, text });
                }
                _ => match section {
                    Section::Header => this.header += &format!("{line}\n"),
                    Section::Format => this.formats.last_mut().unwrap().1 += &format!("{line}\n"),
                    Section::Page => this.pages.last_mut().unwrap().extend(hex(line)),
                },
            }
        }
        this
    }

    /// The subject's events.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut decoder = Decoder::default();
        for (name, text) in &self.formats {
            let kind = match name.as_str() {
                "raw_syscalls/sys_enter" => EventKind::Enter,
                "raw_syscalls/sys_exit" => EventKind::Exit,
                "avc/selinux_audited" => EventKind::Audited,
                "perfsec/ask" => EventKind::Asked,
                "perfsec/answer" => EventKind::Answered,
                "perfsec/commoncap" | "capability/cap_capable" => EventKind::Commoncap,
                other => panic!("{other}"),
            };
            decoder.add(kind, &Format::parse(text).unwrap()).unwrap();
        }
        let layout = PageLayout::parse(&self.header).unwrap();
        let pages = self.pages.iter().map(|page| ring::page(page, &layout).unwrap());
        pages
            .flat_map(|page| page.events)
            .filter_map(|(time, data)| decoder.decode(time, data))
            .filter(|event| event.tid == self.pid as i32)
            .collect()
    }
}

fn hex(line: &str) -> Vec<u8> {
    let digits = line.as_bytes().chunks_exact(2);
    digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
