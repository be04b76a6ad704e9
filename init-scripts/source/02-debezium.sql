-- What the connector may do: open a replication slot and read the tables for its snapshot. Nothing more.
-- The publication is made here, not by the connector: making one would take ownership of the tables.
-- The password is for a database that listens on loopback only; the connector has it as DEBEZIUM_PASSWORD.

CREATE ROLE debezium LOGIN REPLICATION PASSWORD 'debezium';

GRANT CONNECT ON DATABASE source_db TO debezium;
GRANT USAGE ON SCHEMA public TO debezium;
GRANT SELECT ON users, orders TO debezium;

CREATE PUBLICATION lockstep FOR TABLE users, orders;
