-- The target's copies of the two more sample tables, as loose as those of 01-tables.sql, and the daemon's own.

CREATE TABLE super_heroes (
    id              bigint PRIMARY KEY,
    name            text NOT NULL,
    secret_identity text,
    powers          text,
    synced_at       timestamptz
);

CREATE TABLE package_status (
    id             bigint PRIMARY KEY,
    customer_id    bigint NOT NULL,
    actual_address text NOT NULL,
    next_address   text,
    status         text NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    synced_at      timestamptz
);

ALTER TABLE super_heroes OWNER TO lockstep;
ALTER TABLE package_status OWNER TO lockstep;
