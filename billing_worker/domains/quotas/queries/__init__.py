"""SQL of quotas: their periods, the marks that usage leaves, the anchors of subscriptions, coming resets."""
