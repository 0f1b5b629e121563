//! Reads a file of defaults.

use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::ArgAction;
use toml_edit::{Document, Item, TableLike, Value};

use super::settable::{PathForm, SETTABLE, Settable};
use crate::case::{CaseError, Mistakes, line_number};
use crate::suggest::closest;

/// Defaults of options.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// The file.
    pub path: PathBuf,
    pub(super) entries: Vec<Entry>,
}

/// The value of one option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The only command that it is for; `None` if it is for every command with this option.
    pub(super) command: Option<String>,
    /// The option, without dashes.
    pub(super) option: String,
    /// Its values. None for `false`.
    pub(super) values: Vec<String>,
    /// True if the option takes no value.
    pub(super) is_flag: bool,
    /// Its line, from 1.
    pub(super) line: usize,
}

impl ConfigFile {
    /// Reads the text of a file. `root` has the options of all commands.
    ///
    /// # Errors
    ///
    /// All mistakes in it: unknown keys, options that a file may not set, values of another type.
    pub fn read(path: &Path, text: &str, root: &clap::Command) -> Result<Self, Vec<CaseError>> {
        let mut mistakes = Mistakes::new(path, text);
        let document = match Document::parse(text) {
            Ok(document) => document,
            Err(error) => {
                mistakes.add(error.span().unwrap_or(0..0), error.message(), None);
                return Err(mistakes.all);
            }
        };
        let mut reader = Reader { path, text, root, mistakes, entries: Vec::new() };
        for (key, item) in document.iter() {
            let span = key_span(document.as_table(), key);
            // `policy` is a command and an option.
            let is_value = item.is_inline_table() && settable(key).is_some();
            match (root.find_subcommand(key), item.as_table_like()) {
                (Some(command), Some(table)) if !is_value => reader.table(command, table),
                _ => reader.entry(None, key, span, item),
            }
        }
        let Reader { mistakes, entries, .. } = reader;
        if mistakes.all.is_empty() {
            Ok(Self { path: path.to_owned(), entries })
        } else {
            Err(mistakes.all)
        }
    }
}

fn key_span(table: &dyn TableLike, key: &str) -> Range<usize> {
    table.key(key).and_then(toml_edit::Key::span).unwrap_or(0..0)
}

/// The option of this name, if a file may set it.
fn settable(name: &str) -> Option<&'static Settable> {
    SETTABLE.iter().find(|settable| settable.name == name)
}

/// The option of this name of a command.
pub(super) fn option<'a>(command: &'a clap::Command, name: &str) -> Option<&'a clap::Arg> {
    command.get_arguments().find(|arg| arg.get_long() == Some(name) && !arg.is_hide_set())
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    root: &'a clap::Command,
    mistakes: Mistakes<'a>,
    entries: Vec<Entry>,
}

impl Reader<'_> {
    fn table(&mut self, command: &clap::Command, table: &dyn TableLike) {
        for (key, item) in table.iter() {
            self.entry(Some(command), key, key_span(table, key), item);
        }
    }

    fn entry(
        &mut self,
        command: Option<&clap::Command>,
        key: &str,
        span: Range<usize>,
        item: &Item,
    ) {
        let Some(settable) = settable(key) else {
            return self.unknown(command, key, span);
        };
        let argument = match command {
            Some(command) => option(command, key),
            None => self.root.get_subcommands().find_map(|command| option(command, key)),
        };
        let Some(argument) = argument else {
            return self.unknown(command, key, span);
        };
        let is_flag = matches!(argument.get_action(), ArgAction::SetTrue);
        let is_list = matches!(argument.get_action(), ArgAction::Append);
        let expected = match (is_flag, is_list) {
            (true, _) => "true or false",
            (false, true) => "a string, or an array of strings",
            (false, false) => "a string or a number",
        };
        match self.values(settable, item, is_flag, is_list) {
            Some(values) => self.entries.push(Entry {
                command: command.map(|command| command.get_name().to_owned()),
                option: key.to_owned(),
                values,
                is_flag,
                line: line_number(self.text, span.start),
            }),
            None => {
                let message = format!("`{key}` is {expected}");
                self.mistakes.add(item.span().unwrap_or(span), message, None);
            }
        }
    }

    fn unknown(&mut self, command: Option<&clap::Command>, key: &str, span: Range<usize>) {
        let options = SETTABLE.iter().map(|settable| settable.name);
        let (exists, close, place) = match command {
            Some(command) => {
                let options = options.filter(|name| option(command, name).is_some());
                (option(command, key).is_some(), closest(key, options), command.get_name())
            }
            None => {
                let commands = self.root.get_subcommands().map(clap::Command::get_name);
                let exists = self.root.get_subcommands().any(|it| option(it, key).is_some());
                (exists, closest(key, options.chain(commands)), "perfsec")
            }
        };
        match exists {
            true => {
                let message = format!("`{key}` cannot be set in a file");
                let help = format!("write --{key} on the command line");
                self.mistakes.add(span, message, Some(&help));
            }
            false => {
                let message = format!("{place} has no option `{key}`{close}");
                self.mistakes.add(span, message, None);
            }
        }
    }

    /// The values as words; `None` if they have another type.
    fn values(
        &self,
        settable: &Settable,
        item: &Item,
        is_flag: bool,
        is_list: bool,
    ) -> Option<Vec<String>> {
        let value = item.as_value()?;
        if is_flag {
            return Some(value.as_bool()?.then(String::new).into_iter().collect());
        }
        let one = |value: &Value| match value {
            Value::String(text) => Some(self.placed(settable.path, text.value())),
            Value::Integer(number) => Some(number.value().to_string()),
            _ => None,
        };
        match value.as_array() {
            Some(array) if is_list => array.iter().map(one).collect(),
            _ => one(value).map(|value| vec![value]),
        }
    }

    /// A value with its path as seen from the working directory.
    fn placed(&self, form: PathForm, value: &str) -> String {
        let beside = |path: &str| {
            let folder = self.path.parent().unwrap_or(Path::new(""));
            folder.join(path).display().to_string()
        };
        let is_dotted = |path: &str| path.starts_with("./") || path.starts_with("../");
        match (form, value.split_once(':')) {
            (PathForm::Whole, _) => beside(value),
            (PathForm::Dotted, _) if is_dotted(value) => beside(value),
            (PathForm::Dotted, Some((prefix, path))) if is_dotted(path) => {
                format!("{prefix}:{}", beside(path))
            }
            _ => value.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("kernle = 'debian:6.1'", "perfsec has no option `kernle`; did you mean `kernel`?")]
    #[case("[run]\nbase = 'v6.18'", "run has no option `base`")]
    #[case("[rnu]\njobs = 1", "perfsec has no option `rnu`; did you mean `run`?")]
    #[case("qemu = './evil'", "`qemu` cannot be set in a file")]
    #[case("[run]\nout = 'x'", "`out` cannot be set in a file")]
    #[case("cold = 'yes'", "`cold` is true or false")]
    #[case("jobs = [1]", "`jobs` is a string or a number")]
    #[case("policy = { a = 1 }", "`policy` is a string, or an array of strings")]
    #[case("jobs = 1\njobs = 2", "duplicate key")]
    fn a_mistake_has_its_place_and_the_closest_name(#[case] text: &str, #[case] message: &str) {
        let mut root = crate::cli::Cli::command();
        root.build();
        let mistakes = ConfigFile::read(Path::new("perfsec.toml"), text, &root).unwrap_err();
        assert!(mistakes[0].message.contains(message), "{}", mistakes[0].message);
        assert!(mistakes[0].to_string().contains("perfsec.toml:"), "{}", mistakes[0]);
    }
}
