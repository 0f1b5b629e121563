//! perfsec's pages, checked with axe in a browser.

use std::path::Path;

use xshell::{Shell, cmd};

use super::KERNEL;
use super::programs::Peers;
use crate::browser::{self, Scheme};
use crate::error::Error;

/// A record of a real run, with every verdict but `MISS`.
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../harness/tests/report/run.jsonl");

/// Runs axe and writes its findings into the page.
const RUN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../browser/axe.js");

/// Fails if axe finds something in a report or a survey, on light or dark background.
pub(crate) fn accessibility(shell: &Shell, perfsec: &Path, peers: &Peers) -> Result<(), Error> {
    let axe = shell.read_file(peers.axe(shell)?)?;
    let run = shell.read_file(RUN)?;
    let room = shell.create_temp_dir()?;
    let _directory = shell.push_dir(room.path());
    let report = cmd!(shell, "{perfsec} report {RECORD} --format html --out report.html");
    super::run(report)?;
    let survey = cmd!(shell, "{perfsec} survey --kernel {KERNEL} --format html --out survey.html");
    super::run(survey)?;
    for name in ["report.html", "survey.html"] {
        let page = shell.read_file(name)?;
        let scripts = format!("<script>{axe}</script><script>{run}</script></body>");
        // The page's policy lets no other script run.
        let page = page.replace("http-equiv=\"Content-Security-Policy\"", "name=\"was-policy\"");
        let file = room.path().join(name);
        shell.write_file(&file, page.replace("</body>", &scripts))?;
        for scheme in [Scheme::Light, Scheme::Dark] {
            let dom = browser::dom(shell, &file, scheme)?;
            findings(&dom, name, scheme)?;
        }
    }
    Ok(())
}

/// Reads the script's element at the end of the page.
fn findings(dom: &str, name: &str, scheme: Scheme) -> Result<(), Error> {
    let failed = |what: String| Error::Output { program: "axe", what };
    let (_, found) = dom
        .rsplit_once("<pre id=\"_axe\"")
        .ok_or_else(|| failed(format!("it did not run on {name}")))?;
    let (attributes, rest) = found.split_once('>').unwrap_or((found, ""));
    let value = |name: &str| {
        let (_, rest) = attributes.split_once(&format!("data-{name}=\""))?;
        rest.split('"').next()
    };
    let wanted = match scheme {
        Scheme::Light => "light",
        Scheme::Dark => "dark",
    };
    if value("scheme") != Some(wanted) {
        return Err(failed(format!("{name} was not rendered {wanted}")));
    }
    let passes: usize = value("passes").and_then(|count| count.parse().ok()).unwrap_or(0);
    if value("violations") != Some("0") || passes == 0 {
        let list = rest.split("</pre>").next().unwrap_or_default();
        return Err(failed(format!("{name}, {wanted}:\n{list}")));
    }
    eprintln!("axe: {name}, {wanted}: {passes} rules pass");
    Ok(())
}
