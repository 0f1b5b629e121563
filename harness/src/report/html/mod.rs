//! The HTML report: one file that needs no other, for a browser, an artifact store or a mail.

mod head;
mod matrix;
mod outcome;
mod page;
mod table;
#[cfg(test)]
mod tests;
mod text;

pub use page::html;
