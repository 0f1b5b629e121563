//! The frame of an HTML page that loads nothing and runs nothing.

use maud::{DOCTYPE, Markup, PreEscaped, html as markup};

use super::Text;

/// A page with this title as its heading, and this style sheet.
pub(crate) fn page(title: &str, style: &str, content: &Markup) -> Text {
    let document = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(style)) }
            }
            body { main { h1 { (title) } (content) } }
        }
    };
    Text::of_block(document.into_string())
}
