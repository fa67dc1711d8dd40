//! Small payloads stay in the row; larger ones stand apart, and are read when somebody asks for them.

use longrun::limits;
use longrun::operation::{Command, Opening, Operation, Patch, Payload, ReportKind, Seq, Status};
use longrun::store::turn::Touches;

use crate::store::drafts::{
    bare, claim, completed, draft, failed, id, json, json_of, report, report_with, tenant,
};
use crate::store::view;
use crate::store::world::World;

every_store! {
    an_input_is_at_hand_up_to_the_limit_and_stands_apart_beyond_it
    a_result_is_at_hand_up_to_the_limit_and_stands_apart_beyond_it
    the_largest_payloads_come_back_byte_for_byte
    a_large_input_survives_every_change_of_its_operation
    a_large_result_may_come_with_the_submit_or_a_patch
    the_answer_to_a_claim_gets_only_what_stands_apart
    a_checkpoint_is_replaced_by_each_that_comes_and_gone_with_completion
    a_checkpoint_outlives_a_failure_and_a_retry
    a_null_is_a_payload_and_not_the_lack_of_one
    that_links_ended_is_kept_and_changes_nothing_else
}

fn loaded(world: &mut World, number: u128) -> Operation {
    let key = (tenant("default"), id(number));
    let turn = world.begin(&Touches { ids: vec![key.clone()], ..Touches::default() });
    turn.current(turn.set.by_id[&key]).unwrap()
}

/// How many bytes a payload has, and whether it is at hand.
fn shape(payload: Option<&Payload>) -> Option<(usize, bool)> {
    payload.map(|payload| (payload.bytes(), payload.inline().is_some()))
}

fn an_input_is_at_hand_up_to_the_limit_and_stands_apart_beyond_it(world: &mut World) {
    let limit = limits::INLINE_BYTES_MAX;
    for (number, bytes) in [(1, 2), (2, limit - 1), (3, limit), (4, limit + 1), (5, 3 * limit)] {
        let input = Some(Payload::Inline(json_of(bytes)));
        world.submit(&draft(number, |submission| submission.spec.input = input));
        let loaded = loaded(world, number);
        assert_eq!(shape(loaded.spec.input.as_ref()), Some((bytes, bytes <= limit)));
        assert_eq!(shape(world.shown(id(number)).spec.input.as_ref()), Some((bytes, true)));
    }
}

fn a_result_is_at_hand_up_to_the_limit_and_stands_apart_beyond_it(world: &mut World) {
    let limit = limits::INLINE_BYTES_MAX;
    for (number, bytes) in [(1, 2), (2, limit), (3, limit + 1)] {
        world.submit(&bare(number));
        world.apply(id(number), &claim(30));
        world.apply(id(number), &report(1, completed(Some(json_of(bytes)))));
        assert_eq!(shape(loaded(world, number).result()), Some((bytes, bytes <= limit)));
        assert_eq!(shape(world.shown(id(number)).result()), Some((bytes, true)));
    }
}

fn the_largest_payloads_come_back_byte_for_byte(world: &mut World) {
    let (input, result) = (json_of(limits::PAYLOAD_BYTES_MAX), json("{\"b\" : [1.0, \"\\u00e9\\n\"] }"));
    let given = Some(Payload::Inline(input.clone()));
    world.submit(&draft(1, |submission| submission.spec.input = given));
    world.apply(id(1), &claim(30));
    world.apply(id(1), &report(1, completed(Some(result.clone()))));
    let shown = world.shown(id(1));
    assert_eq!(shown.spec.input.as_ref().unwrap().inline().unwrap().get(), input.get());
    assert_eq!(shown.result().unwrap().inline().unwrap().get(), result.get());
}

fn a_large_input_survives_every_change_of_its_operation(world: &mut World) {
    let input = Some(Payload::Inline(json_of(5000)));
    world.submit(&draft(1, |submission| submission.spec.input = input));
    for token in 1..=2 {
        world.apply(id(1), &claim(30));
        world.apply(id(1), &report(token, ReportKind::Running));
        world.apply(id(1), &report(token, ReportKind::Released));
    }
    world.apply(id(1), &claim(30));
    world.apply(id(1), &report(3, completed(Some(json_of(6000)))));
    world.restart();
    let shown = world.shown(id(1));
    assert_eq!(shape(shown.spec.input.as_ref()), Some((5000, true)));
    assert_eq!(shape(shown.result()), Some((6000, true)));
}

fn a_large_result_may_come_with_the_submit_or_a_patch(world: &mut World) {
    let opening = Opening::Completed { result: Some(json_of(3000)), resource_location: None };
    world.submit(&draft(1, |submission| submission.opening = opening));
    assert_eq!(shape(loaded(world, 1).result()), Some((3000, false)));
    assert_eq!(shape(world.shown(id(1)).result()), Some((3000, true)));
    world.submit(&draft(2, |submission| submission.spec.external = true));
    let done = Patch { status: Some(Status::Completed), result: Some(json_of(4000)), ..Patch::default() };
    world.apply(id(2), &Command::Patch(done.clone()));
    assert_eq!(shape(loaded(world, 2).result()), Some((4000, false)));
    assert!(done.says_what_stands(&world.shown(id(2))));
}

fn the_answer_to_a_claim_gets_only_what_stands_apart(world: &mut World) {
    let with_input = |number, bytes| {
        let input = Some(Payload::Inline(json_of(bytes)));
        draft(number, |submission| submission.spec.input = input)
    };
    world.submit_all(&[with_input(1, 100), with_input(2, 5000), bare(3)]);
    let payloads = world.payloads(&[Seq(3), Seq(2), Seq(1)]);
    let inputs: Vec<(i64, Option<usize>)> =
        payloads.iter().map(|of| (of.seq.0, of.input.as_ref().map(|input| input.get().len()))).collect();
    assert_eq!(inputs, [(3, None), (2, Some(5000)), (1, None)]);
    assert!(payloads.iter().all(|of| of.checkpoint.is_none()));
    assert!(world.payloads(&[]).is_empty());
}

fn checkpoint(world: &World) -> Option<String> {
    world.payloads(&[Seq(1)])[0].checkpoint.as_ref().map(|json| json.get().to_owned())
}

fn a_checkpoint_is_replaced_by_each_that_comes_and_gone_with_completion(world: &mut World) {
    world.submit(&bare(1));
    world.apply(id(1), &claim(30));
    assert_eq!(checkpoint(world), None);
    world.apply(id(1), &report_with(1, ReportKind::Running, Some(json("1")), None));
    assert_eq!(checkpoint(world).as_deref(), Some("1"));
    assert_eq!(loaded(world, 1).version, 2, "a checkpoint alone is no change");
    world.apply(id(1), &report_with(1, ReportKind::Running, Some(json("null")), Some(50)));
    assert_eq!(checkpoint(world).as_deref(), Some("null"));
    assert!(loaded(world, 1).checkpoint.is_none() && world.shown(id(1)).checkpoint.is_none());
    world.apply(id(1), &report(1, ReportKind::Running));
    assert_eq!(checkpoint(world).as_deref(), Some("null"));
    world.apply(id(1), &report_with(1, completed(None), Some(json("3")), None));
    assert_eq!(checkpoint(world), None);
}

fn a_checkpoint_outlives_a_failure_and_a_retry(world: &mut World) {
    world.submit(&bare(1));
    world.apply(id(1), &claim(30));
    world.apply(id(1), &report_with(1, failed(false), Some(json("7")), None));
    assert_eq!(checkpoint(world).as_deref(), Some("7"));
    world.apply(id(1), &Command::Retry);
    world.apply(id(1), &claim(30));
    assert_eq!(checkpoint(world).as_deref(), Some("7"));
}

fn a_null_is_a_payload_and_not_the_lack_of_one(world: &mut World) {
    let input = Some(Payload::Inline(json("null")));
    world.submit(&draft(1, |submission| submission.spec.input = input));
    world.apply(id(1), &claim(30));
    world.apply(id(1), &report(1, completed(Some(json("null")))));
    let shown = world.shown(id(1));
    assert_eq!(shape(shown.spec.input.as_ref()), Some((4, true)));
    assert_eq!(shape(shown.result()), Some((4, true)));
    world.submit(&bare(2));
    world.apply(id(2), &claim(30));
    world.apply(id(2), &report(1, completed(None)));
    let shown = world.shown(id(2));
    assert!(shown.spec.input.is_none() && shown.result().is_none());
}

fn that_links_ended_is_kept_and_changes_nothing_else(world: &mut World) {
    let large = json_of(3 * limits::INLINE_BYTES_MAX);
    world.submit(&draft(1, |submission| submission.spec.input = Some(Payload::Inline(large.clone()))));
    let mut ended = 0;
    let mut end = |world: &mut World| {
        let before = world.shown(id(1));
        let changes = world.apply(id(1), &Command::EndLinks);
        assert!(changes.events.is_empty());
        ended += 1;
        let after = world.shown(id(1));
        assert_eq!(after.links_ended, ended);
        assert_eq!(view::operation(&Operation { links_ended: ended - 1, ..after }), view::operation(&before));
    };
    end(world);
    world.apply(id(1), &claim(30));
    world.apply(id(1), &report_with(1, ReportKind::Running, Some(large.clone()), None));
    end(world);
    world.apply(id(1), &report(1, completed(Some(large))));
    end(world);
    world.restart();
    end(world);
}
