//! Extracts the kernel image and its configuration from a Debian package.
//!
//! A package is an `ar` archive with a compressed `tar` of control files and another of content.
//! Two layouts are in use: `boot/vmlinuz-*` with `boot/config-*`, and since Debian's 7.x
//! `usr/lib/modules/*/vmlinuz` in `linux-binary-*` with the configuration in `linux-base-*`.

use std::io::{self, Read};
use std::path::{Component, Path};
use std::rc::Rc;

use super::config::Config;
use super::packing::Packing;
use crate::foreign::meter::{LONGEST_HEADER, Meter, MeteredReader};
use crate::foreign::{self, Limited};
use crate::interrupt::Interrupt;

/// The parts of a package that perfsec reads.
#[derive(Debug)]
pub(crate) struct Deb {
    /// Package name, from the control file.
    pub(crate) package: String,
    /// Package version, from the control file.
    pub(crate) version: String,
    /// The kernel image, if the package has one.
    pub(crate) image: Option<Vec<u8>>,
    /// The kernel's configuration, if the package has one.
    pub(crate) config: Option<Config>,
}

/// A package that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// The archive is damaged or truncated.
    #[error("unpack the Debian package")]
    Damaged(#[from] io::Error),
    /// A member is missing, or compressed in a way that packages never are.
    #[error("unpack the Debian package: it has no {0} that perfsec can read")]
    NoMember(&'static str),
    /// The package is intact but has no kernel.
    #[error(
        "find a kernel in package {package} {version}: it has neither boot/vmlinuz-* nor \
         usr/lib/modules/*/vmlinuz; packages with a kernel are called linux-image-* or \
         linux-binary-*"
    )]
    NoImage {
        /// Package name.
        package: String,
        /// Package version.
        version: String,
    },
}

/// The part of a package to read. Hundreds of megabytes of modules follow the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadUntil {
    /// Up to the image, with the configuration if it is next to it.
    Image,
    /// Up to the configuration.
    Config,
}

/// Reads a package as far as `until` asks.
pub(crate) fn read(path: &Path, until: ReadUntil, interrupt: &Interrupt) -> Result<Deb, DebError> {
    let read = |content: Box<dyn Read + '_>| read_content(content, until, interrupt);
    let (control, (image, config)) = with_content(foreign::open(path)?, interrupt, read)?;
    let Control { package, version, .. } = control;
    if until == ReadUntil::Image && image.is_none() {
        return Err(DebError::NoImage { package, version });
    }
    Ok(Deb { package, version, image, config })
}

/// The control files of a package, as far as perfsec reads them.
#[derive(Debug)]
pub(crate) struct Control {
    /// Package name.
    pub(crate) package: String,
    /// Package version.
    pub(crate) version: String,
    /// The script that runs after the package was unpacked.
    pub(crate) postinst: Option<String>,
}

/// Reads the control files of a package, and calls `read` with its content, an uncompressed tar.
pub(crate) fn with_content<T, E: From<DebError>>(
    package: impl Read,
    interrupt: &Interrupt,
    read: impl FnOnce(Box<dyn Read + '_>) -> Result<T, E>,
) -> Result<(Control, T), E> {
    let mut archive = ar::Archive::new(interrupt.reader(package));
    let mut control = None;
    while let Some(member) = archive.next_entry() {
        let member = member.map_err(DebError::from)?;
        let name = String::from_utf8_lossy(member.header().identifier()).into_owned();
        let name = name.trim_end_matches('/');
        if let Some(packing) = name.strip_prefix("control.tar") {
            let control_files = plain(packing, member, "control.tar")?;
            control = Some(read_control(Limited::new(control_files, &foreign::CONTROL))?);
        } else if let Some(packing) = name.strip_prefix("data.tar") {
            let control = control.ok_or(DebError::NoMember("control file"))?;
            return Ok((control, read(plain(packing, member, "data.tar")?)?));
        }
    }
    Err(DebError::NoMember("data.tar").into())
}

/// Decompresses a member according to the suffix of its name.
fn plain<'a>(
    ending: &str,
    member: impl Read + 'a,
    which: &'static str,
) -> Result<Box<dyn Read + 'a>, DebError> {
    let packing = Packing::from_ending(ending).ok_or(DebError::NoMember(which))?;
    Ok(packing.open(member)?)
}

fn read_control(content: impl Read) -> Result<Control, DebError> {
    let mut archive = tar::Archive::new(content);
    let (mut named, mut postinst) = (None, None);
    for entry in archive.entries()? {
        let entry = entry?;
        let path = entry.path()?.into_owned();
        let parts = components(&path);
        if parts != ["control"] && parts != ["postinst"] {
            continue;
        }
        let text = foreign::text(foreign::read_all(entry, &foreign::CONTROL)?)?;
        if parts == ["postinst"] {
            postinst = Some(text);
            continue;
        }
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(|value| value.trim().to_owned())
        };
        named = field("Package").zip(field("Version"));
    }
    let (package, version) = named.ok_or(DebError::NoMember("control file"))?;
    Ok(Control { package, version, postinst })
}

/// Opens the content of a package, an uncompressed tar. Before each entry is used, the meter must
/// allow to read it.
pub(crate) fn open_content<R: Read>(
    content: R,
    interrupt: &Interrupt,
) -> (tar::Archive<MeteredReader<Limited<R>>>, Rc<Meter>) {
    let meter = Rc::new(Meter::default());
    meter.allow(LONGEST_HEADER);
    let content = Limited::new(content, &foreign::PACKAGE);
    (tar::Archive::new(MeteredReader::new(content, &meter, interrupt)), meter)
}

fn read_content(
    content: impl Read,
    until: ReadUntil,
    interrupt: &Interrupt,
) -> Result<(Option<Vec<u8>>, Option<Config>), DebError> {
    let (mut image, mut config) = (None, None);
    let (mut archive, meter) = open_content(content, interrupt);
    for entry in archive.entries()? {
        let entry = entry?;
        meter.allow(entry.size().saturating_add(LONGEST_HEADER));
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path()?.into_owned();
        let parts = components(&path);
        let found = kernel_file(&parts);
        // dpkg-deb packs directories in order and completely, so the first file outside the
        // kernel's directory means that the rest is not the kernel's. In a package with another
        // order only the configuration is lost.
        if image.is_some() && found.is_none() && parts.first() != Some(&"boot") {
            break;
        }
        match found {
            Some(KernelFile::Image) if image.is_none() && until == ReadUntil::Image => {
                image = Some(foreign::read_sized(entry.size(), entry, &foreign::KERNEL)?);
            }
            Some(KernelFile::Config) => {
                let text = foreign::read_all(entry, &foreign::CONFIG)?;
                let parsed = Config::parse(&String::from_utf8_lossy(&text));
                config = Some(parsed).filter(|config| !config.is_empty());
            }
            _ => {}
        }
        if config.is_some() && (image.is_some() || until == ReadUntil::Config) {
            break;
        }
    }
    Ok((image, config))
}

/// The files of a package that perfsec reads.
pub(super) enum KernelFile {
    Image,
    Config,
}

pub(super) fn kernel_file(parts: &[&str]) -> Option<KernelFile> {
    match parts {
        ["boot", name] if name.starts_with("vmlinuz-") => Some(KernelFile::Image),
        ["boot", name] if name.starts_with("config-") => Some(KernelFile::Config),
        ["usr", "lib", "modules", _, "vmlinuz"] | ["lib", "modules", _, "vmlinuz"] => {
            Some(KernelFile::Image)
        }
        ["usr", "lib", "modules", _, "config"] | ["lib", "modules", _, "config"] => {
            Some(KernelFile::Config)
        }
        _ => None,
    }
}

/// The components of a path, without the `./` that every path in a package begins with.
pub(crate) fn components(path: &Path) -> Vec<&str> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;
    use crate::kernel::fixture::deb;

    fn read_deb(bytes: &[u8], until: ReadUntil) -> Result<Deb, DebError> {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("kernel.deb");
        std::fs::write(&path, bytes).unwrap();
        read(&path, until, &Interrupt::default())
    }

    #[rstest]
    #[case(".xz", &[("./boot/config-6.1", "CONFIG_AUDIT=y"), ("./boot/vmlinuz-6.1", "kernel")])]
    #[case(".gz", &[("./boot/vmlinuz-6.1", "kernel"), ("./boot/config-6.1", "CONFIG_AUDIT=y")])]
    #[case(".zst", &[
        ("./usr/lib/modules/6.1/config", "CONFIG_AUDIT=y"),
        ("./usr/lib/modules/6.1/vmlinuz", "kernel"),
    ])]
    #[case("", &[
        ("./boot/vmlinuz-6.1", "kernel"),
        ("./boot/zz", ""),
        ("./boot/config-6.1", "CONFIG_AUDIT=y"),
    ])]
    fn both_layouts_are_read_in_every_compression(
        #[case] packing: &str,
        #[case] files: &[(&str, &str)],
    ) {
        let deb = read_deb(&deb(packing, files), ReadUntil::Image).unwrap();
        assert_eq!((deb.package.as_str(), deb.version.as_str()), ("linux-image-test", "6.1.192-2"));
        assert_eq!(deb.image.as_deref(), Some(b"kernel".as_slice()));
        assert!(deb.config.unwrap().is_set("CONFIG_AUDIT"));
    }

    #[test]
    fn an_image_without_a_config_is_enough() {
        let files = [("./usr/lib/modules/7.3/vmlinuz", "kernel"), ("./usr/share/doc/x", "")];
        let deb = read_deb(&deb(".xz", &files), ReadUntil::Image).unwrap();
        assert!(deb.image.is_some() && deb.config.is_none());
    }

    #[test]
    fn a_config_can_be_read_alone() {
        let files = [("./usr/lib/modules/7.3/config", "CONFIG_AUDIT=y")];
        let deb = read_deb(&deb(".xz", &files), ReadUntil::Config).unwrap();
        assert!(deb.config.is_some());
    }

    #[test]
    fn a_package_without_a_kernel_is_named() {
        let files = [("./usr/lib/debug/boot/vmlinux-6.1", "symbols")];
        let error = read_deb(&deb(".xz", &files), ReadUntil::Image).unwrap_err();
        assert!(error.to_string().contains("linux-image-test 6.1.192-2"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_damaged_package_never_panics(
            at in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<proptest::sample::Index>(),
        ) {
            let mut bytes = deb(".gz", &[("./boot/vmlinuz-6.1", "kernel")]);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(cut.index(bytes.len() + 1));
            let _ = read_deb(&bytes, ReadUntil::Image);
        }
    }
}
