use super::*;
use crate::operation::Status;

fn status(words: &[Status]) -> Filter {
    Filter::Status(words.to_vec())
}

fn queue(name: &str) -> Filter {
    Filter::Text(TextField::Queue, Test::Is(Relation::Eq, name.into()))
}

fn created(relation: Relation, ticks: i64) -> Filter {
    Filter::Time(TimeField::Created, Test::Is(relation, Timestamp::from_ticks(ticks)))
}

#[test]
fn what_is_known_decides_as_much_as_it_can() {
    let known = |status, queue| Known { status, queue, rest: None };
    let both = Filter::All(vec![queue("a"), status(&[Status::Failed])]);
    assert_eq!(both.holds(&known(Status::Failed, Some("a"))), Some(true));
    assert_eq!(both.holds(&known(Status::Failed, None)), None);
    assert_eq!(both.holds(&known(Status::Running, None)), Some(false), "whatever the queue is");
    let either = Filter::Any(vec![Filter::Priority(Test::Is(Relation::Gt, 0)), status(&[Status::Failed])]);
    assert_eq!(either.holds(&known(Status::Failed, None)), Some(true), "whatever the priority is");
    assert_eq!(either.holds(&known(Status::Running, None)), None);
    assert_eq!(Filter::Not(Box::new(either)).holds(&known(Status::Failed, None)), Some(false));
}

#[test]
fn a_filter_bounds_the_time_of_creation() {
    let between = Filter::All(vec![created(Relation::Gt, 5), queue("a"), created(Relation::Le, 9)]);
    assert_eq!(between.created(), 6..=9);
    let one = created(Relation::Eq, 20);
    assert_eq!(Filter::Any(vec![between.clone(), one]).created(), 6..=20);
    assert_eq!(Filter::Any(vec![between.clone(), queue("a")]).created(), i64::MIN..=i64::MAX);
    assert_eq!(Filter::Not(Box::new(between)).created(), i64::MIN..=i64::MAX);
    assert_eq!(created(Relation::Ge, 7).created(), 7..=i64::MAX);
    assert_eq!(created(Relation::Lt, 7).created(), i64::MIN..=6);
}
