-- Standings: every operation that opened, blocked or closed a wallet, or found it so. What a wallet may do now stands in `wallets`; this says since which
-- operation, and lets the second try of one whose commit was not heard of be told from a second operation. What stood so before this table was made
-- left no row. Nor does what an older version changes beside a newer one: the audit then finds the wallet different from its last row, until the
-- newer one opens, blocks or closes it again.

CREATE TABLE standings (
    -- The operation's: a UUIDv7.
    id UUID NOT NULL,
    -- Of one wallet's rows, the later has the higher.
    number BIGINT GENERATED ALWAYS AS IDENTITY,
    wallet_id BIGINT NOT NULL,
    standing TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT standings_pkey PRIMARY KEY (id),
    CONSTRAINT standings_standing_check CHECK (standing IN ('open', 'blocked', 'closed'))
);

CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a finished transaction, an entry and a recorded standing are never changed' USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER standings_append_only BEFORE UPDATE OR DELETE ON standings
FOR EACH ROW EXECUTE FUNCTION refuse_change();
