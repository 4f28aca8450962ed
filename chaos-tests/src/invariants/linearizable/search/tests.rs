//! Small histories of one slot, for and against an order.
