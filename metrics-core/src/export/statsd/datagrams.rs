//! Datagrams of lines, each as full as its maximum size allows.

use std::mem;

/// Packs samples into datagrams. Each sample is one or more lines, which stay in one datagram.
pub(super) struct Datagrams {
    max_size: usize,
    full: Vec<Vec<u8>>,
    open: Vec<u8>,
    /// The number of the open datagram.
    number: u64,
}

impl Datagrams {
    pub(super) fn new(max_size: usize) -> Self {
        Self { max_size, full: Vec::new(), open: Vec::new(), number: 0 }
    }

    /// Adds a sample, and returns the number of its datagram. Returns `None` if the sample exceeds the maximum size.
    pub(super) fn add(&mut self, sample: &[u8]) -> Option<u64> {
        if sample.len() > self.max_size {
            return None;
        }
        if !self.open.is_empty() {
            if self.open.len() + 1 + sample.len() > self.max_size {
                self.close();
            } else {
                self.open.push(b'\n');
            }
        }
        self.open.extend_from_slice(sample);
        Some(self.number)
    }

    /// Returns the number of the open datagram.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Closes the open datagram.
    pub(super) fn close(&mut self) {
        if !self.open.is_empty() {
            self.full.push(mem::take(&mut self.open));
            self.number += 1;
        }
    }

    /// Removes the closed datagrams, in the order of their numbers.
    pub(super) fn take(&mut self) -> Vec<Vec<u8>> {
        mem::take(&mut self.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(max_size: usize, samples: &[&str]) -> (Vec<Option<u64>>, Vec<String>) {
        let mut datagrams = Datagrams::new(max_size);
        let numbers = samples.iter().map(|sample| datagrams.add(sample.as_bytes())).collect();
        datagrams.close();
        datagrams.close();
        let text = |datagram| String::from_utf8(datagram).expect("UTF-8");
        let taken: Vec<String> = datagrams.take().into_iter().map(text).collect();
        assert_eq!(datagrams.number(), taken.len() as u64);
        assert!(datagrams.take().is_empty());
        (numbers, taken)
    }

    #[test]
    fn datagrams_are_filled_up_to_their_size() {
        let samples = ["a:1|c", "b:2|c", "c:3|c", "d:44|c"];
        let some = |numbers: [u64; 4]| numbers.map(Some).to_vec();
        let joined = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(packed(100, &samples), (some([0, 0, 0, 0]), joined(&["a:1|c\nb:2|c\nc:3|c\nd:44|c"])));
        assert_eq!(packed(18, &samples), (some([0, 0, 0, 1]), joined(&["a:1|c\nb:2|c\nc:3|c", "d:44|c"])));
        assert_eq!(packed(17, &samples), (some([0, 0, 0, 1]), joined(&["a:1|c\nb:2|c\nc:3|c", "d:44|c"])));
        assert_eq!(packed(16, &samples), (some([0, 0, 1, 1]), joined(&["a:1|c\nb:2|c", "c:3|c\nd:44|c"])));
        assert_eq!(packed(6, &samples), (some([0, 1, 2, 3]), joined(&["a:1|c", "b:2|c", "c:3|c", "d:44|c"])));
    }

    #[test]
    fn a_sample_is_neither_split_nor_sent_if_it_is_too_large() {
        let samples = ["a:1|c", "g:0|g\ng:-5|g", "b:2|c"];
        let whole = ["a:1|c", "g:0|g\ng:-5|g", "b:2|c"].map(str::to_owned).to_vec();
        assert_eq!(packed(12, &samples), (vec![Some(0), Some(1), Some(2)], whole));
        assert_eq!(packed(11, &samples), (vec![Some(0), None, Some(0)], vec!["a:1|c\nb:2|c".to_owned()]));
        assert_eq!(packed(0, &samples), (vec![None; 3], Vec::<String>::new()));
    }
}
