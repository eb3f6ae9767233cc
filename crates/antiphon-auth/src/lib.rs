//! Authenticators: opaque tokens and JWTs with configured keys or a JWKS.
