"""Query engines that scans run on."""
