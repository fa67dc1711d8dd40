//! What is written where: tables for people, JSON for programs, notes and errors on stderr.
//!
//! Much of it is text of other people's making (names, labels, errors of workers), so nothing in it reaches a terminal
//! that the terminal would take for a command.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Table, presets};
use indicatif::ProgressDrawTarget;
use longrun_sdk::wire::Operation;
use serde::Serialize;

use super::bar::Bar;
use super::exit::{Exit, Failure};

/// As what a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Table,
    /// JSON on a terminal.
    Spread,
    /// JSON in one line.
    Compact,
}

impl Form {
    fn of(terminal: bool, json: bool) -> Self {
        match (terminal, json) {
            (false, _) => Self::Compact,
            (true, true) => Self::Spread,
            (true, false) => Self::Table,
        }
    }
}

/// Where a subcommand writes.
pub(super) struct Output<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    form: Form,
    /// A person reads stderr while the subcommand goes on.
    live: bool,
    /// What stands there below everything else.
    bar: Option<Bar>,
    draw: fn() -> ProgressDrawTarget,
    /// Nobody reads the output any more.
    closed: bool,
}

impl<'a> Output<'a> {
    /// That of the process.
    pub(super) fn of_process(out: &'a mut dyn Write, err: &'a mut dyn Write, json: bool) -> Self {
        let form = Form::of(io::stdout().is_terminal(), json);
        let draw = ProgressDrawTarget::stderr;
        Self { out, err, form, live: io::stderr().is_terminal(), bar: None, draw, closed: false }
    }

    #[cfg(test)]
    pub(super) fn of_test(out: &'a mut dyn Write, err: &'a mut dyn Write, terminal: bool) -> Self {
        let (form, draw) = (Form::of(terminal, false), ProgressDrawTarget::hidden);
        Self { out, err, form, live: terminal, bar: None, draw, closed: false }
    }

    /// Whether a person watches.
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// Whether a person reads all that is written, and so needs no line for what a bar shows.
    pub(super) fn has_bar(&self) -> bool {
        self.live && self.form == Form::Table
    }

    /// Writes a value: as what `table` makes of it, or as JSON.
    pub(super) fn show<T: Serialize>(
        &mut self,
        value: &T,
        table: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let json = match self.form {
            Form::Table => return self.write(&table(value)),
            Form::Spread => serde_json::to_string_pretty(value),
            Form::Compact => serde_json::to_string(value),
        };
        let json = json.map_err(|error| Failure::new(Exit::Failed, format!("cannot be shown: {error}")))?;
        self.write(&escape_in_json(&json))
    }

    /// Writes several values: as one table, or each as JSON by itself.
    pub(super) fn show_all<T: Serialize>(
        &mut self,
        values: &[T],
        table: impl FnOnce(&[T]) -> String,
    ) -> Result<(), Failure> {
        if self.form == Form::Table && !values.is_empty() {
            return self.write(&table(values));
        }
        for value in values {
            if self.closed {
                break;
            }
            self.show(value, |_| String::new())?;
        }
        Ok(())
    }

    /// Writes text as it is, and a newline where there is none.
    pub(super) fn write(&mut self, text: &str) -> Result<(), Failure> {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        let Self { out, bar, .. } = self;
        let write = || {
            out.write_all(text.as_bytes())?;
            out.write_all(end.as_bytes())?;
            out.flush()
        };
        match beside(bar.as_ref(), write) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(Failure::new(Exit::Failed, format!("the output cannot be written: {error}")));
            }
            // Whoever read it has read enough.
            Err(_) => self.closed = true,
            Ok(()) => {}
        }
        Ok(())
    }

    /// Whether whoever read the output has read enough, which ends what has no end of its own.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Says something beside the output, to a person.
    pub(super) fn note(&mut self, text: &str) {
        if self.live {
            self.say(&plain(text));
        }
    }

    /// Shows how an operation stands, by a bar below everything else; to a person only.
    pub(super) fn progress(&mut self, operation: &Operation) {
        if self.live {
            self.bar.get_or_insert_with(|| Bar::on((self.draw)())).show(operation);
        }
    }

    /// The same of something that is no operation, with a percentage where there is one.
    pub(super) fn advance(&mut self, percent: impl Into<Option<f64>>, what: &str) {
        if self.live {
            self.bar.get_or_insert_with(|| Bar::on((self.draw)())).advance(percent.into(), what);
        }
    }

    /// Says beside the output what goes on: to a person, or into whatever is kept of stderr.
    pub(super) fn tell(&mut self, text: &str) {
        self.say(&plain(text));
    }

    /// Takes the bar away.
    pub(super) fn end_progress(&mut self) {
        self.bar = None;
    }

    /// Says why a subcommand came to nothing, if it did.
    pub(super) fn conclude(&mut self, ended: Result<Exit, Failure>) -> Exit {
        self.end_progress();
        ended.unwrap_or_else(|failure| {
            self.complain(&failure);
            failure.exit
        })
    }

    /// Says why something came to nothing.
    pub(super) fn complain(&mut self, failure: &Failure) {
        self.say(&format!("error: {}", plain(&failure.message)));
    }

    fn say(&mut self, line: &str) {
        let Self { err, bar, .. } = self;
        // What cannot be told to a person need not end the subcommand.
        let _ = beside(bar.as_ref(), || writeln!(err, "{line}"));
    }
}

/// Writes above the bar, where there is one.
fn beside<T>(bar: Option<&Bar>, write: impl FnOnce() -> T) -> T {
    match bar {
        Some(bar) => bar.beside(write),
        None => write(),
    }
}

/// A table with a line for each row, and nothing drawn between them.
pub(super) fn table<R, C>(header: &[&str], rows: R) -> String
where
    R: IntoIterator<Item = C>,
    C: IntoIterator<Item = String>,
{
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !header.is_empty() {
        table.set_header(header);
    }
    for row in rows {
        table.add_row(row.into_iter().map(|cell| plain(&cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// The text without what a terminal would obey: control characters, and those that turn the direction of writing.
pub(super) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_obeyed(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

fn is_obeyed(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The same JSON. Such characters stand inside of its strings only, newlines and tabs aside, which are no harm.
fn escape_in_json(json: &str) -> String {
    use std::fmt::Write;

    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if is_obeyed(character) && !character.is_ascii_whitespace() {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(terminal: bool, act: impl FnOnce(&mut Output<'_>)) -> (String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        act(&mut Output::of_test(&mut out, &mut err, terminal));
        (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn a_terminal_gets_a_table_and_a_pipe_one_line_of_json() {
        let value = serde_json::json!({ "a": 1 });
        let show = |output: &mut Output<'_>| output.show(&value, |_| "a table".to_owned()).unwrap();
        assert_eq!(written(true, show).0, "a table\n");
        assert_eq!(written(false, show).0, "{\"a\":1}\n");
    }

    #[test]
    fn notes_stand_beside_the_bar_for_people_and_nowhere_in_a_pipe() {
        let act = |output: &mut Output<'_>| {
            output.progress(&Operation::default());
            output.note("half\nof it");
            output.end_progress();
            output.end_progress();
            output.note("done");
        };
        assert_eq!(written(true, act), (String::new(), "half\\nof it\ndone\n".to_owned()));
        assert_eq!(written(false, act), (String::new(), String::new()));
    }

    #[test]
    fn a_failure_is_one_line_on_stderr() {
        let act = |output: &mut Output<'_>| {
            let exit = output.conclude(Err(Failure::new(Exit::NotFound, "there is\nnone \x1b[31m")));
            assert_eq!(exit, Exit::NotFound);
        };
        let expected = "error: there is\\nnone \\u{1b}[31m\n".to_owned();
        assert_eq!(written(false, act), (String::new(), expected));
    }

    #[test]
    fn no_text_of_others_commands_the_terminal() {
        assert_eq!(plain("é \u{9b}31m\u{202e}"), "é \\u{9b}31m\\u{202e}");
        let json = serde_json::to_string("a\u{9b}\u{7f}\u{202e}\n").unwrap();
        let escaped = escape_in_json(&json);
        assert_eq!(escaped, "\"a\\u009b\\u007f\\u202e\\n\"");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), "a\u{9b}\u{7f}\u{202e}\n");
    }

    #[test]
    fn a_table_lines_its_columns_up() {
        let rows = [["a", "1"], ["long", "22\n3"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&["ID", "N"], rows), "ID    N\na     1\nlong  22\\n3");
    }
}
