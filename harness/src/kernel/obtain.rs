//! Obtains a kernel by its name and prepares it to boot, through the cache.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::arch::Arch;
use super::boot_header::BootHeader;
use super::config::Config;
use super::deb::{self, DebError, KernelFile, ReadUntil, kernel_file};
use super::hash;
use super::image::{self, EntryPoint, Image, ImageError};
use super::packed::{PACKED, keep_packed};
use super::record::{Kernel, KernelImage, Origin};
use super::rpm::{self, RpmError, RpmName};
use super::spec::{DebianSelector, ImageSpec};
use super::version::KernelVersion;
use crate::cache::{Cache, CacheError, Room};
use crate::debian::{Archive, DebianError, PackageKind};
use crate::foreign;
use crate::host::OsRelease;
use crate::interrupt::Interrupt;

/// Version of the cache entries. Increment it when the same input would give another entry.
const FORMAT: u32 = 2;

/// Options for obtaining a kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImageOptions {
    newer_than: Option<SystemTime>,
}

impl ImageOptions {
    /// Fetches Debian's package lists again, once for all kernels obtained with these options.
    pub fn refreshing() -> Self {
        Self { newer_than: Some(SystemTime::now()) }
    }

    /// Debian's archive, with these options.
    pub(crate) fn archive<'a>(
        self,
        host: &'a OsRelease,
        cache: &'a Cache,
        interrupt: &'a Interrupt,
        progress: &'a dyn Fn(&str),
    ) -> Archive<'a> {
        let (newer_than, host_suite) = (self.newer_than, host.debian_suite());
        Archive { cache, newer_than, host_suite, interrupt, progress }
    }
}

/// A kernel that cannot be obtained. Its source says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The file cannot be read.
    #[error("read kernel {}", .path.display())]
    Read {
        /// As given by the user.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The path is a directory.
    #[error(
        "read kernel {}: it is a directory; give the image in it, such as arch/x86/boot/bzImage",
        .0.display()
    )]
    Directory(PathBuf),
    /// The path is a pipe or a device.
    #[error("read kernel {}: it is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// The file is not a kernel that boots.
    #[error("use {} as a kernel", .path.display())]
    Image {
        /// As given by the user.
        path: PathBuf,
        /// The reason.
        source: ImageError,
    },
    /// The package has no kernel that boots.
    #[error("use {} as a kernel", .path.display())]
    Deb {
        /// As given by the user.
        path: PathBuf,
        /// The reason.
        source: DebError,
    },
    /// The RPM package has no kernel that boots.
    #[error("use {} as a kernel", .path.display())]
    Rpm {
        /// As given by the user.
        path: PathBuf,
        /// The reason.
        source: RpmError,
    },
    /// Debian's archive failed.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// The cache failed, or the user interrupted the wait for another perfsec.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// No kernel was named, and the host has no default.
    #[error("choose a kernel: this host is {host}, not a Debian release; give --kernel")]
    NoDefault {
        /// `PRETTY_NAME` of the host.
        host: String,
    },
}

/// The default kernel: the newest stock kernel of the host's Debian suite.
pub fn default_spec() -> Result<ImageSpec, KernelError> {
    let host = OsRelease::detect();
    host.debian_suite()
        .map(|suite| ImageSpec::Debian(DebianSelector::Suite(suite.to_owned())))
        .ok_or_else(|| KernelError::NoDefault { host: host.name() })
}

/// Fetches a kernel and prepares it to boot. `progress` gets a line, without a newline, before slow
/// steps. `interrupt` ends the wait for another perfsec that works on the same kernel.
pub fn obtain(
    spec: &ImageSpec,
    cache: &Cache,
    options: ImageOptions,
    interrupt: &Interrupt,
    progress: &dyn Fn(&str),
) -> Result<Kernel, KernelError> {
    let host = OsRelease::detect();
    let archive = options.archive(&host, cache, interrupt, progress);
    let found = match spec {
        ImageSpec::File(path) => return obtain_file(path, cache, interrupt, progress),
        ImageSpec::Debian(selector) => archive.find(selector, PackageKind::Image)?,
    };
    let origin = Origin::Debian {
        suite: found.suite().to_owned(),
        package: found.name().to_owned(),
        version: found.version().to_owned(),
    };
    let key = found.key();
    let entry = CacheEntry { cache, key: &key };
    let cached = entry.get_or_make(interrupt, progress, || {
        let path = archive.fetch(&found)?;
        let mut source = read_deb(&path, interrupt)?;
        if let Some(path) = archive.fetch_config(&found)? {
            let read = deb::read(&path, ReadUntil::Config, interrupt)
                .map_err(|error| KernelError::Deb { path: path.clone(), source: error })?;
            source.config = source.config.or(read.config);
        }
        Ok(source)
    })?;
    Ok(cached.into_kernel(origin, None))
}

/// The image as its distribution ships it: the `vmlinuz` that a boot loader loads.
///
/// # Errors
///
/// Those of [`obtain`].
pub fn shipped_image(
    spec: &ImageSpec,
    cache: &Cache,
    options: ImageOptions,
    interrupt: &Interrupt,
    progress: &dyn Fn(&str),
) -> Result<Vec<u8>, KernelError> {
    let host = OsRelease::detect();
    let archive = options.archive(&host, cache, interrupt, progress);
    let found = match spec {
        ImageSpec::File(path) => {
            // For its error if the file is not a kernel.
            obtain_file(path, cache, interrupt, progress)?;
            let failed = |source| KernelError::Read { path: path.clone(), source };
            return match read_package(path, interrupt)? {
                Some(package) => Ok(package.image),
                None => foreign::read(path, &foreign::KERNEL).map_err(failed),
            };
        }
        ImageSpec::Debian(selector) => archive.find(selector, PackageKind::Image)?,
    };
    Ok(read_deb(&archive.fetch(&found)?, interrupt)?.image)
}

fn obtain_file(
    path: &Path,
    cache: &Cache,
    interrupt: &Interrupt,
    progress: &dyn Fn(&str),
) -> Result<Kernel, KernelError> {
    let failed = |source| KernelError::Read { path: path.to_path_buf(), source };
    let data = fs::metadata(path).map_err(failed)?;
    if data.is_dir() {
        return Err(KernelError::Directory(path.to_path_buf()));
    }
    if !data.is_file() {
        return Err(KernelError::NotAFile(path.to_path_buf()));
    }
    if data.len() > foreign::KERNEL_FILE.bytes {
        return Err(failed(foreign::KERNEL_FILE.exceeded()));
    }
    let mut file = foreign::open(path).map_err(failed)?;
    let sha256 = hash::sha256_file(&mut file, interrupt).map_err(failed)?;
    let entry = CacheEntry { cache, key: &sha256 };
    let rpm = rpm::is_rpm(path).map_err(failed)?;
    let cached = entry.get_or_make(interrupt, progress, || {
        if let Some(package) = read_package(path, interrupt)? {
            return Ok(package);
        }
        let bytes = image::read_image(&mut file)
            .map_err(failed)?
            .map_err(|source| KernelError::Image { path: path.to_path_buf(), source })?;
        Ok(RawImage {
            path: path.to_path_buf(),
            image: bytes,
            must_copy: false,
            package: None,
            config: None,
        })
    })?;
    let given = path.to_path_buf();
    let origin = match &cached.kernel.package {
        Some((package, version)) => {
            let (package, version) = (package.clone(), version.clone());
            match rpm {
                true => Origin::Rpm { path: given, package, version },
                false => Origin::Deb { path: given, package, version },
            }
        }
        None => Origin::File { path: given },
    };
    Ok(cached.into_kernel(origin, Some(path)))
}

/// Loads a kernel that [`store_built`] stored under this key, if it is still in the cache.
pub(crate) fn load_built(cache: &Cache, key: &str, origin: &Origin) -> Option<Kernel> {
    let entry = CacheEntry { cache, key };
    entry.load().map(|cached| cached.into_kernel(origin.clone(), None))
}

/// Stores a kernel that was built on this host. `key` is a hash of what it was built from. A bzImage
/// is also stored unchanged, for [`find_packed`](super::find_packed).
///
/// # Errors
///
/// The image cannot be read, does not boot, or cannot be written to the cache.
pub(crate) fn store_built(
    cache: &Cache,
    key: &str,
    origin: Origin,
    path: &Path,
    config: Config,
) -> Result<Kernel, KernelError> {
    let image = foreign::read(path, &foreign::KERNEL)
        .map_err(|source| KernelError::Read { path: path.to_path_buf(), source })?;
    if BootHeader::parse(&image).is_ok() {
        keep_packed(cache, &hash::sha256(&image), &image)?;
    }
    let source = RawImage {
        path: path.to_path_buf(),
        image,
        must_copy: true,
        package: None,
        config: Some(config),
    };
    let cached = CacheEntry { cache, key }.make(source, &Interrupt::default())?;
    Ok(cached.into_kernel(origin, None))
}

/// Reads the kernel in a package; `None` if the file is no package.
fn read_package(path: &Path, interrupt: &Interrupt) -> Result<Option<RawImage>, KernelError> {
    let failed = |source| KernelError::Read { path: path.to_path_buf(), source };
    if image::is_deb(path).map_err(failed)? {
        return read_deb(path, interrupt).map(Some);
    }
    if rpm::is_rpm(path).map_err(failed)? {
        return read_rpm(path, interrupt).map(Some);
    }
    Ok(None)
}

/// Reads the kernel in an RPM package, which has its files in any order.
fn read_rpm(path: &Path, interrupt: &Interrupt) -> Result<RawImage, KernelError> {
    let (mut image, mut config) = (None, None);
    let each = |file: &Path, size, content: &mut dyn io::Read| -> Result<_, RpmError> {
        match kernel_file(&deb::components(file)) {
            Some(KernelFile::Image) => {
                image = Some(foreign::read_sized(size, content, &foreign::KERNEL)?);
            }
            Some(KernelFile::Config) => {
                let text = foreign::read_sized(size, content, &foreign::CONFIG)?;
                let parsed = Config::parse(&String::from_utf8_lossy(&text));
                config = Some(parsed).filter(|config| !config.is_empty());
            }
            None => {}
        }
        let complete = image.is_some() && config.is_some();
        Ok(if complete { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    let failed = |source| KernelError::Rpm { path: path.to_path_buf(), source };
    let RpmName { package, version } = rpm::each_file(path, interrupt, each).map_err(failed)?;
    let missing = || failed(RpmError::NoImage(format!("{package} {version}")));
    let image = image.ok_or_else(missing)?;
    let package = Some((package, version));
    Ok(RawImage { path: path.to_path_buf(), image, must_copy: true, package, config })
}

fn read_deb(path: &Path, interrupt: &Interrupt) -> Result<RawImage, KernelError> {
    let failed = |source| KernelError::Deb { path: path.to_path_buf(), source };
    let deb = deb::read(path, ReadUntil::Image, interrupt).map_err(failed)?;
    let package = Some((deb.package, deb.version));
    let image = deb.image.unwrap_or_default();
    Ok(RawImage { path: path.to_path_buf(), image, must_copy: true, package, config: deb.config })
}

/// An image as it was found, before it is parsed.
struct RawImage {
    /// For error messages.
    path: PathBuf,
    image: Vec<u8>,
    /// True if the cache needs a copy of the image, because it comes from a package or the next
    /// build overwrites it.
    must_copy: bool,
    /// Name and version of the package.
    package: Option<(String, String)>,
    config: Option<Config>,
}

/// The cached form of a [`Kernel`]: everything but its origin.
#[derive(Serialize, Deserialize)]
struct CachedKernel {
    format: u32,
    /// SHA-256 of the image. The key differs if the image comes from a package or a build.
    sha256: String,
    /// Name of the file in the cache that boots; `None` if the image itself boots.
    file: Option<String>,
    how: EntryPoint,
    #[serde(default)]
    arch: Arch,
    release: String,
    version: KernelVersion,
    banner: String,
    distribution: Option<String>,
    package: Option<(String, String)>,
    config: Option<Config>,
}

/// A kernel from the cache, with the path of the file that boots.
struct LoadedKernel {
    kernel: CachedKernel,
    /// `None` if the image itself boots.
    file: Option<PathBuf>,
}

impl LoadedKernel {
    /// `given` is the path of the image on the host, if the user gave one.
    fn into_kernel(self, origin: Origin, given: Option<&Path>) -> Kernel {
        let given = || given.map(|path| fs::canonicalize(path).unwrap_or_else(|_| path.into()));
        let path = self.file.or_else(given).unwrap_or_default();
        let CachedKernel { sha256, how, arch, release, version, banner, .. } = self.kernel;
        let CachedKernel { distribution, config, .. } = self.kernel;
        let image = Some(KernelImage { path, entry: how, sha256 });
        let parameters = Vec::new();
        Kernel { image, arch, release, version, banner, distribution, origin, config, parameters }
    }
}

/// The cache entry of one kernel.
struct CacheEntry<'a> {
    cache: &'a Cache,
    /// SHA-256 of the file, of Debian's packages, or of the build's input.
    key: &'a str,
}

impl CacheEntry<'_> {
    fn get_or_make(
        &self,
        interrupt: &Interrupt,
        progress: &dyn Fn(&str),
        source: impl FnOnce() -> Result<RawImage, KernelError>,
    ) -> Result<LoadedKernel, KernelError> {
        if let Some(cached) = self.load() {
            return Ok(cached);
        }
        let _lock = self.cache.lock(&lock_name(self.key), interrupt, || {
            progress("waiting for another perfsec that unpacks the same kernel");
        })?;
        match self.load() {
            Some(cached) => Ok(cached),
            None => self.make(source()?, interrupt),
        }
    }

    /// Loads the entry, if its files are what was written.
    fn load(&self) -> Option<LoadedKernel> {
        let name = format!("{}.json", self.key);
        let kernel: CachedKernel = self.cache.read_json(Room::KERNEL, &name)?;
        let file = match &kernel.file {
            Some(name) => Some(self.cache.find(Room::KERNEL, name)?),
            None => None,
        };
        (kernel.format == FORMAT).then_some(LoadedKernel { kernel, file })
    }

    fn make(&self, source: RawImage, interrupt: &Interrupt) -> Result<LoadedKernel, KernelError> {
        let failed = |error| KernelError::Image { path: source.path.clone(), source: error };
        let parsed = Image::parse_until(&source.image, interrupt).map_err(failed)?;
        // The key of a file on the host is its SHA-256 already.
        let sha256 =
            if source.must_copy { hash::sha256(&source.image) } else { self.key.to_owned() };
        let (bytes, ending) = match (parsed.how, &parsed.unpacked) {
            (EntryPoint::Pvh, Some(vmlinux)) => (Some(vmlinux), "vmlinux"),
            (EntryPoint::Pvh, None) => (source.must_copy.then_some(&source.image), "vmlinux"),
            (EntryPoint::BzImage, _) => (Some(&source.image), PACKED),
        };
        let name = format!("{sha256}.{ending}");
        let file = bytes.map(|bytes| self.cache.publish(Room::KERNEL, &name, bytes)).transpose()?;
        let kernel = CachedKernel {
            format: FORMAT,
            sha256,
            file: file.is_some().then_some(name),
            how: parsed.how,
            arch: parsed.arch,
            release: parsed.release,
            version: parsed.version,
            banner: parsed.banner,
            distribution: parsed.distribution,
            package: source.package,
            config: parsed.config.or(source.config),
        };
        self.cache.publish_json(Room::KERNEL, &format!("{}.json", self.key), &kernel)?;
        Ok(LoadedKernel { kernel, file })
    }
}

/// The name of the lock of an entry.
fn lock_name(key: &str) -> String {
    format!("{}-{key}", Room::KERNEL.name)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;
    use crate::cache::spoil;
    use crate::kernel::decompress::Compression;
    use crate::kernel::fixture::{Shape, bz_image, deb_of_bytes, rpm, vmlinux};

    fn boots(kernel: &Kernel) -> &KernelImage {
        kernel.image.as_ref().unwrap()
    }

    struct ObtainFixture {
        dir: TempDir,
        cache: Cache,
    }

    impl ObtainFixture {
        fn new() -> Self {
            let dir = TempDir::new().unwrap();
            let cache = Cache::at(&dir.path().join("cache")).unwrap();
            Self { dir, cache }
        }

        fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
            let path = self.dir.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        }

        fn obtain(&self, path: &Path) -> Result<Kernel, KernelError> {
            let spec = ImageSpec::File(path.to_path_buf());
            obtain(&spec, &self.cache, ImageOptions::default(), &Interrupt::default(), &|_| {})
        }
    }

    #[test]
    fn an_interrupt_ends_the_wait_for_another_perfsec() {
        let fixture = ObtainFixture::new();
        let bytes = bz_image(Compression::Gzip, &vmlinux(&Shape::default()));
        let path = fixture.file("bzImage", &bytes);
        let name = lock_name(&hash::sha256(&bytes));
        let _held = fixture.cache.lock(&name, &Interrupt::default(), || {}).unwrap();
        let interrupt = Interrupt::default();
        let lines = std::cell::RefCell::new(Vec::new());
        let progress = |line: &str| {
            lines.borrow_mut().push(line.to_owned());
            interrupt.raise();
        };
        let spec = ImageSpec::File(path);
        let error = obtain(&spec, &fixture.cache, ImageOptions::default(), &interrupt, &progress);
        assert!(matches!(error, Err(KernelError::Cache(CacheError::Interrupted))));
        assert_eq!(lines.take(), ["waiting for another perfsec that unpacks the same kernel"]);
    }

    #[test]
    fn a_boot_image_is_unpacked_once() {
        let fixture = ObtainFixture::new();
        let plain = vmlinux(&Shape::default());
        let path = fixture.file("bzImage", &bz_image(Compression::Xz, &plain));
        let kernel = fixture.obtain(&path).unwrap();
        assert_eq!(fs::read(&boots(&kernel).path).unwrap(), plain);
        assert_eq!(kernel.origin, Origin::File { path: path.clone() });
        let made = fs::metadata(&boots(&kernel).path).unwrap().modified().unwrap();
        assert_eq!(fixture.obtain(&path).unwrap(), kernel);
        assert_eq!(fs::metadata(&boots(&kernel).path).unwrap().modified().unwrap(), made);
    }

    #[test]
    fn a_damaged_kernel_is_unpacked_again() {
        let fixture = ObtainFixture::new();
        let bytes = bz_image(Compression::Zstd, &vmlinux(&Shape::default()));
        let path = fixture.file("bzImage", &bytes);
        let kernel = fixture.obtain(&path).unwrap();
        let cache = &fixture.cache;
        let entry = CacheEntry { cache, key: &hash::sha256(&bytes) };
        let obtain = || assert_eq!(fixture.obtain(&path).unwrap(), kernel);
        spoil::is_never_believed(cache, Room::KERNEL, obtain, || entry.load().is_some());
        assert_eq!(fs::read(&boots(&kernel).path).unwrap(), vmlinux(&Shape::default()));
    }

    #[test]
    fn a_damaged_kernel_that_was_built_here_is_not_loaded() {
        let fixture = ObtainFixture::new();
        let path = fixture.file("vmlinux", &vmlinux(&Shape::default()));
        let origin = Origin::File { path: path.clone() };
        let cache = &fixture.cache;
        let store = || {
            let config = Config::parse("CONFIG_AUDIT=y\n");
            store_built(cache, "key", origin.clone(), &path, config).unwrap();
        };
        let is_loaded = || load_built(cache, "key", &origin).is_some();
        spoil::is_never_believed(cache, Room::KERNEL, store, is_loaded);
    }

    #[test]
    fn a_boot_image_without_pvh_boots_from_a_copy() {
        let fixture = ObtainFixture::new();
        let bytes =
            bz_image(Compression::Gzip, &vmlinux(&Shape { pvh: false, ..Shape::default() }));
        let kernel = fixture.obtain(&fixture.file("bzImage", &bytes)).unwrap();
        assert_eq!(boots(&kernel).entry, EntryPoint::BzImage);
        assert_eq!(fs::read(&boots(&kernel).path).unwrap(), bytes);
    }

    #[test]
    fn an_uncompressed_kernel_with_debug_information_is_not_copied() {
        let fixture = ObtainFixture::new();
        let mut bytes = vmlinux(&Shape::default());
        bytes.extend_from_slice(&[0xdb; 200_000]);
        let path = fixture.file("vmlinux", &bytes);
        let kernel = fixture.obtain(&path).unwrap();
        assert_eq!(boots(&kernel).path, path.canonicalize().unwrap());
        assert_eq!(boots(&kernel).sha256, hash::sha256(&bytes));
    }

    #[test]
    fn a_package_gives_its_kernel_and_its_config() {
        let fixture = ObtainFixture::new();
        let image = bz_image(Compression::Zstd, &vmlinux(&Shape::default()));
        let files =
            [("./boot/config-x", b"CONFIG_AUDIT=y\n".as_slice()), ("./boot/vmlinuz-x", &image)];
        let kernel = fixture.obtain(&fixture.file("k.deb", &deb_of_bytes(".xz", &files))).unwrap();
        assert_eq!(boots(&kernel).sha256, hash::sha256(&image));
        assert!(kernel.config.as_ref().unwrap().is_set("CONFIG_AUDIT"));
        assert!(matches!(&kernel.origin, Origin::Deb { version, .. } if version == "6.1.192-2"));
        let recorded = kernel.for_record();
        let json = serde_json::to_string(&recorded).unwrap();
        assert!(!json.contains("/cache/"), "{json}");
        assert_eq!(serde_json::from_str::<Kernel>(&json).unwrap(), recorded);
    }

    #[test]
    fn an_rpm_package_gives_its_kernel_and_its_config() {
        let fixture = ObtainFixture::new();
        let image = bz_image(Compression::Zstd, &vmlinux(&Shape::default()));
        let files: [(&str, &[u8]); 3] = [
            ("/lib/modules/6.1.0-1.fc42.x86_64/System.map", b"symbols"),
            ("/lib/modules/6.1.0-1.fc42.x86_64/config", b"CONFIG_AUDIT=y\n"),
            ("/lib/modules/6.1.0-1.fc42.x86_64/vmlinuz", &image),
        ];
        let path = fixture.file("kernel-core.rpm", &rpm(&files));
        let kernel = fixture.obtain(&path).unwrap();
        assert_eq!(boots(&kernel).sha256, hash::sha256(&image));
        assert!(kernel.config.as_ref().unwrap().is_set("CONFIG_AUDIT"));
        assert_eq!(kernel.origin.to_string(), "kernel-core 6.1-1");
        assert_eq!(fixture.obtain(&path).unwrap(), kernel);

        let headers = fixture.file("kernel-headers.rpm", &rpm(&files[..1]));
        let error = crate::causes::with_causes(&fixture.obtain(&headers).unwrap_err());
        assert!(error.contains("find a kernel in package kernel-core 6.1-1"), "{error}");
    }

    #[test]
    fn the_error_names_an_unusable_file_and_the_cache_stays_empty() {
        let fixture = ObtainFixture::new();
        let text = fixture.file("notes.txt", b"no kernel");
        for (path, words) in [
            (fixture.dir.path().join("missing"), "missing"),
            (fixture.dir.path().to_path_buf(), "directory"),
            (text, "notes.txt"),
        ] {
            let error = fixture.obtain(&path).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
        assert_eq!(fixture.cache.usage(Room::KERNEL).unwrap().entries, 0);
    }

    #[rstest]
    #[case("debian:bookworm", (6, 1))]
    #[case("debian:5.10", (5, 10))]
    #[case("debian:6.12.94", (6, 12))]
    #[case("debian:7.3", (7, 3))]
    #[ignore = "needs the package registry"]
    fn debian_kernels_come_with_their_config(#[case] spec: ImageSpec, #[case] series: (u32, u32)) {
        let cache = Cache::open().unwrap();
        let (options, interrupt) = (ImageOptions::default(), Interrupt::default());
        let kernel = obtain(&spec, &cache, options, &interrupt, &|_| {}).unwrap();
        assert_eq!((kernel.version.series(), boots(&kernel).entry), (series, EntryPoint::Pvh));
        assert!(kernel.config.unwrap().is_set("CONFIG_SECURITY_SELINUX"));
    }

    #[test]
    #[ignore = "needs the package registry"]
    fn the_error_for_a_kernel_that_debian_lacks_offers_others() {
        let cache = Cache::open().unwrap();
        for (spec, words) in [("debian:6.12.9999", "6.12."), ("debian:warty", "bookworm")] {
            let spec = spec.parse().unwrap();
            let (options, interrupt) = (ImageOptions::default(), Interrupt::default());
            let error = obtain(&spec, &cache, options, &interrupt, &|_| {}).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
