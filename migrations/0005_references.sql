-- References: callers' names for transactions, unique over all wallets.

-- What was asked for. Of a transaction of status Error it names nothing.
ALTER TABLE transactions ADD COLUMN reference TEXT;
ALTER TABLE transactions ADD CONSTRAINT transactions_reference_check
CHECK (reference IS NULL OR kind IN ('invoice', 'withdraw', 'transfer'));

-- What each reference names: a row stands here exactly while its transaction has status Created or Success. A table of its own, because every
-- unique key of the growing tables begins with the wallet.
CREATE TABLE transaction_references (
    reference TEXT COLLATE "C" NOT NULL,
    transaction_id UUID NOT NULL,
    CONSTRAINT transaction_references_pkey PRIMARY KEY (reference),
    CONSTRAINT transaction_references_reference_check CHECK (length(reference) BETWEEN 1 AND 255)
);
