"""What Stripe does by itself: charging, invoicing, proration, subscription cycles."""
