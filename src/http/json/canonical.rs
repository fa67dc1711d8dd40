//! The fingerprint by which the same body is recognised, however its keys are ordered and its blanks are set.

use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use super::scan::Checked;
use super::text::unescape;
use super::walk::Walker;

/// SHA-256 of the document with the keys of every object sorted by their unescaped bytes and no blanks; numbers and
/// strings as they were written.
pub fn fingerprint(checked: Checked<'_>) -> [u8; 32] {
    Sha256::digest(canonical(checked)).into()
}

fn canonical(checked: Checked<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(checked.text().len());
    write_value(&mut Walker::new(checked), &mut out);
    out
}

fn write_value(walker: &mut Walker<'_>, out: &mut Vec<u8>) {
    match walker.peek() {
        b'{' => write_object(walker, out),
        b'[' => {
            out.push(b'[');
            let mut more = walker.enter();
            while more {
                write_value(walker, out);
                more = walker.another();
                if more {
                    out.push(b',');
                }
            }
            out.push(b']');
        }
        _ => out.extend_from_slice(walker.value().text().as_bytes()),
    }
}

/// Writes the members as they come and puts them in order afterwards, so that a body whose keys are in order already,
/// as most programs' are at every call, is written once.
fn write_object(walker: &mut Walker<'_>, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut members: SmallVec<[_; 16]> = SmallVec::new();
    let mut more = walker.enter();
    while more {
        let key = walker.key();
        let start = out.len();
        out.push(b'"');
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":");
        write_value(walker, out);
        members.push((unescape(key), start..out.len()));
        more = walker.another();
        if more {
            out.push(b',');
        }
    }
    if !members.is_sorted_by(|a, b| a.0.as_bytes() <= b.0.as_bytes()) {
        let start = members[0].1.start;
        members.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
        let mut sorted = Vec::with_capacity(out.len() - start);
        for (_, member) in members {
            if !sorted.is_empty() {
                sorted.push(b',');
            }
            sorted.extend_from_slice(&out[member]);
        }
        out.truncate(start);
        out.append(&mut sorted);
    }
    out.push(b'}');
}
