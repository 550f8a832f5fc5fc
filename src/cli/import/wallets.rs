//! The wallets that lines name: found, or made.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;

use super::line::Line;
use crate::store::StoreError;
use crate::store::directory::NewWallet;
use crate::store::imports::{self, KnownWallet};

/// How the lines of a file name their wallets. A file that did it both ways could give a wallet that is named by its external id the number that a later line
/// means as another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// By `wallet_id`; an external id may stand beside it.
    Ids,
    /// By `external_id` alone; Purser numbers them.
    ExternalIds,
}

impl Naming {
    /// What a line does.
    pub fn of(line: &Line) -> Self {
        if line.wallet_id.is_some() { Self::Ids } else { Self::ExternalIds }
    }
}

/// What is to be done about missing wallets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Make them.
    Add,
    /// Leave it: only look.
    Leave,
}

/// Which wallet a line is about, or for people why none.
pub type Found = Result<Wallet, String>;

/// A wallet that a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wallet {
    /// The one of this id.
    Known(i64),
    /// One that is not there, when missing ones are left.
    New,
}

/// Finds the wallets of lines, all named in the same way, in their order; and says how many it made.
pub async fn find(
    connection: &mut PgConnection,
    naming: Naming,
    missing: Missing,
    lines: &[&Line],
) -> Result<(Vec<Found>, u64), StoreError> {
    let mut added = 0;
    let mut known = Known::list(connection, lines).await?;
    if missing == Missing::Add {
        let new = new(lines, &known);
        if !new.is_empty() {
            added += insert(connection, naming, &new).await?;
            known = Known::list(connection, lines).await?;
        }
        let lacking = lacking(naming, lines, &known);
        if !lacking.is_empty() {
            imports::complete(connection, &lacking).await?;
            known = Known::list(connection, lines).await?;
        }
    }
    Ok((lines.iter().map(|line| known.find(line, missing)).collect(), added))
}

/// How many wallets are new, each counted once.
pub fn count_new(lines: &[&Line], found: &[Found]) -> u64 {
    let new = lines.iter().zip(found).filter(|(_, found)| **found == Ok(Wallet::New));
    let names: HashSet<_> =
        new.map(|(line, _)| (line.wallet_id, line.external_id.as_ref().filter(|_| line.wallet_id.is_none()))).collect();
    names.len() as u64
}

async fn insert(connection: &mut PgConnection, naming: Naming, wallets: &[NewWallet]) -> Result<u64, StoreError> {
    match naming {
        Naming::Ids => imports::insert_missing(connection, wallets).await,
        Naming::ExternalIds => imports::insert_missing_numbered(connection, wallets).await,
    }
}

/// The wallets that are there, by either name.
struct Known {
    by_id: HashMap<i64, KnownWallet>,
    id_by_external_id: HashMap<String, i64>,
}

impl Known {
    async fn list(connection: &mut PgConnection, lines: &[&Line]) -> Result<Self, StoreError> {
        let ids: Vec<i64> = lines.iter().filter_map(|line| line.wallet_id).collect();
        let external_ids: Vec<&str> = lines.iter().filter_map(|line| line.external_id.as_deref()).collect();
        let wallets = imports::list_known(connection, &ids, &external_ids).await?;
        let external_id = |wallet: &KnownWallet| Some((wallet.external_id.clone()?, wallet.id));
        Ok(Self {
            id_by_external_id: wallets.iter().filter_map(external_id).collect(),
            by_id: wallets.into_iter().map(|wallet| (wallet.id, wallet)).collect(),
        })
    }

    fn find(&self, line: &Line, missing: Missing) -> Found {
        let holder = line.external_id.as_ref().and_then(|external_id| self.id_by_external_id.get(external_id));
        let Some(id) = line.wallet_id else {
            return match holder {
                Some(id) => Ok(Wallet::Known(*id)),
                None if missing == Missing::Leave => Ok(Wallet::New),
                None => Err("its wallet was not made: something else numbered wallets at the same time".to_owned()),
            };
        };
        if let Some(other) = holder.filter(|holder| **holder != id) {
            return Err(format!("wallet {other} has this external_id already"));
        }
        let Some(wallet) = self.by_id.get(&id) else {
            return match missing {
                Missing::Leave => Ok(Wallet::New),
                Missing::Add => Err(format!("wallet {id} was not made")),
            };
        };
        match (&wallet.external_id, &line.external_id) {
            (Some(has), Some(brings)) if has != brings => Err(format!("wallet {id} has another external_id: {has}")),
            _ => Ok(Wallet::Known(id)),
        }
    }
}

/// What is not there, each wallet once: the first line that names it says what it is called.
fn new(lines: &[&Line], known: &Known) -> Vec<NewWallet> {
    let mut seen = HashSet::new();
    let mut new = Vec::new();
    for line in lines {
        let (is_there, is_first) = match (line.wallet_id, &line.external_id) {
            (Some(id), _) => (known.by_id.contains_key(&id), seen.insert((Some(id), None))),
            (None, external_id) => {
                let external_id = external_id.as_deref();
                let is_there = external_id.is_some_and(|external_id| known.id_by_external_id.contains_key(external_id));
                (is_there, seen.insert((None, external_id)))
            }
        };
        if !is_there && is_first {
            new.push(wallet(line, line.wallet_id));
        }
    }
    new
}

/// The wallets that are there and lack what a line has, each once.
fn lacking(naming: Naming, lines: &[&Line], known: &Known) -> Vec<NewWallet> {
    let (mut seen, mut given) = (HashSet::new(), HashSet::new());
    let mut lacking = Vec::new();
    for line in lines {
        let Ok(Wallet::Known(id)) = known.find(line, Missing::Add) else { continue };
        let wallet_there = &known.by_id[&id];
        let gets_external_id =
            naming == Naming::Ids && wallet_there.external_id.is_none() && line.external_id.is_some();
        let gets_others =
            (!wallet_there.has_name && line.name.is_some()) || (!wallet_there.has_labels && line.labels.is_some());
        // Two wallets that are to get the same external id: the first one does.
        let is_free = !gets_external_id || given.insert(line.external_id.as_ref());
        if is_free && (gets_external_id || gets_others) && seen.insert(id) {
            lacking.push(wallet(line, Some(id)));
        }
    }
    lacking
}

fn wallet(line: &Line, id: Option<i64>) -> NewWallet {
    NewWallet {
        id,
        external_id: line.external_id.clone(),
        name: line.name.clone(),
        labels: line.labels.clone().unwrap_or_else(|| "{}".to_owned()),
    }
}
