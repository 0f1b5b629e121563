//! From the name of a kernel to one that boots, through the cache.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::config::Config;
use super::deb::{self, DebError, ReadUntil};
use super::debian::{Archive, DebianError};
use super::hash;
use super::image::{self, EntryPoint, Image, ImageError};
use super::record::{Kernel, Origin};
use super::spec::ImageSpec;
use super::version::KernelVersion;
use crate::cache::{Cache, CacheError};
use crate::host::OsRelease;
use crate::interrupt::Interrupt;

/// The room of the cache in which kernels are, by the SHA-256 of what they were made of.
const ROOM: &str = "kernel";

/// Changes when an entry of the cache would be made otherwise.
const FORMAT: u32 = 1;

/// How a kernel is obtained.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImageOptions {
    newer_than: Option<SystemTime>,
}

impl ImageOptions {
    /// Looks Debian's kernels up anew, once for all kernels that are obtained with these options.
    pub fn refreshing() -> Self {
        Self { newer_than: Some(SystemTime::now()) }
    }

    /// Debian's archive as this host reaches it.
    pub(crate) fn archive<'a>(
        self,
        host: &'a OsRelease,
        cache: &'a Cache,
        progress: &'a dyn Fn(&str),
    ) -> Archive<'a> {
        Archive { cache, newer_than: self.newer_than, host_suite: host.debian_suite(), progress }
    }
}

/// Why a kernel could not be had. Its cause says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The file cannot be read.
    #[error("read kernel {}", .path.display())]
    Read {
        /// As given.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The name is that of a directory.
    #[error(
        "read kernel {}: it is a directory; give the image in it, such as arch/x86/boot/bzImage",
        .0.display()
    )]
    Directory(PathBuf),
    /// The name is that of a pipe or a device.
    #[error("read kernel {}: it is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// The file is not a kernel that boots.
    #[error("use {} as a kernel", .path.display())]
    Image {
        /// As given.
        path: PathBuf,
        /// Why not.
        source: ImageError,
    },
    /// The package holds no kernel that boots.
    #[error("use {} as a kernel", .path.display())]
    Deb {
        /// As given.
        path: PathBuf,
        /// Why not.
        source: DebError,
    },
    /// Debian's archive.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// The cache directory.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// There is no kernel to take where none is named.
    #[error("choose a kernel: this host is {host}, not a Debian release; give --kernel")]
    NoDefault {
        /// What it calls itself.
        host: String,
    },
}

/// The kernel to take when none is named: the newest stock kernel of the host's own suite.
pub fn default_spec() -> Result<ImageSpec, KernelError> {
    let host = OsRelease::detect();
    host.debian_suite()
        .map(|suite| ImageSpec::DebianSuite(suite.to_owned()))
        .ok_or_else(|| KernelError::NoDefault { host: host.name() })
}

/// Fetches a kernel and makes it ready to boot. `progress` is told, in a line without an end, what
/// takes time.
pub fn obtain(
    spec: &ImageSpec,
    cache: &Cache,
    options: ImageOptions,
    progress: &dyn Fn(&str),
) -> Result<Kernel, KernelError> {
    let host = OsRelease::detect();
    let archive = options.archive(&host, cache, progress);
    let found = match spec {
        ImageSpec::File(path) => return obtain_file(path, cache, progress),
        ImageSpec::DebianSuite(name) => archive.of_suite(name)?,
        ImageSpec::DebianVersion(wanted) => archive.of_version(wanted)?,
    };
    let origin = Origin::Debian {
        suite: found.suite().to_owned(),
        package: found.package().to_owned(),
        version: found.version().to_owned(),
    };
    let key = found.key();
    let stored = CacheEntry { cache, key: &key, progress };
    let made = stored.get_or_make(|| {
        let path = archive.fetch_image(&found)?;
        let mut source = read_deb(&path)?;
        if let Some(path) = archive.fetch_config(&found)? {
            let read = deb::read(&path, ReadUntil::Config)
                .map_err(|error| KernelError::Deb { path: path.clone(), source: error })?;
            source.config = source.config.or(read.config);
        }
        Ok(source)
    })?;
    Ok(made.kernel(cache, origin, None))
}

/// The image of a kernel as it was shipped: the `vmlinuz` that a boot loader would be given.
///
/// # Errors
///
/// Those of [`obtain`].
pub fn shipped_image(
    spec: &ImageSpec,
    cache: &Cache,
    options: ImageOptions,
    progress: &dyn Fn(&str),
) -> Result<Vec<u8>, KernelError> {
    let host = OsRelease::detect();
    let archive = options.archive(&host, cache, progress);
    let found = match spec {
        ImageSpec::File(path) => {
            // Says what is wrong with a file that is no kernel.
            obtain_file(path, cache, progress)?;
            let failed = |source| KernelError::Read { path: path.clone(), source };
            return match image::is_deb(path).map_err(failed)? {
                true => Ok(read_deb(path)?.image),
                false => fs::read(path).map_err(failed),
            };
        }
        ImageSpec::DebianSuite(name) => archive.of_suite(name)?,
        ImageSpec::DebianVersion(wanted) => archive.of_version(wanted)?,
    };
    Ok(read_deb(&archive.fetch_image(&found)?)?.image)
}

fn obtain_file(path: &Path, cache: &Cache, progress: &dyn Fn(&str)) -> Result<Kernel, KernelError> {
    let failed = |source| KernelError::Read { path: path.to_path_buf(), source };
    let data = fs::metadata(path).map_err(failed)?;
    if data.is_dir() {
        return Err(KernelError::Directory(path.to_path_buf()));
    }
    if !data.is_file() {
        return Err(KernelError::NotAFile(path.to_path_buf()));
    }
    let mut file = File::open(path).map_err(failed)?;
    let sha256 = hash::sha256_file(&mut file).map_err(failed)?;
    let stored = CacheEntry { cache, key: &sha256, progress };
    let deb = image::is_deb(path).map_err(failed)?;
    let made = stored.get_or_make(|| {
        if deb {
            return read_deb(path);
        }
        let bytes = image::read_image(&mut file)
            .map_err(failed)?
            .map_err(|source| KernelError::Image { path: path.to_path_buf(), source })?;
        Ok(RawImage {
            path: path.to_path_buf(),
            image: bytes,
            own: false,
            package: None,
            config: None,
        })
    })?;
    let given = path.to_path_buf();
    let origin = match &made.package {
        Some((package, version)) => {
            Origin::Deb { path: given, package: package.clone(), version: version.clone() }
        }
        None => Origin::File { path: given },
    };
    Ok(made.kernel(cache, origin, Some(path)))
}

/// A kernel that [`store_built`] was given under this name, if it is still there.
pub(crate) fn load_built(cache: &Cache, key: &str, origin: &Origin) -> Option<Kernel> {
    let stored = CacheEntry { cache, key, progress: &|_| {} };
    stored.get().map(|made| made.kernel(cache, origin.clone(), None))
}

/// Keeps a kernel that was built on this host, under a name that says what it was built from.
///
/// # Errors
///
/// When the image cannot be read, is none that boots, or cannot be written to the cache.
pub(crate) fn store_built(
    cache: &Cache,
    key: &str,
    origin: Origin,
    path: &Path,
    config: Config,
) -> Result<Kernel, KernelError> {
    let image =
        fs::read(path).map_err(|source| KernelError::Read { path: path.to_path_buf(), source })?;
    let source = RawImage {
        path: path.to_path_buf(),
        image,
        own: true,
        package: None,
        config: Some(config),
    };
    let made = CacheEntry { cache, key, progress: &|_| {} }.make(source)?;
    Ok(made.kernel(cache, origin, None))
}

fn read_deb(path: &Path) -> Result<RawImage, KernelError> {
    let failed = |source| KernelError::Deb { path: path.to_path_buf(), source };
    let deb = deb::read(path, ReadUntil::Image).map_err(failed)?;
    let package = Some((deb.package, deb.version));
    let image = deb.image.unwrap_or_default();
    Ok(RawImage { path: path.to_path_buf(), image, own: true, package, config: deb.config })
}

/// What a kernel is made of.
struct RawImage {
    /// To be named in errors.
    path: PathBuf,
    image: Vec<u8>,
    /// Whether the image is ours to keep: it came in a package, or is overwritten by the next build.
    own: bool,
    package: Option<(String, String)>,
    config: Option<Config>,
}

/// What the cache remembers of a kernel: all but where the user got it from.
#[derive(Serialize, Deserialize)]
struct CachedKernel {
    format: u32,
    /// Of the image, which is not the key where that came in a package.
    sha256: String,
    /// What boots: a file of the cache with its size, or nothing where the image itself does.
    file: Option<(String, u64)>,
    how: EntryPoint,
    release: String,
    version: KernelVersion,
    banner: String,
    distribution: Option<String>,
    package: Option<(String, String)>,
    config: Option<Config>,
}

impl CachedKernel {
    fn kernel(self, cache: &Cache, origin: Origin, given: Option<&Path>) -> Kernel {
        let given = || given.map(|path| fs::canonicalize(path).unwrap_or_else(|_| path.into()));
        let image = match &self.file {
            Some((name, _)) => cache.path(ROOM, name),
            None => given().unwrap_or_default(),
        };
        Kernel {
            image,
            how: self.how,
            sha256: self.sha256,
            release: self.release,
            version: self.version,
            banner: self.banner,
            distribution: self.distribution,
            origin,
            config: self.config,
        }
    }
}

/// One entry of the cache.
struct CacheEntry<'a> {
    cache: &'a Cache,
    /// SHA-256 of the file that it is made of.
    key: &'a str,
    progress: &'a dyn Fn(&str),
}

impl CacheEntry<'_> {
    fn get_or_make(
        &self,
        source: impl FnOnce() -> Result<RawImage, KernelError>,
    ) -> Result<CachedKernel, KernelError> {
        if let Some(made) = self.get() {
            return Ok(made);
        }
        let _lock =
            self.cache.lock(&format!("{ROOM}-{}", self.key), &Interrupt::default(), || {
                (self.progress)("waiting for another perfsec that unpacks the same kernel");
            })?;
        match self.get() {
            Some(made) => Ok(made),
            None => self.make(source()?),
        }
    }

    /// An entry is there when its description is and the file has the size that it says.
    fn get(&self) -> Option<CachedKernel> {
        let text = fs::read(self.cache.path(ROOM, &format!("{}.json", self.key))).ok()?;
        let made: CachedKernel = serde_json::from_slice(&text).ok()?;
        let whole = match &made.file {
            Some((name, size)) => {
                fs::metadata(self.cache.path(ROOM, name)).is_ok_and(|data| data.len() == *size)
            }
            None => true,
        };
        (made.format == FORMAT && whole).then_some(made)
    }

    fn make(&self, source: RawImage) -> Result<CachedKernel, KernelError> {
        let failed = |error| KernelError::Image { path: source.path.clone(), source: error };
        let parsed = Image::parse(&source.image).map_err(failed)?;
        // The key is that of the file; only what is kept from elsewhere has another of its own.
        let sha256 = if source.own { hash::sha256(&source.image) } else { self.key.to_owned() };
        let (bytes, ending) = match (parsed.how, &parsed.unpacked) {
            (EntryPoint::Pvh, Some(vmlinux)) => (Some(vmlinux), "vmlinux"),
            (EntryPoint::Pvh, None) => (source.own.then_some(&source.image), "vmlinux"),
            (EntryPoint::BzImage, _) => (Some(&source.image), "bzimage"),
        };
        let file = bytes
            .map(|bytes| {
                let name = format!("{sha256}.{ending}");
                self.cache.publish(ROOM, &name, |file| file.write_all(bytes))?;
                Ok::<_, CacheError>((name, bytes.len() as u64))
            })
            .transpose()?;
        let made = CachedKernel {
            format: FORMAT,
            sha256,
            file,
            how: parsed.how,
            release: parsed.release,
            version: parsed.version,
            banner: parsed.banner,
            distribution: parsed.distribution,
            package: source.package,
            config: parsed.config.or(source.config),
        };
        let name = format!("{}.json", self.key);
        let text = serde_json::to_vec(&made).map_err(|error| {
            self.cache.error("write", &self.cache.path(ROOM, &name), error.into())
        })?;
        self.cache.publish_bytes(ROOM, &name, &text)?;
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;
    use crate::kernel::decompress::Compression;
    use crate::kernel::fixture::{Shape, bz_image, deb_of_bytes, vmlinux};

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
            obtain(&spec, &self.cache, ImageOptions::default(), &|_| {})
        }
    }

    #[test]
    fn a_boot_image_is_unpacked_once() {
        let fixture = ObtainFixture::new();
        let plain = vmlinux(&Shape::default());
        let path = fixture.file("bzImage", &bz_image(Compression::Xz, &plain));
        let kernel = fixture.obtain(&path).unwrap();
        assert_eq!(fs::read(&kernel.image).unwrap(), plain);
        assert_eq!(kernel.origin, Origin::File { path: path.clone() });
        let made = fs::metadata(&kernel.image).unwrap().modified().unwrap();
        assert_eq!(fixture.obtain(&path).unwrap(), kernel);
        assert_eq!(fs::metadata(&kernel.image).unwrap().modified().unwrap(), made);
    }

    #[test]
    fn an_entry_of_the_cache_that_lost_its_file_is_made_again() {
        let fixture = ObtainFixture::new();
        let path =
            fixture.file("bzImage", &bz_image(Compression::Zstd, &vmlinux(&Shape::default())));
        let kernel = fixture.obtain(&path).unwrap();
        fs::write(&kernel.image, "cut").unwrap();
        assert_eq!(fixture.obtain(&path).unwrap(), kernel);
        assert!(fs::metadata(&kernel.image).unwrap().len() > 3);
    }

    #[test]
    fn a_boot_image_without_pvh_boots_from_a_copy() {
        let fixture = ObtainFixture::new();
        let bytes =
            bz_image(Compression::Gzip, &vmlinux(&Shape { pvh: false, ..Shape::default() }));
        let kernel = fixture.obtain(&fixture.file("bzImage", &bytes)).unwrap();
        assert_eq!(kernel.how, EntryPoint::BzImage);
        assert_eq!(fs::read(&kernel.image).unwrap(), bytes);
    }

    #[test]
    fn an_uncompressed_kernel_with_debug_information_boots_where_it_is() {
        let fixture = ObtainFixture::new();
        let mut bytes = vmlinux(&Shape::default());
        bytes.extend_from_slice(&[0xdb; 200_000]);
        let path = fixture.file("vmlinux", &bytes);
        let kernel = fixture.obtain(&path).unwrap();
        assert_eq!(kernel.image, path.canonicalize().unwrap());
        assert_eq!(kernel.sha256, hash::sha256(&bytes));
    }

    #[test]
    fn a_package_gives_its_kernel_and_its_config() {
        let fixture = ObtainFixture::new();
        let image = bz_image(Compression::Zstd, &vmlinux(&Shape::default()));
        let files =
            [("./boot/config-x", b"CONFIG_AUDIT=y\n".as_slice()), ("./boot/vmlinuz-x", &image)];
        let kernel = fixture.obtain(&fixture.file("k.deb", &deb_of_bytes(".xz", &files))).unwrap();
        assert_eq!(kernel.sha256, hash::sha256(&image));
        assert!(kernel.config.as_ref().unwrap().is_set("CONFIG_AUDIT"));
        assert!(matches!(&kernel.origin, Origin::Deb { version, .. } if version == "6.1.192-2"));
        let recorded = kernel.for_record();
        let json = serde_json::to_string(&recorded).unwrap();
        assert!(!json.contains("/cache/"), "{json}");
        assert_eq!(serde_json::from_str::<Kernel>(&json).unwrap(), recorded);
    }

    #[test]
    fn what_cannot_be_read_is_named_and_leaves_nothing() {
        let fixture = ObtainFixture::new();
        let text = fixture.file("notes.txt", b"no kernel");
        for (path, said) in [
            (fixture.dir.path().join("missing"), "missing"),
            (fixture.dir.path().to_path_buf(), "directory"),
            (text, "notes.txt"),
        ] {
            let error = fixture.obtain(&path).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
        assert!(!fixture.cache.path(ROOM, "").exists());
    }

    #[rstest]
    #[case("debian:bookworm", (6, 1))]
    #[case("debian:5.10", (5, 10))]
    #[case("debian:6.12.94", (6, 12))]
    #[case("debian:7.3", (7, 3))]
    #[ignore = "needs the package registry"]
    fn debian_kernels_come_with_their_config(#[case] spec: ImageSpec, #[case] series: (u32, u32)) {
        let cache = Cache::open().unwrap();
        let kernel = obtain(&spec, &cache, ImageOptions::default(), &|_| {}).unwrap();
        assert_eq!((kernel.version.series(), kernel.how), (series, EntryPoint::Pvh));
        assert!(kernel.config.unwrap().is_set("CONFIG_SECURITY_SELINUX"));
    }

    #[test]
    #[ignore = "needs the package registry"]
    fn what_debian_does_not_have_is_told_with_what_it_has() {
        let cache = Cache::open().unwrap();
        for (spec, said) in [("debian:6.12.9999", "6.12."), ("debian:warty", "bookworm")] {
            let spec = spec.parse().unwrap();
            let error = obtain(&spec, &cache, ImageOptions::default(), &|_| {}).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
