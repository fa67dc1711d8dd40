//! Every answer shows the whole operation, also where its payloads are too large for a turn to load.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::{Rig, submit};
use crate::limits;
use crate::operation::{Command, Json, Operation, Patch, Payload, Refusal, Status};
use crate::tracker::entry::{Denied, Submit};

/// A JSON text that stands apart.
fn large(letter: char) -> Json {
    let text = letter.to_string().repeat(2 * limits::INLINE_BYTES_MAX);
    Arc::from(RawValue::from_string(format!("\"{text}\"")).unwrap())
}

fn large_wish() -> Submit {
    let mut wish = submit("t");
    wish.submission.spec.key = Some(Arc::from("k"));
    wish.submission.spec.fingerprint = Some([1; 32]);
    wish.submission.spec.input = Some(Payload::Inline(large('i')));
    wish
}

#[track_caller]
fn shows_input(operation: &Operation) {
    let input = operation.spec.input.as_ref().and_then(Payload::inline);
    assert_eq!(input.map(|json| json.get()), Some(large('i').get()));
}

fn completed(result: Json) -> Command {
    Command::Patch(Patch { status: Some(Status::Completed), result: Some(result), ..Patch::default() })
}

#[tokio::test]
async fn a_repeat_of_a_submit_shows_a_large_input() {
    let rig = Rig::new().await;
    shows_input(&rig.submit(large_wish()).await.unwrap().operation);
    let again = rig.submit(large_wish()).await.unwrap();
    assert!(again.replayed);
    shows_input(&again.operation);
}

#[tokio::test]
async fn a_command_is_answered_with_a_large_input() {
    let rig = Rig::new().await;
    let id = rig.submit(large_wish()).await.unwrap().operation.spec.id;
    shows_input(&rig.order(id, Command::Cancel).await.unwrap());
    shows_input(&rig.order(id, Command::Cancel).await.unwrap());
    shows_input(&rig.order(id, Command::Retry).await.unwrap());
}

#[tokio::test]
async fn a_patch_that_repeats_a_large_result_changes_nothing_and_another_is_refused() {
    let rig = Rig::new().await;
    let mut wish = large_wish();
    wish.submission.spec.external = true;
    let id = rig.submit(wish).await.unwrap().operation.spec.id;
    let ended = rig.order(id, completed(large('r'))).await.unwrap();
    for said in [completed(large('r')), Command::Patch(Patch::default())] {
        let again = rig.order(id, said).await.unwrap();
        assert_eq!(again.version, ended.version);
        shows_input(&again);
        let result = again.result().and_then(Payload::inline).unwrap();
        assert_eq!(result.get(), large('r').get());
    }
    let other = rig.order(id, completed(large('o'))).await;
    assert!(matches!(other, Err(Denied::Refused(Refusal::Conflict(_)))));
}
