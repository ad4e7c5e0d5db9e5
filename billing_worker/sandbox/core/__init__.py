"""What every object family shares: store, events, deliveries, clock, wire format."""
