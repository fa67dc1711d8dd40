//! Work that only takes time: for trying out progress, cancellation and workers that come and go.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::handler::{Context, HandlerError, Success};

const SECONDS_DEFAULT: f64 = 5.0;
const SECONDS_MAX: f64 = 86_400.0;
const STEPS_DEFAULT: u32 = 10;
const STEPS_MAX: u32 = 1000;

/// What [`sleep`] takes.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SleepInput {
    seconds: Option<f64>,
    steps: Option<u32>,
}

#[derive(Deserialize, Serialize)]
struct Checkpoint {
    #[serde(rename = "stepsDone")]
    steps_done: u32,
}

/// Sleeps for the `seconds` of its input (5 unless given, at most a day), in `steps` (10, at most 1000).
///
/// It reports progress and leaves a checkpoint after each step, so another attempt goes on where the last
/// one stopped; it stops promptly when told to; and it holds no slot of the worker while it waits.
///
/// # Errors
///
/// A permanent `invalidInput` when the input is anything else.
pub async fn sleep(input: Option<SleepInput>, context: Context) -> Result<Success, HandlerError> {
    let (step, steps) = plan(&input.unwrap_or_default())?;
    // A checkpoint in an unknown form is from another version: better to sleep again than to fail.
    let done = context.previous_checkpoint::<Checkpoint>().ok().flatten();
    let done = done.map_or(0, |checkpoint| checkpoint.steps_done.min(steps));
    context.parked(sleep_steps(&context, step, done, steps)).await?;
    let seconds = step.as_secs_f64() * f64::from(steps);
    Ok(Success::new().status_detail(format!("Slept {seconds} s in {steps} steps.")))
}

async fn sleep_steps(context: &Context, step: Duration, done: u32, steps: u32) -> Result<(), HandlerError> {
    for done in done + 1..=steps {
        tokio::select! {
            biased;
            () = context.cancellation().cancelled() => return Err(context.stopped()),
            // No need to wait for the end of the grace time: the next attempt loses a part of a step.
            () = context.draining().cancelled() => return Err(HandlerError::released()),
            () = tokio::time::sleep(step) => {}
        }
        context.progress(f64::from(done) * 100.0 / f64::from(steps), format!("Step {done} of {steps}"));
        context.checkpoint(&Checkpoint { steps_done: done })?;
    }
    Ok(())
}

/// How long a step is, and how many there are.
fn plan(input: &SleepInput) -> Result<(Duration, u32), HandlerError> {
    let seconds = input.seconds.unwrap_or(SECONDS_DEFAULT);
    let steps = input.steps.unwrap_or(STEPS_DEFAULT);
    if !(0.0..=SECONDS_MAX).contains(&seconds) {
        return Err(invalid(format!("input: 'seconds' is a number from 0 to {SECONDS_MAX}, not {seconds}")));
    }
    if !(1..=STEPS_MAX).contains(&steps) {
        return Err(invalid(format!("input: 'steps' is a whole number from 1 to {STEPS_MAX}, not {steps}")));
    }
    Ok((Duration::from_secs_f64(seconds) / steps, steps))
}

fn invalid(message: String) -> HandlerError {
    HandlerError::permanent("invalidInput", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_input_means_five_seconds_in_ten_steps() {
        let (step, steps) = plan(&SleepInput::default()).unwrap();
        assert_eq!((step, steps), (Duration::from_millis(500), 10));
    }

    #[test]
    fn bounds_are_told_clearly() {
        for (seconds, steps) in [(-1.0, 1), (86_401.0, 1), (f64::NAN, 1), (1.0, 0), (1.0, 1001)] {
            let error = plan(&SleepInput { seconds: Some(seconds), steps: Some(steps) }).unwrap_err();
            assert_eq!(error.code(), "invalidInput");
            assert!(error.message().contains("from"), "{}", error.message());
        }
    }
}
