//! What the load asks for. The same numbers give the same orders in every run.

use std::fmt::Write;

use super::Load;

/// What one measured operation moves, as text: money is never a float.
const AMOUNT: &str = "1.25";
/// Whole units that are certainly enough for one operation.
pub const UNITS_PER_OPERATION: u64 = 2;

/// Which operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mix {
    /// Credits only.
    Invoice,
    /// Debits only. The wallets are funded first.
    Withdraw,
    /// From wallet to wallet. The wallets are funded first.
    Transfer,
    /// Half credits, three tenths debits, the rest transfers. The wallets are funded first.
    Mixed,
}

impl Mix {
    /// Whether money leaves wallets.
    pub fn needs_funds(self) -> bool {
        self != Self::Invoice
    }
}

/// One thing to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Whether anybody answers, and the last wallet is there.
    Probe,
    /// Money for a wallet, by its number from 0.
    Fund {
        /// Which wallet.
        wallet: u64,
        /// How much, in whole major units.
        units: u64,
    },
    /// The operation of this number.
    Measured(u64),
}

/// Turns orders into messages.
#[derive(Clone, Copy, Debug)]
pub struct Orders<'a> {
    pub mix: Mix,
    pub wallets: u32,
    pub currency: &'a str,
}

/// An order's operation and its fields.
#[derive(Clone, Copy, Debug)]
struct Asked {
    operation: &'static str,
    wallet: u64,
    to_wallet: Option<u64>,
    /// Whole major units; [`AMOUNT`] when they are not said.
    units: Option<u64>,
}

impl<'a> Orders<'a> {
    /// The orders of a load.
    pub fn of(load: &'a Load) -> Self {
        Self { mix: load.mix, wallets: load.wallets, currency: &load.currency }
    }

    /// Appends the body of an order over AMQP; returns its operation, which the routing key says.
    pub fn write(&self, order: Order, body: &mut String) -> &'static str {
        if order == Order::Probe {
            append(body, format_args!(r#"{{"wallet_id":{}}}"#, self.wallets));
            return "balance";
        }
        let asked = self.asked(order);
        body.push('{');
        self.write_fields(asked, body);
        asked.operation
    }

    /// Appends the body of an order for `/v1/transactions`. The probe is one that goes there as a dry run.
    pub fn write_native(&self, order: Order, body: &mut String) {
        let asked = self.asked(order);
        append(body, format_args!(r#"{{"kind":"{}","#, asked.operation));
        self.write_fields(asked, body);
    }

    fn write_fields(&self, asked: Asked, body: &mut String) {
        let Asked { wallet, to_wallet, units, .. } = asked;
        append(body, format_args!(r#""wallet_id":{wallet},"#));
        if let Some(to_wallet) = to_wallet {
            append(body, format_args!(r#""to_wallet_id":{to_wallet},"#));
        }
        let currency = self.currency;
        match units {
            Some(units) => append(body, format_args!(r#""currency":"{currency}","amount":{units}}}"#)),
            None => append(body, format_args!(r#""currency":"{currency}","amount":{AMOUNT}}}"#)),
        }
    }

    fn asked(&self, order: Order) -> Asked {
        let invoice = |wallet, units| Asked { operation: "invoice", wallet, to_wallet: None, units };
        match order {
            Order::Probe => invoice(u64::from(self.wallets), None),
            Order::Fund { wallet, units } => invoice(wallet + 1, Some(units)),
            Order::Measured(number) => {
                let dice = scatter(number);
                let wallet = self.wallet(dice);
                let operation = self.operation(dice >> 56);
                // Any of the others.
                let to_wallet = (operation == "transfer").then(|| {
                    let step = 1 + scatter(dice) % (u64::from(self.wallets) - 1).max(1);
                    (wallet - 1 + step) % u64::from(self.wallets) + 1
                });
                Asked { operation, wallet, to_wallet, units: None }
            }
        }
    }

    fn wallet(&self, dice: u64) -> u64 {
        (dice & 0xFFFF_FFFF) % u64::from(self.wallets) + 1
    }

    /// `roll` is 0 to 255.
    fn operation(&self, roll: u64) -> &'static str {
        match self.mix {
            Mix::Invoice => "invoice",
            Mix::Withdraw => "withdraw",
            Mix::Transfer => "transfer",
            Mix::Mixed if roll < 128 => "invoice",
            // One wallet cannot transfer to itself.
            Mix::Mixed if roll < 205 || self.wallets == 1 => "withdraw",
            Mix::Mixed => "transfer",
        }
    }
}

fn append(body: &mut String, text: std::fmt::Arguments<'_>) {
    body.write_fmt(text).expect("writing to a string cannot fail");
}

/// Spreads consecutive numbers evenly over all 64 bits (the finaliser of SplitMix64).
fn scatter(number: u64) -> u64 {
    let mut dice = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    dice = (dice ^ (dice >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    dice = (dice ^ (dice >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    dice ^ (dice >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    fn orders(mix: Mix, wallets: u32) -> Orders<'static> {
        Orders { mix, wallets, currency: "USD" }
    }

    #[test]
    fn measured_orders_reach_every_wallet_and_never_transfer_in_place() {
        for (mix, wallets) in
            [(Mix::Invoice, 1), (Mix::Mixed, 1), (Mix::Mixed, 10), (Mix::Transfer, 2), (Mix::Withdraw, 7)]
        {
            let mut seen = BTreeMap::new();
            for number in 0..2_000 {
                let mut body = String::new();
                let operation = orders(mix, wallets).write(Order::Measured(number), &mut body);
                let body: Value = serde_json::from_str(&body).unwrap();
                *seen.entry(body["wallet_id"].as_u64().unwrap()).or_insert(0) += 1;
                let to_wallet = body["to_wallet_id"].as_u64();
                assert_eq!(operation == "transfer", to_wallet.is_some());
                assert!(to_wallet.is_none_or(|to| to != body["wallet_id"] && (1..=u64::from(wallets)).contains(&to)));
                assert!(body["amount"].is_number());
            }
            assert!(seen.keys().copied().eq(1..=u64::from(wallets)), "{mix:?} {wallets}: {seen:?}");
        }
    }

    #[test]
    fn over_http_the_body_says_the_same_and_the_kind() {
        let orders = orders(Mix::Mixed, 9);
        for order in [Order::Fund { wallet: 2, units: 40 }].into_iter().chain((0..100).map(Order::Measured)) {
            let (mut over_amqp, mut over_http) = (String::new(), String::new());
            let operation = orders.write(order, &mut over_amqp);
            orders.write_native(order, &mut over_http);
            let (mut expected, native): (Value, Value) =
                (serde_json::from_str(&over_amqp).unwrap(), serde_json::from_str(&over_http).unwrap());
            expected["kind"] = operation.into();
            assert_eq!(native, expected);
        }
    }

    #[test]
    fn what_a_wallet_is_funded_with_covers_any_share_of_the_load() {
        let mut body = String::new();
        let operation = orders(Mix::Withdraw, 3).write(Order::Fund { wallet: 2, units: 40 }, &mut body);
        assert_eq!((operation, body.as_str()), ("invoice", r#"{"wallet_id":3,"currency":"USD","amount":40}"#));
        let amount = rust_decimal::Decimal::from_str_exact(AMOUNT).unwrap();
        assert!(amount <= rust_decimal::Decimal::from(UNITS_PER_OPERATION));
    }
}
