//! What each route asks of its caller.

use std::collections::HashMap;

use actix_web::http::Method;

use crate::store::keys::Scope;

/// Stands for every method.
pub const ANY_METHOD: &str = "*";

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, with or without a key: it tells nothing that is worth hiding.
    Open,
    /// Whoever brings this scope or a larger one.
    Needs(Scope),
}

/// The access to one method of one route.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// GET stands for HEAD, too, [`ANY_METHOD`] for all of them.
    pub method: &'static str,
    /// The route's pattern, as it is declared: `/v1/wallets/{id}`.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
}

impl Rule {
    /// For everybody.
    pub const fn open(method: &'static str, path: &'static str) -> Self {
        Self { method, path, access: Access::Open }
    }

    /// For who may look.
    pub const fn read(method: &'static str, path: &'static str) -> Self {
        Self { method, path, access: Access::Needs(Scope::Read) }
    }

    /// For who may move money.
    pub const fn write(method: &'static str, path: &'static str) -> Self {
        Self { method, path, access: Access::Needs(Scope::Write) }
    }

    /// For who may administer. What has no rule is this, too; saying it shows that it is meant.
    pub const fn admin(method: &'static str, path: &'static str) -> Self {
        Self { method, path, access: Access::Needs(Scope::Admin) }
    }
}

/// All rules.
#[derive(Debug)]
pub(super) struct Rules(HashMap<&'static str, Vec<Rule>>);

impl Rules {
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        let mut of_path: HashMap<_, Vec<Rule>> = HashMap::new();
        for rule in rules {
            of_path.entry(rule.path).or_default().push(rule);
        }
        Self(of_path)
    }

    /// The access to a route; a route or a method that nobody wrote a rule for is for administrators.
    pub fn access(&self, method: &Method, pattern: &str) -> Access {
        let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
        let is_of_method = |rule: &&Rule| [method, ANY_METHOD].contains(&rule.method);
        let rule = self.0.get(pattern).and_then(|rules| rules.iter().find(is_of_method));
        rule.map_or(Access::Needs(Scope::Admin), |rule| rule.access)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_rule_is_for_administrators() {
        let rules = [Rule::read("GET", "/a"), Rule::write("POST", "/a"), Rule::open("GET", "/b/{id}")];
        let rules = Rules::new(rules.into_iter().chain([Rule::read(ANY_METHOD, "/c")]));
        let check = |method: Method, pattern, expected| {
            assert_eq!(rules.access(&method, pattern), expected, "{method} {pattern}");
        };
        check(Method::GET, "/a", Access::Needs(Scope::Read));
        check(Method::HEAD, "/a", Access::Needs(Scope::Read));
        check(Method::POST, "/a", Access::Needs(Scope::Write));
        check(Method::DELETE, "/a", Access::Needs(Scope::Admin));
        check(Method::GET, "/b/{id}", Access::Open);
        check(Method::POST, "/b/{id}", Access::Needs(Scope::Admin));
        check(Method::GET, "/b", Access::Needs(Scope::Admin));
        check(Method::GET, "/c", Access::Needs(Scope::Read));
        check(Method::from_bytes(b"BREW").unwrap(), "/c", Access::Needs(Scope::Read));
        check(Method::from_bytes(b"get").unwrap(), "/a", Access::Needs(Scope::Admin));
    }
}
