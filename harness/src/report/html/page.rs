//! The HTML document.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use maud::{DOCTYPE, PreEscaped, html as markup};
use sha2::{Digest as _, Sha256};

use super::head::{head, verdict};
use super::matrix::matrix;
use super::table::Matrix;
use crate::record::Run;
use crate::text::Text;

/// The style sheet.
pub(super) const STYLE: &str = include_str!("report.css");

/// The script, for filter and search. The report is complete without it.
pub(super) const SCRIPT: &str = include_str!("report.js");

/// Writes the report.
#[must_use]
pub fn html(run: &Run) -> Text {
    let table = Matrix::of(run);
    let verdict = verdict(run).1;
    let title = match table.columns.as_slice() {
        [] => verdict,
        [one] => format!("{verdict} - Linux {}", one.kernel),
        more => format!("{verdict} - {} kernels", more.len()),
    };
    let document = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                meta name="generator" content={ "perfsec " (env!("CARGO_PKG_VERSION")) };
                title { (title) }
                // Without it a browser requests one from the server.
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip-link href="#_cells" { "Skip to the cells" }
                main {
                    (head(run, &table))
                    (matrix(run, &table))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    Text::of_block(document.into_string())
}

/// The content security policy: nothing is loaded, and only perfsec's script runs, even if text of
/// a record got past the escaping.
fn policy() -> String {
    let hash = |text: &str| format!("'sha256-{}'", BASE64.encode(Sha256::digest(text)));
    let (style, script) = (hash(STYLE), hash(SCRIPT));
    format!(
        "default-src 'none'; style-src {style}; script-src {script}; img-src data:; \
         base-uri 'none'; form-action 'none'"
    )
}
