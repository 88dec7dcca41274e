"""Examples: the record, its sources, pools, subsets and manifests."""
