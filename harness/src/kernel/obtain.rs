//! From the name of a kernel to one that boots, through the cache.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::config::Config;
use super::deb::{self, DebError, Wanted};
use super::debian::{Archive, DebianError};
use super::hash;
use super::image::{self, Boot, Image, ImageError};
use super::record::{Kernel, Origin};
use super::spec::KernelSpec;
use super::version::KernelVersion;
use crate::cache::{Cache, CacheError};
use crate::host::OsRelease;

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
pub fn default_spec() -> Result<KernelSpec, KernelError> {
    let host = OsRelease::of_host();
    host.debian_suite()
        .map(|suite| KernelSpec::DebianSuite(suite.to_owned()))
        .ok_or_else(|| KernelError::NoDefault { host: host.name() })
}

/// Fetches a kernel and makes it ready to boot. `progress` is told, in a line without an end, what
/// takes time.
pub fn obtain(
    spec: &KernelSpec,
    cache: &Cache,
    options: Options,
    progress: &dyn Fn(&str),
) -> Result<Kernel, KernelError> {
    let host = OsRelease::of_host();
    let archive = Archive {
        cache,
        newer_than: options.newer_than,
        host_suite: host.debian_suite(),
        progress,
    };
    let found = match spec {
        KernelSpec::File(path) => return obtain_file(path, cache, progress),
        KernelSpec::DebianSuite(name) => archive.of_suite(name)?,
        KernelSpec::DebianVersion(wanted) => archive.of_version(wanted)?,
    };
    let origin = Origin::Debian {
        suite: found.suite().to_owned(),
        package: found.package().to_owned(),
        version: found.version().to_owned(),
    };
    let stored = Stored { cache, key: found.sha256(), progress };
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
        Ok(Source { path: path.to_path_buf(), image: bytes, package: None, config: None })
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

fn read_deb(path: &Path) -> Result<Source, KernelError> {
    let failed = |source| KernelError::Deb { path: path.to_path_buf(), source };
    let deb = deb::read(path, Wanted::Image).map_err(failed)?;
    let package = Some((deb.package, deb.version));
    let image = deb.image.unwrap_or_default();
    Ok(Source { path: path.to_path_buf(), image, package, config: deb.config })
}

/// What a kernel is made of.
struct Source {
    /// To be named in errors.
    path: PathBuf,
    image: Vec<u8>,
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
        let _lock = self.cache.lock(&format!("{ROOM}-{}", self.key), || {
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
        let in_package = source.package.is_some();
        // The key is that of the file; only what came in a package has another of its own.
        let sha256 = if in_package { hash::of_bytes(&source.image) } else { self.key.to_owned() };
        let (bytes, ending) = match (parsed.how, &parsed.unpacked) {
            (Boot::Pvh, Some(vmlinux)) => (Some(vmlinux), "vmlinux"),
            (Boot::Pvh, None) => (in_package.then_some(&source.image), "vmlinux"),
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
