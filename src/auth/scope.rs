//! What a token allows.

use std::fmt;
use std::sync::Arc;

/// What a route stands under, and what a token may be given. A route needs exactly one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// No token at all.
    Public,
    /// No token, but a link, which says itself what it opens.
    Link,
    /// Get, list and watch operations.
    Read,
    /// The same, and create, patch, cancel, retry and delete them.
    ReadWrite,
    /// Carry operations out: `/v1.0/work`.
    Execute,
    /// The tenant's queues and workers.
    Manage,
    /// What crosses tenants: metrics, tokens, backup.
    ServerManage,
}

impl Scope {
    /// Those that a token can be given, in the order of the documentation.
    pub const GRANTED: [Self; 5] =
        [Self::Read, Self::ReadWrite, Self::Execute, Self::Manage, Self::ServerManage];

    /// The word of a token's scope; of the others the word of the documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Link => "link",
            Self::Read => "Operation.Read",
            Self::ReadWrite => "Operation.ReadWrite",
            Self::Execute => "Operation.Execute",
            Self::Manage => "Operation.Manage",
            Self::ServerManage => "Server.Manage",
        }
    }

    /// Reads the exact word of a scope that a token can be given.
    pub fn parse(word: &str) -> Option<Self> {
        Self::GRANTED.into_iter().find(|scope| scope.as_str() == word)
    }

    fn bit(self) -> u8 {
        match self {
            Self::Public | Self::Link => 0,
            Self::Read => 1,
            Self::ReadWrite => 1 << 1,
            Self::Execute => 1 << 2,
            Self::Manage => 1 << 3,
            Self::ServerManage => 1 << 4,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The scopes of one token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// None: only what is public.
    pub const NONE: Self = Self(0);

    /// Every scope: those of an open server.
    pub fn all() -> Self {
        Scope::GRANTED.into_iter().collect()
    }

    /// Every scope inside one tenant: those of the first token.
    pub fn of_tenant() -> Self {
        Scope::GRANTED.into_iter().filter(|scope| *scope != Scope::ServerManage).collect()
    }

    /// Whether these scopes open a route that stands under `scope`. Writing includes reading; nothing else includes
    /// anything.
    pub fn allow(self, scope: Scope) -> bool {
        let enough = match scope {
            Scope::Public => return true,
            Scope::Read => Scope::Read.bit() | Scope::ReadWrite.bit(),
            other => other.bit(),
        };
        self.0 & enough != 0
    }

    /// Those that were given, without those that are included.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::GRANTED.into_iter().filter(move |scope| self.0 & scope.bit() != 0)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their words, as the store keeps them.
    pub fn words(self) -> Vec<Arc<str>> {
        self.iter().map(|scope| Arc::from(scope.as_str())).collect()
    }

    /// Reads words of the store. One that this version does not know allows nothing.
    pub fn of_words(words: &[Arc<str>]) -> Self {
        words.iter().filter_map(|word| Scope::parse(word)).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_allows_what_the_table_says() {
        use Scope::{Execute, Link, Manage, Public, Read, ReadWrite, ServerManage};
        let table = [
            (Read, vec![Public, Read]),
            (ReadWrite, vec![Public, Read, ReadWrite]),
            (Execute, vec![Public, Execute]),
            (Manage, vec![Public, Manage]),
            (ServerManage, vec![Public, ServerManage]),
        ];
        for (given, allowed) in table {
            let scopes: Scopes = [given].into_iter().collect();
            for asked in [Public, Link, Read, ReadWrite, Execute, Manage, ServerManage] {
                assert_eq!(scopes.allow(asked), allowed.contains(&asked), "{given} asked for {asked}");
            }
        }
        assert!(Scopes::NONE.allow(Public));
        assert!(!Scopes::NONE.allow(Read));
    }

    #[test]
    fn words_are_read_as_they_were_written_and_strange_ones_allow_nothing() {
        for scope in Scope::GRANTED {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
        }
        for bad in ["public", "link", "operation.read", "Operation.Read ", "*", ""] {
            assert_eq!(Scope::parse(bad), None, "{bad}");
        }
        assert_eq!(Scopes::of_words(&Scopes::all().words()), Scopes::all());
        assert!(Scopes::of_words(&[Arc::from("Operation.Fly")]).is_empty());
    }

    #[test]
    fn a_tenant_s_scopes_do_not_cross_tenants() {
        assert!(!Scopes::of_tenant().allow(Scope::ServerManage));
        assert!(Scopes::of_tenant().allow(Scope::Manage));
        assert_eq!(Scopes::all().iter().count(), 5);
    }
}
