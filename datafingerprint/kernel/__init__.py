"""Digests of whole Arrow columns in native code, where the library was built; `datafingerprint.digests` decides."""
