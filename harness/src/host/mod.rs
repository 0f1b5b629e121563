//! The host: what it is, what it has of what perfsec needs, and how it gets the rest.

mod os_release;

pub use os_release::OsRelease;
#[allow(missing_docs)]
pub struct Host;
#[allow(missing_docs)]
impl Host {
    pub fn inspect() -> Self {
        Host
    }
    pub fn can_run(&self) -> bool {
        true
    }
}
impl std::fmt::Display for Host {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
#[allow(missing_docs)]
pub fn busybox() -> Result<Vec<u8>, std::io::Error> {
    std::fs::read("/bin/busybox")
}
