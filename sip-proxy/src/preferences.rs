//! What the caller would have the proxy do (RFC 3841): which of the callee's user agents to try, in which order, and how.
//!
//! ```text
//!   Reject-Contact     drops who says that it has all of these features
//!   Accept-Contact     drops who lacks one that is required; orders those of equal q
//!   Request-Disposition   one target or all, at once or one after the other, forward or redirect
//! ```

use core::cmp::Reverse;

use sip_message::{
    AcceptContact, Contact, Directive, Event, Feature, FeatureKind, FeatureValue, Method, Params,
    QValue, RejectContact, Request, RequestDisposition,
};

use crate::{Binding, ProxyOptions, Route, RouteTarget};

/// The preferences of one caller, for [`Router`](crate::Router)s whose targets say what they can do (RFC 3840).
///
/// ```
/// # fn route(request: &sip_message::Request, bindings: &[sip_proxy::Binding]) -> sip_proxy::Route {
/// sip_proxy::Preferences::of(request).route(bindings)
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Preferences {
    accept: Vec<Predicate>,
    reject: Vec<Predicate>,
    /// They follow from the method: rather none than nobody left.
    is_implicit: bool,
    directives: Vec<Directive>,
}

/// A conjunction of features.
#[derive(Clone, Debug, Default)]
struct Predicate {
    terms: Vec<Term>,
    require: bool,
    explicit: bool,
}

/// One feature with a disjunction of values.
#[derive(Clone, Debug)]
struct Term {
    /// Without the `+`, in lower case.
    name: String,
    values: Vec<Value>,
}

#[derive(Clone, Debug)]
enum Value {
    /// In lower case; `true` for one that is negated.
    Token(String, bool),
    /// Compared with regard to case.
    Text(String),
    /// Between these, each with whether it is excluded itself.
    Range([(f64, bool); 2]),
}

impl Preferences {
    /// Those that a request tells, or, if it tells none, those that follow from its method and Event (RFC 3841 §7.2.2).
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let accept = request.get_all::<AcceptContact<'_>>().flatten().map(|wanted| Predicate {
            require: wanted.require(),
            explicit: wanted.explicit(),
            ..Predicate::of(wanted.params())
        });
        let reject = request.get_all::<RejectContact<'_>>().flatten();
        let mut preferences = Self {
            accept: accept.collect(),
            reject: reject.map(|unwanted| Predicate::of(unwanted.params())).collect(),
            is_implicit: false,
            directives: request
                .get_all::<RequestDisposition<'_>>()
                .flatten()
                .flat_map(|wish| wish.directives().collect::<Vec<_>>())
                .collect(),
        };
        // RFC 3841 §7.2.2: "If, and only if, the proxy did not find any explicit preferences in
        // the request (because there was no Accept-Contact or Reject-Contact
        // header field), the proxy extracts implicit preferences."
        if preferences.accept.is_empty() && preferences.reject.is_empty() {
            preferences.is_implicit = true;
            preferences.accept.push(implicit(request));
        }
        preferences
    }

    /// Whether the caller gave this directive, and not its opposite as well.
    #[must_use]
    pub fn wants(&self, directive: Directive) -> bool {
        self.directives.contains(&directive) && !self.directives.contains(&directive.opposite())
    }

    /// The targets that are left by their contacts, in groups: by q, and within a q by how well they fit.
    pub fn order<'a, T>(&self, targets: impl IntoIterator<Item = (T, Contact<'a>)>) -> Vec<Vec<T>> {
        let targets: Vec<_> = targets.into_iter().collect();
        let fits: Vec<_> = targets.iter().map(|(_, contact)| self.fit(contact)).collect();
        // RFC 3841 §7.2.4: "If there were no URIs in the target set after the application of the
        // processing in this section, and the caller preferences were based on
        // implicit preferences (Section 7.2.2), the processing in this section
        // is discarded, and the original target set, ordered by their original
        // q-values, is used."
        let is_discarded = self.is_implicit && fits.iter().all(Option::is_none);
        let mut left: Vec<(T, (QValue, u32))> = targets
            .into_iter()
            .zip(fits)
            .filter_map(|((target, contact), fit)| {
                let fit = if is_discarded { Some(BEST) } else { fit };
                Some((target, (contact.q().unwrap_or(QValue::ONE), fit?)))
            })
            .collect();
        // RFC 3841 §7.2.4: "Within each equivalence class, the contacts are then ordered based on
        // their values of Qa."
        left.sort_by_key(|(_, rank)| Reverse(*rank));
        let mut groups: Vec<Vec<T>> = Vec::new();
        let mut last = None;
        for (target, rank) in left {
            match groups.last_mut().filter(|_| last == Some(rank)) {
                Some(group) => group.push(target),
                None => groups.push(vec![target]),
            }
            last = Some(rank);
        }
        groups
    }

    /// The route to these bindings as the caller would have it.
    pub fn route<'a>(&self, bindings: impl IntoIterator<Item = &'a Binding>) -> Route {
        let targets = bindings.into_iter().filter_map(|binding| {
            Some((RouteTarget::new(binding.uri()?).via(binding.path()), binding.contact()))
        });
        self.arrange(self.order(targets))
    }

    /// These groups as the caller's Request-Disposition would have them (RFC 3841 §9.1): at once, one after the other,
    /// one of them alone, or redirected to. `no-cancel` and `queue` are not obeyed.
    #[must_use]
    pub fn arrange(&self, mut groups: Vec<Vec<RouteTarget>>) -> Route {
        if self.wants(Directive::Redirect) {
            return Route::Redirect(contacts(&groups));
        }
        // RFC 3841 §9.1: "If the server is requested not to fork, the server
        // SHOULD proxy the request to the "best" address (generally the one
        // with the highest q-value)."
        if self.wants(Directive::NoFork) {
            groups = groups.into_iter().flatten().take(1).map(|target| vec![target]).collect();
        } else if self.wants(Directive::Parallel) {
            groups = vec![groups.into_iter().flatten().collect()];
        } else if self.wants(Directive::Sequential) {
            groups = groups.into_iter().flatten().map(|target| vec![target]).collect();
        }
        let recurse = match (self.wants(Directive::Recurse), self.wants(Directive::NoRecurse)) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        Route::groups(groups).with_options(ProxyOptions { recurse, ..ProxyOptions::default() })
    }

    /// How well a contact fits, `None` if it is not to be tried.
    fn fit(&self, contact: &Contact<'_>) -> Option<u32> {
        let can = Predicate::of(contact.params());
        // RFC 3841 §7.2.3: "If the URI in the target set had no feature parameters, it is said to
        // be immune to caller preference processing."
        if can.terms.is_empty() {
            return Some(BEST);
        }
        // RFC 3841 §7.2.4: "If that Reject-Contact predicate contains a filter for a
        // feature tag, and that feature tag is not present anywhere in the
        // contact predicate, that Reject-Contact predicate is discarded for the
        // processing of that contact predicate."
        if self.reject.iter().any(|unwanted| {
            unwanted.named_by(&can) == unwanted.terms.len() && unwanted.matches(&can)
        }) {
            return None;
        }
        let (mut sum, mut count) = (0, 0_u32);
        for wanted in &self.accept {
            // RFC 3841 §7.2.4: "If the result is not a
            // match, and the Accept-Contact predicate had its require flag set, the
            // URI corresponding to that contact predicate is discarded from the
            // target set."
            if !wanted.matches(&can) {
                if wanted.require {
                    return None;
                }
                continue;
            }
            let score = wanted.score(&can);
            // RFC 3841 §7.2.4: "If the score for the contact predicate
            // against that Accept-Contact predicate was less than one, the Accept-
            // Contact predicate had an explicit tag, and if the predicate also had
            // a require tag, the Contact URI corresponding to that contact
            // predicate is dropped."
            let score = match (score < BEST && wanted.explicit, wanted.require) {
                (true, true) => return None,
                (true, false) => 0,
                (false, _) => score,
            };
            sum += score;
            count = count.saturating_add(1);
        }
        // RFC 3841 §7.2.4: "The overall caller preference, Qa,
        // is the arithmetic average of S1 through SM."
        Some(sum.checked_div(count).unwrap_or(0))
    }
}

/// The score of what fits in everything: scores are counted in millionths.
const BEST: u32 = 1_000_000;

impl Predicate {
    fn of(params: Params<'_>) -> Self {
        let mut terms: Vec<Term> = Vec::new();
        for feature in params.features().take(MAX_TERMS) {
            let term = Term::of(&feature);
            // RFC 3841 §7.2.3: "it is copied
            // into the list if the list does not already contain that name with
            // the plus removed."
            if !terms.iter().any(|known| known.name == term.name) {
                terms.push(term);
            }
        }
        Self { terms, require: false, explicit: false }
    }

    /// Of how many terms the other says anything.
    fn named_by(&self, can: &Self) -> usize {
        self.terms.iter().filter(|term| can.term(&term.name).is_some()).count()
    }

    /// Whether something could be what both say (RFC 2533 §4).
    fn matches(&self, can: &Self) -> bool {
        self.terms.iter().all(|term| can.term(&term.name).is_none_or(|other| term.meets(other)))
    }

    fn score(&self, can: &Self) -> u32 {
        let (named, all) = (self.named_by(can), self.terms.len());
        let part = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        BEST.saturating_mul(part(named)).checked_div(part(all)).unwrap_or(BEST)
    }

    fn term(&self, name: &str) -> Option<&Term> {
        self.terms.iter().find(|term| term.name == name)
    }
}

/// As many features of one contact or preference are looked at.
const MAX_TERMS: usize = 64;
/// And as many values of each.
const MAX_VALUES: usize = 64;

impl Term {
    fn of(feature: &Feature<'_>) -> Self {
        let name = feature.name().trim_start_matches('+').to_ascii_lowercase();
        let values = match feature.string() {
            Some(text) => vec![Value::Text(text.into_owned())],
            // RFC 3841 §8: "If the feature-param has no value, it is
            // equivalent, in terms of the processing which follows, as if it had a
            // value of "TRUE"."
            None if feature.value().is_none() => vec![Value::Token("true".into(), false)],
            None => feature.values().take(MAX_VALUES).flat_map(|value| Value::of(&value)).collect(),
        };
        Self { name, values }
    }

    fn meets(&self, other: &Self) -> bool {
        self.values.iter().any(|one| other.values.iter().any(|other| one.meets(other)))
    }
}

impl Value {
    /// What a value stands for: a number that is negated may be two ranges.
    fn of(value: &FeatureValue<'_>) -> Vec<Self> {
        let (low, high) = match value.kind() {
            FeatureKind::Equal(at) => (at, at),
            FeatureKind::AtLeast(low) => (low, f64::INFINITY),
            FeatureKind::AtMost(high) => (f64::NEG_INFINITY, high),
            FeatureKind::Between(low, high) => (low, high),
            _ => return vec![Self::Token(value.as_str().to_ascii_lowercase(), value.is_negated())],
        };
        if !value.is_negated() {
            return vec![Self::Range([(low, false), (high, false)])];
        }
        let below = (low.is_finite()).then_some([(f64::NEG_INFINITY, false), (low, true)]);
        let above = (high.is_finite()).then_some([(high, true), (f64::INFINITY, false)]);
        below.into_iter().chain(above).map(Self::Range).collect()
    }

    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Token(one, false), Self::Token(other, false)) => one == other,
            (Self::Token(one, _), Self::Token(other, _)) if one != other => true,
            (Self::Token(_, one), Self::Token(_, other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Range([low, high]), Self::Range([other_low, other_high])) => {
                below(*low, *other_high) && below(*other_low, *high)
            }
            // Not this token: a text or a number is something else.
            (Self::Token(_, negated), _) | (_, Self::Token(_, negated)) => *negated,
            (Self::Text(_), Self::Range(_)) | (Self::Range(_), Self::Text(_)) => false,
        }
    }
}

/// Whether a range that begins at the one reaches one that ends at the other.
fn below((low, excluded): (f64, bool), (high, also): (f64, bool)) -> bool {
    low < high || (low == high && !excluded && !also)
}

/// RFC 3841 §7.2.2: what the method and the event package ask for.
fn implicit(request: &Request) -> Predicate {
    let token = |text: &str| vec![Value::Token(text.to_ascii_lowercase(), false)];
    let mut terms = vec![Term { name: "methods".into(), values: token(request.method().as_str()) }];
    if *request.method() == Method::Subscribe
        && let Ok(Some(event)) = request.get::<Event<'_>>()
    {
        terms.push(Term { name: "events".into(), values: token(event.package()) });
    }
    // RFC 3841 §7.2.2: "Furthermore, this feature set has
    // its require flag set, but not its explicit flag."
    Predicate { terms, require: true, explicit: false }
}

/// The contacts of a redirection, their q so that their order stays.
fn contacts(groups: &[Vec<RouteTarget>]) -> Vec<Contact<'static>> {
    let mut contacts = Vec::new();
    for (group, place) in groups.iter().zip(0_u16..) {
        // RFC 3841 §7.2.4: "It assigns q-values to those entries so that the ordering is
        // identical to the ordering determined by the processing above."
        let q = 1000_u16.saturating_sub(place).max(1);
        let q = format!("{}.{:03}", q / 1000, q % 1000);
        // RFC 3841 §7.2.4: "However, it MUST NOT include the feature parameters for the entries
        // in the target set."
        let of = |target: &RouteTarget| Contact::new(&target.uri).with_param("q", Some(&q)).ok();
        contacts.extend(group.iter().filter_map(of));
    }
    contacts
}

#[cfg(test)]
mod tests;
