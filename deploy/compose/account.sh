#!/bin/bash
# Run once by the MySQL image, on its empty data directory: the account of capture and generator.
set -euo pipefail

mysql --user=root --password="$MYSQL_ROOT_PASSWORD" <<SQL
CREATE USER 'dfp'@'%' IDENTIFIED BY '$SOURCE_PASSWORD' REQUIRE SSL;
GRANT SELECT, RELOAD, REPLICATION SLAVE, REPLICATION CLIENT, BACKUP_ADMIN ON *.* TO 'dfp'@'%';
GRANT ALL ON \`ootp\`.* TO 'dfp'@'%';
INSTALL COMPONENT 'file://component_classic_hashing';
SQL
