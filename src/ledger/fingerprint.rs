//! Fingerprints: what must match when an idempotency key is used again.

use std::fmt::{self, Write};

use sha2::{Digest, Sha256};

use super::{Cause, Details, Mode, Request, Rest, Terms};

/// What must match when an idempotency key is used again: a digest of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; Fingerprint::BYTES]);

impl Fingerprint {
    /// Its length. 128 bits: two requests under one key that differ have the same one never.
    pub const BYTES: usize = 16;

    fn of(text: &str) -> Self {
        let mut bytes = [0; Self::BYTES];
        bytes.copy_from_slice(&Sha256::digest(text)[..Self::BYTES]);
        Self(bytes)
    }
}

impl Request {
    /// What must match when an idempotency key is used again.
    ///
    /// Taken from a canonical text, so that it stays the same across versions of Purser; fields that a later version adds are
    /// appended only when they are set.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut text = String::with_capacity(96);
        self.write_canonical(&mut text).expect("writing to a string cannot fail");
        Fingerprint::of(&text)
    }

    fn write_canonical(&self, text: &mut String) -> fmt::Result {
        write!(text, "{} wallet={}", self.kind(), self.wallet())?;
        if let Some(to_wallet) = self.to_wallet() {
            write!(text, " to_wallet={to_wallet}")?;
        }
        if let Some(money) = self.money() {
            write!(text, " currency={} amount={}", money.currency, money.amount)?;
        }
        if let Some(original) = self.original() {
            write!(text, " original={original}")?;
        }
        match self {
            Self::Confirm { amount, rest, .. } => {
                if let Some(amount) = amount {
                    write!(text, " amount={amount}")?;
                }
                if *rest == Rest::Kept {
                    write!(text, " final=false")?;
                }
            }
            Self::Reverse { amount: Some(amount), .. } => write!(text, " amount={amount}")?,
            Self::Cancel { cause: Cause::Expired { due }, .. } => write!(text, " due={due}")?,
            Self::Extend { expires_in, .. } => write!(text, " expires_in={}", expires_in.seconds())?,
            Self::Stand { standing, .. } => write!(text, " standing={}", standing.as_str())?,
            Self::Batch(batch) => {
                for item in batch.items() {
                    write!(text, "; ")?;
                    item.request.write_canonical(text)?;
                }
            }
            _ => {}
        }
        self.terms().map_or(Ok(()), |terms| terms.write_canonical(text))
    }
}

impl Terms {
    fn write_canonical(&self, text: &mut String) -> fmt::Result {
        match self.mode {
            Mode::Now => {}
            Mode::Pending { .. } => write!(text, " pending=true")?,
            Mode::WhenFunded { .. } => write!(text, " wait_for_funds=true")?,
        }
        if let Some(lifetime) = self.mode.expires_in() {
            write!(text, " expires_in={}", lifetime.seconds())?;
        }
        // Free texts are quoted: what stands in one cannot look like another field.
        if let Some(details) = &self.details {
            details.write_canonical(text)?;
        }
        if let Some(reference) = &self.reference {
            write!(text, " reference={:?}", reference.as_str())?;
        }
        Ok(())
    }
}

impl Details {
    fn write_canonical(&self, text: &mut String) -> fmt::Result {
        for (name, value) in self.labels().iter() {
            write!(text, " label.{name:?}={value:?}")?;
        }
        if let Some(description) = self.description() {
            write!(text, " description={description:?}")?;
        }
        if let Some(service) = self.service() {
            write!(text, " service={service}")?;
        }
        if let Some(order) = self.order() {
            write!(text, " order={order:?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ledger::{
        Amount, CurrencyCode, Labels, Lifetime, Money, Reference, Standing, Timestamp, TransactionId, WalletId,
    };

    fn money(amount: &str, currency: &str) -> Money {
        Money { amount: Amount::parse(amount).unwrap(), currency: CurrencyCode::new(currency).unwrap() }
    }

    #[test]
    fn a_fingerprint_sees_every_field_and_no_spelling() {
        let wallet = WalletId(1);
        let named = |reference| Terms { reference: Reference::new(reference).ok(), ..Terms::default() };
        let base = Request::Withdraw { wallet, money: money("1.50", "USD"), terms: Terms::default() };
        assert_eq!(
            base.fingerprint(),
            Request::Withdraw { wallet, money: money("15e-1", "USD"), terms: Terms::default() }.fingerprint()
        );
        for other in [
            Request::Invoice { wallet, money: money("1.5", "USD"), terms: Terms::default() },
            Request::Withdraw { wallet: WalletId(2), money: money("1.5", "USD"), terms: Terms::default() },
            Request::Withdraw { wallet, money: money("1.51", "USD"), terms: Terms::default() },
            Request::Withdraw { wallet, money: money("1.5", "EUR"), terms: Terms::default() },
            Request::Transfer { wallet, to_wallet: WalletId(2), money: money("1.5", "USD"), terms: Terms::default() },
            Request::Withdraw { wallet, money: money("1.5", "USD"), terms: named("r") },
        ] {
            assert_ne!(base.fingerprint(), other.fingerprint(), "{other:?}");
        }
    }

    #[test]
    fn a_fingerprint_sees_what_is_said_about_a_transaction() {
        let (wallet, original) = (WalletId(1), TransactionId(uuid::Uuid::nil()));
        let due = Timestamp::EPOCH;
        let (part, lifetime) = (Amount::parse("1").ok(), |seconds| Lifetime::from_seconds(seconds).unwrap());
        let requests = [
            Request::Confirm { wallet, original, amount: None, rest: Rest::Released },
            Request::Confirm { wallet, original, amount: None, rest: Rest::Kept },
            Request::Confirm { wallet, original, amount: part, rest: Rest::Released },
            Request::Confirm { wallet, original, amount: part, rest: Rest::Kept },
            Request::Cancel { wallet, original, cause: Cause::Requested },
            Request::Cancel { wallet, original, cause: Cause::Expired { due } },
            Request::Cancel { wallet, original, cause: Cause::Expired { due: due + lifetime(1) } },
            Request::Extend { wallet, original, expires_in: lifetime(1) },
            Request::Extend { wallet, original, expires_in: lifetime(2) },
            Request::Reverse { wallet, original, amount: None },
            Request::Reverse { wallet, original, amount: part },
            Request::Reverse { wallet, original: TransactionId(uuid::Uuid::max()), amount: None },
            Request::Stand { wallet, standing: Standing::Open },
            Request::Stand { wallet, standing: Standing::Closed },
        ];
        let different: std::collections::HashSet<_> = requests.iter().map(Request::fingerprint).collect();
        assert_eq!(different.len(), requests.len());
    }

    #[test]
    fn a_fingerprint_is_the_same_in_every_version() {
        let request = Request::Transfer {
            wallet: WalletId(7),
            to_wallet: WalletId(8),
            money: money("12.30", "USD"),
            terms: Terms::default(),
        };
        let text = "transfer wallet=7 to_wallet=8 currency=USD amount=12.3";
        assert_eq!(request.fingerprint().0[..], Sha256::digest(text)[..Fingerprint::BYTES]);

        // What a later version added is not seen where it is not set.
        let order = Details::new(Labels::default(), None, None, Some("o-1".to_owned())).unwrap();
        let with = |reference: Option<&str>| {
            let mode = Mode::Pending { expires_in: Lifetime::from_seconds(600).ok() };
            let reference = reference.map(|reference| Reference::new(reference).unwrap());
            let terms = Terms { mode, details: Some(Arc::new(order.clone())), reference };
            Request::Withdraw { wallet: WalletId(7), money: money("12.30", "USD"), terms }.fingerprint().0
        };
        let text = r#"withdraw wallet=7 currency=USD amount=12.3 pending=true expires_in=600 order="o-1""#;
        assert_eq!(with(None)[..], Sha256::digest(text)[..Fingerprint::BYTES]);
        let text = format!(r#"{text} reference="r\" x=\"1""#);
        assert_eq!(with(Some(r#"r" x="1"#))[..], Sha256::digest(text)[..Fingerprint::BYTES]);
    }
}
