//! The server as its users meet it: the real binary, spoken to over real sockets.

mod promises;
mod support;
mod wire;
