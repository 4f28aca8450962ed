//! Who may do what: the matrix of rows by role, and the routes that stand under it.
//!
//! A row says which roles may, whether a token that is bound to a network or to venues must be bound to what is in question, whether
//! what is done stands in the venue's audit log, and of which class it is where quotas are counted. [`Routes::route`]
//! takes a row with each route and is the only way to register one, so a route without a row does not compile. The stack looks the row up before a handler runs
//! (`auth::admit`); [`crate::api`] holds every command and question of the handler against it.
//! `router/tests/door/access.rs` tries each route as each role, by this table.
//!
//! Left out: rights of single persons.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::get;
use http::Method;
use rotunda_booking::command::Role;
use rotunda_protocol::shard_map::VenueInfo;
use rotunda_protocol::token::Holder;
use serde::{Deserialize, Serialize};
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::PathItem;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::server::Door;

/// Number of roles.
const ROLES: usize = Role::ALL.len();

/// What about a token that is bound to a network, or to venues of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Is like any other: what is shown is for everybody.
    Any,
    /// Must be bound to the venue that the request is about, or to its network.
    Venue,
    /// Is refused where it is bound to venues: the request is about all of them. Where it is bound to a network the handler
    /// keeps to what is that network's.
    Network,
    /// Is refused: the request is about the cluster.
    Cluster,
}

/// Whose commands stand in the venue's audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audit {
    /// Nobody's: nothing is changed, or no venue is concerned.
    Nobody,
    /// The staff's: counter, manager, operator.
    Staff,
    /// That of everybody with a token.
    Token,
}

/// What a request is for, as quotas see it: a quota may be of one class of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteClass {
    /// Asks, and changes nothing.
    Look,
    /// Takes places, or buys them.
    Hold,
    /// Changes what was taken, or what can be.
    Change,
    /// Is about somebody at a gate.
    Admit,
    /// Reads much at once.
    Report,
    /// Runs the cluster.
    Admin,
}

impl RouteClass {
    /// Every class.
    pub const ALL: [Self; 6] = [
        Self::Look,
        Self::Hold,
        Self::Change,
        Self::Admit,
        Self::Report,
        Self::Admin,
    ];

    /// As it stands in settings and labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Hold => "hold",
            Self::Change => "change",
            Self::Admit => "admit",
            Self::Report => "report",
            Self::Admin => "admin",
        }
    }
}

/// A row of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// As in [`MATRIX`].
    pub name: &'static str,
    may: [bool; ROLES],
    /// What about tokens that are bound.
    pub scope: Scope,
    /// What is recorded.
    pub audit: Audit,
    /// Whose quota it is counted against.
    pub class: RouteClass,
}

macro_rules! mark {
    (x) => {
        true
    };
    (-) => {
        false
    };
}

macro_rules! matrix {
    ($( $name:ident [$($mark:tt)*] $scope:ident $audit:ident $class:ident; )*) => {
        $(
            pub(crate) const $name: Rule = Rule {
                name: stringify!($name),
                may: [$(mark!($mark)),*],
                scope: Scope::$scope,
                audit: Audit::$audit,
                class: RouteClass::$class,
            };
        )*

        /// Every row.
        pub const MATRIX: &[Rule] = &[$($name),*];
    };
}

// In order of the columns: visitor (nobody in particular), kiosk, counter, gate, reseller, manager, operator.
matrix! {
    //              V K C G R M O   venue    audit    quota
    LIST_VENUES    [x x x x x x x]  Any      Nobody   Look;
    SEE_VENUE      [x x x x x x x]  Any      Nobody   Look;
    LIST_PRODUCTS  [x x x x x x x]  Any      Nobody   Look;
    SEE_SLOTS      [x x x x x x x]  Any      Nobody   Look;
    HOLD           [x x x - x x x]  Venue    Staff    Hold;
    SEE_BOOKING    [x x x - x x x]  Venue    Nobody   Look;
    EXTEND         [x x x - x x x]  Venue    Staff    Change;
    CONFIRM        [x x x - x x x]  Venue    Staff    Hold;
    RELEASE        [x x x - x x x]  Venue    Staff    Change;
    CANCEL         [x x x - x x x]  Venue    Staff    Change;
    REBOOK         [x x x - x x x]  Venue    Staff    Change;
    SEE_TICKET     [x x x x x x x]  Any      Nobody   Look;
    ADMIT          [- - x x - x x]  Venue    Staff    Admit;
    MERGE_SCANS    [- - x x - x x]  Venue    Staff    Admit;
    ANNUL          [- - x - - x x]  Venue    Token    Admit;
    GATE_BUNDLE    [- - x x - x x]  Venue    Nobody   Admit;
    OCCUPANCY      [- - x x - x x]  Venue    Nobody   Admit;
    SEE_KEYS       [x x x x x x x]  Any      Nobody   Look;
    CHANGE_KEYS    [- - - - - x x]  Venue    Staff    Change;
    SEE_DRAWER     [- - x - - x x]  Venue    Nobody   Report;
    DRAWERS        [- - x - - x x]  Venue    Staff    Change;
    SEE_LEDGER     [- - - - - x x]  Venue    Nobody   Report;
    SEE_REPORTS    [- - - - - x x]  Venue    Nobody   Report;
    SEE_EVENTS     [- - - - - x x]  Network  Nobody   Report;
    SEE_AUDIT      [- - - - - x x]  Venue    Nobody   Report;
    CHANGE_SLOT    [- - - - - x x]  Venue    Staff    Change;
    IMPORT         [- - - - - - x]  Network  Staff    Admin;
    SEE_CLUSTER    [- - - - - - x]  Cluster  Nobody   Admin;
    CREATE_TOKEN   [- - - - - - x]  Network  Nobody   Admin;
    LIST_TOKENS    [- - - - - - x]  Network  Nobody   Admin;
    REVOKE_TOKEN   [- - - - - - x]  Network  Nobody   Admin;
    SEE_LIMITS     [- - - - - - x]  Cluster  Nobody   Admin;
    SET_LIMITS     [- - - - - - x]  Cluster  Nobody   Admin;
    UPGRADE        [- - - - - - x]  Cluster  Nobody   Admin;
    ABOUT          [x x x x x x x]  Any      Nobody   Look;
}

impl Rule {
    /// Whether a caller of this role may.
    #[must_use]
    pub const fn may(&self, role: Role) -> bool {
        self.may[role as usize]
    }

    /// The roles that may, as in `manager, operator`.
    #[must_use]
    pub fn roles(&self) -> String {
        let roles = Role::ALL.iter().filter(|role| self.may(**role));
        roles.map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Whether the holder may where no venue is in question yet.
    #[must_use]
    pub fn admits(&self, holder: &Holder) -> bool {
        let is_in_scope = match self.scope {
            Scope::Any | Scope::Venue => true,
            Scope::Network => holder.has_all_venues(),
            Scope::Cluster => holder.is_unbound(),
        };
        self.may(holder.role) && is_in_scope
    }

    /// Whether the holder may at this venue.
    #[must_use]
    pub fn admits_at(&self, holder: &Holder, venue: &VenueInfo) -> bool {
        let network = venue.network.as_deref();
        let is_in_scope = match self.scope {
            Scope::Any | Scope::Cluster => true,
            Scope::Venue => holder.is_good_at(&venue.slug, network),
            Scope::Network => holder.is_of(network),
        };
        self.admits(holder) && is_in_scope
    }

    /// Whether a command of this role stands in the audit log.
    #[must_use]
    pub const fn records(&self, role: Role) -> bool {
        match self.audit {
            Audit::Nobody => false,
            Audit::Staff => matches!(role, Role::Counter | Role::Manager | Role::Operator),
            Audit::Token => !matches!(role, Role::Visitor),
        }
    }
}

/// The row of each route.
#[derive(Clone, Debug, Default)]
pub struct Rules(HashMap<String, Vec<(Method, Rule)>>);

impl Rules {
    /// The row of the route with this path, where the route takes the method.
    pub(crate) fn of(&self, method: &Method, path: &str) -> Option<Rule> {
        // What answers GET answers HEAD.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let of_path = self.0.get(path)?;
        of_path.iter().find(|(known, _)| known == method).map(|(_, rule)| *rule)
    }

    /// Every route and its row, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Method, &str, &Rule)> {
        let paths = self.0.iter();
        paths.flat_map(|(path, rules)| rules.iter().map(move |(method, rule)| (method, path.as_str(), rule)))
    }

    fn add(&mut self, method: Method, path: &str, rule: Rule) {
        self.0.entry(path.to_owned()).or_default().push((method, rule));
    }
}

/// Routes, each under its row.
pub(crate) struct Routes {
    router: OpenApiRouter<Arc<Door>>,
    rules: Rules,
}

impl Routes {
    /// None yet; `document` is what is said of them besides.
    pub(crate) fn documented_in(document: OpenApi) -> Self {
        Self {
            router: OpenApiRouter::with_openapi(document),
            rules: Rules::default(),
        }
    }

    /// Adds what `routes!` makes of a handler.
    pub(crate) fn route(mut self, rule: Rule, routes: UtoipaMethodRouter<Arc<Door>>) -> Self {
        for (path, item) in &routes.1.paths {
            for method in methods(item) {
                self.rules.add(method, path, rule);
            }
        }
        self.router = self.router.routes(routes);
        self
    }

    /// The document of all routes so far, and what more can be added to them.
    pub(crate) fn finish(self) -> (Pages, OpenApi) {
        let (router, document) = self.router.split_for_parts();
        let rules = self.rules;
        (Pages { router, rules }, document)
    }
}

/// [`Routes`], with pages that the document does not speak of.
pub(crate) struct Pages {
    router: Router<Arc<Door>>,
    rules: Rules,
}

impl Pages {
    /// Adds a page: it is only ever looked at.
    pub(crate) fn page<H, T>(mut self, rule: Rule, path: &str, handler: H) -> Self
    where
        H: Handler<T, Arc<Door>>,
        T: 'static,
    {
        self.rules.add(Method::GET, path, rule);
        self.router = self.router.route(path, get(handler));
        self
    }

    /// The row of each route so far.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// All of it.
    pub(crate) fn finish(self) -> (Router<Arc<Door>>, Arc<Rules>) {
        (self.router, Arc::new(self.rules))
    }
}

fn methods(item: &PathItem) -> impl Iterator<Item = Method> {
    let all = [
        (&item.get, Method::GET),
        (&item.put, Method::PUT),
        (&item.post, Method::POST),
        (&item.delete, Method::DELETE),
        (&item.patch, Method::PATCH),
        (&item.head, Method::HEAD),
        (&item.options, Method::OPTIONS),
        (&item.trace, Method::TRACE),
    ];
    let taken = all.into_iter().filter(|(operation, _)| operation.is_some());
    taken.map(|(_, method)| method).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use rotunda_booking::ids::VenueNo;

    use super::*;

    fn venue(slug: &str, network: Option<&str>) -> VenueInfo {
        VenueInfo {
            number: VenueNo(1),
            slug: slug.to_owned(),
            shard: 1,
            network: network.map(Arc::from),
        }
    }

    fn holder(role: Role, venues: &[&str]) -> Holder {
        Holder {
            name: "anna".into(),
            role,
            network: None,
            venues: venues.iter().map(|venue| (*venue).to_owned()).collect(),
        }
    }

    #[test]
    fn a_column_of_the_matrix_is_the_role_of_its_number() {
        for (column, role) in Role::ALL.iter().enumerate() {
            assert_eq!(*role as usize, column);
        }
        assert_eq!(CHANGE_SLOT.roles(), "manager, operator");
        assert_eq!(HOLD.roles(), "visitor, kiosk, counter, reseller, manager, operator");
    }

    #[test]
    fn a_token_of_one_venue_is_good_for_that_venue_and_for_what_everybody_sees() {
        let anna = holder(Role::Counter, &["lisbon-tides"]);
        let (lisbon, porto) = (venue("lisbon-tides", None), venue("porto-light", Some("north")));
        assert!(HOLD.admits_at(&anna, &lisbon));
        assert!(!HOLD.admits_at(&anna, &porto));
        assert!(SEE_SLOTS.admits_at(&anna, &porto));
        assert!(HOLD.admits_at(&holder(Role::Counter, &[]), &porto));
    }

    #[test]
    fn a_token_of_a_network_is_good_for_its_venues_and_not_for_the_cluster() {
        let boss = Holder {
            network: Some("north".into()),
            ..holder(Role::Operator, &[])
        };
        let (here, there) = (venue("porto-light", Some("north")), venue("tokyo-paper", Some("south")));
        for rule in [HOLD, SEE_EVENTS, CHANGE_SLOT] {
            assert!(
                rule.admits_at(&boss, &here) && !rule.admits_at(&boss, &there),
                "{}",
                rule.name
            );
            assert!(!rule.admits_at(&boss, &venue("nowhere", None)), "{}", rule.name);
        }
        assert!(SEE_SLOTS.admits_at(&boss, &there));
        assert!(IMPORT.admits(&boss) && !SEE_CLUSTER.admits(&boss));
        let bound = Holder {
            venues: vec!["porto-light".to_owned()],
            ..boss
        };
        assert!(HOLD.admits_at(&bound, &here) && !HOLD.admits_at(&bound, &venue("oslo-ice", Some("north"))));
        assert!(!SEE_EVENTS.admits(&bound));
    }

    #[test]
    fn what_concerns_the_cluster_is_not_for_tokens_that_are_bound() {
        assert!(IMPORT.admits(&holder(Role::Operator, &[])));
        assert!(!IMPORT.admits(&holder(Role::Operator, &["lisbon-tides"])));
    }

    #[test]
    fn only_the_staff_are_recorded() {
        let recorded = |rule: Rule| Role::ALL.iter().filter(|role| rule.records(**role)).count();
        assert_eq!((recorded(HOLD), recorded(SEE_AUDIT)), (3, 0));
        let everybodys = Rule {
            audit: Audit::Token,
            ..HOLD
        };
        assert_eq!(recorded(everybodys), Role::ALL.len() - 1);
    }
}
