-- The daemon's role, with the least that it needs (docs/operation.md, Rights on the target): the rows of its tables and
-- a schema of its own for its position. The password is for a database that listens on loopback only.

CREATE ROLE lockstep LOGIN PASSWORD 'lockstep';

GRANT USAGE ON SCHEMA public TO lockstep;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON users, orders TO lockstep;

CREATE SCHEMA lockstep AUTHORIZATION lockstep;
