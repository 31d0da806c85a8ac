//! Header field names: the standard table with its compact forms, and any other token.

use core::fmt;
use core::hash::{Hash, Hasher};

use crate::scan;

#[cfg(test)]
mod tests;

macro_rules! names {
    ($($variant:ident $name:literal $(or $compact:literal)? $doc:literal,)*) => {
        /// The name of a header field: a standard one, or any other token.
        ///
        /// Names compare and hash without regard to case, and a compact form is the name that it
        /// stands for (RFC 3261 §7.3.1, §7.3.3).
        ///
        /// ```
        /// use sip_message::HeaderName;
        ///
        /// assert_eq!(HeaderName::from_bytes(b"call-id"), Some(HeaderName::CallId));
        /// assert_eq!(HeaderName::from_bytes(b"i"), Some(HeaderName::CallId));
        /// assert_eq!(HeaderName::CallId.compact(), Some(b'i'));
        /// assert_eq!(HeaderName::Other("X-Tenant"), HeaderName::Other("x-tenant"));
        /// ```
        #[derive(Debug, Clone, Copy)]
        #[non_exhaustive]
        pub enum HeaderName<'a> {
            $(
                #[doc = concat!($name, ": ", $doc, ".")]
                $variant,
            )*
            /// A name that is not in the table; a token, with its case kept.
            Other(&'a str),
        }

        /// The place of a standard name in [`TABLE`]; [`Id::OTHER`] for any other name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) struct Id(u8);

        #[derive(Clone, Copy)]
        #[repr(u8)]
        enum Position { $($variant,)* Count }

        #[allow(non_upper_case_globals, reason = "named as the variants of HeaderName")]
        #[allow(dead_code, reason = "one for each name of the table, wanted or not")]
        impl Id {
            $(pub(crate) const $variant: Self = Self(Position::$variant as u8);)*
        }

        const COUNT: usize = Position::Count as usize;

        /// Each standard name, its text and its compact form (0: none).
        static TABLE: [(HeaderName<'static>, &str, u8); COUNT] = NAMES;
        const NAMES: [(HeaderName<'static>, &str, u8); COUNT] = [
            $((HeaderName::$variant, $name, 0 $(+ $compact)?),)*
        ];

        impl<'a> HeaderName<'a> {
            /// The name in full as the RFCs write it; for another name, as it came.
            #[must_use]
            pub const fn as_str(&self) -> &'a str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other(name) => name,
                }
            }

            /// Where the field is defined, such as `RFC 3261 §20.8`; `None` for a name that is not in
            /// the table.
            #[must_use]
            pub const fn defined_in(&self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => Some($doc),)*
                    Self::Other(_) => None,
                }
            }

            #[inline]
            pub(crate) const fn id(&self) -> Id {
                match self {
                    $(Self::$variant => Id::$variant,)*
                    Self::Other(_) => Id::OTHER,
                }
            }
        }
    };
}

names! {
    Via "Via" or b'v' "RFC 3261 §20.42",
    From "From" or b'f' "RFC 3261 §20.20",
    To "To" or b't' "RFC 3261 §20.39",
    CallId "Call-ID" or b'i' "RFC 3261 §20.8",
    CSeq "CSeq" "RFC 3261 §20.16",
    MaxForwards "Max-Forwards" "RFC 3261 §20.22",
    ContentLength "Content-Length" or b'l' "RFC 3261 §20.14",
    ContentType "Content-Type" or b'c' "RFC 3261 §20.15",
    Route "Route" "RFC 3261 §20.34",
    RecordRoute "Record-Route" "RFC 3261 §20.30",
    Contact "Contact" or b'm' "RFC 3261 §20.10",
    Expires "Expires" "RFC 3261 §20.19",
    Require "Require" "RFC 3261 §20.32",
    ProxyRequire "Proxy-Require" "RFC 3261 §20.29",
    Date "Date" "RFC 3261 §20.17",
    Timestamp "Timestamp" "RFC 3261 §20.38",
    Accept "Accept" "RFC 3261 §20.1",
    AcceptEncoding "Accept-Encoding" "RFC 3261 §20.2",
    AcceptLanguage "Accept-Language" "RFC 3261 §20.3",
    AlertInfo "Alert-Info" "RFC 3261 §20.4",
    Allow "Allow" "RFC 3261 §20.5",
    AuthenticationInfo "Authentication-Info" "RFC 3261 §20.6",
    Authorization "Authorization" "RFC 3261 §20.7",
    CallInfo "Call-Info" "RFC 3261 §20.9",
    ContentDisposition "Content-Disposition" "RFC 3261 §20.11",
    ContentEncoding "Content-Encoding" or b'e' "RFC 3261 §20.12",
    ContentLanguage "Content-Language" "RFC 3261 §20.13",
    ErrorInfo "Error-Info" "RFC 3261 §20.18",
    InReplyTo "In-Reply-To" "RFC 3261 §20.21",
    MinExpires "Min-Expires" "RFC 3261 §20.23",
    MimeVersion "MIME-Version" "RFC 3261 §20.24",
    Organization "Organization" "RFC 3261 §20.25",
    Priority "Priority" "RFC 3261 §20.26",
    ProxyAuthenticate "Proxy-Authenticate" "RFC 3261 §20.27",
    ProxyAuthorization "Proxy-Authorization" "RFC 3261 §20.28",
    ReplyTo "Reply-To" "RFC 3261 §20.31",
    RetryAfter "Retry-After" "RFC 3261 §20.33",
    Server "Server" "RFC 3261 §20.35",
    Subject "Subject" or b's' "RFC 3261 §20.36",
    Supported "Supported" or b'k' "RFC 3261 §20.37",
    Unsupported "Unsupported" "RFC 3261 §20.40",
    UserAgent "User-Agent" "RFC 3261 §20.41",
    Warning "Warning" "RFC 3261 §20.43",
    WwwAuthenticate "WWW-Authenticate" "RFC 3261 §20.44",
    RSeq "RSeq" "RFC 3262 §7.1",
    RAck "RAck" "RFC 3262 §7.2",
    Event "Event" or b'o' "RFC 6665 §8.2.1",
    AllowEvents "Allow-Events" or b'u' "RFC 6665 §8.2.2",
    SubscriptionState "Subscription-State" "RFC 6665 §8.2.3",
    ReferTo "Refer-To" or b'r' "RFC 3515 §2.1",
    ReferredBy "Referred-By" or b'b' "RFC 3892 §3",
    ReferSub "Refer-Sub" "RFC 4488 §4",
    ReferEventsAt "Refer-Events-At" "RFC 7614 §4.8",
    Replaces "Replaces" "RFC 3891 §6.1",
    Join "Join" "RFC 3911 §7.1",
    TargetDialog "Target-Dialog" "RFC 4538 §7",
    SessionExpires "Session-Expires" or b'x' "RFC 4028 §4",
    MinSe "Min-SE" "RFC 4028 §5",
    SipEtag "SIP-ETag" "RFC 3903 §11.3.1",
    SipIfMatch "SIP-If-Match" "RFC 3903 §11.3.2",
    SuppressIfMatch "Suppress-If-Match" "RFC 5839 §7.2",
    Path "Path" "RFC 3327 §4",
    ServiceRoute "Service-Route" "RFC 3608 §5",
    FlowTimer "Flow-Timer" "RFC 5626 §10",
    MaxBreadth "Max-Breadth" "RFC 5393 §5.3.1",
    PAssertedIdentity "P-Asserted-Identity" "RFC 3325 §9.1",
    PPreferredIdentity "P-Preferred-Identity" "RFC 3325 §9.2",
    Privacy "Privacy" "RFC 3323 §4.2",
    Reason "Reason" "RFC 3326 §2",
    HistoryInfo "History-Info" "RFC 7044 §5",
    Diversion "Diversion" "RFC 5806 §4",
    Identity "Identity" or b'y' "RFC 8224 §4",
    SessionId "Session-ID" "RFC 7989 §5",
    UserToUser "User-to-User" "RFC 7433 §4.1",
    AcceptContact "Accept-Contact" or b'a' "RFC 3841 §9.2",
    RejectContact "Reject-Contact" or b'j' "RFC 3841 §9.2",
    RequestDisposition "Request-Disposition" or b'd' "RFC 3841 §9.1",
    ResourcePriority "Resource-Priority" "RFC 4412 §3.1",
    AcceptResourcePriority "Accept-Resource-Priority" "RFC 4412 §3.2",
    AnswerMode "Answer-Mode" "RFC 5373 §2",
    PrivAnswerMode "Priv-Answer-Mode" "RFC 5373 §2",
    InfoPackage "Info-Package" "RFC 6086 §7.2",
    RecvInfo "Recv-Info" "RFC 6086 §7.3",
    FeatureCaps "Feature-Caps" "RFC 6809 §6.2",
    Geolocation "Geolocation" "RFC 6442 §4.1",
    GeolocationError "Geolocation-Error" "RFC 6442 §4.4",
    GeolocationRouting "Geolocation-Routing" "RFC 6442 §4.2",
    SecurityClient "Security-Client" "RFC 3329 §2.2",
    SecurityServer "Security-Server" "RFC 3329 §2.2",
    SecurityVerify "Security-Verify" "RFC 3329 §2.2",
    PAccessNetworkInfo "P-Access-Network-Info" "RFC 7315 §4.4",
    PChargingVector "P-Charging-Vector" "RFC 7315 §4.6",
    PChargingFunctionAddresses "P-Charging-Function-Addresses" "RFC 7315 §4.5",
    PVisitedNetworkId "P-Visited-Network-ID" "RFC 7315 §4.3",
    PAssociatedUri "P-Associated-URI" "RFC 7315 §4.1",
    PCalledPartyId "P-Called-Party-ID" "RFC 7315 §4.2",
    PEarlyMedia "P-Early-Media" "RFC 5009 §8",
    PServedUser "P-Served-User" "RFC 5502 §6",
    PPrivateNetworkIndication "P-Private-Network-Indication" "RFC 7316 §7",
}

impl Id {
    /// A name that is not in the table.
    pub(crate) const OTHER: Self = Self(u8::MAX);

    /// The name; `None` for [`Id::OTHER`].
    pub(crate) fn name(self) -> Option<HeaderName<'static>> {
        TABLE.get(usize::from(self.0)).map(|entry| entry.0)
    }

    /// Its place in the table, for arrays over the first names of it.
    #[inline]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    /// The standard name, full or compact, in any case, that `name` is.
    #[inline(always)]
    pub(crate) fn lookup(name: &[u8]) -> Self {
        Self::common(name).unwrap_or_else(|| Self::find(name))
    }

    /// The names that most lines begin with, as nearly everybody writes them: each is one comparison
    /// of a known length.
    #[inline(always)]
    fn common(name: &[u8]) -> Option<Self> {
        Some(match name.len() {
            2 if name == b"To" => Self::To,
            3 if name == b"Via" => Self::Via,
            4 if name == b"From" => Self::From,
            4 if name == b"CSeq" => Self::CSeq,
            5 if name == b"Route" => Self::Route,
            5 if name == b"Allow" => Self::Allow,
            7 if name == b"Call-ID" => Self::CallId,
            7 if name == b"Contact" => Self::Contact,
            9 if name == b"Supported" => Self::Supported,
            10 if name == b"User-Agent" => Self::UserAgent,
            12 if name == b"Max-Forwards" => Self::MaxForwards,
            12 if name == b"Record-Route" => Self::RecordRoute,
            12 if name == b"Content-Type" => Self::ContentType,
            14 if name == b"Content-Length" => Self::ContentLength,
            _ => return None,
        })
    }

    /// Any name.
    #[inline(never)]
    fn find(name: &[u8]) -> Self {
        let (Some(&first), Some(&last)) = (name.first(), name.last()) else { return Self::OTHER };
        if name.len() == 1 {
            let letter = first.to_ascii_lowercase().wrapping_sub(b'a');
            return COMPACT.get(usize::from(letter)).copied().unwrap_or(Self::OTHER);
        }
        let middle = name.get(name.len() / 2).copied().unwrap_or(first);
        let mut bucket = usize::from(bucket(name.len(), first, middle, last));
        while let Some(&id) = BUCKETS.get(bucket) {
            let Some(standard) = TEXT.get(usize::from(id.0)) else { break };
            // RFC 3261 §7.3.1: "When comparing header fields, field names are always
            // case-insensitive."
            if standard.len() == name.len()
                && (*standard == name || standard.eq_ignore_ascii_case(name))
            {
                return id;
            }
            bucket = bucket.wrapping_add(1) % BUCKET_COUNT;
        }
        Self::OTHER
    }
}

impl<'a> HeaderName<'a> {
    /// The name that stands before a colon, in full or compact form and in any case; `None` when
    /// it is not a token (RFC 3261 §25.1).
    #[must_use]
    pub fn from_bytes(name: &'a [u8]) -> Option<Self> {
        match Id::lookup(name).name() {
            Some(standard) => Some(standard),
            None => scan::all(name, scan::TOKEN).then(|| HeaderName::Other(scan::ascii(name))),
        }
    }

    /// The compact form, if the name has one (RFC 3261 §7.3.3 and the IANA registry).
    #[must_use]
    pub fn compact(&self) -> Option<u8> {
        TABLE.get(self.id().index()).map(|entry| entry.2).filter(|&letter| letter != 0)
    }

    /// Every name of the standard table.
    pub fn standard() -> impl Iterator<Item = HeaderName<'static>> {
        TABLE.iter().map(|entry| entry.0)
    }
}

impl PartialEq for HeaderName<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Other(a), Self::Other(b)) => a.eq_ignore_ascii_case(b),
            _ => self.id() == other.id() && self.id() != Id::OTHER,
        }
    }
}

impl Eq for HeaderName<'_> {}

impl Hash for HeaderName<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.id().0);
        if let Self::Other(name) = self {
            name.bytes().for_each(|byte| state.write_u8(byte.to_ascii_lowercase()));
            state.write_u8(0xff);
        }
    }
}

impl fmt::Display for HeaderName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The names alone.
static TEXT: [&[u8]; COUNT] = texts();

/// The names by compact form.
static COMPACT: [Id; 26] = compact_forms();

/// A hash table, built at compile time, of the names by length and three of their letters; a
/// collision goes to the next bucket, and an empty bucket ends the search.
static BUCKETS: [Id; BUCKET_COUNT] = buckets();
const BUCKET_COUNT: usize = 512;

#[expect(clippy::cast_possible_truncation, reason = "long names share buckets, and are compared")]
const fn bucket(len: usize, first: u8, middle: u8, last: u8) -> u16 {
    // `| 0x20` folds the case of letters, and does not part the other bytes of a token.
    let letters = u32::from_le_bytes([len as u8, first, middle, last]) | 0x2020_2000;
    (letters.wrapping_mul(HASH) >> 23) as u16
}

/// An odd number, found by trial, that gives each of today's names a bucket of its own.
const HASH: u32 = 0x9663_8481;

// These run at compile time alone, where a bad index is a compile error.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "compile time")]
const fn texts() -> [&'static [u8]; COUNT] {
    let mut texts: [&[u8]; COUNT] = [b""; COUNT];
    let mut id = 0;
    while id < COUNT {
        texts[id] = NAMES[id].1.as_bytes();
        id += 1;
    }
    texts
}

#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "compile time"
)]
const fn compact_forms() -> [Id; 26] {
    let mut forms = [Id::OTHER; 26];
    let mut id = 0;
    while id < COUNT {
        if NAMES[id].2 != 0 {
            forms[(NAMES[id].2 - b'a') as usize] = Id(id as u8);
        }
        id += 1;
    }
    forms
}

#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "compile time"
)]
const fn buckets() -> [Id; BUCKET_COUNT] {
    let mut buckets = [Id::OTHER; BUCKET_COUNT];
    let mut id = 0;
    while id < COUNT {
        let name = NAMES[id].1.as_bytes();
        let mut place =
            bucket(name.len(), name[0], name[name.len() / 2], name[name.len() - 1]) as usize;
        while buckets[place].0 != Id::OTHER.0 {
            place = (place + 1) % BUCKET_COUNT;
        }
        buckets[place] = Id(id as u8);
        id += 1;
    }
    buckets
}
