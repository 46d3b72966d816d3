//! Derives a function's path (including the `Self` type of a method) from the type name of a closure in it.

/// Returns, for example, `my_router::Api::load` for the type name of a closure in that function's `__METRICS_SITE`
/// static, or `fallback` if the name has an unrecognized form. The compiler guarantees no particular form.
pub(crate) fn readable(closure: &str, fallback: &str) -> String {
    let mut path = without_closures(closure);
    path = without_closures(path.strip_suffix("::__METRICS_SITE").unwrap_or(path));
    let readable = simplified(path).map(|path| without_generics(&path));
    readable
        .filter(|path| path.contains("::") && !path.contains(['<', '>', '{', ' ']))
        .unwrap_or_else(|| fallback.to_owned())
}

fn without_closures(mut path: &str) -> &str {
    while let Some(outside) = path.strip_suffix("::{{closure}}") {
        path = outside;
    }
    path
}

/// Replaces the `impl` block in a path with the implementing type or the trait.
fn simplified(path: &str) -> Option<String> {
    if let Some(qualified) = path.strip_prefix('<') {
        // `<my_router::Api as my_router::Load>::load`. For a type parameter (`_`), use the trait.
        let (inside, after) = split_at_close(qualified)?;
        let (ty, name) = inside.split_once(" as ")?;
        // An implementation for `&T` often calls the implementation for `T`, so the two need different names.
        let (reference, ty) = without_references(ty);
        return Some(if is_path(ty) { format!("{reference}{ty}{after}") } else { format!("{name}{after}") });
    }
    let Some((module, rest)) = path.split_once("<impl ") else { return Some(path.to_owned()) };
    // `my_router::<impl other::Load for alloc::vec::Vec<u8>>::load`
    let (inside, after) = split_at_close(rest)?;
    let ty = without_generics(inside.rsplit_once(" for ").map_or(inside, |(_, ty)| ty));
    let name = ty.rsplit("::").next()?.trim_matches(|c: char| !c.is_alphanumeric() && c != '_');
    Some(format!("{module}{name}{after}"))
}

/// Splits `&mut my_router::Api` into `&` and `my_router::Api`.
fn without_references(mut ty: &str) -> (&'static str, &str) {
    let mut reference = "";
    while let Some(inner) = ty.strip_prefix('&') {
        reference = "&";
        ty = inner.strip_prefix("mut ").unwrap_or(inner);
    }
    (reference, ty)
}

fn is_path(ty: &str) -> bool {
    ty != "_" && ty.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Splits text that follows an opening `<` at the matching `>`.
fn split_at_close(text: &str) -> Option<(&str, &str)> {
    let mut depth = 1;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'<' => depth += 1,
            // The `>` in `->` is not a closing bracket.
            b'>' if at > 0 && text.as_bytes()[at - 1] == b'-' => {}
            b'>' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&text[..at], &text[at + 1..]));
        }
    }
    None
}

fn without_generics(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, inside)) = rest.split_once('<') {
        plain.push_str(before.strip_suffix("::").unwrap_or(before));
        let Some((_, after)) = split_at_close(inside) else { return path.to_owned() };
        rest = after;
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn closures_in_all_kinds_of_functions_have_readable_paths() {
        for (closure, path) in [
            ("my::free::__METRICS_SITE::{{closure}}::{{closure}}", "my::free"),
            ("my::Api::load::__METRICS_SITE::{{closure}}::{{closure}}", "my::Api::load"),
            ("my::Api::fetch::{{closure}}::__METRICS_SITE::{{closure}}::{{closure}}", "my::Api::fetch"),
            ("my::Api<_>::load::__METRICS_SITE::{{closure}}::{{closure}}", "my::Api::load"),
            ("<my::Api<_> as my::Load>::load::__METRICS_SITE::{{closure}}::{{closure}}", "my::Api::load"),
            ("<&my::Api as my::Load>::load::__METRICS_SITE::{{closure}}::{{closure}}", "&my::Api::load"),
            ("<&mut my::Api<_> as my::Load>::load::__METRICS_SITE::{{closure}}::{{closure}}", "&my::Api::load"),
            ("<_ as my::Load>::load::__METRICS_SITE::{{closure}}::{{closure}}", "my::Load::load"),
            ("<&[u8] as my::Load>::load::__METRICS_SITE::{{closure}}::{{closure}}", "my::Load::load"),
            (
                "my::<impl my::Load for alloc::vec::Vec<u8>>::load::__METRICS_SITE::{{closure}}::{{closure}}",
                "my::Vec::load",
            ),
            ("my::<impl my::Load for &[u8]>::load::__METRICS_SITE::{{closure}}::{{closure}}", "my::u8::load"),
            ("my::Api<fn(u8) -> u8>::load::__METRICS_SITE::{{closure}}::{{closure}}", "my::Api::load"),
            ("something {new}", "fallback"),
        ] {
            assert_eq!(readable(closure, "fallback"), path, "{closure}");
        }
    }
}
