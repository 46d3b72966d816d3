//! Generates Rust source text: expressions, types, patterns and functions, most of which parse.

use crate::input::Source;

/// Names that are labels, arguments, options or statics in the other fragments.
pub(crate) const NAMES: [&str; 32] = [
    "path",
    "method",
    "kind",
    "request",
    "self",
    "out",
    "x",
    "METRICS",
    "PATHS",
    "r#type",
    "type",
    "r#fn",
    "_",
    "le",
    "quantile",
    "__a",
    "skip",
    "open",
    "level",
    "err",
    "Self",
    "crate",
    "super",
    "été",
    "in_flight",
    "histogram",
    "r#histogram",
    "cancelled",
    "latencies",
    "bucket",
    "async",
    "union",
];
const LITERALS: [&str; 28] = [
    "\"/foo\"",
    "1",
    "\"\"",
    "0.5",
    "true",
    "-1",
    "1e3",
    "1e999",
    "0x1f",
    "1_000",
    "1u8",
    "1.5f32",
    "b\"x\"",
    "b'x'",
    "'c'",
    "r\"raw\"",
    "r#\"a\"b\"#",
    "c\"c\"",
    "\"a\\\"b\\\\\\n\"",
    "\"é{}\"",
    "18446744073709551616",
    "0.1",
    "99",
    "0",
    "\"a_b\"",
    "\"1a\"",
    "\"__a\"",
    "\"seconds\"",
];
const EXPRESSIONS: [&str; 36] = [
    "$i",
    "$l",
    "$e.len()",
    "$e.$i",
    "$i($e, $e)",
    "($e)",
    "[$e, $e]",
    "&$e",
    "-$e",
    "!$e",
    "|out| $e",
    "|out: &Response| $e",
    "|&(path, ref x)| -> bool { $e }",
    "async move { $e }",
    "{ $s $e }",
    "$e?",
    "$e.await",
    "if let Some($i) = $e { $e } else { $e }",
    "match $e { $p if $e => $e, _ => $e }",
    "format!(\"{}\", $e)",
    "$e as $t",
    "$i::<$t>($e)",
    "$e == $e",
    "$e + $e",
    "Box::pin(async move { $e })",
    "Box::pin($e)",
    "$i { path: $e, ..$e }",
    "return $e",
    "loop { break $e; }",
    "unsafe { $e }",
    "METRICS.latency",
    "self.metrics.$i",
    "$e[$e]",
    "#[allow(x)] $e",
    "$e..$e",
    "<$t>::default()",
];
const TYPES: [&str; 30] = [
    "&str",
    "u64",
    "Response",
    "&'a $t",
    "Result<$t, $t>",
    "Option<$t>",
    "impl Future<Output = $t>",
    "impl Future<Output = $t> + Send + 'a",
    "impl Future + Unpin",
    "Pin<Box<dyn Future<Output = $t> + Send + 'a>>",
    "Pin<Box<dyn Future<Output = $t>>>",
    "BoxFuture<'a, $t>",
    "LocalBoxFuture<'static, $t>",
    "!",
    "()",
    "($t, $t)",
    "[$t; 3]",
    "fn($t) -> $t",
    "impl Iterator<Item = $t> + use<>",
    "dyn Trait",
    "<$t as Trait>::Output",
    "Self",
    "_",
    "mac!()",
    "*const $t",
    "&mut $t",
    "impl Fn($t) -> $t",
    "std::io::Result<$t>",
    "Pin<Box<impl Future<Output = $t>>>",
    "($t)",
];
const PATTERNS: [&str; 14] = [
    "$i",
    "mut $i",
    "_",
    "($p, $p)",
    "Request { path, .. }",
    "&$p",
    "ref $i",
    "Some($p)",
    "$i @ _",
    "[$p, ..]",
    "Wrapper($p)",
    "Request { path: $p }",
    "..",
    "$l",
];
const STATEMENTS: [&str; 12] = [
    "",
    "let $p = $e;",
    "$e;",
    "return $e;",
    "#![warn(unused)]",
    "fn inner() { $e }",
    "let $p: $t = $e else { $e };",
    "while $e { $s }",
    "mac! { $e }",
    "use a::b;",
    "for $p in $e { $s }",
    "$e?;",
];
const ATTRIBUTES: [&str; 14] = [
    "",
    "",
    "",
    "#[inline]",
    "/// Docs.",
    "#[instrument(skip)]",
    "#[instrument]",
    "#[metrics_core::instrument(path)]",
    "#[cfg_attr(feature = \"x\", instrument(path))]",
    "#[tracing::instrument]",
    "#[allow(dead_code)]",
    "#[track_caller]",
    "#[must_use]",
    "#[async_trait]",
];
const FUNCTIONS: [&str; 16] = [
    "fn f($a) { $s }",
    "$v fn f($a) -> $t { $s $e }",
    "async fn f($a) -> $t { $s $e }",
    "fn f<'a, T: Bound>($a) -> $t where T: 'a { $s $e }",
    "const fn f($a) -> $t { $e }",
    "unsafe extern \"C\" fn f($a) { $s }",
    "fn f($a) -> $t;",
    "$v async fn f<const N: usize>($a) { $s }",
    "fn f($a) -> $t { $s Box::pin(async move { $s $e }) }",
    "fn f($a) -> $t { $s async { $e } }",
    "extern fn f($a) { $e }",
    "fn r#type<'a>($a) -> $t { $s std::boxed::Box::pin(async move { $e },) }",
    "fn f<T>($a) -> T { $e }",
    "fn f($a) { #![allow(x)] $s }",
    "fn f($a) -> $t { $e",
    "default fn f($a) -> $t { $e }",
];
const ITEMS: [&str; 14] = [
    "$d $f",
    "$d $f",
    "$d $f",
    "$d impl Api { $d $f $d $f }",
    "$d impl<'a, T: Bound> Trait<T> for Api<'a, T> where T: Send { type O = $t; $d $f }",
    "impl Api { const N: usize = $e; $d $f mac!(); }",
    "struct S { path: $t }",
    "mod m { $f }",
    "trait Tr { $f }",
    "const X: $t = $e;",
    "static X: $t = $e;",
    "mac! { $e }",
    "$f $f",
    "unsafe impl Send for Api {}",
];
const PARAMETERS: [&str; 14] = [
    "",
    "path: &str",
    "&self, path: &str",
    "self",
    "&mut self, $p: $t",
    "$p: $t",
    "path: &str, request: Request",
    "mut self: Box<Self>, kind: Kind",
    "#[x] $p: $t, $p: $t",
    "$p: $t, ...",
    "path: &str,",
    "&'a self, $p: $t, $p: $t",
    "self: $t",
    "path",
];
const VISIBILITIES: [&str; 5] = ["", "pub", "pub(crate)", "pub(in a::b)", "crate"];
/// The arguments of `#[instrument(..)]`.
const ARGUMENTS: [&str; 40] = [
    "path",
    "$i",
    "\"/foo\"",
    "$i = $e",
    "$i in PATHS",
    "$i in $e, open",
    "$i = $e in $e",
    "kind",
    "kind = |error| $e",
    "kind in KINDS",
    "status = |out| $e in STATUSES",
    "prefix = \"shop\"",
    "prefix = $e",
    "latency = METRICS.latency",
    "latency = self.$i",
    "latency = $e",
    "exceptions = $e",
    "cancelled = $e",
    "in_flight",
    "in_flight = $e",
    "buckets($n, $n)",
    "buckets = $e",
    "buckets($e, $e)",
    "histogram",
    "histogram = $e",
    "quantiles($n, $n)",
    "quantiles",
    "exception_if = |out: &$t| $e",
    "exception_if = $e",
    "max_series = 100",
    "max_series = $e",
    "crate = a::b",
    "crate = ::a",
    "crate = $e",
    "skip",
    "$i($e)",
    "$l",
    "$i = $l",
    "zone = \"eu\"",
    "$e",
];
const NUMBERS: [&str; 10] = ["0.1", "1", "0.5", "-1", "2.5", "0.99", "1e999", "0", "1e-3", "0.01"];

/// Expands a template, in which `$` and a letter represent a fragment of that kind.
pub(crate) fn expand(template: &str, source: &mut Source<'_>, depth: usize, out: &mut String) {
    let mut chars = template.chars();
    while let Some(c) = chars.next() {
        if c != '$' {
            out.push(c);
            continue;
        }
        let kind = chars.next().unwrap_or('l');
        // Once the depth or the input is used up, only the first alternative is left, which ends the recursion.
        let choices: &[&str] = match kind {
            'e' => &EXPRESSIONS,
            't' => &TYPES,
            'p' => &PATTERNS,
            's' => &STATEMENTS,
            'i' => &NAMES,
            'n' => &NUMBERS,
            'd' => &ATTRIBUTES,
            'f' => &FUNCTIONS,
            'a' => &PARAMETERS,
            'v' => &VISIBILITIES,
            _ => &LITERALS,
        };
        let choice = if depth == 0 || out.len() > 1_500 { choices[0] } else { source.pick(choices) };
        expand(choice, source, depth.saturating_sub(1), out);
        out.push(' ');
    }
}

/// Returns an item, which may be a function, an `impl` block or something else.
pub(crate) fn item(source: &mut Source<'_>) -> String {
    let mut out = String::new();
    expand(source.pick(&ITEMS), source, 7, &mut out);
    out
}

/// Returns the arguments of the attribute.
pub(crate) fn arguments(source: &mut Source<'_>) -> String {
    let mut out = String::new();
    for _ in 0..source.below(11) {
        expand(source.pick(&ARGUMENTS), source, 4, &mut out);
        out.push_str(if source.one_in(32) { " " } else { ", " });
    }
    out
}

/// Lexes a text. Returns `None` if it is not a sequence of tokens, or if its groups are nested deeper than the
/// compiler itself allows, so that the parser's recursion is bounded.
pub(crate) fn lex(text: &str) -> Option<proc_macro2::TokenStream> {
    let mut depth = 0_u32;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' | b'<' | b'&' | b'*' | b'-' | b'!' | b'|' => depth += 1,
            b')' | b']' | b'}' | b'>' | b',' | b';' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > 120 {
            return None;
        }
    }
    text.parse().ok()
}
