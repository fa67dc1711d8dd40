use super::connect::Connector;
use deadpool_postgres::Pool;
pub(super) struct Hints;
impl Hints {
    pub(super) fn new(_: Connector, _: Pool, _: bool) -> Self {
        Self
    }
    pub(super) fn tell(&self) {}
}
