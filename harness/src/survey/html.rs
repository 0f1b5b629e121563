//! A survey as an HTML page with the matrix.

use maud::{Markup, html as markup};

use super::compute::groups;
use super::outcome::{Outcome, Survey};
use super::text::reason;
use crate::counted::counted;
use crate::text::{Text, page};

const STYLE: &str = "\
:root { color-scheme: light dark; font: 16px/1.4 system-ui, sans-serif }
html { background: Canvas; color: CanvasText }
table { border-collapse: collapse } th, td { border: 1px solid #8888; padding: .3rem .5rem }
th { text-align: left; vertical-align: bottom } td { vertical-align: top; font-size: .85rem }
thead th { position: sticky; top: 0; background: Canvas }
.yes { background: #2a82 } .logged { background: #ca02 } .no { background: #c332 }
code { font-size: .8rem; display: block }
@media print {
  @page { size: landscape; margin: 1cm } :root { color-scheme: light; font-size: 6pt }
  table { table-layout: fixed; width: 100% } thead th { position: static }
  th, td { padding: 1pt; overflow-wrap: anywhere } td { print-color-adjust: exact }
  tr { break-inside: avoid }
}";

/// The survey as one HTML page that loads nothing. Domains with the same outcomes share a column.
#[must_use]
pub fn html(survey: &Survey) -> Text {
    let groups = groups(&survey.rows);
    let title = format!("Who may use perf: {}", survey.policy);
    let content = markup! {
        p { "On " (survey.kernel) ". " (counted(survey.rows.len(), "domain"))
            " can use perf or BPF; the cells of " (survey.confirmed.len())
            " ran and agree." }
        @for words in &survey.undefined { p { (words) } }
        table {
            thead { tr {
                th scope="col" { "Operation" } th scope="col" { "Capabilities" }
                @for (contexts, _) in &groups { th scope="col" { (domains(contexts)) } }
            } }
            tbody {
                @for (at, column) in survey.columns.iter().enumerate() {
                    tr {
                        th scope="row" {
                            (column.operation) " (level " (column.level) ")"
                        }
                        td { (column.grant) }
                        @for (_, outcomes) in &groups { (cell(outcomes.get(at))) }
                    }
                }
            }
        }
    };
    page(&title, STYLE, &content)
}

/// The contexts of a group: the first, and the others behind it.
fn domains(contexts: &[&str]) -> Markup {
    markup! {
        @match contexts {
            [one] => (one),
            [first, others @ ..] => details {
                summary { (first) " and " (others.len()) " more" }
                @for context in others { code { (context) } }
            },
            [] => "",
        }
    }
}

fn cell(outcome: Option<&Outcome>) -> Markup {
    let Some(outcome) = outcome else { return markup! { td { } } };
    let class = match outcome {
        Outcome::Allowed { logged, .. } if logged.is_empty() => "yes",
        Outcome::Allowed { .. } => "logged",
        Outcome::Refused { .. } => "no",
    };
    let word = if class == "no" { "no" } else { "yes" };
    markup! {
        td class=(class) {
            b { (word) } ", " (reason(outcome))
            @for record in outcome.logged() { code { (record) } }
        }
    }
}
