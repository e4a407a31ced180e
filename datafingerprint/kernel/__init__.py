"""Whole columns digested, and binlogs taken apart, in native code, where the library was built; elsewhere by others."""
