//! Turns: what takes hundreds of megabytes for some seconds is done by one at a time in a process, in the order of asking.
//!
//! A training of a codec's model that takes seconds holds its turn to its end. One of a generator does until its records are codes or images, since
//! what follows takes less; a judgement of what is drawn does while it goes on. Trainings of minutes take none, and are counted otherwise. So a process
//! needs the memory of the largest of these and not of their sum, whatever its pipelines decide, and however slow a busy machine makes each. Nobody waits in a thread: whoever has
//! asked looks now and then whether it is the first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::lock;

/// Whose turn it is, in all pipelines of a process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    row: Arc<Mutex<Row>>,
}

#[derive(Debug, Default)]
struct Row {
    next: u64,
    /// Whose turn it is, and who waits for one.
    numbers: VecDeque<u64>,
}

/// A place in the row, and the turn once it is the first. Dropped, the next one's turn has come.
#[derive(Debug)]
pub struct Turn {
    row: Arc<Mutex<Row>>,
    number: u64,
}

impl Turns {
    /// A place behind all others.
    fn ask(&self) -> Turn {
        let mut row = lock(&self.row);
        let number = row.next;
        row.next += 1;
        row.numbers.push_back(number);
        Turn { row: Arc::clone(&self.row), number }
    }
}

impl Turn {
    fn has_come(&self) -> bool {
        lock(&self.row).numbers.front() == Some(&self.number)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.row).numbers.retain(|number| *number != self.number);
    }
}

/// One who has several things to do that take a turn, the one after the other, and looks around again and again.
#[derive(Debug)]
pub struct Seat {
    turns: Turns,
    place: Option<Turn>,
    asked: bool,
}

impl Seat {
    /// Nothing is asked for yet.
    pub fn new(turns: Turns) -> Self {
        Self { turns, place: None, asked: false }
    }

    /// The turn, if it has come. If not, the place is kept until [`Self::looked_around`] finds that nobody asked any more.
    pub fn take(&mut self) -> Option<Turn> {
        self.asked = true;
        let place = self.place.take().unwrap_or_else(|| self.turns.ask());
        if place.has_come() {
            return Some(place);
        }
        self.place = Some(place);
        None
    }

    /// Everything that could ask has had its chance: a place that nobody wants holds up no others.
    pub fn looked_around(&mut self) {
        if !std::mem::take(&mut self.asked) {
            self.place = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_in_the_order_of_asking_and_one_at_a_time() {
        let turns = Turns::default();
        let [mut first, mut second, mut third] = [0; 3].map(|_| Seat::new(turns.clone()));
        let turn = first.take().unwrap();
        assert!(second.take().is_none() && third.take().is_none() && first.take().is_none());
        drop(turn);
        // Whoever asked last is not before those that waited, however often it asks.
        assert!(third.take().is_none() && first.take().is_none());
        let turn = second.take().unwrap();
        assert!(third.take().is_none());
        drop(turn);
        drop(third.take().unwrap());
        drop(first.take().unwrap());
        assert!(second.take().is_some());
    }

    #[test]
    fn a_place_that_nobody_wants_any_more_holds_up_no_others() {
        let turns = Turns::default();
        let [mut first, mut second, mut third] = [0; 3].map(|_| Seat::new(turns.clone()));
        let turn = first.take().unwrap();
        assert!(second.take().is_none() && third.take().is_none());
        second.looked_around();
        drop(turn);
        assert!(third.take().is_none(), "the second one asked just now");
        second.looked_around();
        let turn = third.take().unwrap();
        // Nor does one that ends while it waits, or while it has the turn.
        assert!(first.take().is_none() && second.take().is_none());
        drop((first, turn));
        assert!(second.take().is_some());
    }
}
