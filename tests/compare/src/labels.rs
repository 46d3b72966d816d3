//! Label values that are created at run time, stored at several addresses, and picked in an unpredictable order.

use std::fmt::Write as _;

/// Number of copies of each label set. As in real services, label values do not have a fixed address.
const COPIES: usize = 2;
/// Maximum number of picks before the order repeats, unless there are more label sets.
pub(crate) const PICKS: usize = 1 << 14;

/// Label sets with `N` labels each.
#[derive(Clone)]
pub(crate) struct Labels<const N: usize> {
    sets: Vec<[String; N]>,
    /// Indexes into `sets` in the order in which they are picked. The length is a power of two.
    order: Vec<u32>,
}

impl<const N: usize> Labels<N> {
    /// Creates `count` label sets, where `set(n)` returns set `n`.
    pub(crate) fn new(count: usize, set: impl Fn(usize) -> [String; N]) -> Self {
        let copies = if count > 1000 { 1 } else { COPIES };
        let sets: Vec<_> = (0..count * copies).map(|at| set(at % count)).collect();
        let picks = (sets.len() * 64).next_power_of_two().clamp(1 << 10, PICKS.max(sets.len().next_power_of_two()));
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let order = (0..picks)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                ((state >> 16) % sets.len() as u64) as u32
            })
            .collect();
        Self { sets, order }
    }

    /// Like [`Labels::new`], but picks the label sets in order.
    pub(crate) fn in_order(count: usize, set: impl Fn(usize) -> [String; N]) -> Self {
        let order = (0..count.next_power_of_two()).map(|at| (at % count) as u32).collect();
        Self { sets: (0..count).map(set).collect(), order }
    }

    #[inline]
    pub(crate) fn pick(&self, number: u64) -> [&str; N] {
        let at = self.order[number as usize & (self.order.len() - 1)];
        self.sets[at as usize].each_ref().map(String::as_str)
    }

    /// Returns the number of picks before the order repeats.
    pub(crate) fn picks(&self) -> u64 {
        self.order.len() as u64
    }

    /// Returns all label sets, possibly with duplicates.
    pub(crate) fn all(&self) -> impl Iterator<Item = &[String; N]> {
        self.sets.iter()
    }
}

/// Returns `count` paths.
pub(crate) fn paths(count: usize) -> Labels<1> {
    Labels::new(count, |at| [path(at)])
}

/// Returns 120 label sets with a path, a method and a status.
pub(crate) fn three() -> Labels<3> {
    Labels::new(120, |at| {
        let method = ["GET", "PUT", "POST", "DELETE"][at / 10 % 4];
        let status = ["200", "404", "500"][at / 40];
        [path(at % 10), method.to_owned(), status.to_owned()]
    })
}

pub(crate) fn path(number: usize) -> String {
    let mut path = String::new();
    write_path(number, &mut path);
    path
}

/// Writes a path into a buffer, as a server does when it reads a request.
pub(crate) fn write_path(number: usize, buffer: &mut String) {
    buffer.clear();
    let _ = write!(buffer, "/api/v1/items/{number:07}");
}

/// Returns the counter value for a series, with a realistic number of digits.
pub(crate) fn amount(number: usize) -> u64 {
    number as u64 * 7_919 % 1_000_000 + 1
}
