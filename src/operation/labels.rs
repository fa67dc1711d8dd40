//! Labels: what its submitter finds an operation by.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::names::Name;

/// Labels, sorted by name, each name once. One allocation: millions of operations carry some.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Labels(Box<[(Name, Arc<str>)]>);

impl Labels {
    /// The value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(own, _)| own.as_str().cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// Each label, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Name, &str)> {
        self.0.iter().map(|(name, value)| (name, &**value))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Name, Arc<str>)> for Labels {
    /// Of a name that comes twice the first value stands.
    fn from_iter<I: IntoIterator<Item = (Name, Arc<str>)>>(labels: I) -> Self {
        let mut labels: Vec<_> = labels.into_iter().collect();
        labels.sort_by(|(a, _), (b, _)| a.cmp(b));
        labels.dedup_by(|(later, _), (earlier, _)| later == earlier);
        Self(labels.into_boxed_slice())
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| (Name::parse(name).unwrap(), Arc::from(*value))).collect()
    }

    #[test]
    fn labels_are_found_by_name_and_written_in_its_order() {
        let labels = labels(&[("b", "2"), ("a", "1"), ("a.b", "3"), ("a", "4")]);
        assert_eq!((labels.get("a"), labels.get("b"), labels.get("c")), (Some("1"), Some("2"), None));
        assert_eq!(serde_json::to_string(&labels).unwrap(), r#"{"a":"1","a.b":"3","b":"2"}"#);
    }
}
