"""What services need from the outside, as a few methods each with their promises."""
