//! A strict parser of the text format and of OpenMetrics, independent of the library.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::samples::{Sample, Samples, Series};

/// The number of exemplars that were parsed.
pub(crate) static EXEMPLARS: AtomicU64 = AtomicU64::new(0);

/// Parses all samples, or describes the first line that is invalid.
pub(crate) fn parse(text: &str, is_openmetrics: bool) -> Result<Samples, String> {
    let mut samples = Samples::new();
    let mut kinds: HashMap<&str, &str> = HashMap::new();
    let mut has_ended = false;
    if !text.ends_with('\n') {
        return Err("the last line is incomplete".to_owned());
    }
    for line in text.lines() {
        let invalid = |what: &str| format!("{what} in the line {line:?}");
        if has_ended {
            return Err(invalid("something follows the end"));
        }
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            match (words.next(), words.next(), words.next()) {
                (Some("TYPE"), Some(name), Some(kind)) => {
                    if kinds.insert(name, kind).is_some() {
                        return Err(invalid("a second type"));
                    }
                }
                (Some("HELP" | "UNIT"), Some(_), _) => {}
                (Some("EOF"), None, None) if is_openmetrics => has_ended = true,
                _ => return Err(invalid("an unknown comment")),
            }
            continue;
        }
        let (series, rest) = series(line).ok_or_else(|| invalid("an invalid series"))?;
        let (value, exemplar) = match rest.split_once(" # ") {
            Some((value, exemplar)) if is_openmetrics => (value, Some(exemplar)),
            _ => (rest, None),
        };
        let value = number(value).ok_or_else(|| invalid("an invalid value"))?;
        if let Some(exemplar) = exemplar {
            EXEMPLARS.fetch_add(1, Ordering::Relaxed);
            check_exemplar(&series, exemplar).ok_or_else(|| invalid("an invalid exemplar"))?;
        }
        let grows = grows(&series, &kinds).ok_or_else(|| invalid("no type"))?;
        if samples.insert(series, Sample { value, grows }).is_some() {
            return Err(invalid("a repeated sample"));
        }
    }
    if is_openmetrics && !has_ended { Err("the end is missing".to_owned()) } else { Ok(samples) }
}

/// Returns true if the series belongs to a type whose values never decrease, or `None` if the family has no type.
fn grows(series: &Series, kinds: &HashMap<&str, &str>) -> Option<bool> {
    let name = series.name.as_str();
    let of = |suffix: &str| name.strip_suffix(suffix).and_then(|base| kinds.get(base)).copied();
    if matches!(of("_total").or_else(|| kinds.get(name).copied()), Some("counter")) {
        return Some(true);
    }
    if ["_count", "_sum"].iter().any(|suffix| matches!(of(suffix), Some("summary" | "histogram"))) {
        return Some(true);
    }
    if of("_bucket") == Some("histogram") {
        return Some(series.label("le").is_some());
    }
    (kinds.contains_key(name) || of("_info") == Some("info")).then_some(false)
}

fn number(text: &str) -> Option<f64> {
    // `str::parse` also accepts forms that the formats do not have.
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        _ if text.bytes().all(|byte| b"0123456789+-.e".contains(&byte)) => text.parse().ok(),
        _ => None,
    }
}

/// Parses a name and labels, and returns the text after the space that follows.
fn series(line: &str) -> Option<(Series, &str)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.push((label.to_owned(), value));
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => break rest = after.strip_prefix('}')?,
            }
        }
    }
    let is_name = |text: &str| {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        text.bytes().all(valid) && text.bytes().next().is_some_and(|first| !first.is_ascii_digit())
    };
    let is_valid = is_name(name) && labels.iter().all(|(label, _)| is_name(label));
    is_valid.then_some((Series::new(name, labels), rest.strip_prefix(' ')?))
}

/// Parses an escaped value up to its closing quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    loop {
        match characters.next()? {
            (at, '"') => return Some((value, &text[at + 1..])),
            (_, '\\') => match characters.next()?.1 {
                'n' => value.push('\n'),
                escaped @ ('\\' | '"') => value.push(escaped),
                _ => return None,
            },
            (_, other) => value.push(other),
        }
    }
}

/// Checks the syntax of an exemplar, and that its value is within its bucket.
fn check_exemplar(series: &Series, exemplar: &str) -> Option<()> {
    let (labels, rest) =
        self::series(&format!("exemplar{exemplar}")).map(|(series, rest)| (series, rest.to_owned()))?;
    labels.label("trace_id")?;
    let (value, time) = rest.split_once(' ')?;
    let bound: f64 = series.label("le").map_or(Some(f64::INFINITY), |bound| bound.parse().ok())?;
    (number(value)? <= bound && number(time)? > 0.0).then_some(())
}
