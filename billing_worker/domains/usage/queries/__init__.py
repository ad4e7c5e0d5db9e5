"""SQL of metering: set-based; zones are known to Python alone, the database only sees UTC instants."""
