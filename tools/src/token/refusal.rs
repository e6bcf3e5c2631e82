//! Why a token is not believed.

use std::fmt;

/// Which promise of a token does not hold, in the order in which they are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// It is not a CCA attestation token.
    Decode,
    /// The platform did not sign the platform token.
    PlatformSignature,
    /// The platform does not vouch for the key that signed the Realm's token.
    Binding,
    /// That key did not sign the Realm's token.
    RealmSignature,
    /// It is not the answer to this challenge.
    Freshness,
    /// It says something that it should not.
    Policy,
}

/// One sentence about what is wrong with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What kind of thing it is.
    pub class: Class,
    sentence: String,
}

impl Refusal {
    /// A refusal with this sentence, without a full stop.
    pub(super) fn new(class: Class, sentence: impl Into<String>) -> Self {
        Self { class, sentence: sentence.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.class {
            Class::Decode => "not a CCA attestation token",
            Class::PlatformSignature => "the platform token is not to be believed",
            Class::Binding => "the platform does not vouch for this Realm",
            Class::RealmSignature => "the Realm's token is not to be believed",
            Class::Freshness => "the token is not an answer to this challenge",
            Class::Policy => "the token is genuine but not acceptable",
        };
        write!(f, "{what}: {}", self.sentence)
    }
}

impl std::error::Error for Refusal {}
