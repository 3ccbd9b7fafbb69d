//! The `mysql` component against real servers: what is dumped loads back identical, by the stock
//! client.
#![allow(clippy::disallowed_methods, reason = "sample files")]

mod mariadb; // a private server
mod support; // sessions and dumps

mod objects; // every kind of object and type
mod connection; // passwords, sockets, TLS, option files
mod changes; // what happens meanwhile
mod accounts; // logins and grants
