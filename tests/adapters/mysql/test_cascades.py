"""Foreign keys as servers write them in a definition."""

from __future__ import annotations

from datafingerprint.adapters.mysql.cascades import keys_of
from datafingerprint.cascades import ForeignKey

DEFINITION = """CREATE TABLE `c` (
  `k` int(11) NOT NULL COMMENT 'CONSTRAINT `x` FOREIGN KEY (`a`) REFERENCES `b` (`c`) ON DELETE CASCADE',
  `x` int(11) DEFAULT NULL,
  `y``z` int(11) DEFAULT NULL,
  PRIMARY KEY (`k`),
  KEY `x` (`x`,`y``z`),
  CONSTRAINT `both ``two``` FOREIGN KEY (`x`, `y``z`) REFERENCES `p` (`a`, `b`) ON DELETE SET NULL ON UPDATE CASCADE,
  CONSTRAINT `far` FOREIGN KEY (`x`) REFERENCES `other.schema`.`p (q)` (`a`) ON DELETE CASCADE,
  CONSTRAINT `no_action` FOREIGN KEY (`x`) REFERENCES `p` (`a`) ON DELETE NO ACTION,
  CONSTRAINT `refusing` FOREIGN KEY (`k`) REFERENCES `d` (`k`)
) ENGINE=InnoDB"""


def test_only_cascading_keys_are_read_from_a_definition() -> None:
    assert keys_of("s", "c", DEFINITION) == [
        ForeignKey("both `two`", "s.c", ("x", "y`z"), "s.p", ("a", "b"), "SET NULL", "CASCADE"),
        ForeignKey("far", "s.c", ("x",), "`other.schema`.p (q)", ("a",), "CASCADE", "RESTRICT"),
    ]
    assert keys_of("s", "c", "CREATE TABLE `c` (\n  `k` int(11)\n)") == []
