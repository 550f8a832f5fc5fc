//! A model of the rules that is too simple to be wrong: whole minor units in maps, every operation tried on them one by one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use purser::ledger::outcome::Replay;
use purser::ledger::{
    Amount, Cause, IdempotencyKey, Kind, Mode, Money, Operation, Reference, Rejection, Request, Rest, Standing, Status,
    Terms, Timestamp, TransactionId, WalletId,
};

use crate::history::{CURRENCIES, SERVICE, WAITING_MAX, WALLETS};
use crate::units::{Parts, Said, fits, known, line, minor, part};

/// A wallet and a currency.
pub type Place = (i64, &'static str);

/// What became of a transaction.
#[derive(Clone, Debug)]
pub struct Record {
    pub kind: Kind,
    pub wallet: i64,
    pub to_wallet: Option<i64>,
    /// In which currency, with how many decimals.
    pub currency: Option<(&'static str, u32)>,
    pub amount: i128,
    /// Of a hold.
    pub confirmed: Option<i128>,
    pub reversed: i128,
    pub status: Status,
    pub rejection: Option<Rejection>,
    pub due: Option<Timestamp>,
    pub reference: Option<Reference>,
}

#[derive(Clone, Default)]
pub struct Model {
    pub places: BTreeMap<Place, Parts>,
    pub standings: BTreeMap<i64, Standing>,
    pub records: HashMap<TransactionId, Record>,
    /// Who waits, first come first.
    pub lines: BTreeMap<Place, Vec<TransactionId>>,
    /// Where the first of a line waited on because what it left would have had too many digits.
    pub crowded: BTreeSet<Place>,
    keys: HashMap<(WalletId, IdempotencyKey), (Kind, Vec<Request>, Said)>,
}

impl Model {
    /// Wallets that are open and empty, but the last, which is closed.
    pub fn new() -> Self {
        let standing = |id| if id == WALLETS { Standing::Closed } else { Standing::Open };
        Self { standings: (1..=WALLETS).map(|id| (id, standing(id))).collect(), ..Self::default() }
    }

    /// What an operation must say, and whether it was said before.
    pub fn apply(&mut self, operation: &Operation) -> (Said, Replay) {
        let request = &operation.request;
        let wallet = request.wallet();
        if let Request::Balance { .. } = request {
            return (
                self.standing(wallet).map(|_| self.balances(wallet.0)).map_err(|code| code.code().to_owned()),
                Replay::First,
            );
        }
        let name = operation.idempotency_key.clone().map(|key| (wallet, key));
        let parts: Vec<Request> = request.parts().cloned().collect();
        if let Some((kind, same, said)) = name.as_ref().and_then(|name| self.keys.get(name)) {
            let is_same = (*kind, same) == (request.kind(), &parts);
            let reused = Err(Rejection::IdempotencyKeyReused.code().to_owned());
            return if is_same { (said.clone(), Replay::Replayed) } else { (reused, Replay::First) };
        }
        let (said, is_recorded) = self.first(operation);
        if let Some(name) = name.filter(|_| is_recorded) {
            self.keys.insert(name, (request.kind(), parts, said.clone()));
        }
        (said, Replay::First)
    }

    fn first(&mut self, operation: &Operation) -> (Said, bool) {
        let (id, request) = (operation.id, &operation.request);
        let before = self.clone();
        let Request::Batch(batch) = request else {
            return match self.carry_out(id, request) {
                Ok(said) => (Ok(said), request.kind() != Kind::Stand),
                Err(rejection) => {
                    *self = before;
                    let is_recorded = matches!(
                        rejection,
                        Rejection::InsufficientFunds
                            | Rejection::WaitingLineFull
                            | Rejection::BalanceTooLarge
                            | Rejection::ReferenceTaken
                    );
                    if is_recorded {
                        self.record(id, request, Status::Error);
                    }
                    (Err(rejection.code().to_owned()), is_recorded)
                }
            };
        };
        let mut words = Vec::new();
        for (position, item) in batch.items().iter().enumerate() {
            match self.carry_out(item.id, &item.request) {
                Ok(said) => words.push(said),
                Err(rejection) => {
                    *self = before;
                    let is_recorded = self.standing(request.wallet()).is_ok();
                    if is_recorded {
                        self.record(id, request, Status::Error);
                    }
                    return (Err(format!("{} at {position}", rejection.code())), is_recorded);
                }
            }
        }
        self.record(id, request, Status::Success);
        (Ok(words.join("; ")), true)
    }

    /// What a reference names: whatever has it and did not end with Error.
    pub fn named(&self, reference: &Reference) -> Vec<TransactionId> {
        let has_it = |record: &Record| record.status != Status::Error && record.reference.as_ref() == Some(reference);
        self.records.iter().filter(|(_, record)| has_it(record)).map(|(id, _)| *id).collect()
    }

    /// On an error it may have done half of it.
    fn carry_out(&mut self, id: TransactionId, request: &Request) -> Result<String, Rejection> {
        let is_taken = request.reference().is_some_and(|reference| !self.named(reference).is_empty());
        // Every other refusal comes first.
        let said = self.move_money(id, request)?;
        if is_taken { Err(Rejection::ReferenceTaken) } else { Ok(said) }
    }

    fn move_money(&mut self, id: TransactionId, request: &Request) -> Result<String, Rejection> {
        match request {
            Request::Invoice { wallet, money, terms } => self.invoice(id, request, *wallet, *money, terms),
            Request::Withdraw { wallet, money, terms } => self.withdraw(id, request, *wallet, *money, terms),
            Request::Transfer { wallet, to_wallet, money, terms } => {
                if wallet == to_wallet {
                    return Err(Rejection::SameWallet);
                }
                if matches!(terms.mode, Mode::WhenFunded { .. }) {
                    return Err(Rejection::WaitForFundsInvalid);
                }
                self.may_pay_to(*wallet, *to_wallet)?;
                let (code, amount) = self.money(*money, terms)?;
                self.start(id, request, [((wallet.0, code), -amount), ((to_wallet.0, code), amount)])
            }
            Request::Confirm { wallet, original, amount, rest } => {
                self.confirm(id, request, *wallet, *original, *amount, *rest)
            }
            Request::Cancel { wallet, original, cause } => self.cancel(id, request, *wallet, *original, *cause),
            Request::Extend { wallet, original, expires_in } => {
                self.created(*wallet, *original)?;
                self.change(*original, |record| record.due = Some(Timestamp::EPOCH + *expires_in));
                self.record(id, request, Status::Success);
                Ok("Success of Created".to_owned())
            }
            Request::Reverse { wallet, original, amount } => self.reverse(id, request, *wallet, *original, *amount),
            Request::Stand { wallet, standing } => self.stand(*wallet, *standing),
            Request::Balance { .. } | Request::Batch(_) => unreachable!("neither is an item"),
        }
    }

    fn invoice(
        &mut self,
        id: TransactionId,
        request: &Request,
        wallet: WalletId,
        money: Money,
        terms: &Terms,
    ) -> Result<String, Rejection> {
        if matches!(terms.mode, Mode::WhenFunded { .. }) {
            return Err(Rejection::WaitForFundsInvalid);
        }
        self.may_receive(wallet)?;
        let (code, amount) = self.money(money, terms)?;
        self.start(id, request, [((wallet.0, code), amount)])
    }

    fn withdraw(
        &mut self,
        id: TransactionId,
        request: &Request,
        wallet: WalletId,
        money: Money,
        terms: &Terms,
    ) -> Result<String, Rejection> {
        self.may_pay(wallet)?;
        let (code, amount) = self.money(money, terms)?;
        let place = (wallet.0, code);
        if let Mode::WhenFunded { .. } = terms.mode {
            let line = self.lines.entry(place).or_default();
            let has_enough = self.places.get(&place).is_some_and(|parts| parts.available >= amount);
            if !line.is_empty() || !has_enough {
                if line.len() == WAITING_MAX {
                    return Err(Rejection::WaitingLineFull);
                }
                line.push(id);
                self.record(id, request, Status::Created);
                return Ok("Created".to_owned());
            }
        }
        self.start(id, request, [(place, -amount)])
    }

    /// Moves money now, or sets it aside.
    fn start<const N: usize>(
        &mut self,
        id: TransactionId,
        request: &Request,
        moves: [(Place, i128); N],
    ) -> Result<String, Rejection> {
        let is_pending = request.terms().is_some_and(|terms| matches!(terms.mode, Mode::Pending { .. }));
        let status = if is_pending { Status::Created } else { Status::Success };
        if is_pending {
            let (place, amount) = moves[0];
            let announced = Parts { incoming: amount, ..Parts::default() };
            let held = Parts { available: amount, held: -amount, incoming: 0 };
            self.shift(place, if amount > 0 { announced } else { held })?;
        } else {
            for (place, amount) in moves {
                self.shift(place, Parts { available: amount, ..Parts::default() })?;
            }
        }
        self.record(id, request, status);
        self.change(id, |record| record.confirmed = is_pending.then_some(0));
        if !is_pending {
            moves.iter().filter(|(_, amount)| *amount > 0).for_each(|(place, _)| self.pay(*place));
        }
        Ok(status.as_str().to_owned())
    }

    fn confirm(
        &mut self,
        id: TransactionId,
        request: &Request,
        wallet: WalletId,
        original: TransactionId,
        amount: Option<Amount>,
        rest: Rest,
    ) -> Result<String, Rejection> {
        let record = self.created(wallet, original)?;
        let Some(confirmed) = record.confirmed else { return Err(Rejection::TransactionWaiting) };
        match record.to_wallet {
            _ if record.kind == Kind::Invoice => self.may_receive(wallet)?,
            Some(to_wallet) => self.may_pay_to(wallet, WalletId(to_wallet))?,
            None => self.may_pay(wallet)?,
        }
        let (code, scale) = record.currency.expect("a hold is of a currency");
        let left = record.amount - confirmed;
        let now = part(amount, left, scale, Rejection::AmountExceedsUnconfirmed)?;
        if !fits(left - now, scale) || !fits(confirmed + now, scale) {
            return Err(Rejection::BalanceTooLarge);
        }
        let is_kept = rest == Rest::Kept && now < left;
        let back = if is_kept { 0 } else { left - now };
        let (here, there) = ((wallet.0, code), record.to_wallet.map(|to_wallet| (to_wallet, code)));
        if record.kind == Kind::Invoice {
            self.shift(here, Parts { available: now, held: 0, incoming: -(now + back) })?;
        } else {
            self.shift(here, Parts { available: back, held: -(now + back), incoming: 0 })?;
        }
        if let Some(there) = there {
            self.shift(there, Parts { available: now, ..Parts::default() })?;
        }
        let status = if is_kept { Status::Created } else { Status::Success };
        self.change(original, |record| (record.confirmed, record.status) = (Some(confirmed + now), status));
        self.record(id, request, Status::Success);
        if record.kind == Kind::Invoice || back > 0 {
            self.pay(here);
        }
        there.into_iter().for_each(|there| self.pay(there));
        Ok(format!("Success of {}", status.as_str()))
    }

    fn cancel(
        &mut self,
        id: TransactionId,
        request: &Request,
        wallet: WalletId,
        original: TransactionId,
        cause: Cause,
    ) -> Result<String, Rejection> {
        let record = self.created(wallet, original)?;
        let rejection = match cause {
            Cause::Requested => Rejection::Cancelled,
            Cause::Expired { due } if record.due == Some(due) => Rejection::Expired,
            Cause::Expired { .. } => return Err(Rejection::NotExpired),
        };
        let place = (wallet.0, record.currency.expect("what waits is of a currency").0);
        if let Some(confirmed) = record.confirmed {
            let left = record.amount - confirmed;
            let back = Parts { available: left, held: -left, incoming: 0 };
            let gone = Parts { incoming: -left, ..Parts::default() };
            self.shift(place, if record.kind == Kind::Invoice { gone } else { back })?;
        } else {
            self.lines.get_mut(&place).expect("it stands in a line").retain(|waiting| *waiting != original);
        }
        let (status, rejection) = match record.confirmed {
            Some(1..) => (Status::Success, None),
            _ => (Status::Error, Some(rejection)),
        };
        self.change(original, |record| (record.status, record.rejection) = (status, rejection));
        self.record(id, request, Status::Success);
        if record.kind != Kind::Invoice {
            self.pay(place);
        }
        Ok(format!("Success of {}", status.as_str()))
    }

    fn reverse(
        &mut self,
        id: TransactionId,
        request: &Request,
        wallet: WalletId,
        original: TransactionId,
        amount: Option<Amount>,
    ) -> Result<String, Rejection> {
        self.standing(wallet)?;
        let record = self.records.get(&original).cloned().ok_or(Rejection::TransactionUnknown)?;
        let is_transfer = record.kind == Kind::Transfer;
        let payer_back = record.to_wallet.filter(|_| is_transfer).unwrap_or(record.wallet);
        if payer_back != wallet.0 {
            return Err(Rejection::TransactionUnknown);
        }
        if record.kind == Kind::Reverse {
            return Err(Rejection::ReversalOfReversal);
        }
        let is_movement = matches!(record.kind, Kind::Invoice | Kind::Withdraw | Kind::Transfer);
        if !is_movement || record.status != Status::Success {
            return Err(Rejection::NotReversible);
        }
        match record.kind {
            Kind::Withdraw => self.may_receive(wallet)?,
            Kind::Transfer => self.may_pay_to(wallet, WalletId(record.wallet))?,
            _ => self.may_pay(wallet)?,
        }
        let (code, scale) = record.currency.expect("what moved is of a currency");
        let left = record.confirmed.unwrap_or(record.amount) - record.reversed;
        let now = part(amount, left, scale, Rejection::AmountExceedsOriginal)?;
        if !fits(left - now, scale) || !fits(record.reversed + now, scale) {
            return Err(Rejection::BalanceTooLarge);
        }
        let here = (wallet.0, code);
        let back = if record.kind == Kind::Withdraw { now } else { -now };
        self.shift(here, Parts { available: back, ..Parts::default() })?;
        if is_transfer {
            self.shift((record.wallet, code), Parts { available: now, ..Parts::default() })?;
        }
        self.change(original, |record| record.reversed += now);
        self.record(id, request, Status::Success);
        match record.kind {
            Kind::Withdraw => self.pay(here),
            Kind::Transfer => self.pay((record.wallet, code)),
            _ => {}
        }
        Ok("Success of Success".to_owned())
    }

    fn stand(&mut self, wallet: WalletId, standing: Standing) -> Result<String, Rejection> {
        let now = self.standing(wallet)?;
        let here = |place: &Place| place.0 == wallet.0;
        let has_money = self.places.iter().any(|(place, parts)| here(place) && *parts != Parts::default());
        let has_line = self.lines.iter().any(|(place, line)| here(place) && !line.is_empty());
        match (now, standing) {
            (now, standing) if now == standing => {}
            (Standing::Closed, _) => return Err(Rejection::WalletClosed),
            (_, Standing::Closed) if has_money || has_line => return Err(Rejection::WalletNotEmpty),
            _ => drop(self.standings.insert(wallet.0, standing)),
        }
        let places: Vec<Place> = self.lines.keys().copied().filter(here).collect();
        places.into_iter().for_each(|place| self.pay(place));
        Ok(standing.as_str().to_owned())
    }

    /// Pays a line for as long as there is enough for the first.
    fn pay(&mut self, place: Place) {
        while self.standings.get(&place.0) == Some(&Standing::Open) {
            let Some(first) = self.lines.get(&place).and_then(|line| line.first()).copied() else { return };
            let amount = self.records[&first].amount;
            match self.shift(place, Parts { available: -amount, ..Parts::default() }) {
                Ok(()) => {}
                Err(Rejection::InsufficientFunds) => return,
                Err(_) => {
                    self.crowded.insert(place);
                    return;
                }
            }
            self.lines.get_mut(&place).expect("it is there").remove(0);
            self.change(first, |record| record.status = Status::Success);
        }
    }

    fn shift(&mut self, place: Place, by: Parts) -> Result<(), Rejection> {
        let (_, scale) = *CURRENCIES.iter().find(|known| known.0 == place.1).expect("it was looked up");
        let parts = self.places.get(&place).copied().unwrap_or_default();
        let after = Parts {
            available: parts.available + by.available,
            held: parts.held + by.held,
            incoming: parts.incoming + by.incoming,
        };
        let each = [after.available, after.held, after.incoming];
        if each.iter().any(|part| *part < 0) {
            return Err(Rejection::InsufficientFunds);
        }
        if !each.iter().all(|part| fits(*part, scale)) {
            return Err(Rejection::BalanceTooLarge);
        }
        self.places.insert(place, after);
        Ok(())
    }

    fn record(&mut self, id: TransactionId, request: &Request, status: Status) {
        let currency = request.money().and_then(|money| known(money.currency.as_str()));
        let amount = request.money().and_then(|money| minor(&money.amount.to_string(), currency?.1));
        let lifetime = request.terms().and_then(|terms| terms.mode.expires_in());
        let record = Record {
            kind: request.kind(),
            wallet: request.wallet().0,
            to_wallet: request.to_wallet().map(|wallet| wallet.0),
            currency,
            amount: amount.unwrap_or_default(),
            confirmed: None,
            reversed: 0,
            status,
            rejection: None,
            due: lifetime.map(|lifetime| Timestamp::EPOCH + lifetime),
            reference: request.reference().cloned(),
        };
        assert!(self.records.insert(id, record).is_none(), "nothing is done twice");
    }

    fn change(&mut self, id: TransactionId, change: impl FnOnce(&mut Record)) {
        change(self.records.get_mut(&id).expect("it was recorded"));
    }

    fn created(&self, wallet: WalletId, id: TransactionId) -> Result<Record, Rejection> {
        self.standing(wallet)?;
        let of_wallet = |record: &&Record| record.wallet == wallet.0;
        let record = self.records.get(&id).filter(of_wallet).ok_or(Rejection::TransactionUnknown)?;
        if record.status == Status::Created { Ok(record.clone()) } else { Err(Rejection::TransactionFinal) }
    }

    fn standing(&self, wallet: WalletId) -> Result<Standing, Rejection> {
        self.standings.get(&wallet.0).copied().ok_or(Rejection::WalletUnknown)
    }

    fn may_receive(&self, wallet: WalletId) -> Result<(), Rejection> {
        if self.standing(wallet)? == Standing::Closed { Err(Rejection::WalletClosed) } else { Ok(()) }
    }

    fn may_pay(&self, wallet: WalletId) -> Result<(), Rejection> {
        self.may_receive(wallet)?;
        if self.standing(wallet)? == Standing::Blocked { Err(Rejection::WalletBlocked) } else { Ok(()) }
    }

    fn may_pay_to(&self, wallet: WalletId, to_wallet: WalletId) -> Result<(), Rejection> {
        self.standing(wallet)?;
        self.may_receive(to_wallet)?;
        self.may_pay(wallet)
    }

    fn money(&self, money: Money, terms: &Terms) -> Result<(&'static str, i128), Rejection> {
        let (code, scale) = known(money.currency.as_str()).ok_or(Rejection::CurrencyUnknown)?;
        let amount = minor(&money.amount.to_string(), scale).ok_or(Rejection::TooManyDecimals)?;
        match terms.details.as_ref().and_then(|details| details.service()) {
            Some(service) if service != SERVICE => Err(Rejection::ServiceUnknown),
            _ => Ok((code, amount)),
        }
    }

    fn balances(&self, wallet: i64) -> String {
        let here = self.places.iter().filter(|(place, parts)| place.0 == wallet && **parts != Parts::default());
        here.map(|(place, parts)| line(place.1, *parts)).collect()
    }
}
