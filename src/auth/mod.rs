//! Who may do what.
//!
//! A caller shows a [`Token`], which opens one tenant with some [`Scopes`]. [`Keys`] knows every credential and says
//! which [`Caller`] a request comes from; the routes then ask that caller for the scope they stand under, and the store
//! for its tenant's rows only. A [`Link`] opens one operation to whoever has it. [`admin`] is how tokens are made, listed and revoked: on a running server through its
//! [`socket`], and without one. As long as no token was made the server is open, and [`loopback`] keeps it to the
//! machine itself.

pub mod admin;
pub mod caller;
pub mod first;
pub mod keys;
pub mod link;
pub mod loopback;
pub mod scope;
pub mod socket;
pub mod token;

pub use caller::{Caller, Denied};
pub use first::{FirstTokenError, first_token};
pub use keys::Keys;
pub use link::{Link, Links};
pub use loopback::{ListenRefused, check_listen, is_loopback_host};
pub use scope::{Scope, Scopes};
pub use token::{InvalidToken, Token};
