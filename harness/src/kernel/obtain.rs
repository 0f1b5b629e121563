//! From the name of a kernel to one that boots, through the cache.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::arch::Arch;
use super::config::Config;
use super::deb::{self, DebError, Wanted};
use super::debian::{Archive, DebianError};
use super::hash;
use super::image::{self, Boot, Image, ImageError};
use super::record::{Kernel, KernelImage, Origin};
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
pub struct Options {
    newer_than: Option<SystemTime>,
}

impl Options {
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
    let host = OsRelease::of_host();
    host.debian_suite()
        .map(|suite| ImageSpec::DebianSuite(suite.to_owned()))
        .ok_or_else(|| KernelError::NoDefault { host: host.name() })
}

/// Fetches a kernel and makes it ready to boot. `progress` is told, in a line without an end, what
/// takes time.
pub fn obtain(
    spec: &ImageSpec,
    cache: &Cache,
    options: Options,
    progress: &dyn Fn(&str),
) -> Result<Kernel, KernelError> {
    let host = OsRelease::of_host();
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
    let stored = Stored { cache, key: &key, progress };
    let made = stored.get_or_make(|| {
        let path = archive.fetch_image(&found)?;
        let mut source = read_deb(&path)?;
        if let Some(path) = archive.fetch_config(&found)? {
            let read = deb::read(&path, Wanted::Config)
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
pub fn shipped(
    spec: &ImageSpec,
    cache: &Cache,
    options: Options,
    progress: &dyn Fn(&str),
) -> Result<Vec<u8>, KernelError> {
    let host = OsRelease::of_host();
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
    let sha256 = hash::of_file(&mut file).map_err(failed)?;
    let stored = Stored { cache, key: &sha256, progress };
    let deb = image::is_deb(path).map_err(failed)?;
    let made = stored.get_or_make(|| {
        if deb {
            return read_deb(path);
        }
        let bytes = image::read_image(&mut file)
            .map_err(failed)?
            .map_err(|source| KernelError::Image { path: path.to_path_buf(), source })?;
        Ok(Source {
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

/// A kernel that [`keep`] was given under this name, if it is still there.
pub(crate) fn kept(cache: &Cache, key: &str, origin: &Origin) -> Option<Kernel> {
    let stored = Stored { cache, key, progress: &|_| {} };
    stored.get().map(|made| made.kernel(cache, origin.clone(), None))
}

/// Keeps a kernel that was built on this host, under a name that says what it was built from.
///
/// # Errors
///
/// When the image cannot be read, is none that boots, or cannot be written to the cache.
pub(crate) fn keep(
    cache: &Cache,
    key: &str,
    origin: Origin,
    path: &Path,
    config: Config,
) -> Result<Kernel, KernelError> {
    let image =
        fs::read(path).map_err(|source| KernelError::Read { path: path.to_path_buf(), source })?;
    let source =
        Source { path: path.to_path_buf(), image, own: true, package: None, config: Some(config) };
    let made = Stored { cache, key, progress: &|_| {} }.make(source)?;
    Ok(made.kernel(cache, origin, None))
}

fn read_deb(path: &Path) -> Result<Source, KernelError> {
    let failed = |source| KernelError::Deb { path: path.to_path_buf(), source };
    let deb = deb::read(path, Wanted::Image).map_err(failed)?;
    let package = Some((deb.package, deb.version));
    let image = deb.image.unwrap_or_default();
    Ok(Source { path: path.to_path_buf(), image, own: true, package, config: deb.config })
}

/// What a kernel is made of.
struct Source {
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
struct Made {
    format: u32,
    /// Of the image, which is not the key where that came in a package.
    sha256: String,
    /// What boots: a file of the cache with its size, or nothing where the image itself does.
    file: Option<(String, u64)>,
    how: Boot,
    #[serde(default)]
    arch: Arch,
    release: String,
    version: KernelVersion,
    banner: String,
    distribution: Option<String>,
    package: Option<(String, String)>,
    config: Option<Config>,
}

impl Made {
    fn kernel(self, cache: &Cache, origin: Origin, given: Option<&Path>) -> Kernel {
        let given = || given.map(|path| fs::canonicalize(path).unwrap_or_else(|_| path.into()));
        let image = match &self.file {
            Some((name, _)) => cache.path(ROOM, name),
            None => given().unwrap_or_default(),
        };
        Kernel {
            image: Some(KernelImage { path: image, entry: self.how, sha256: self.sha256 }),
            arch: self.arch,
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
struct Stored<'a> {
    cache: &'a Cache,
    /// SHA-256 of the file that it is made of.
    key: &'a str,
    progress: &'a dyn Fn(&str),
}

impl Stored<'_> {
    fn get_or_make(
        &self,
        source: impl FnOnce() -> Result<Source, KernelError>,
    ) -> Result<Made, KernelError> {
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
    fn get(&self) -> Option<Made> {
        let text = fs::read(self.cache.path(ROOM, &format!("{}.json", self.key))).ok()?;
        let made: Made = serde_json::from_slice(&text).ok()?;
        let whole = match &made.file {
            Some((name, size)) => {
                fs::metadata(self.cache.path(ROOM, name)).is_ok_and(|data| data.len() == *size)
            }
            None => true,
        };
        (made.format == FORMAT && whole).then_some(made)
    }

    fn make(&self, source: Source) -> Result<Made, KernelError> {
        let failed = |error| KernelError::Image { path: source.path.clone(), source: error };
        let parsed = Image::parse(&source.image).map_err(failed)?;
        // The key is that of the file; only what is kept from elsewhere has another of its own.
        let sha256 = if source.own { hash::of_bytes(&source.image) } else { self.key.to_owned() };
        let (bytes, ending) = match (parsed.how, &parsed.unpacked) {
            (Boot::Pvh, Some(vmlinux)) => (Some(vmlinux), "vmlinux"),
            (Boot::Pvh, None) => (source.own.then_some(&source.image), "vmlinux"),
            (Boot::BzImage, _) => (Some(&source.image), "bzimage"),
        };
        let file = bytes
            .map(|bytes| {
                let name = format!("{sha256}.{ending}");
                self.cache.publish(ROOM, &name, |file| file.write_all(bytes))?;
                Ok::<_, CacheError>((name, bytes.len() as u64))
            })
            .transpose()?;
        let made = Made {
            format: FORMAT,
            sha256,
            file,
            how: parsed.how,
            arch: parsed.arch,
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

    fn boots(kernel: &Kernel) -> &KernelImage {
        kernel.image.as_ref().unwrap()
    }

    struct Place {
        dir: TempDir,
        cache: Cache,
    }

    impl Place {
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
            obtain(&spec, &self.cache, Options::default(), &|_| {})
        }
    }

    #[test]
    fn a_boot_image_is_unpacked_once() {
        let place = Place::new();
        let plain = vmlinux(&Shape::default());
        let path = place.file("bzImage", &bz_image(Compression::Xz, &plain));
        let kernel = place.obtain(&path).unwrap();
        assert_eq!(fs::read(&boots(&kernel).path).unwrap(), plain);
        assert_eq!(kernel.origin, Origin::File { path: path.clone() });
        let made = fs::metadata(&boots(&kernel).path).unwrap().modified().unwrap();
        assert_eq!(place.obtain(&path).unwrap(), kernel);
        assert_eq!(fs::metadata(&boots(&kernel).path).unwrap().modified().unwrap(), made);
    }

    #[test]
    fn an_entry_of_the_cache_that_lost_its_file_is_made_again() {
        let place = Place::new();
        let path = place.file("bzImage", &bz_image(Compression::Zstd, &vmlinux(&Shape::default())));
        let kernel = place.obtain(&path).unwrap();
        fs::write(&boots(&kernel).path, "cut").unwrap();
        assert_eq!(place.obtain(&path).unwrap(), kernel);
        assert!(fs::metadata(&boots(&kernel).path).unwrap().len() > 3);
    }

    #[test]
    fn a_boot_image_without_pvh_boots_from_a_copy() {
        let place = Place::new();
        let bytes =
            bz_image(Compression::Gzip, &vmlinux(&Shape { pvh: false, ..Shape::default() }));
        let kernel = place.obtain(&place.file("bzImage", &bytes)).unwrap();
        assert_eq!(boots(&kernel).entry, Boot::BzImage);
        assert_eq!(fs::read(&boots(&kernel).path).unwrap(), bytes);
    }

    #[test]
    fn an_uncompressed_kernel_with_debug_information_boots_where_it_is() {
        let place = Place::new();
        let mut bytes = vmlinux(&Shape::default());
        bytes.extend_from_slice(&[0xdb; 200_000]);
        let path = place.file("vmlinux", &bytes);
        let kernel = place.obtain(&path).unwrap();
        assert_eq!(boots(&kernel).path, path.canonicalize().unwrap());
        assert_eq!(boots(&kernel).sha256, hash::of_bytes(&bytes));
    }

    #[test]
    fn a_package_gives_its_kernel_and_its_config() {
        let place = Place::new();
        let image = bz_image(Compression::Zstd, &vmlinux(&Shape::default()));
        let files =
            [("./boot/config-x", b"CONFIG_AUDIT=y\n".as_slice()), ("./boot/vmlinuz-x", &image)];
        let kernel = place.obtain(&place.file("k.deb", &deb_of_bytes(".xz", &files))).unwrap();
        assert_eq!(boots(&kernel).sha256, hash::of_bytes(&image));
        assert!(kernel.config.as_ref().unwrap().is_set("CONFIG_AUDIT"));
        assert!(matches!(&kernel.origin, Origin::Deb { version, .. } if version == "6.1.192-2"));
        let recorded = kernel.for_record();
        let json = serde_json::to_string(&recorded).unwrap();
        assert!(!json.contains("/cache/"), "{json}");
        assert_eq!(serde_json::from_str::<Kernel>(&json).unwrap(), recorded);
    }

    #[test]
    fn what_cannot_be_read_is_named_and_leaves_nothing() {
        let place = Place::new();
        let text = place.file("notes.txt", b"no kernel");
        for (path, said) in [
            (place.dir.path().join("missing"), "missing"),
            (place.dir.path().to_path_buf(), "directory"),
            (text, "notes.txt"),
        ] {
            let error = place.obtain(&path).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
        assert!(!place.cache.path(ROOM, "").exists());
    }

    #[rstest]
    #[case("debian:bookworm", (6, 1))]
    #[case("debian:5.10", (5, 10))]
    #[case("debian:6.12.94", (6, 12))]
    #[case("debian:7.3", (7, 3))]
    #[ignore = "needs the package registry"]
    fn debian_kernels_come_with_their_config(#[case] spec: ImageSpec, #[case] series: (u32, u32)) {
        let cache = Cache::open().unwrap();
        let kernel = obtain(&spec, &cache, Options::default(), &|_| {}).unwrap();
        assert_eq!((kernel.version.series(), boots(&kernel).entry), (series, Boot::Pvh));
        assert!(kernel.config.unwrap().is_set("CONFIG_SECURITY_SELINUX"));
    }

    #[test]
    #[ignore = "needs the package registry"]
    fn what_debian_does_not_have_is_told_with_what_it_has() {
        let cache = Cache::open().unwrap();
        for (spec, said) in [("debian:6.12.9999", "6.12."), ("debian:warty", "bookworm")] {
            let spec = spec.parse().unwrap();
            let error = obtain(&spec, &cache, Options::default(), &|_| {}).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
