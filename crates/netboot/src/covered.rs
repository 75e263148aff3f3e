//! Which bytes of a file were sent, when they come in pieces, twice, or out of order. Pure.

/// More gaps than any boot loader leaves; beyond it the smallest pieces of knowledge are given up.
const MAX_PIECES: usize = 64;

/// Disjoint pieces in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Covered(Vec<(u64, u64)>);

impl Covered {
    /// Adds the bytes from `start` up to and without `end`.
    pub(super) fn add(&mut self, mut start: u64, mut end: u64) {
        if start >= end {
            return;
        }
        self.0.retain(|&(s, e)| {
            let apart = e < start || end < s;
            if !apart {
                (start, end) = (start.min(s), end.max(e));
            }
            apart
        });
        let at = self.0.partition_point(|&(s, _)| s < start);
        self.0.insert(at, (start, end));
        if self.0.len() > MAX_PIECES {
            let smallest = (0..self.0.len()).min_by_key(|&i| self.0[i].1 - self.0[i].0);
            smallest.map(|i| self.0.remove(i));
        }
    }

    /// How many bytes there are, each counted once.
    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(|(s, e)| e - s).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_counts_once_in_whatever_order_it_comes() {
        let mut covered = Covered::default();
        for (start, end) in [(10, 20), (0, 5), (5, 6), (15, 30), (7, 7), (0, 2)] {
            covered.add(start, end);
        }
        assert_eq!(covered, Covered(vec![(0, 6), (10, 30)]));
        covered.add(6, 10);
        assert_eq!((covered.0.len(), covered.total()), (1, 30));
    }

    #[test]
    fn a_hostile_pattern_of_ranges_takes_bounded_memory() {
        let mut covered = Covered::default();
        for i in 0..10_000 {
            covered.add(i * 3, i * 3 + 1);
        }
        assert_eq!(covered.0.len(), MAX_PIECES);
    }
}
