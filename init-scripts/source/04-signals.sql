-- Through this table the connector is asked for snapshots, and in it it marks their chunks (debezium-config/README.md,
-- Signals). The daemon's role may write to it, and to nothing else; to log in is enough for the markers that
-- `lockstepd wait` writes. The password is for a database that listens on loopback only.

CREATE TABLE debezium_signal (
    id   varchar(42) PRIMARY KEY,
    type varchar(32) NOT NULL,
    data varchar(2048)
);

GRANT SELECT, INSERT, DELETE ON debezium_signal TO debezium;
ALTER PUBLICATION lockstep ADD TABLE debezium_signal;

CREATE ROLE lockstep LOGIN PASSWORD 'lockstep';
GRANT CONNECT ON DATABASE source_db TO lockstep;
GRANT USAGE ON SCHEMA public TO lockstep;
GRANT INSERT ON debezium_signal TO lockstep;
