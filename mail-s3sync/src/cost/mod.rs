//! What a store costs: prices from one table, what is billed of what is stored, and requests by
//! kind.

mod prices; // the table
mod requests; // by kind
mod bill; // what is stored, by storage class
mod term; // classes that are billed for longer than sets are kept
mod forecast; // what there will be when as much is kept as is wanted

pub(crate) use bill::{Bill, rounded};
pub(crate) use forecast::{Kept, forecast, growth, replaced};
pub(crate) use prices::{FILE, NotPrices, Prices, S3_PRICES, STANDARD};
pub(crate) use requests::Requests;
pub(crate) use term::{Terms, Where};
