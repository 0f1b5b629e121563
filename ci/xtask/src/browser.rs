//! Chromium, which renders perfsec's pages.

use std::path::Path;

use xshell::{Cmd, Shell, cmd};

use crate::error::Error;

/// The user's preference that a page asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

/// A browser without a window that loads one file. `--no-sandbox`, because Chromium does not start
/// as root otherwise; it loads only our own pages.
fn browser<'a>(shell: &'a Shell, profile: &Path, scheme: Scheme) -> Cmd<'a> {
    let scheme = match scheme {
        Scheme::Dark => 0,
        Scheme::Light => 1,
    };
    cmd!(shell, "chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars")
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
        .arg(format!("--user-data-dir={}", profile.display()))
        // Scripts get this many milliseconds of the page's time.
        .arg("--virtual-time-budget=60000")
        .ignore_stderr()
        .quiet()
}

/// The DOM of a page when its scripts have ended.
pub(crate) fn dom(shell: &Shell, page: &Path, scheme: Scheme) -> Result<String, Error> {
    let profile = shell.create_temp_dir()?;
    let browser = browser(shell, profile.path(), scheme).arg("--dump-dom");
    Ok(browser.arg(format!("file://{}", page.display())).read()?)
}

/// Writes a picture of the top of a page, in pixels.
pub(crate) fn picture(
    shell: &Shell,
    page: &Path,
    scheme: Scheme,
    size: (u32, u32),
    to: &Path,
) -> Result<(), Error> {
    let profile = shell.create_temp_dir()?;
    let (width, height) = size;
    let browser = browser(shell, profile.path(), scheme)
        .arg(format!("--window-size={width},{height}"))
        .arg(format!("--screenshot={}", to.display()))
        .arg(format!("file://{}", page.display()));
    Ok(browser.run()?)
}
