//! Converts variant names to another case. The case names match those in `serde`.

/// A naming convention for label values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Snake,
    ScreamingSnake,
    Kebab,
    Lower,
    Upper,
    Camel,
    Pascal,
}

impl Case {
    pub(super) const NAMES: [(&str, Self); 7] = [
        ("snake_case", Self::Snake),
        ("SCREAMING_SNAKE_CASE", Self::ScreamingSnake),
        ("kebab-case", Self::Kebab),
        ("lowercase", Self::Lower),
        ("UPPERCASE", Self::Upper),
        ("camelCase", Self::Camel),
        ("PascalCase", Self::Pascal),
    ];

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, case)| *case)
    }

    /// Converts the `PascalCase` name of a variant to this convention.
    pub(super) fn apply(self, variant: &str) -> String {
        match self {
            Self::Snake => words(variant).join("_"),
            Self::ScreamingSnake => words(variant).join("_").to_uppercase(),
            Self::Kebab => words(variant).join("-"),
            Self::Lower => variant.to_lowercase(),
            Self::Upper => variant.to_uppercase(),
            Self::Camel => {
                let mut chars = variant.chars();
                chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
            }
            Self::Pascal => variant.to_owned(),
        }
    }
}

/// Splits a name into lowercase words, at underscores and at uppercase letters. In a run of uppercase letters, a word
/// begins at the first letter, and at the last letter if a lowercase letter follows: `HTTPError` is split into `http`
/// and `error`.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| chars[before]);
        let after = chars.get(at + 1);
        let begins = c.is_uppercase()
            && before.is_some_and(|before| !before.is_uppercase() || after.is_some_and(|after| after.is_lowercase()));
        if *c == '_' || begins {
            words.push(String::new());
        }
        if let (false, Some(word)) = (*c == '_', words.last_mut()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::Case;

    #[test]
    fn variants_are_renamed() {
        for (variant, snake) in [
            ("Get", "get"),
            ("NotFound", "not_found"),
            ("HTTPError", "http_error"),
            ("Http2", "http2"),
            ("V2Api", "v2_api"),
            ("A", "a"),
            ("Snake_Case", "snake_case"),
            ("TLS", "tls"),
        ] {
            assert_eq!(Case::Snake.apply(variant), snake);
        }
        let all = Case::NAMES.map(|(_, case)| case.apply("NotFound"));
        let expected = ["not_found", "NOT_FOUND", "not-found", "notfound", "NOTFOUND", "notFound", "NotFound"];
        assert_eq!(all, expected);
    }
}
