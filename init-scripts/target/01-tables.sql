-- The target's copies of the sample tables, and synced_at: when the row was last written here.
-- Runs once, on a fresh cluster, in database target_db. The daemon makes its own schema, lockstep, itself.
--
-- Looser than the source on purpose. No foreign key from orders to users: each table is applied on its own, so an
-- order may arrive before its user. No checks, no unique e-mail and no identity: the source has decided already,
-- and a batch may pass through states that it never showed.

CREATE TABLE users (
    id         bigint PRIMARY KEY,
    name       text NOT NULL,
    email      text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    synced_at  timestamptz
);

CREATE TABLE orders (
    id           bigint PRIMARY KEY,
    user_id      bigint NOT NULL,
    product_name text NOT NULL,
    quantity     integer NOT NULL,
    price        numeric(12, 2) NOT NULL,
    status       text NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    synced_at    timestamptz
);
