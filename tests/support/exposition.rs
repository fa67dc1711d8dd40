//! Prometheus' text format (0.0.4), read as strictly as it is written down: whatever a collector might stumble over is a
//! failure.

use std::collections::{BTreeMap, BTreeSet};

/// The labels of one series, the bucket's end included.
pub type Labels = BTreeMap<String, String>;

/// What one answer tells.
#[derive(Debug, Default)]
pub struct Exposition {
    families: BTreeMap<String, Family>,
}

/// All series of one name.
#[derive(Debug)]
struct Family {
    kind: String,
    /// By their full names and labels.
    series: BTreeMap<(String, Labels), f64>,
}

impl Exposition {
    /// Reads it.
    ///
    /// # Panics
    ///
    /// Where it is not as the format wants it.
    pub fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut told = Self::default();
        let mut current: Option<(String, Option<String>)> = None;
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap_or_else(|| panic!("no help in {line}"));
                assert!(is_name(name) && !help.trim().is_empty(), "{line}");
                assert!(!told.families.contains_key(name), "{name} is told twice");
                current = Some((name.to_owned(), None));
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap_or_else(|| panic!("no type in {line}"));
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                let (helped, typed) = current.as_mut().unwrap_or_else(|| panic!("no HELP before {line}"));
                assert!(helped == name && typed.is_none(), "TYPE does not follow its HELP: {line}");
                *typed = Some(kind.to_owned());
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                let family = Family { kind: kind.to_owned(), series: BTreeMap::new() };
                told.families.insert(name.to_owned(), family);
            } else {
                let Some((family, Some(_))) = &current else { panic!("no HELP and TYPE before {line}") };
                told.families.get_mut(family).expect("it was told").add(family, line);
            }
        }
        for (name, family) in told.families.iter().filter(|(_, family)| family.kind == "histogram") {
            family.check_histograms(name);
        }
        told
    }

    /// The sum of the series of a name that have these labels; none: there are none of that name.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let family =
            self.families.iter().find(|(family, _)| is_of(name, family)).map(|(_, family)| family)?;
        let fits =
            |of: &Labels| labels.iter().all(|(key, value)| of.get(*key).is_some_and(|own| own == value));
        let mut found =
            family.series.iter().filter(|((own, of), _)| own == name && fits(of)).map(|(_, value)| *value);
        let first = found.next()?;
        Some(found.fold(first, |sum, value| sum + value))
    }

    /// The same of a series that is there.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.sum(name, labels).unwrap_or_else(|| panic!("there is no {name} of {labels:?}"))
    }

    /// Names of all families.
    pub fn names(&self) -> BTreeSet<&str> {
        self.families.keys().map(String::as_str).collect()
    }

    /// Names of all series, as a query would have them.
    pub fn series(&self) -> BTreeSet<&str> {
        self.families
            .values()
            .flat_map(|family| family.series.keys())
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// Names of all labels.
    pub fn labels(&self) -> BTreeSet<&str> {
        let series = self.families.values().flat_map(|family| family.series.keys());
        series.flat_map(|(_, labels)| labels.keys()).map(String::as_str).collect()
    }

    /// The values of a label over all series.
    pub fn values_of(&self, label: &str) -> BTreeSet<&str> {
        let series = self.families.values().flat_map(|family| family.series.keys());
        series.filter_map(|(_, labels)| labels.get(label)).map(String::as_str).collect()
    }

    /// How many lines of values there are.
    pub fn len(&self) -> usize {
        self.families.values().map(|family| family.series.len()).sum()
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(fits) && name.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
}

/// Whether a series of that name may be of a family.
fn is_of(series: &str, family: &str) -> bool {
    series.strip_prefix(family).is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
}

impl Family {
    fn add(&mut self, family: &str, line: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value in {line}"));
        let value: f64 = match value {
            "+Inf" => f64::INFINITY,
            value => value.parse().unwrap_or_else(|error| panic!("{error} in {line}")),
        };
        let (name, labels) = match series.split_once('{') {
            Some((name, rest)) => {
                let inner = rest.strip_suffix('}').unwrap_or_else(|| panic!("no end of labels in {line}"));
                (name, read_labels(inner, line))
            }
            None => (series, Labels::new()),
        };
        assert!(is_name(name) && is_of(name, family), "{line} is not of {family}");
        let has_part = name != family;
        assert_eq!(has_part, self.kind == "histogram", "{line}");
        assert!(value >= 0.0, "{line}");
        let before = self.series.insert((name.to_owned(), labels), value);
        assert!(before.is_none(), "told twice: {line}");
    }

    /// Buckets grow, and the last one holds all.
    fn check_histograms(&self, name: &str) {
        let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
        for ((series, labels), value) in &self.series {
            if *series == format!("{name}_bucket") {
                let mut rest = labels.clone();
                let end = rest.remove("le").unwrap_or_else(|| panic!("a bucket of {name} without its end"));
                let end = if end == "+Inf" { f64::INFINITY } else { end.parse().expect("a number") };
                buckets.entry(rest).or_default().push((end, *value));
            }
        }
        for (labels, mut buckets) in buckets {
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(
                buckets.is_sorted_by(|one, other| one.0 < other.0 && one.1 <= other.1),
                "{name} {labels:?}"
            );
            let (end, all) = buckets.last().expect("there is one");
            assert!(end.is_infinite(), "{name} has no last bucket");
            assert_eq!(self.series.get(&(format!("{name}_count"), labels.clone())), Some(all), "{name}");
            assert!(self.series.contains_key(&(format!("{name}_sum"), labels)), "{name}");
        }
    }
}

fn read_labels(text: &str, line: &str) -> Labels {
    let mut labels = Labels::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) =
            rest.split_once("=\"").unwrap_or_else(|| panic!("a label without a value in {line}"));
        assert!(is_name(name), "{line}");
        let mut value = String::new();
        let mut letters = after.char_indices();
        let end = loop {
            match letters.next() {
                Some((_, '\\')) => match letters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                    other => panic!("{other:?} is escaped in {line}"),
                },
                Some((at, '"')) => break at,
                Some((_, letter)) => value.push(letter),
                None => panic!("a value without an end in {line}"),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "a label twice in {line}");
        rest = &after[end + 1..];
        if let Some(next) = rest.strip_prefix(',') {
            assert!(!next.is_empty(), "{line}");
            rest = next;
        } else {
            assert!(rest.is_empty(), "{line}");
        }
    }
    labels
}
