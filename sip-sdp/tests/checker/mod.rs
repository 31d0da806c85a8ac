//! The rules of RFC 3264 for an answer and for the next description of one side, read off the text alone: nothing of
//! the crate is used here, so that it cannot be wrong in the same way.

use std::collections::{BTreeMap, BTreeSet};

/// One description, taken apart.
struct Read {
    origin: Vec<String>,
    time: Vec<Vec<Option<u64>>>,
    group: Vec<String>,
    setup: Option<String>,
    direction: Option<String>,
    connection: Option<String>,
    media: Vec<Section>,
}

#[derive(Default)]
struct Section {
    kind: String,
    port: String,
    proto: String,
    formats: Vec<String>,
    maps: BTreeMap<String, String>,
    direction: Option<String>,
    connection: Option<String>,
    mid: Option<String>,
    setup: Option<String>,
    crypto: Vec<(String, String)>,
    bundle_only: bool,
    fingerprint: bool,
}

impl Read {
    fn new(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let mut read = Self {
            origin: Vec::new(),
            time: Vec::new(),
            group: Vec::new(),
            setup: None,
            direction: None,
            connection: None,
            media: Vec::new(),
        };
        for line in text.split('\n') {
            let line = line.strip_suffix('\r').unwrap_or(line);
            let Some((kind, value)) = line.split_once('=') else { continue };
            let words = || value.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
            if kind == "m" {
                let mut words = words().into_iter();
                let mut next = || words.next().unwrap_or_default();
                let (kind, port, proto) = (next(), next(), next());
                let formats = words.collect();
                read.media.push(Section { kind, port, proto, formats, ..Section::default() });
                continue;
            }
            match (kind, read.media.last_mut()) {
                ("o", _) => read.origin = words(),
                ("t", None) => {
                    let numbers = words().into_iter().map(|word| word.parse::<u64>().ok());
                    read.time.push(numbers.collect());
                }
                ("c", None) => read.connection = Some(words().join(" ")),
                ("c", Some(media)) => {
                    media.connection.get_or_insert(words().join(" "));
                }
                ("a", None) => read.session_attribute(value),
                ("a", Some(media)) => media.attribute(value),
                _ => {}
            }
        }
        read
    }

    fn session_attribute(&mut self, value: &str) {
        if let Some(group) = value.strip_prefix("group:BUNDLE") {
            if self.group.is_empty() {
                self.group = group.split_ascii_whitespace().map(str::to_owned).collect();
            }
        } else if let Some(setup) = value.strip_prefix("setup:") {
            self.setup = Some(setup.to_owned());
        } else if is_direction(value) {
            self.direction = Some(value.to_owned());
        }
    }

    fn direction(&self, media: &Section) -> String {
        let said = media.direction.clone().or(self.direction.clone());
        said.unwrap_or_else(|| "sendrecv".to_owned())
    }

    fn connection(&self, media: &Section) -> String {
        media.connection.clone().or(self.connection.clone()).unwrap_or_default()
    }

    fn is_bundled(&self, media: &Section) -> bool {
        media.mid.as_ref().is_some_and(|mid| self.group.contains(mid))
    }
}

impl Section {
    fn attribute(&mut self, value: &str) {
        let (name, rest) = value.split_once(':').unwrap_or((value, ""));
        match name {
            "rtpmap" => {
                if let Some((number, encoding)) = rest.trim().split_once(' ') {
                    let encoding = encoding.trim().to_ascii_lowercase();
                    let encoding = encoding.strip_suffix("/1").unwrap_or(&encoding);
                    let encoding = encoding.trim_end_matches('/').to_owned();
                    let number = number.parse::<u8>().map_or(String::new(), |one| one.to_string());
                    self.maps.entry(number).or_insert(encoding);
                }
            }
            "mid" => self.mid = Some(rest.trim().to_owned()),
            "setup" => self.setup = Some(rest.to_owned()),
            "fingerprint" => self.fingerprint = true,
            "bundle-only" => self.bundle_only = true,
            "crypto" => {
                let mut words = rest.split(' ').map(str::to_owned);
                let tag = words.next().unwrap_or_default().trim_start_matches('0').to_owned();
                self.crypto.push((tag, words.next().unwrap_or_default()));
            }
            _ if is_direction(value) => self.direction = Some(value.to_owned()),
            _ => {}
        }
    }

    fn is_zero(&self) -> bool {
        let port = self.port.split('/').next().unwrap_or_default();
        port.bytes().all(|digit| matches!(digit, b'0' | b'+'))
    }

    fn is_rtp(&self) -> bool {
        self.proto.split('/').any(|part| part.eq_ignore_ascii_case("rtp"))
    }

    /// Each number and the codec that it stands for, as far as the text says it or RFC 3551 does.
    fn codecs(&self) -> BTreeMap<String, String> {
        let known = [
            ("0", "pcmu/8000"),
            ("3", "gsm/8000"),
            ("4", "g723/8000"),
            ("8", "pcma/8000"),
            ("9", "g722/8000"),
            ("13", "cn/8000"),
            ("18", "g729/8000"),
            ("31", "h261/90000"),
            ("32", "mpv/90000"),
            ("34", "h263/90000"),
        ];
        let numbers = self.formats.iter().filter_map(|format| format.parse::<u8>().ok());
        let codec = |number: u8| {
            let number = number.to_string();
            let said = self.maps.get(&number).cloned();
            let usual = || known.iter().find(|row| row.0 == number).map(|row| row.1.to_owned());
            Some((number.clone(), said.or_else(usual)?))
        };
        numbers.filter_map(codec).collect()
    }
}

fn is_direction(value: &str) -> bool {
    matches!(value, "sendrecv" | "sendonly" | "recvonly" | "inactive")
}

/// What is wrong with an answer to an offer.
pub(crate) fn answer(offer: &[u8], answer: &[u8]) -> Vec<String> {
    let (theirs, ours) = (Read::new(offer), Read::new(answer));
    let mut wrong = alone(&ours);
    let mut check = |right: bool, what: &str| {
        if !right {
            wrong.push(what.to_owned());
        }
    };
    check(theirs.media.len() == ours.media.len(), "§6: as many m= lines");
    let usual = vec![vec![Some(0), Some(0)]];
    let time = if theirs.time.is_empty() { &usual } else { &theirs.time };
    check(*time == ours.time, "§6: the same t=");
    check(theirs.origin != ours.origin, "§6: another o=");
    check(ours.group.iter().all(|mid| theirs.group.contains(mid)), "RFC 5888 §9.2: a subset");
    for (offered, answered) in theirs.media.iter().zip(&ours.media) {
        check(offered.kind.eq_ignore_ascii_case(&answered.kind), "§6.1: the same kind");
        check(offered.proto == answered.proto, "§6: the same protocol");
        check(offered.mid == answered.mid, "RFC 5888 §9.2: the same mid");
        let carried =
            offered.bundle_only && theirs.is_bundled(offered) && ours.is_bundled(answered);
        check(!offered.is_zero() || answered.is_zero() || carried, "§8.2: zero for zero");
        if answered.is_zero() {
            continue;
        }
        let (said, direction) = (theirs.direction(offered), ours.direction(answered));
        let multicast = is_multicast(&theirs.connection(offered));
        let allowed: &[&str] = match said.as_str() {
            _ if multicast => &[&said],
            "sendonly" => &["recvonly", "inactive"],
            "recvonly" => &["sendonly", "inactive"],
            "inactive" => &["inactive"],
            _ => &["sendrecv", "sendonly", "recvonly", "inactive"],
        };
        check(allowed.contains(&direction.as_str()), "§6.1: the direction");
        check(multicast == is_multicast(&ours.connection(answered)), "§6.1: multicast or not");
        if multicast {
            check(theirs.connection(offered) == ours.connection(answered), "§6.2: the address");
            check(offered.port == answered.port, "§6.2: the port");
        }
        if answered.is_rtp() {
            let (offered, answered) = (offered.codecs(), answered.codecs());
            let common = answered.iter().any(|(number, codec)| offered.get(number) == Some(codec));
            check(common, "§6.1: a format of the offer, by its number");
        } else {
            let mut formats = answered.formats.iter();
            check(formats.any(|format| offered.formats.contains(format)), "§6.1: a format");
        }
        if !answered.crypto.is_empty() {
            check(answered.crypto.len() == 1, "RFC 4568 §5.1.2: exactly one");
            let found = answered.crypto.iter().all(|crypto| offered.crypto.contains(crypto));
            check(found, "RFC 4568 §5.1.2: the tag and the suite");
        }
        if answered.fingerprint {
            let setup = answered.setup.as_deref();
            let asked = offered.setup.as_deref().or(theirs.setup.as_deref());
            let fits = match asked {
                Some("active") => setup == Some("passive"),
                Some("passive") => setup == Some("active"),
                _ => matches!(setup, Some("active" | "passive")),
            };
            check(fits, "RFC 5763 §5: setup");
        }
    }
    wrong
}

fn is_multicast(connection: &str) -> bool {
    let address = connection.split(' ').nth(2).unwrap_or_default();
    let address = address.split('/').next().unwrap_or_default();
    address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_multicast())
}

/// What is wrong with a description of ours whatever it answers.
fn alone(ours: &Read) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |right: bool, what: &str| {
        if !right {
            wrong.push(what.to_owned());
        }
    };
    check(ours.origin.len() == 6, "RFC 8866 §5.2: six fields");
    check(version(ours).is_some(), "§5: a version of 63 bits");
    check(!ours.time.is_empty(), "RFC 8866 §5.9: a t=");
    let mut mids = BTreeSet::new();
    for media in &ours.media {
        check(!media.formats.is_empty(), "§6: one format at least");
        check(media.is_zero() || !ours.connection(media).is_empty(), "RFC 8866 §5.7: a c=");
        let zero = media.is_zero() && ours.is_bundled(media);
        check(!zero, "RFC 5888 §9.2: nothing refused in a group");
        check(media.mid.iter().all(|mid| mids.insert(mid.clone())), "RFC 8866: one mid each");
        if media.is_rtp() && !media.is_zero() {
            let distinct: BTreeSet<_> = media.formats.iter().collect();
            check(distinct.len() == media.formats.len(), "§5.1: each format once");
            let mapped = media.formats.iter().all(|format| media.maps.contains_key(format));
            check(mapped, "§6.1: a=rtpmap for each format");
            let main = media.codecs().into_values().collect::<Vec<_>>();
            check(main.len() == media.formats.len(), "§5.1: numbers");
        }
    }
    wrong
}

fn version(read: &Read) -> Option<i64> {
    read.origin.get(2)?.parse().ok()
}

/// What one side has said so far of a session, to hold its next description against.
#[derive(Default)]
pub(crate) struct Side {
    previous: Vec<u8>,
}

/// What numbers have stood for in each stream, whoever said it.
pub(crate) type Bound = BTreeMap<(usize, String), String>;

impl Side {
    /// What is wrong with the next description of this side.
    pub(crate) fn says(&mut self, text: &[u8]) -> Vec<String> {
        let (old, new) = (Read::new(&self.previous), Read::new(text));
        let mut wrong = alone(&new);
        if !self.previous.is_empty() {
            let mut fields = old.origin.iter().zip(&new.origin).enumerate();
            if fields.any(|(field, (old, new))| field != 2 && old != new) {
                wrong.push("§8: the same o= but for its version".to_owned());
            }
            let same = version(&old) == version(&new);
            let next = version(&old).and_then(|old| old.checked_add(1)) == version(&new);
            if (same && self.previous != text) || (!same && !next) {
                wrong.push("§8: the version is one more, or nothing is new".to_owned());
            }
        }
        self.previous = text.to_vec();
        wrong
    }
}

/// How many m= lines a description has.
pub(crate) fn lines(text: &[u8]) -> usize {
    Read::new(text).media.len()
}

/// Notes what the dynamic numbers of a description stand for, and what was something else before.
pub(crate) fn bind(bound: &mut Bound, text: &[u8]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (slot, media) in Read::new(text).media.iter().enumerate() {
        if !media.is_rtp() || media.is_zero() {
            continue;
        }
        for (number, codec) in media.codecs() {
            let dynamic = number.parse::<u8>().is_ok_and(|number| number >= 35);
            let before = bound.entry((slot, number.clone())).or_insert_with(|| codec.clone());
            if dynamic && *before != codec {
                wrong.push(format!("§8.3.2: {number} of stream {slot} was {before}, is {codec}"));
            }
        }
    }
    wrong
}
