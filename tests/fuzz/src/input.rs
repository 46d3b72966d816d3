//! Turns the bytes of an input into choices, so that each mutation of the fuzzer changes a few of them.

/// The bytes that have not been used. Once they are used up, each choice is the first alternative.
pub struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns all remaining bytes.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Returns a number below `len`, which must be at most 256.
    pub fn below(&mut self, len: usize) -> usize {
        usize::from(self.byte()) % len
    }

    /// Returns true for one in `n` values of the next byte, and false if no bytes are left.
    pub fn one_in(&mut self, n: usize) -> bool {
        !self.is_empty() && self.below(n) == n - 1
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Returns at most `most` bytes.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let len = self.below(most + 1).min(self.0.len());
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        bytes
    }

    /// Returns a text of at most `most` bytes, not counting replacements of invalid UTF-8.
    pub fn text(&mut self, most: usize) -> String {
        String::from_utf8_lossy(self.bytes(most)).into_owned()
    }

    pub fn u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        bytes.fill_with(|| self.byte());
        match self.byte() % 4 {
            0 => u64::from(bytes[0]),
            1 => u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
            2 => u64::MAX - u64::from(bytes[0]),
            _ => u64::from_le_bytes(bytes),
        }
    }

    /// Returns a number: a small one, a special one, or one with arbitrary bits.
    pub fn f64(&mut self) -> f64 {
        const SPECIAL: [f64; 20] = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            0.1,
            0.99,
            1e-7,
            1e9,
            1e15,
            1e16,
            9_007_199_254_740_993.0,
            18_446_744_073_709_551_615.0,
            f64::MIN_POSITIVE,
            5e-324,
            f64::MAX,
            f64::MIN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
        ];
        match self.byte() % 4 {
            0 => f64::from(self.byte()),
            1 => f64::from(self.byte().cast_signed()) / 8.0,
            2 => self.pick(&SPECIAL),
            _ => f64::from_bits(self.u64()),
        }
    }
}
