//! What both engines do with rows of tokens, and what stands for a JWT's user.

use antiphon_core::OpaqueToken;
use antiphon_protocol::{TenantId, UserId};

use crate::{error::Fault, row};

/// How many tokens one sweep removes at most.
pub(crate) const SWEEP_ROWS: i64 = 10_000;

/// A token's hash, tenant, user, expiry, and its user's revocations.
pub(crate) type TokenRow = (Vec<u8>, String, String, Option<i64>, i64);

pub(crate) fn opaque(row: TokenRow) -> Result<([u8; 32], OpaqueToken), Fault> {
    let (hash, tenant, user, expires_at, revocations) = row;
    let token = OpaqueToken {
        tenant: TenantId::parse(&tenant)?,
        user: UserId::parse(&user)?,
        expires_at,
        revocations: revocations.cast_unsigned(),
    };
    Ok((row::hash(&hash)?, token))
}

/// For a tenant: deleted, before when tokens are revoked; for its user, if there: deleted, revocations, before when.
pub(crate) type AdmissionRow = (bool, Option<i64>, Option<bool>, Option<i64>, Option<i64>);

/// Whether a JWT's user may come in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Tenant or user was never there: to be made.
    Unknown,
    /// There, and tokens from before a time are revoked.
    Known { revocations: u64, revoked_before: Option<i64> },
    /// Deleted, user or tenant. The user is made again by a token of after its deletion, the tenant by no token.
    Deleted { revocations: u64, until: i64 },
}

impl Admission {
    pub fn of(row: Option<AdmissionRow>) -> Self {
        match row {
            None | Some((false, _, None, _, _)) => Self::Unknown,
            Some((tenant_deleted, tenant_before, user_deleted, revocations, user_before)) => {
                let revocations = revocations.unwrap_or_default().cast_unsigned();
                if tenant_deleted {
                    Self::Deleted { revocations, until: i64::MAX }
                } else if user_deleted == Some(true) {
                    Self::Deleted { revocations, until: tenant_before.max(user_before).unwrap_or(i64::MAX) }
                } else {
                    Self::Known { revocations, revoked_before: tenant_before.max(user_before) }
                }
            }
        }
    }

    /// True if a token of this time makes the user.
    pub fn is_made_by(&self, issued_at: i64) -> bool {
        match self {
            Self::Unknown => true,
            Self::Known { .. } => false,
            Self::Deleted { until, .. } => *until <= issued_at,
        }
    }

    /// As the seam has it: before the end of time no token is good for who is deleted.
    pub fn answer(self) -> (u64, Option<i64>) {
        match self {
            Self::Known { revocations, revoked_before } => (revocations, revoked_before),
            Self::Deleted { revocations, .. } => (revocations, Some(i64::MAX)),
            Self::Unknown => (0, Some(i64::MAX)),
        }
    }
}

/// A hash as the text that SQLite's `unhex` reads.
pub(crate) fn hex(hash: &[u8; 32]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    hash.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_deleted_is_let_in_by_no_token_of_before() {
        assert_eq!(Admission::of(None), Admission::Unknown);
        assert_eq!(Admission::of(Some((false, None, None, None, None))), Admission::Unknown);
        assert_eq!(Admission::of(Some((false, Some(3), Some(false), Some(2), None))).answer(), (2, Some(3)));
        assert_eq!(
            Admission::of(Some((false, None, Some(true), Some(2), None))).answer(),
            (2, Some(i64::MAX))
        );
        assert_eq!(Admission::of(Some((true, Some(3), None, None, None))).answer(), (0, Some(i64::MAX)));
        let deleted = Admission::of(Some((false, Some(3), Some(true), Some(2), Some(7))));
        assert!(!deleted.is_made_by(6) && deleted.is_made_by(7));
        assert!(!Admission::of(Some((true, Some(3), Some(true), None, Some(3)))).is_made_by(i64::MAX - 1));
    }

    #[test]
    fn a_hash_is_written_in_hexadecimal() {
        assert_eq!(hex(&[0x0f; 32]), "0f".repeat(32));
    }
}
