-- The daemon's role, with what it needs (docs/operation.md, Rights on the target): the sample tables, room for more of
-- them, and a schema of its own for its position. The password is for a database that listens on loopback only.

CREATE ROLE lockstep LOGIN PASSWORD 'lockstep';

-- Only an owner may alter a table as the source's changes.
ALTER TABLE users OWNER TO lockstep;
ALTER TABLE orders OWNER TO lockstep;
GRANT USAGE, CREATE ON SCHEMA public TO lockstep;

CREATE SCHEMA lockstep AUTHORIZATION lockstep;
