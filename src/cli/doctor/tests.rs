use super::*;

#[test]
fn each_finding_is_a_line_with_its_advice_below_it() {
    let mut findings = Findings::default();
    findings.ok("clock", "it fits");
    findings.bad(Level::Warning, "disk", "little is free", "make room");
    assert_eq!(findings.worst(), Level::Warning);
    let shown = table(&findings.0);
    assert_eq!(shown, "ok       clock  it fits\nwarning  disk   little is free\n                → make room");
    let written = serde_json::to_value(&findings.0).unwrap();
    assert_eq!(
        written[1],
        serde_json::json!({"level": "warning", "about": "disk", "found": "little is free", "advice": "make room"})
    );
}

#[test]
fn a_span_is_told_by_its_two_largest_units() {
    assert_eq!(span(std::time::Duration::from_secs(3600 * 50 + 61)), "2days 2h");
    assert_eq!(span(std::time::Duration::from_millis(1500)), "1s");
}
