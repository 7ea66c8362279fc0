//! The order of the log, as a reader must see it.

use anyhow::bail;
use satgas_proto::v1;

/// Watches over positions as they come: each once, in order, and without a filter also without a gap.
#[derive(Debug)]
pub(crate) struct Order {
    last: u64,
    whole: bool,
}

impl Order {
    /// Of events after a position that `filter` lets through, of a log that shows the caller all of them or some.
    pub(crate) fn after(position: u64, filter: &v1::EventFilter, shows_all: bool) -> Self {
        Self { last: position, whole: shows_all && *filter == v1::EventFilter::default() }
    }

    /// Takes the next position.
    ///
    /// # Errors
    /// When the server broke the order.
    pub(crate) fn take(&mut self, position: u64) -> anyhow::Result<()> {
        if position <= self.last || self.whole && position != self.last + 1 {
            bail!("the server sent position {position} after {}", self.last);
        }
        self.last = position;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_that_comes_twice_is_an_error() {
        let filter = v1::EventFilter { area_prefix: "53.71".into(), ..Default::default() };
        let mut order = Order::after(2, &filter, true);
        order.take(5).unwrap();
        assert!(order.take(5).is_err());
    }

    #[test]
    fn without_a_filter_a_gap_is_an_error() {
        let mut order = Order::after(0, &v1::EventFilter::default(), true);
        order.take(1).unwrap();
        assert!(order.take(3).is_err());
        order.take(2).unwrap();
    }

    #[test]
    fn a_role_that_does_not_get_every_event_sees_gaps() {
        let mut order = Order::after(0, &v1::EventFilter::default(), false);
        order.take(3).unwrap();
        assert!(order.take(3).is_err());
    }
}
