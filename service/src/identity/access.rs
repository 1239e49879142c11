//! Which roles may make which call: a table, and what is not in it nobody may.

use std::collections::BTreeMap;

use http::{HeaderMap, header::AUTHORIZATION};
use tonic::Status;

use super::{Identity, SERVICE};
use crate::{connection::Peer, status};

/// The role of operators; calls that have it alone are answered where operators' calls are.
pub const ADMIN: &str = "admin";
/// Asks once whether a server is healthy.
pub(crate) const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
/// Asks from then on.
pub(crate) const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";
/// What everybody may call who is known: what services there are.
const KNOWN: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
];

/// Roles of each call, by its path, `/package.Service/Method`.
pub type Roles = &'static [(&'static str, &'static [&'static str])];

/// The table, by path.
#[derive(Clone, Debug)]
pub(crate) struct Table(BTreeMap<&'static str, &'static [&'static str]>);

/// Who makes a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// A token's subject, a certificate's name, else the address, each with what it is.
    pub(crate) name: String,
}

/// Whether anybody may make the call, known or not.
pub(crate) fn is_open(path: &str) -> bool {
    [HEALTH_CHECK, HEALTH_WATCH].contains(&path)
}

/// A caller of whom nothing but the address is known.
pub(crate) fn address(peer: Option<&Peer>) -> String {
    peer.map_or_else(String::new, |peer| format!("address {}", peer.address.ip()))
}

impl Table {
    pub(crate) fn new(roles: Roles) -> Self {
        Self(roles.iter().copied().collect())
    }

    /// Whether nobody but operators may make the call.
    pub(crate) fn is_admin(&self, path: &str) -> bool {
        let roles = self.0.get(path);
        roles.is_some_and(|roles| roles.iter().all(|role| *role == ADMIN))
    }

    /// The calls that there are.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// Lets the caller make the call at `path`, or says why not.
    pub(crate) fn check(
        &self,
        identity: &Identity,
        path: &str,
        headers: &HeaderMap,
        peer: Option<&Peer>,
    ) -> Result<Caller, Status> {
        if !identity.is_checked() || is_open(path) {
            return Ok(Caller {
                name: address(peer),
            });
        }
        let names = peer.map_or(&[][..], |peer| &peer.names);
        let certified = names
            .iter()
            .find(|name| identity.names.role(name).is_some());
        let mut roles: Vec<&str> = names
            .iter()
            .filter_map(|name| identity.names.role(name))
            .collect();
        let claims = token(identity, headers)?;
        if let Some(claims) = &claims {
            // Our own servers are known by certificates alone.
            let named = claims.roles.iter().map(String::as_str);
            roles.extend(named.filter(|role| *role != SERVICE));
        }
        let name = match (&claims, certified) {
            (Some(claims), _) => format!("token {}", claims.sub),
            (None, Some(name)) => format!("certificate {name}"),
            (None, None) => {
                return Err(status::unauthenticated(
                    "the call has neither a token nor a certificate with a role",
                ));
            }
        };
        if KNOWN.iter().any(|known| path.starts_with(known)) {
            return Ok(Caller { name });
        }
        let Some(allowed) = self.0.get(path) else {
            return Err(status::role_missing(format!("nobody may call {path}")));
        };
        match roles.iter().any(|role| allowed.contains(role)) {
            true => Ok(Caller { name }),
            false => Err(status::role_missing(format!(
                "{path} needs one of the roles {}",
                allowed.join(", ")
            ))),
        }
    }
}

/// What the call's token says, if it has one.
fn token(identity: &Identity, headers: &HeaderMap) -> Result<Option<super::token::Claims>, Status> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let token = header.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        let bearer = scheme.eq_ignore_ascii_case("bearer");
        bearer.then(|| token.trim())
    });
    let token = token.ok_or_else(|| status::unauthenticated("the token is no bearer token"))?;
    let Some(keys) = &identity.keys else {
        return Err(status::unauthenticated("tokens are not taken here"));
    };
    keys.verify(token)
        .map(Some)
        .map_err(status::unauthenticated)
}
