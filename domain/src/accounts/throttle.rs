//! Rate limits for attempts to sign in or up and the like, and for letters to an e-mail address.
//!
//! Budgets are charged before the work, in a transaction of their own, so that the charge remains even
//! if the operation is refused. An e-mail address is charged whether it has an account or not, so an
//! exhausted budget does not reveal whether there is one.

use std::net::IpAddr;

use chrono::TimeDelta;
use sea_orm::DbErr;

use super::{Email, person_key};
use crate::platform::{
    Db,
    access::{Actor, Origin},
    budget::{self, Rate},
    in_tx,
};

/// The tries of an operation (such as signing in) per minute, from one network and, where the password is
/// checked, for one account. At this rate, guessing a password of eight random letters takes too long.
const TRIES_PER_MINUTE: u32 = 20;
/// The tries of an operation per minute from one storefront's server, which acts for many buyers.
const STOREFRONT_TRIES_PER_MINUTE: u32 = 600;
/// The letters to one address that may be sent at once. After that, one letter is allowed every
/// [`LETTER_INTERVAL`], so that nobody's mailbox is flooded.
const LETTERS_BURST: u32 = 5;
const LETTER_INTERVAL: TimeDelta = TimeDelta::minutes(5);

/// One action to charge to a budget.
pub(crate) struct Charge {
    name: String,
    rate: Rate,
}

impl Charge {
    /// Returns the charge for a try of the operation `what` to the origin of the request.
    pub(crate) fn origin(what: &str, origin: Origin) -> Self {
        match origin {
            Origin::Address(address) => Self {
                name: format!("{what}:address:{}", network(address)),
                rate: Rate::per_minute(TRIES_PER_MINUTE),
            },
            Origin::Storefront(token) => {
                Self { name: format!("{what}:{token}"), rate: Rate::per_minute(STOREFRONT_TRIES_PER_MINUTE) }
            }
        }
    }

    /// Returns the charge for a try of the operation `what` to an e-mail address.
    pub(crate) fn tries(what: &str, email: &Email) -> Self {
        Self { name: format!("{what}:person:{}", person(email)), rate: Rate::per_minute(TRIES_PER_MINUTE) }
    }

    /// Returns the charge for a letter, of any kind, to an e-mail address.
    pub(crate) fn letter(email: &Email) -> Self {
        let rate = Rate { interval: LETTER_INTERVAL, burst: LETTERS_BURST };
        Self { name: format!("letter:person:{}", person(email)), rate }
    }
}

/// Charges the budgets in order, up to the first that is exhausted. For that one, returns the seconds to
/// wait.
pub(crate) async fn charge(db: &Db, actor: Actor, charges: &[Charge]) -> Result<Option<u32>, DbErr> {
    let wait: Result<Option<TimeDelta>, DbErr> = in_tx(db, actor, async |tx| {
        for Charge { name, rate } in charges {
            if let Err(wait) = budget::take(tx, name, *rate).await? {
                return Ok(Some(wait));
            }
        }
        Ok(None)
    })
    .await;
    Ok(wait?.map(whole_secs))
}

/// Returns the smallest whole number of seconds that is longer than `wait`.
fn whole_secs(wait: TimeDelta) -> u32 {
    u32::try_from(wait.num_seconds().saturating_add(1)).unwrap_or(u32::MAX)
}

fn person(email: &Email) -> String {
    hex::encode(person_key(email))
}

/// Returns the network that an Internet provider gives to one subscriber: an IPv4 address, or the /64 prefix
/// of an IPv6 address.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_a_subscriber_count_as_one_network() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ] {
            assert_eq!(network(address.parse().unwrap()).to_string(), expected);
        }
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        assert_eq!(whole_secs(TimeDelta::milliseconds(1)), 1);
        assert_eq!(whole_secs(TimeDelta::milliseconds(2_999)), 3);
        assert_eq!(whole_secs(TimeDelta::MAX), u32::MAX);
    }
}
