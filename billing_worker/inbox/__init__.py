"""The durable inbox: events are received, claimed in order per object, applied once, parked, replayed, rescued."""
