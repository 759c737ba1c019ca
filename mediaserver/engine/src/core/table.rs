//! Values at small integer places that stay theirs: the packet path indexes instead of hashing.

use std::ops::{Index, IndexMut};

#[derive(Debug)]
pub struct Table<T> {
    entries: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }
}

impl<T> Table<T> {
    pub fn insert(&mut self, value: T) -> usize {
        match self.free.pop() {
            Some(at) => {
                self.entries[at] = Some(value);
                at
            }
            None => {
                self.entries.push(Some(value));
                self.entries.len() - 1
            }
        }
    }

    pub fn remove(&mut self, at: usize) -> Option<T> {
        let value = self.entries.get_mut(at)?.take()?;
        self.free.push(at);
        Some(value)
    }

    pub fn get(&self, at: usize) -> Option<&T> {
        self.entries.get(at)?.as_ref()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().flatten()
    }

    /// One past the highest place ever used: for walks that change the table meanwhile.
    pub fn end(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.len() == self.free.len()
    }
}

impl<T> Index<usize> for Table<T> {
    type Output = T;

    /// # Panics
    /// When nothing is there: whoever keeps a place lets go of it when the value is removed.
    fn index(&self, at: usize) -> &T {
        self.entries[at].as_ref().expect("a place in use")
    }
}

impl<T> IndexMut<usize> for Table<T> {
    fn index_mut(&mut self, at: usize) -> &mut T {
        self.entries[at].as_mut().expect("a place in use")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stay_and_are_used_again() {
        let mut table = Table::default();
        let (a, b) = (table.insert('a'), table.insert('b'));
        assert_eq!((table[a], table[b]), ('a', 'b'));
        assert_eq!(table.remove(a), Some('a'));
        assert_eq!((table.remove(a), table.get(a)), (None, None));
        assert_eq!(table.insert('c'), a);
        assert_eq!(table.iter_mut().map(|c| *c).collect::<String>(), "cb");
        assert_eq!(table.end(), 2);
        table.remove(a);
        table.remove(b);
        assert!(table.is_empty());
    }
}
