"""What creators earn and clients spend, in sums: by day, style, tier, client and key; forecasts; a watch on prices."""
