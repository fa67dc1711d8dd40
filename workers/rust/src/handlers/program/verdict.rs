//! What the end of a program is for its operation.

use crate::handler::{HandlerError, Success};

use super::guard::control::Said;
use super::signals;
use super::stdout::{RESULT_BYTES_MAX, Stdout};

/// "The input data was incorrect in some way", from `sysexits.h`: no other attempt would help.
const EX_DATAERR: i32 = 65;

/// How an attempt ends whose program ended by itself.
///
/// `EX_TEMPFAIL` (75) is "try again later" in `sysexits.h`, and so is every other status: an operation's own
/// policy says how often.
pub(super) fn of(said: &Said, stdout: Stdout, tail: &str) -> Result<Success, HandlerError> {
    match said {
        _ if stdout.is_too_large() => Err(too_large()),
        Said::Exited(0) => stdout.result(),
        Said::Exited(EX_DATAERR) => {
            Err(HandlerError::permanent("exitCode", with_tail("exit status 65", tail)))
        }
        Said::Exited(code) => {
            Err(HandlerError::retryable("exitCode", with_tail(&format!("exit status {code}"), tail)))
        }
        Said::Signaled(signal) => {
            let ended = format!("ended by {}", signals::name(*signal));
            Err(HandlerError::retryable("signal", with_tail(&ended, tail)))
        }
        Said::Failed(message) => Err(unguarded(message)),
        Said::Started(_) => Err(unguarded("the guard ended before the program did")),
    }
}

/// Nothing can be said of the program, and nothing is left of it.
pub(super) fn unguarded(message: &str) -> HandlerError {
    HandlerError::retryable("notGuarded", message)
}

fn too_large() -> HandlerError {
    let message = format!(
        "stdout has more than {RESULT_BYTES_MAX} bytes; put large things elsewhere, and the URL here"
    );
    HandlerError::permanent("outputTooLarge", message)
}

/// One line for lists, and what the program had to say for whoever looks closer.
fn with_tail(ended: &str, tail: &str) -> String {
    if tail.is_empty() { ended.to_owned() } else { format!("{ended}: {tail}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::Kind;

    const RETRYABLE: Kind = Kind::Retryable { after_seconds: None };

    fn failure(said: &Said) -> HandlerError {
        of(said, Stdout::default(), "no such\npicture").unwrap_err()
    }

    #[test]
    fn each_end_has_its_error() {
        for (said, kind, code, message) in [
            (Said::Exited(75), RETRYABLE, "exitCode", "exit status 75: no such\npicture"),
            (Said::Exited(1), RETRYABLE, "exitCode", "exit status 1: no such\npicture"),
            (Said::Exited(65), Kind::Permanent, "exitCode", "exit status 65: no such\npicture"),
            (Said::Signaled(9), RETRYABLE, "signal", "ended by SIGKILL: no such\npicture"),
            (Said::Signaled(99), RETRYABLE, "signal", "ended by signal 99: no such\npicture"),
            (Said::Failed("full".to_owned()), RETRYABLE, "notGuarded", "full"),
        ] {
            let error = failure(&said);
            assert_eq!((error.kind, error.code(), error.message()), (kind, code, message));
        }
        assert!(of(&Said::Exited(0), Stdout::default(), "noise").is_ok());
    }

    #[test]
    fn too_much_output_is_that_however_the_program_ended() {
        for said in [Said::Exited(0), Said::Exited(1), Said::Signaled(15)] {
            let mut stdout = Stdout::default();
            stdout.take(&vec![b'x'; RESULT_BYTES_MAX + 1]);
            let error = of(&said, stdout, "").unwrap_err();
            assert_eq!((error.kind, error.code()), (Kind::Permanent, "outputTooLarge"));
        }
    }
}
