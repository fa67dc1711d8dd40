//! How the process ends, and what it says then.

use std::process::ExitCode;

use longrun_sdk::ClientError;

/// What `longrun help` says of [`Exit`].
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  done; of an operation that was waited for: Completed
  1  the operation is Failed, or the server refused or could not do what it was asked for
  2  usage: the command line, or a value in it, is wrong
  3  the server cannot be reached
  4  still running at the end of --wait
  5  not allowed: no token, or none with the scope that this needs
  6  not found";

/// The exit codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Unreachable = 3,
    Running = 4,
    NotAllowed = 5,
    NotFound = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a subcommand came to nothing, in one line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// What an answer of this status ends with. A 5xx is a server that was reached.
    pub(super) fn refused(status: u16, message: impl Into<String>) -> Self {
        let exit = match status {
            400 | 413..=415 | 431 => Exit::Usage,
            401 | 403 => Exit::NotAllowed,
            404 => Exit::NotFound,
            _ => Exit::Failed,
        };
        Self::new(exit, message)
    }

    /// What became of a call to this server.
    pub(super) fn of_call(error: &ClientError, server: &str) -> Self {
        match error {
            ClientError::Refused { status, code, message, .. } => {
                Self::refused(*status, format!("{message} ({code})"))
            }
            ClientError::InvalidRequest { message } => Self::usage(message.as_str()),
            ClientError::InvalidAnswer { message } => Self::new(
                Exit::Unreachable,
                format!("{server} does not answer as a Longrun server: {message}"),
            ),
            ClientError::Unreachable { message } => {
                // The last of the chain of causes is the one that a person can do something about.
                let cause = message.rsplit(": ").next().unwrap_or(message);
                Self::new(Exit::Unreachable, format!("{server} cannot be reached: {cause}"))
            }
            ClientError::Untrusted { message } => {
                Self::new(Exit::Unreachable, format!("{server} is not trusted: {message}"))
            }
            other => Self::new(Exit::Unreachable, format!("no answer from {server}: {other}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> Exit {
        let error = ClientError::Refused {
            status,
            code: "code".to_owned(),
            message: "message".to_owned(),
            target: None,
            retry_after: None,
        };
        Failure::of_call(&error, "http://a").exit
    }

    #[test]
    fn each_refusal_has_its_exit_code() {
        for (status, exit) in [
            (400, Exit::Usage),
            (401, Exit::NotAllowed),
            (403, Exit::NotAllowed),
            (404, Exit::NotFound),
            (409, Exit::Failed),
            (413, Exit::Usage),
            (422, Exit::Failed),
            (429, Exit::Failed),
            (503, Exit::Failed),
            (507, Exit::Failed),
        ] {
            assert_eq!(refused(status), exit, "{status}");
        }
    }

    #[test]
    fn the_help_names_every_code() {
        for exit in [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::Unreachable,
            Exit::Running,
            Exit::NotAllowed,
            Exit::NotFound,
        ] {
            assert!(EXIT_CODES.contains(&format!("\n  {}  ", exit as u8)), "{exit:?}");
        }
    }
}
