"""Files, checksums, receipts, fingerprints and the cache of finished work."""
