use super::caller_preferences::{feature_set, star};
use super::feature::{self, Feature};
use super::word::word_header;
use crate::scan::Span;
use crate::{HeaderError, params};

word_header!(FeatureCaps, true, star, &[],
/// One Feature-Caps value: what an entity in the path of a dialog, a registration or a transaction
/// supports (RFC 6809 §6.2).
///
/// ```
/// use sip_message::{FeatureCaps, Header};
/// let caps = FeatureCaps::parse(b"*;+g.3gpp.atcf=\"<sip:atcf.example.com>\";+sip.x")?;
/// assert_eq!(caps.feature("+sip.x").map(|feature| feature.is_true()), Some(true));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

feature_set!(FeatureCaps);
