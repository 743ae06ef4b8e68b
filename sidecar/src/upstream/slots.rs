//! Who may use how many connections, and who is next: the pool's book-keeping without any I/O.
//!
//! A semaphore plus a list of idle connections would need two locks that can disagree (a permit without
//! a connection, a connection without a permit), and gives no way to hand a connection that was just
//! used to the call that waited longest. So one structure under one lock holds the idle stack, the
//! counts and the queues. It is generic over the connection and the waiter so that its rules can be
//! tested without a socket.
//!
//! Invariants:
//! - `idle.len() + taken == open <= limits.open`.
//! - Calls of class `Disconnect` never hold more than `limits.disconnects` of them.
//! - While [`Slots::next`] returns `None`, no waiter could be served: whoever gives back or removes
//!   something calls it until then.

use std::collections::VecDeque;

use super::CallClass;

/// Bounds of one pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections, idle and opening ones included.
    pub(super) open: usize,
    /// Waiters of each class. Separate, so that ten thousand sockets that end at once cannot make the
    /// messages of the others fail with a full queue.
    pub(super) waiting: usize,
    /// Connections that calls of class `Disconnect` may hold.
    pub(super) disconnects: usize,
}

/// The right to use one connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Grant<C> {
    /// Use this one, which was idle.
    Reuse(C),
    /// Open a new one.
    Open,
}

/// A waiter's place. Growing numbers, so that the two queues can be served in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// The queue of a class is full.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QueueFull;

/// The book-keeping of one pool.
#[derive(Debug)]
pub(super) struct Slots<C, W> {
    limits: Limits,
    /// Last in, first out: the connection used last is the least likely to be closed by the app, and
    /// those at the bottom grow old and are closed when the load falls.
    idle: Vec<C>,
    open: usize,
    disconnects_taken: usize,
    messages: VecDeque<(Ticket, W)>,
    disconnects: VecDeque<(Ticket, W)>,
    next_ticket: u64,
}

// === impl Grant ===

impl<C> Grant<C> {
    /// The connection, if the grant came with one.
    pub(super) fn into_connection(self) -> Option<C> {
        match self {
            Self::Reuse(connection) => Some(connection),
            Self::Open => None,
        }
    }
}

// === impl Slots ===

impl<C, W> Slots<C, W> {
    /// An empty pool.
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            idle: Vec::new(),
            open: 0,
            disconnects_taken: 0,
            messages: VecDeque::new(),
            disconnects: VecDeque::new(),
            next_ticket: 0,
        }
    }

    /// Takes a connection or the right to open one; `None`: wait.
    ///
    /// Whoever comes later never passes one who waits, even in the moment in which a connection is
    /// already meant for a waiter but not yet delivered.
    pub(super) fn take(&mut self, class: CallClass) -> Option<Grant<C>> {
        if !self.queue(class).is_empty() || !self.has_room(class) {
            return None;
        }
        Some(self.grant(class))
    }

    /// Joins the end of the queue.
    pub(super) fn wait(&mut self, class: CallClass, waiter: W) -> Result<Ticket, QueueFull> {
        if self.queue(class).len() >= self.limits.waiting {
            return Err(QueueFull);
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.queue_mut(class).push_back((ticket, waiter));
        Ok(ticket)
    }

    /// Leaves the queue. `false`: the waiter is not in it any more, so a grant is on its way or there.
    pub(super) fn leave(&mut self, class: CallClass, ticket: Ticket) -> bool {
        let queue = self.queue_mut(class);
        // Tickets grow along the queue, so a thousand waiters that time out together stay cheap.
        let Ok(position) = queue.binary_search_by_key(&ticket, |(ticket, _)| *ticket) else {
            return false;
        };
        queue.remove(position).is_some()
    }

    /// Ends a use: with a connection that may be used again, or without one.
    pub(super) fn give_back(&mut self, class: CallClass, connection: Option<C>) {
        if class == CallClass::Disconnect {
            self.disconnects_taken -= 1;
        }
        match connection {
            Some(connection) => self.idle.push(connection),
            None => self.open -= 1,
        }
    }

    /// The waiter that can be served now, with what it gets: the oldest one whose class has room.
    pub(super) fn next(&mut self) -> Option<(CallClass, W, Grant<C>)> {
        let head = |class| {
            let (ticket, _) = self.queue(class).front()?;
            self.has_room(class).then_some((*ticket, class))
        };
        let oldest =
            [CallClass::Message, CallClass::Disconnect].into_iter().filter_map(head).min_by_key(|(ticket, _)| *ticket);
        let (_, class) = oldest?;
        let (_, waiter) = self.queue_mut(class).pop_front()?;
        Some((class, waiter, self.grant(class)))
    }

    /// Another idle connection for one who took a connection and found it dead, in place of it.
    pub(super) fn replace_dead(&mut self) -> Option<C> {
        let connection = self.idle.pop()?;
        self.open -= 1;
        Some(connection)
    }

    /// Takes out all idle connections that `unfit` names. They count as open until
    /// [`Slots::closed`], so that the bound holds for sockets and not only for numbers.
    pub(super) fn take_idle(&mut self, mut unfit: impl FnMut(&C) -> bool) -> Vec<C> {
        self.idle.extract_if(.., |connection| unfit(connection)).collect()
    }

    /// That many connections from [`Slots::take_idle`] are closed now.
    pub(super) fn closed(&mut self, count: usize) {
        self.open -= count;
    }

    /// The idle connections, oldest first.
    pub(super) fn idle(&self) -> &[C] {
        &self.idle
    }

    /// Connections, idle and opening ones included.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Waiters of both classes.
    pub(super) fn waiting(&self) -> usize {
        self.messages.len() + self.disconnects.len()
    }

    fn has_room(&self, class: CallClass) -> bool {
        let allowed = match class {
            CallClass::Message => true,
            CallClass::Disconnect => self.disconnects_taken < self.limits.disconnects,
        };
        allowed && (!self.idle.is_empty() || self.open < self.limits.open)
    }

    fn grant(&mut self, class: CallClass) -> Grant<C> {
        if class == CallClass::Disconnect {
            self.disconnects_taken += 1;
        }
        if let Some(connection) = self.idle.pop() {
            Grant::Reuse(connection)
        } else {
            self.open += 1;
            Grant::Open
        }
    }

    fn queue(&self, class: CallClass) -> &VecDeque<(Ticket, W)> {
        match class {
            CallClass::Message => &self.messages,
            CallClass::Disconnect => &self.disconnects,
        }
    }

    fn queue_mut(&mut self, class: CallClass) -> &mut VecDeque<(Ticket, W)> {
        match class {
            CallClass::Message => &mut self.messages,
            CallClass::Disconnect => &mut self.disconnects,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests fail by panicking

    use super::{CallClass::Disconnect, CallClass::Message, *};

    fn slots(open: usize) -> Slots<u32, &'static str> {
        Slots::new(Limits { open, waiting: 3, disconnects: (open / 4).max(1) })
    }

    #[test]
    fn connections_are_opened_up_to_the_limit_and_then_calls_wait() {
        let mut slots = slots(2);
        assert_eq!(slots.take(Message), Some(Grant::Open));
        assert_eq!(slots.take(Message), Some(Grant::Open));
        assert_eq!(slots.take(Message), None);
        assert_eq!(slots.open(), 2);
    }

    #[test]
    fn the_connection_used_last_is_used_next() {
        let mut slots = slots(2);
        slots.take(Message);
        slots.take(Message);
        slots.give_back(Message, Some(1));
        slots.give_back(Message, Some(2));
        assert_eq!(slots.take(Message), Some(Grant::Reuse(2)));
        assert_eq!(slots.take(Message), Some(Grant::Reuse(1)));
    }

    #[test]
    fn waiters_are_served_in_the_order_of_arrival_and_nobody_passes_them() {
        let mut slots = slots(1);
        slots.take(Message);
        slots.wait(Message, "first").unwrap();
        slots.wait(Message, "second").unwrap();
        slots.give_back(Message, Some(7));
        assert_eq!(slots.take(Message), None);
        assert_eq!(slots.next(), Some((Message, "first", Grant::Reuse(7))));
        assert_eq!(slots.next(), None);
        slots.give_back(Message, None);
        assert_eq!(slots.next(), Some((Message, "second", Grant::Open)));
    }

    #[test]
    fn a_full_queue_refuses_only_its_own_class() {
        let mut slots = slots(1);
        slots.take(Message);
        for name in ["a", "b", "c"] {
            slots.wait(Disconnect, name).unwrap();
        }
        assert_eq!(slots.wait(Disconnect, "d"), Err(QueueFull));
        assert!(slots.wait(Message, "e").is_ok());
        assert_eq!(slots.waiting(), 4);
    }

    #[test]
    fn a_waiter_that_leaves_is_passed_over_and_can_leave_only_once() {
        let mut slots = slots(1);
        slots.take(Message);
        slots.wait(Message, "first").unwrap();
        let second = slots.wait(Message, "second").unwrap();
        slots.wait(Message, "third").unwrap();
        assert!(slots.leave(Message, second));
        assert!(!slots.leave(Message, second));
        slots.give_back(Message, Some(1));
        assert_eq!(slots.next().unwrap().1, "first");
        slots.give_back(Message, Some(1));
        assert_eq!(slots.next().unwrap().1, "third");
    }

    #[test]
    fn disconnects_hold_at_most_a_quarter_even_of_idle_connections() {
        let mut slots = slots(8);
        for id in 0..8 {
            slots.take(Message);
            let _ = id;
        }
        for id in 0..8 {
            slots.give_back(Message, Some(id));
        }
        assert!(slots.take(Disconnect).is_some());
        assert!(slots.take(Disconnect).is_some());
        assert_eq!(slots.take(Disconnect), None);
        slots.wait(Disconnect, "third").unwrap();
        assert_eq!(slots.next(), None);
        assert!(slots.take(Message).is_some());
        slots.give_back(Disconnect, None);
        assert_eq!(slots.next().unwrap().1, "third");
    }

    #[test]
    fn a_message_does_not_wait_for_disconnects_that_may_not_run() {
        let mut slots = slots(4);
        slots.take(Disconnect);
        slots.wait(Disconnect, "held back").unwrap();
        for _ in 0..3 {
            slots.take(Message);
        }
        slots.wait(Message, "later").unwrap();
        slots.give_back(Message, Some(1));
        assert_eq!(slots.next().unwrap().1, "later");
    }

    #[test]
    fn a_dead_connection_is_replaced_by_an_idle_one_and_not_counted_twice() {
        let mut slots = slots(2);
        slots.take(Message);
        slots.take(Message);
        slots.give_back(Message, Some(1));
        slots.give_back(Message, Some(2));
        assert_eq!(slots.take(Message), Some(Grant::Reuse(2)));
        assert_eq!(slots.replace_dead(), Some(1));
        assert_eq!(slots.open(), 1);
        assert_eq!(slots.replace_dead(), None);
        assert_eq!(slots.open(), 1);
    }

    #[test]
    fn connections_taken_out_count_until_they_are_closed() {
        let mut slots = slots(2);
        slots.take(Message);
        slots.take(Message);
        slots.give_back(Message, Some(1));
        slots.give_back(Message, Some(2));
        assert_eq!(slots.take_idle(|id| *id == 1), [1]);
        assert_eq!(slots.idle(), [2]);
        assert_eq!(slots.open(), 2);
        slots.closed(1);
        assert_eq!(slots.open(), 1);
    }
}
