//! What a publisher remembers of every operation it published.

/// One operation. Its place in the publisher's order is its place in the journal.
#[derive(Clone, Debug)]
pub struct Published {
    pub kind: &'static str,
    /// In whose queue it stands: the debited wallet of a transfer.
    pub wallet: i64,
    pub to_wallet: Option<i64>,
    pub cents: i64,
    pub key: String,
    /// The broker said that it has it.
    pub is_confirmed: bool,
    /// The `code` of the reply.
    pub code: Option<i64>,
}

impl Published {
    pub fn amount(&self) -> String {
        format!("{}.{:02}", self.cents / 100, self.cents % 100)
    }

    pub fn body(&self) -> String {
        let Self { wallet, to_wallet, .. } = self;
        // Written as text: an amount never is a float, not even in a test.
        let to_wallet = to_wallet.map(|wallet| format!(r#""to_wallet_id":{wallet},"#)).unwrap_or_default();
        format!(r#"{{"wallet_id":{wallet},{to_wallet}"currency":"USD","amount":{}}}"#, self.amount())
    }
}

/// How often things happened, for the last line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub operations: u64,
    pub confirmed: u64,
    pub refused: u64,
    pub asked_again: u64,
    pub reconnects: u64,
    pub answered_again: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.operations += other.operations;
        self.confirmed += other.confirmed;
        self.refused += other.refused;
        self.asked_again += other.asked_again;
        self.reconnects += other.reconnects;
        self.answered_again += other.answered_again;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { operations, confirmed, refused, asked_again, reconnects, answered_again } = self;
        write!(
            formatter,
            "{operations} operations done once, in order and answered, {refused} of them refused for lack of funds; \
             {confirmed} publishings confirmed, {asked_again} asked again, {answered_again} answered again, \
             {reconnects} reconnects of publishers"
        )
    }
}
