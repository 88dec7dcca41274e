"""Tables and figures from scores and run manifests."""
