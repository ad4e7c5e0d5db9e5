"""The API's operations, one module per object family, each with its table."""
