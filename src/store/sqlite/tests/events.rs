use super::*;
use crate::operation::{EventKind, Status};
use crate::store::{Reader, Whose};

fn told(house: &House, tenant: &TenantId, after: i64, limit: usize) -> Vec<crate::operation::Event> {
    block_on(house.reader.events(&Whose::Tenant(tenant.clone()), after, limit)).unwrap().events
}

fn history(house: &House, after: i64, limit: usize) -> Vec<(i64, i64, EventKind, Option<Status>, Status)> {
    let events = told(house, &TenantId::default(), after, limit);
    let shape = |event: crate::operation::Event| {
        (event.cursor, event.previous, event.kind, event.status_before, event.operation.status())
    };
    events.into_iter().map(shape).collect()
}

#[test]
fn events_show_the_operation_as_it_was_after_each() {
    let mut house = House::new();
    let made = house.submit(&[submission("q", "t", 3)])[0].clone();
    house.claim(1);
    house.time.advance(Duration::from_secs(1));
    house.complete(&made, 1);
    let (not_started, running) = (Some(Status::NotStarted), Some(Status::Running));
    let all = [
        (1, 0, EventKind::Created, None, Status::NotStarted),
        (2, 1, EventKind::Started, not_started, Status::Running),
        (3, 2, EventKind::Completed, running, Status::Completed),
    ];
    assert_eq!(history(&house, 0, 10), all);
    assert_eq!(history(&house, 1, 1), all[1..2]);
    assert!(history(&house, 3, 10).is_empty());
    let events = told(&house, &TenantId::default(), 0, 10);
    assert_eq!(events.iter().map(|it| it.operation.version).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(events[1].operation.started, Some(events[1].at));
    assert_eq!(events[2].operation.completed(), Some(house.time_now()));
    assert_eq!(events[2].operation.spec.priority, 3);
    let other = TenantId::parse("other").unwrap();
    assert!(told(&house, &other, 0, 10).is_empty());
}

#[test]
fn of_a_deleted_operation_only_that_remains_and_can_still_be_shown() {
    let mut house = House::new();
    let kept = house.submit(&[submission("q", "t", 0)])[0].clone();
    let made = house.submit(&[submission("q", "t", 4)])[0].clone();
    house.command(made.spec.id, &Command::Cancel);
    house.command(made.spec.id, &Command::Delete);
    assert!(house.load(made.spec.id).is_none());
    let events = told(&house, &TenantId::default(), 0, 10);
    assert_eq!(
        events.iter().map(|it| (it.cursor, it.kind)).collect::<Vec<_>>(),
        [(1, EventKind::Created), (4, EventKind::Deleted)]
    );
    assert_eq!(events[0].operation.spec.id, kept.spec.id);
    let gone = &events[1].operation;
    assert_eq!((gone.spec.id, gone.spec.priority, gone.status()), (made.spec.id, 4, Status::Failed));
    assert_eq!(gone.failure().unwrap().code.as_ref(), "canceled");
}

#[test]
fn the_number_of_the_highest_row_is_not_given_again_after_its_deletion() {
    let mut house = House::new();
    let made = house.submit(&[submission("q", "t", 0), submission("q", "t", 0)]);
    house.command(made[1].spec.id, &Command::Cancel);
    house.command(made[1].spec.id, &Command::Delete);
    house.restart(Duration::ZERO);
    let next = house.submit(&[submission("q", "t", 0)])[0].clone();
    assert_eq!((next.seq, house.load(next.spec.id).unwrap().cursor), (Seq(3), 5));
}

#[test]
fn an_id_is_free_again_in_the_turn_that_deletes_it() {
    let mut house = House::new();
    let made = house.submit(&[submission("q", "t", 0)])[0].clone();
    house.command(made.spec.id, &Command::Cancel);
    let mut again = submission("q", "t", 0);
    again.spec.id = made.spec.id;
    let touches = Touches { ids: vec![(TenantId::default(), made.spec.id)], ..Touches::default() };
    house.turn(&touches, |set, changes| {
        advance(set, changes, made.seq, &Command::Delete);
        create(set, changes, 0, &again);
    });
    assert_eq!(house.load(made.spec.id).unwrap().seq, Seq(2));
}

#[test]
fn an_operation_made_and_deleted_in_one_turn_leaves_its_number_and_one_event() {
    let mut house = House::new();
    let touches = Touches::default();
    house.turn(&touches, |set, changes| {
        let made = create(set, changes, 0, &submission("q", "t", 0));
        changes.operations[0].after = None;
        changes.events.push(Recorded::new(0, EventKind::Deleted, actor(), None, made, set.now));
    });
    assert_eq!(house.count("SELECT count(*) FROM operation"), 0);
    assert_eq!(history(&house, 0, 10), [(2, 1, EventKind::Deleted, None, Status::NotStarted)]);
    house.restart(Duration::ZERO);
    assert_eq!(house.submit(&[submission("q", "t", 0)])[0].seq, Seq(2));
}
