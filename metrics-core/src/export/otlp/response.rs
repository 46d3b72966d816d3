//! The response to a request: the data points that the receiver rejected.

/// The `partial_success` of a response, if there is one.
#[derive(Debug, Default, PartialEq)]
pub(super) struct PartialSuccess {
    pub(super) rejected: u64,
    /// The reason. Without rejected data points, this is a warning.
    pub(super) message: String,
}

/// The content of a field.
enum Content<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

impl PartialSuccess {
    /// Reads an `ExportMetricsServiceResponse`. The rest of a body is ignored if it is not a valid message.
    pub(super) fn read(body: &[u8]) -> Self {
        let mut partial = Self::default();
        for (field, content) in Fields(body) {
            let (1, Content::Bytes(inner)) = (field, content) else { continue };
            for field in Fields(inner) {
                match field {
                    (1, Content::Number(rejected)) => {
                        partial.rejected = u64::try_from(rejected.cast_signed()).unwrap_or_default();
                    }
                    (2, Content::Bytes(text)) => {
                        let text = String::from_utf8_lossy(text);
                        partial.message = text.chars().filter(|c| !c.is_control()).collect();
                    }
                    _ => {}
                }
            }
        }
        partial
    }
}

/// The fields of a message, up to the first invalid one.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Content<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.varint()?;
        let content = match tag & 7 {
            0 => Content::Number(self.varint()?),
            1 => self.skip(8)?,
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                let (content, rest) = self.0.split_at_checked(len)?;
                self.0 = rest;
                Content::Bytes(content)
            }
            5 => self.skip(4)?,
            _ => return None,
        };
        Some((tag >> 3, content))
    }
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn skip(&mut self, bytes: usize) -> Option<Content<'a>> {
        self.0 = self.0.split_at_checked(bytes)?.1;
        Some(Content::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::wire::{push_bytes, push_double, push_uint};

    fn partial(rejected: u64, message: &str) -> PartialSuccess {
        PartialSuccess { rejected, message: message.to_owned() }
    }

    /// A response with fields that later versions may add.
    fn response(rejected: i64, message: &str) -> Vec<u8> {
        let (mut inner, mut out) = (Vec::new(), Vec::new());
        push_double(&mut inner, 9, 1.5);
        push_uint(&mut inner, 1, rejected.cast_unsigned());
        inner.extend([8 << 3 | 5, 1, 2, 3, 4]);
        push_bytes(&mut inner, 2, message.as_bytes());
        push_uint(&mut out, 7, u64::MAX);
        push_bytes(&mut out, 1, &inner);
        out
    }

    #[test]
    fn rejected_points_and_the_message_are_read() {
        assert_eq!(PartialSuccess::read(&[]), partial(0, ""));
        assert_eq!(PartialSuccess::read(&response(300, "too old\n")), partial(300, "too old"));
        assert_eq!(PartialSuccess::read(&response(-1, "odd")), partial(0, "odd"));
        assert_eq!(PartialSuccess::read(&response(1, &"x".repeat(1_000))).message.len(), 1_000);
    }

    #[test]
    fn bodies_that_are_no_message_are_ignored() {
        let whole = response(300, "too old");
        for len in 0..whole.len() {
            assert_eq!(PartialSuccess::read(&whole[..len]), partial(0, ""), "{len} bytes");
        }
        for garbage in [&b"<html>"[..], b"{}", b"ok", &[0xFF; 40], &[0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 1]] {
            assert_eq!(PartialSuccess::read(garbage), partial(0, ""), "{garbage:?}");
        }
    }
}
