"""Pure values: money, periods, keys, errors, events and the clock's protocol. Standard library only."""
