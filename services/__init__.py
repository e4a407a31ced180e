"""The five processes; each is one loop between adapters."""

import os
import sys

# Arrow chooses its allocator once, when it is loaded, so this must come before any import of it. Its own choice keeps
# tens of MiB after a large transaction; jemalloc, which its Linux builds have, gives them back within a second.
# Naming a pool to Python later does not do: Parquet files are then still read and written with the other one.
if sys.platform == "linux":
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
